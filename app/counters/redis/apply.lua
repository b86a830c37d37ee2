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
    if of_key.is_new and day < file.day and (told_apart > 0 or may_be_packed(day))
        and not next(of_key.rows, client) then
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
-- Of a day that is packed it is not known. Then it is enough that the record is older than the
-- access, and so counted it.
local function may_end(path, file, kind, day, at)
  if day > file.day then return false end
  return was_begun(of_day(path, file, day), kind)
    or may_be_packed(day) and at >= file.first and was_begun(file.total, kind)
end
local function add_sent(path, amount, at)
  local kind, sent, complete, client, enough = words_of(amount)
  local file, day = load(path), floor(at / 86400)
  if not file or not may_end(path, file, kind, day, at) then return end
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
