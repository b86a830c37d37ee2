-- What the scripts that change counts share; the text of each of them follows this one.
--
-- Everything is read and worked out first, in these tables. Redis refuses a command, not a script:
-- for want of memory, or of rights to a command or a key. So `probe` does what may be refused in a
-- way that changes nothing. Only then `write` writes, with commands that were just seen to work.

local records, top, months, site, hours, days, statuses, writers, seen, replies, marked_files,
  marked_days, old_files, old_days, format_key = unpack(KEYS)
local MONTH, CLIENTS = '{tally}:month:', '{tally}:clients:'
-- The numbers of a tally, in the order of tally.py.
local PLACE = {
  accesses = 1, completed = 2, sent_bytes = 3, unknown = 4, not_modified = 5, tools = 6,
  robots = 7, partial = 8, clients = 9, downloads = 10, total_requests = 11, unique_requests = 12,
  head = 13, resumed = 14, resumed_completed = 15, probe = 16, own = 17, uncounted = 18,
  uncounted_sent = 19,
}
local NUMBERS = 19
local LIMIT = 2 ^ 53
local HOURS_KEPT_DAYS = 90
local CLIENTS_KEPT = 48 * 3600
local floor, format, concat = math.floor, string.format, table.concat

-- By path: a file's record, false for none. By month: its key, and by path the days in it.
local files, opened = {}, {}
-- By key: rows of clients.
local clients = {}
-- What the site grows by: in all, by hour, by day; what is of an hour and so of its day and of all;
-- answers by status; its first and last access.
local of_site, of_hours, of_days, booked, of_statuses = {}, {}, {}, {}, {}
local first_access, last_access
local newest_hour, detailed_since
-- What of the old format was used up.
local used_files, used_days = {}, {}
local has_old = redis.call('EXISTS', old_files) == 1

local function encode(tally)
  local last = NUMBERS
  while last > 0 and (tally[last] or 0) == 0 do last = last - 1 end
  local text = {}
  for i = 1, last do
    local number = tally[i] or 0
    -- Lua writes 14 digits of a number by itself.
    text[i] = number < 1e14 and number or format('%.0f', number)
  end
  return '[' .. concat(text, ',') .. ']'
end

local function decode(text)
  return text and cjson.decode(text) or {}
end

local function add(tally, other)
  for i = 1, NUMBERS do
    local number = other[i]
    if number and number ~= 0 then tally[i] = (tally[i] or 0) + number end
  end
end

local function is_empty(tally)
  for i = 1, NUMBERS do
    if (tally[i] or 0) ~= 0 then return false end
  end
  return true
end

local function in_table(tallies, unit)
  local tally = tallies[unit]
  if not tally then
    tally = {}
    tallies[unit] = tally
  end
  return tally
end

local known_months = {}
-- Returns the month of a day since 1970, numbered from January of the year 0.
local function month_of(day)
  local month = known_months[day]
  if month then return month end
  local z = day + 719468
  local era = floor(z / 146097)
  local in_era = z - era * 146097
  local year = floor((in_era - floor(in_era / 1460) + floor(in_era / 36524)
    - floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year + floor(year / 4) - floor(year / 100))
  local from_march = floor((5 * in_year + 2) / 153)
  year = year + era * 400
  if from_march < 10 then month = year * 12 + from_march + 2 else
    month = (year + 1) * 12 + from_march - 10
  end
  known_months[day] = month
  return month
end

-- Returns the days of a file in a month: {changed = false, days = {[day] = tally}}.
local function in_month(path, file, day)
  local month = month_of(day)
  local of_month = opened[month]
  if not of_month then
    of_month = {key = MONTH .. format('%d', month), paths = {}}
    opened[month] = of_month
  end
  local kept = of_month.paths[path]
  if not kept then
    kept = {changed = false, days = {}}
    local text = not file.is_new and redis.call('HGET', of_month.key, path)
    for _, pair in ipairs(decode(text)) do kept.days[pair[1]] = pair[2] end
    of_month.paths[path] = kept
  end
  return kept
end

-- Returns the tally of a file's day, to be changed. The file's last day is in its record, and in
-- no month.
local function of_day(path, file, day)
  if day == file.day then return file.today end
  local kept = in_month(path, file, day)
  kept.changed = true
  return in_table(kept.days, day)
end

-- Makes a day the one in the record, if it is later than that.
local function begin_day(path, file, day)
  if day <= file.day then return end
  if not is_empty(file.today) then
    local over = in_month(path, file, file.day)
    over.changed = true
    add(in_table(over.days, file.day), file.today)
  end
  local kept = in_month(path, file, day)
  file.day, file.today = day, kept.days[day] or {}
  if kept.days[day] then
    kept.changed = true
    kept.days[day] = nil
  end
end

local function note_times(file, first, last)
  if first > 0 then
    if file.first == 0 or first < file.first then file.first = first end
    if not first_access or first < first_access then first_access = first end
  end
  if last > file.last then file.last = last end
  if last > 0 and (not last_access or last > last_access) then last_access = last end
end

-- Adds what the old format kept of a file.
local function take_old(path, file, text)
  local old, i = {}, 1
  for number in string.gmatch(text, '%d+') do
    old[i] = tonumber(number)
    i = i + 1
  end
  local total, accesses = {}, old[1] + old[2] + old[3]
  total[PLACE.accesses], total[PLACE.unknown] = accesses, accesses
  total[PLACE.partial], total[PLACE.not_modified] = old[2], old[3]
  total[PLACE.resumed], total[PLACE.head] = old[4], old[5]
  add(file.total, total)
  add(of_site, total)
  note_times(file, old[6], old[7])
  used_files[#used_files + 1] = path
end

local function new_file()
  return {first = 0, last = 0, day = 0, total = {}, today = {}, is_new = true}
end

-- A call of Redis takes longer than what it does. So many files are read, and written, at once.
local AT_ONCE = 500
local texts_of = {}
local function read_ahead(paths)
  for i = 1, #paths, AT_ONCE do
    local last = math.min(i + AT_ONCE - 1, #paths)
    local texts = redis.call('HMGET', records, unpack(paths, i, last))
    for j = i, last do texts_of[paths[j]] = texts[j - i + 1] end
  end
end

-- Returns a file's record, false when there is none.
local function load(path)
  local file = files[path]
  if file ~= nil then return file end
  local text = texts_of[path]
  if text == nil then text = redis.call('HGET', records, path) end
  if text then
    local kept = cjson.decode(text)
    file = {first = kept[1], last = kept[2], day = kept[3], total = kept[4], today = kept[5]}
  end
  local old = has_old and redis.call('HGET', old_files, path)
  if old then
    file = file or new_file()
    take_old(path, file, old)
  end
  files[path] = file or false
  return file or false
end

local function load_or_new(path)
  local file = load(path)
  if not file then
    file = new_file()
    files[path] = file
  end
  return file
end

-- Returns the key of the site's rows of clients of a file's day. The era changes when everything is
-- reset.
local era
local function clients_key(path, day)
  era = era or redis.call('HGET', site, 'era') or '0'
  return CLIENTS .. era .. ':' .. format('%d', day) .. ':' .. path
end

-- Adds to the site what was read of it, and returns what it then is.
local function sums(key, tallies)
  local texts = {}
  for unit, tally in pairs(tallies) do
    local field = format('%d', unit)
    local kept = decode(redis.call('HGET', key, field))
    add(kept, tally)
    texts[field] = encode(kept)
  end
  return texts
end

local site_texts, hour_texts, day_texts, status_texts, forgotten = {}, {}, {}, {}, {}

local function read_site()
  for hour, tally in pairs(booked) do
    add(in_table(of_hours, hour), tally)
    add(in_table(of_days, floor(hour / 24)), tally)
    add(of_site, tally)
    if not newest_hour or hour > newest_hour then newest_hour = hour end
  end
  local kept = redis.call('HMGET', site, 'total', 'first', 'last', 'newest', 'detailed_since')
  local total = decode(kept[1])
  add(total, of_site)
  if next(of_site) then site_texts.total = encode(total) end
  local first, last = tonumber(kept[2] or '0'), tonumber(kept[3] or '0')
  if first_access and (first == 0 or first_access < first) then
    site_texts.first = format('%d', first_access)
  end
  if last_access and last_access > last then site_texts.last = format('%d', last_access) end
  if detailed_since and detailed_since > tonumber(kept[5] or '0') then
    site_texts.detailed_since = format('%d', detailed_since)
  end
  hour_texts, day_texts = sums(hours, of_hours), sums(days, of_days)
  if newest_hour and newest_hour > tonumber(kept[4] or '-1') then
    site_texts.newest = format('%d', newest_hour)
    local oldest = (floor(newest_hour / 24) - HOURS_KEPT_DAYS + 1) * 24
    for _, hour in ipairs(redis.call('HKEYS', hours)) do
      if tonumber(hour) < oldest then forgotten[#forgotten + 1] = hour end
    end
  end
  for status, answers in pairs(of_statuses) do
    local before = tonumber(redis.call('HGET', statuses, status) or '0')
    status_texts[status] = format('%.0f', before + answers)
  end
  return total
end

local function is_too_much(tally)
  for i = 1, NUMBERS do
    if (tally[i] or 0) >= LIMIT then return true end
  end
  return false
end

-- Tries the keys that are to be written, or all. The first write must be before this, and one that
-- needs memory: HSET.
local function probe(all)
  local function try(key, is_used)
    if all or is_used then redis.call('HDEL', key, '') end
  end
  try(records, next(files))
  try(months, next(opened))
  try(site, next(site_texts))
  try(hours, next(hour_texts))
  try(days, next(day_texts))
  try(statuses, next(status_texts))
  try(old_files, used_files[1])
  try(old_days, used_days[1])
  try(MONTH, false)
  try(CLIENTS, false)
  if all or next(files) then
    redis.call('ZADD', top, 'XX', 0, '')
  end
  if all or next(clients) then redis.call('EXPIRE', CLIENTS, 1) end
  if all then redis.call('HKEYS', MONTH) end
  for _, of_month in pairs(opened) do redis.call('HDEL', of_month.key, '') end
  for key in pairs(clients) do redis.call('HDEL', key, '') end
end

local function set(command, key, words)
  for i = 1, #words, 2 * AT_ONCE do
    redis.call(command, key, unpack(words, i, math.min(i + 2 * AT_ONCE - 1, #words)))
  end
end

local function month_text(kept)
  local text = {}
  for day, tally in pairs(kept.days) do
    if not is_empty(tally) then
      text[#text + 1] = format('[%d,%s]', day, encode(tally))
    end
  end
  return #text > 0 and '[' .. concat(text, ',') .. ']'
end

local function write_months()
  for month, of_month in pairs(opened) do
    local words = {}
    for path, kept in pairs(of_month.paths) do
      local text = kept.changed and month_text(kept)
      if text then
        words[#words + 1], words[#words + 2] = path, text
      elseif kept.changed then
        redis.call('HDEL', of_month.key, path)
      end
    end
    set('HSET', of_month.key, words)
    if #words > 0 then redis.call('HSET', months, format('%d', month), 1) end
  end
end

local function write_clients()
  for key, of_key in pairs(clients) do
    local words = {}
    for client, row in pairs(of_key.rows) do
      if row and row.changed then
        words[#words + 1] = client
        words[#words + 1] = format('%.0f %.0f %.0f', row.last, row.seen, row.total)
      end
    end
    set('HSET', key, words)
    if #words > 0 and of_key.is_new then redis.call('EXPIRE', key, CLIENTS_KEPT) end
  end
end

local function write()
  local by_path, by_accesses = {}, {}
  for path, file in pairs(files) do
    if file then
      local at, accesses = #by_path, file.total[PLACE.accesses] or 0
      by_path[at + 1] = path
      local numbers = format('%.0f,%.0f,%d', file.first, file.last, file.day)
      by_path[at + 2] = concat({
        '[', numbers, ',', encode(file.total), ',', encode(file.today), ']',
      })
      by_accesses[at + 1] = accesses == 0 and 0 or format('%.0f', -accesses)
      by_accesses[at + 2] = path
    end
  end
  set('HSET', records, by_path)
  set('ZADD', top, by_accesses)
  write_months()
  write_clients()
  for key, texts in pairs({[site] = site_texts, [hours] = hour_texts, [days] = day_texts,
      [statuses] = status_texts}) do
    local words = {}
    for field, text in pairs(texts) do words[#words + 1], words[#words + 2] = field, text end
    set('HSET', key, words)
  end
  for _, hour in ipairs(forgotten) do redis.call('HDEL', hours, hour) end
  for _, path in ipairs(used_files) do redis.call('HDEL', old_files, path) end
  for _, field in ipairs(used_days) do redis.call('HDEL', old_days, field) end
end

-- Applies a writer's batch of counts once, and returns its numbers.
--
-- ARGV: the writer, the number of its first entry, then four for each entry: operation, name,
-- amount, time. `entries.py` says what they are. Without entries the script only tries what a batch
-- does, and leaves nothing behind. It changes nothing or everything, whatever Redis refuses.

-- A writer that was never finished (its host vanished with its journal) is forgotten after this
-- time.
local FORGET_AFTER = 30 * 86400
local MOST_CLIENTS = 100000
local DOUBLE_CLICK = 30
local DOWNLOADED = 2 ^ 24

local writer, first = ARGV[1], tonumber(ARGV[2])
local known = redis.call('HGET', writers, writer)
local last = tonumber(known or '0')
local numbers = {}
local entries = (#ARGV - 2) / 4
if entries > 0 and first + entries - 1 <= last then
  -- It came before. Its numbers are known if it was the writer's last batch.
  local kept = redis.call('HGET', replies, writer)
  local kept_first, kept_numbers = string.match(kept or '', '^(%d+):(.*)$')
  if kept_first and tonumber(kept_first) == first then
    for number in string.gmatch(kept_numbers, '%d+') do numbers[#numbers + 1] = tonumber(number) end
    if #numbers == entries then return numbers end
  end
  numbers = {}
  for i = 1, entries do numbers[i] = 0 end
  return numbers
end

local is_access = {full = true, partial = true, not_modified = true}
local completes = {
  full = PLACE.completed, partial = PLACE.completed, resumed = PLACE.resumed_completed,
}
-- An entry of the previous version has 1 in the class's place.
local of_class = {
  ['1'] = PLACE.unknown, unknown = PLACE.unknown, tools = PLACE.tools, robots = PLACE.robots,
  own = PLACE.own,
}

local function grow(tally, changes)
  for i = 1, #changes, 2 do
    local place = changes[i]
    tally[place] = (tally[place] or 0) + changes[i + 1]
  end
end
local function book_site(at, changes)
  grow(in_table(booked, floor(at / 3600)), changes)
end
local function book(path, file, at, changes)
  grow(file.total, changes)
  grow(of_day(path, file, floor(at / 86400)), changes)
  book_site(at, changes)
end

-- Clients: the rule of client_rows.py.
local function rows_of(path, day)
  local key = clients_key(path, day)
  local of_key = clients[key]
  if not of_key then
    of_key = {rows = {}, is_new = redis.call('EXISTS', key) == 0}
    clients[key] = of_key
  end
  return of_key, key
end
local function row_of(of_key, key, client)
  local row = of_key.rows[client]
  if row == nil then
    row = false
    local text = not of_key.is_new and redis.call('HGET', key, client)
    if text then
      local last_seen, hours_seen, total = string.match(text, '^(%d+) (%d+) (%d+)$')
      row = {last = tonumber(last_seen), seen = tonumber(hours_seen), total = tonumber(total)}
    end
    of_key.rows[client] = row
  end
  return row
end
local function has(row, flag) return floor(row.seen / flag) % 2 == 1 end
local function count_client(path, file, kind, at, sent, client, enough, changes)
  local day = floor(at / 86400)
  local of_key, key = rows_of(path, day)
  local row = row_of(of_key, key, client)
  if not row then
    if kind == 'head' or kind == 'probe' then return end
    local told_apart = of_day(path, file, day)[PLACE.clients] or 0
    -- The rows of a day that is over are gone some time; who had one cannot be told then.
    if of_key.is_new and told_apart > 0 and day < file.day and not next(of_key.rows, client) then
      return
    end
    if told_apart <= MOST_CLIENTS then
      changes[#changes + 1], changes[#changes + 2] = PLACE.clients, 1
    end
    if told_apart >= MOST_CLIENTS then return end
    row = {last = 0, seen = 0, total = 0, changed = true}
    of_key.rows[client] = row
  end
  if is_access[kind] then
    local hour = 2 ^ (floor(at / 3600) % 24)
    if not has(row, hour) then
      row.seen = row.seen + hour
      changes[#changes + 1], changes[#changes + 2] = PLACE.unique_requests, 1
    end
    if at - row.last > DOUBLE_CLICK then
      changes[#changes + 1], changes[#changes + 2] = PLACE.total_requests, 1
    end
    if at > row.last then row.last = at end
    row.changed = true
  elseif kind ~= 'resumed' then
    return
  end
  if kind ~= 'not_modified' and not has(row, DOWNLOADED) then
    row.total, row.changed = row.total + sent, true
    if row.total >= enough then
      row.seen = row.seen + DOWNLOADED
      changes[#changes + 1], changes[#changes + 2] = PLACE.downloads, 1
    end
  end
end

local function words_of(amount)
  local word, sent, complete, client, enough =
    string.match(amount, '^(%S+) (%d+) ([01]) ?(%x*) ?(%d*)$')
  if not word then return amount, 0, false end
  return word, tonumber(sent), complete == '1', client ~= '' and client, tonumber(enough) or 0
end

local function count(kind, path, amount, at)
  local class, sent, complete, client, enough = words_of(amount)
  local file, changes = load_or_new(path), {}
  local day = floor(at / 86400)
  if day > file.day then begin_day(path, file, day) end
  if kind ~= 'full' then changes[1], changes[2] = PLACE[kind], 1 end
  if is_access[kind] then
    changes[#changes + 1], changes[#changes + 2] = PLACE.accesses, 1
    if of_class[class] then
      changes[#changes + 1], changes[#changes + 2] = of_class[class], 1
    end
    note_times(file, at, at)
  end
  if complete and completes[kind] then
    changes[#changes + 1], changes[#changes + 2] = completes[kind], 1
  end
  if sent > 0 then changes[#changes + 1], changes[#changes + 2] = PLACE.sent_bytes, sent end
  if client then count_client(path, file, kind, at, sent, client, enough, changes) end
  book(path, file, at, changes)
  return is_access[kind] and file.total[PLACE.accesses] or 0
end

-- Whether an answer of a kind can still be under way: more were begun on its day than completed.
-- A probe completes nothing, so one that was counted may be under way.
local function was_begun(tally, kind)
  local function number(name) return tally[PLACE[name]] or 0 end
  if kind == 'probe' then return number('probe') > 0 end
  if kind == 'resumed' then return number('resumed') > number('resumed_completed') end
  return number('accesses') - number('not_modified') > number('completed')
end
local function add_sent(path, amount, at)
  local kind, sent, complete, client, enough = words_of(amount)
  local file, day = load(path), floor(at / 86400)
  if not file or day > file.day or not was_begun(of_day(path, file, day), kind) then return end
  local changes = {}
  if complete and completes[kind] then changes[1], changes[2] = completes[kind], 1 end
  if sent > 0 then changes[#changes + 1], changes[#changes + 2] = PLACE.sent_bytes, sent end
  if client then
    local of_key, key = rows_of(path, day)
    local row = row_of(of_key, key, client)
    if row and not has(row, DOWNLOADED) then
      row.total, row.changed = row.total + sent, true
      if row.total >= enough then
        row.seen = row.seen + DOWNLOADED
        changes[#changes + 1], changes[#changes + 2] = PLACE.downloads, 1
      end
    end
  end
  book(path, file, at, changes)
end

-- An import.
local function add_record(path, amount)
  local added, file = cjson.decode(amount), load_or_new(path)
  add(file.total, added[3])
  add(of_site, added[3])
  note_times(file, added[1], added[2])
  for _, pair in ipairs(added[4]) do add(of_day(path, file, pair[1]), pair[2]) end
  return not is_too_much(file.total)
end
local function add_site_day(day, amount)
  local added = cjson.decode(amount)
  add(in_table(of_days, day), added)
  local uncounted = {}
  uncounted[PLACE.uncounted] = added[PLACE.uncounted]
  uncounted[PLACE.uncounted_sent] = added[PLACE.uncounted_sent]
  add(of_site, uncounted)
end

local of_no_file = {status = true, uncounted = true, site_hour = true, site_day = true,
  detailed = true}
local is_import = false
local paths, is_known = {}, {}
for at = 3, #ARGV, 4 do
  local path = ARGV[at + 1]
  if not of_no_file[ARGV[at]] and not is_known[path] then
    is_known[path] = true
    paths[#paths + 1] = path
  end
end
read_ahead(paths)
for i = 1, entries do
  local at = 3 + (i - 1) * 4
  local operation, name, amount, time = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  numbers[i] = 0
  if first + i - 1 > last then
    if operation == 'sent' then
      add_sent(name, amount, time)
    elseif operation == 'status' then
      of_statuses[name] = (of_statuses[name] or 0) + tonumber(amount)
    elseif operation == 'uncounted' then
      local accesses, transfers = string.match(amount, '^(%d+) (%d+)$')
      book_site(time, {PLACE.uncounted, tonumber(accesses), PLACE.uncounted_sent,
        tonumber(transfers)})
    elseif operation == 'record' then
      is_import = true
      if not add_record(name, amount) then
        return redis.error_reply('ERR these are too many to be added')
      end
    elseif operation == 'site_hour' then
      add(in_table(of_hours, tonumber(name)), cjson.decode(amount))
    elseif operation == 'site_day' then
      add_site_day(tonumber(name), amount)
    elseif operation == 'detailed' then
      detailed_since = tonumber(amount)
    else
      numbers[i] = count(operation, name, amount, time)
    end
  end
end
-- What is counted is never refused.
if is_too_much(read_site()) and is_import then
  return redis.error_reply('ERR these are too many to be added')
end

redis.call('HSET', writers, writer, format('%.0f', last))
probe(entries == 0)
redis.call('HDEL', replies, '')
redis.call('ZREM', seen, '')
local now
if not known or last % 1000 < 1 or entries > 64 then now = tonumber(redis.call('TIME')[1]) end
if not known then
  local old = redis.call('ZRANGEBYSCORE', seen, '-inf', now - FORGET_AFTER, 'LIMIT', 0, 100)
  for _, name in ipairs(old) do
    redis.call('HDEL', writers, name)
    redis.call('HDEL', replies, name)
    redis.call('ZREM', seen, name)
  end
end
if now then redis.call('ZADD', seen, now, writer) end
if entries == 0 then
  redis.call('HDEL', writers, writer)
  redis.call('ZREM', seen, writer)
  return numbers
end
write()
local reply = ''
if entries <= 64 then
  local texts = {}
  for i = 1, entries do texts[i] = format('%.0f', numbers[i]) end
  reply = format('%.0f:', first) .. concat(texts, ' ')
end
redis.call('HSET', replies, writer, reply)
redis.call('HSET', writers, writer, format('%.0f', first + entries - 1))
return numbers
