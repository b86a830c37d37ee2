-- What the scripts that change counts share; the text of each of them follows this one.
--
-- Everything is read and worked out first, in these tables. Redis refuses a command, not a script:
-- for want of memory, or of rights to a command or a key. So `probe` does what may be refused in a
-- way that changes nothing. Only then `write` writes, with commands that were just seen to work.

local records, top, months, site, hours, days, statuses, writers, seen, replies, marked_files,
  marked_days, old_files, old_days, format_key, missed, marked_records = unpack(KEYS)
local MONTH, CLIENTS = '{tally}:month:', '{tally}:clients:'
local PACKED = '{tally}:packed:'
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
    file = {first = kept[1], last = kept[2], day = kept[3], total = kept[4], today = kept[5],
      id = kept[6]}
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

-- Whether what was counted on a day may be in a month block, which no script reads.
local packed_before
local function may_be_packed(day)
  packed_before = packed_before or tonumber(redis.call('HGET', site, 'packed_before') or '0')
  return day < packed_before
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
        '[', numbers, ',', encode(file.total), ',', encode(file.today),
        file.id and format(',%d]', file.id) or ']',
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

