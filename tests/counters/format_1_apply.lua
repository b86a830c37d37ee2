-- Applies a writer's batch of counts once, and returns its numbers.
--
-- ARGV: the writer, the number of its first entry, then four for each entry: operation, name, amount, time.
--   full | partial | not_modified | resumed | head   path   1       seconds since the epoch
--   status                                           code   count   0
--   record                                           path   "full partial not_modified resumed head first last"  0
--   day                                              "DAY path"  accesses  0
-- A file's value in the hash of files is the text of a record, as above. Without entries the script
-- only tries what a batch does, and leaves nothing behind. It changes nothing or everything,
-- whatever Redis refuses.

-- A writer that was never finished (its host vanished with its journal) is forgotten after this time.
local FORGET_AFTER = 30 * 86400

local files, days, statuses, writers, seen, replies = unpack(KEYS)
local writer, first = ARGV[1], tonumber(ARGV[2])
local known = redis.call('HGET', writers, writer)
local last = tonumber(known or '0')
local now = tonumber(redis.call('TIME')[1])
local place = {full = 1, partial = 2, not_modified = 3, resumed = 4, head = 5}
-- What was read and then changed; nothing of it is written before all is known.
local records, sums = {}, {[days] = {}, [statuses] = {}}
local function read(path)
  local record = records[path]
  if record then return record end
  record = {0, 0, 0, 0, 0, 0, 0}
  local text = redis.call('HGET', files, path)
  if text then
    local i = 1
    for number in string.gmatch(text, '%d+') do
      record[i] = tonumber(number)
      i = i + 1
    end
  end
  records[path] = record
  return record
end
local function add(key, field, amount)
  local sum = sums[key][field] or tonumber(redis.call('HGET', key, field) or '0')
  sums[key][field] = sum + amount
end
local function count(kind, path, time)
  local record = read(path)
  record[place[kind]] = record[place[kind]] + 1
  if place[kind] > 3 then return 0 end
  if record[6] == 0 or time < record[6] then record[6] = time end
  if time > record[7] then record[7] = time end
  add(days, string.format('%d %s', math.floor(time / 86400), path), 1)
  return record[1] + record[2] + record[3]
end
local function merge(path, text)
  local record = read(path)
  local i = 1
  for word in string.gmatch(text, '%d+') do
    local number = tonumber(word)
    if i <= 5 then
      record[i] = record[i] + number
    elseif i == 6 then
      if record[6] == 0 or (number > 0 and number < record[6]) then record[6] = number end
    elseif number > record[7] then
      record[7] = number
    end
    i = i + 1
  end
end
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
for i = 1, entries do
  local at = 3 + (i - 1) * 4
  local operation, name, amount, time = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  numbers[i] = 0
  if first + i - 1 > last then
    if operation == 'status' then
      add(statuses, name, tonumber(amount))
    elseif operation == 'day' then
      add(days, name, tonumber(amount))
    elseif operation == 'record' then
      merge(name, amount)
    else
      numbers[i] = count(operation, name, tonumber(time))
    end
  end
end
-- Redis refuses a command, not a script: for want of memory, or rights to a command or a key. So what it may refuse
-- comes first, and changes nothing that counts; what comes after is HSET alone, of these keys.
redis.call('HSET', writers, writer, string.format('%.0f', last))
for _, key in ipairs({files, days, statuses, replies}) do redis.call('HDEL', key, '') end
redis.call('ZREM', seen, '')
if not known then
  local old = redis.call('ZRANGEBYSCORE', seen, '-inf', now - FORGET_AFTER, 'LIMIT', 0, 100)
  for _, name in ipairs(old) do
    redis.call('HDEL', writers, name)
    redis.call('HDEL', replies, name)
    redis.call('ZREM', seen, name)
  end
end
if not known or last % 1000 < 1 or entries > 64 then redis.call('ZADD', seen, now, writer) end
if entries == 0 then
  redis.call('HDEL', writers, writer)
  redis.call('ZREM', seen, writer)
  return numbers
end
for path, record in pairs(records) do
  redis.call('HSET', files, path, string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f', unpack(record)))
end
for key, fields in pairs(sums) do
  for field, sum in pairs(fields) do redis.call('HSET', key, field, string.format('%.0f', sum)) end
end
local reply = ''
if entries <= 64 then reply = string.format('%.0f:', first) .. table.concat(numbers, ' ') end
redis.call('HSET', replies, writer, reply)
redis.call('HSET', writers, writer, string.format('%.0f', first + entries - 1))
return numbers
