"""What runs inside Redis, so that a batch of counts is applied whole, once, and answered with its
numbers.

A writer numbers its entries 1, 2, 3, ... and delivers them in order. Redis keeps the last number
applied for each writer, so a batch that comes again, because its reply was lost, adds nothing; the
numbers it got the first time are kept until the writer's next batch, and are returned again. All
keys share a hash tag, and so one slot of a cluster.
"""

PREFIX = "{tally}:"
FILES, DAYS, STATUSES = PREFIX + "files", PREFIX + "days", PREFIX + "statuses"
WRITERS, SEEN, REPLIES, FORMAT_KEY = (
    PREFIX + "writers",
    PREFIX + "seen",
    PREFIX + "replies",
    PREFIX + "format",
)
#: A random text, by which the store is known under each of its names.
ID_KEY = PREFIX + "id"
KEYS = (FILES, DAYS, STATUSES, WRITERS, SEEN, REPLIES)
FORMAT = "1"

#: A writer that was never finished (its host vanished with its journal) is forgotten after this
#: time.
FORGET_AFTER_SECONDS = 30 * 86400
#: A finished one is kept this long: a batch that the network held up must still find that it was
#: applied.
FORGET_FINISHED_SECONDS = 3600

# ARGV: writer, number of the first entry, then four for each entry: operation, name, amount, time.
#   full | partial | not_modified | resumed | head   path   1       seconds since the epoch
#   status                                           code   count   0
#   record                                           path   "full partial not_modified resumed head first last"  0
#   day                                              "DAY path"  accesses  0
# A file's value in FILES is the text of a record, as above. Without entries it only tries what a
# batch does, and leaves nothing behind. It changes nothing or everything, whatever Redis refuses.
APPLY = """
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
  local old = redis.call('ZRANGEBYSCORE', seen, '-inf', now - FORGET, 'LIMIT', 0, 100)
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
""".replace("FORGET", str(FORGET_AFTER_SECONDS))

# ARGV: the writers that deliver nothing any more.
FINISH = """
local writers, seen, replies = KEYS[4], KEYS[5], KEYS[6]
local forget_at = tonumber(redis.call('TIME')[1]) - FORGET + KEEP
for _, writer in ipairs(ARGV) do
  if redis.call('HEXISTS', writers, writer) == 1 then redis.call('ZADD', seen, forget_at, writer) end
  redis.call('HDEL', replies, writer)
end
return 0
""".replace("FORGET", str(FORGET_AFTER_SECONDS)).replace("KEEP", str(FORGET_FINISHED_SECONDS))

#: An import's writer begins so. What it brings again after a reset of everything is to be counted.
IMPORT = "import-"
_FORGET_WRITER = """
local function forget(writer)
  redis.call('HDEL', KEYS[4], writer)
  redis.call('ZREM', KEYS[5], writer)
  redis.call('HDEL', KEYS[6], writer)
end
"""

# ARGV: the writer of an import that arrived whole.
FORGET = _FORGET_WRITER + "forget(ARGV[1]) return 0"

# ARGV: for each file its path, a number of days, and these. Returns for each its record's text and
# the accesses of these days, nil for what there is not.
READ = """
local answer, at = {}, 1
while ARGV[at] do
  local path, days = ARGV[at], tonumber(ARGV[at + 1])
  local read = {redis.call('HGET', KEYS[1], path)}
  for i = 1, days do read[i + 1] = redis.call('HGET', KEYS[2], ARGV[at + 1 + i] .. ' ' .. path) end
  answer[#answer + 1] = read
  at = at + 2 + days
end
return answer
"""

# ARGV: paths; without any, everything is forgotten. The writers that count stay: what they deliver
# again must still be known.
_RESET = """
local files, days, statuses = KEYS[1], KEYS[2], KEYS[3]
if #ARGV == 0 then
  redis.call('UNLINK', files, days, statuses)
  for _, writer in ipairs(redis.call('HKEYS', KEYS[4])) do
    if string.sub(writer, 1, #'IMPORT') == 'IMPORT' then forget(writer) end
  end
end
for _, path in ipairs(ARGV) do
  local text = redis.call('HGET', files, path)
  if text then
    local first, last = string.match(text, '(%d+) (%d+)$')
    for day = math.floor(tonumber(first) / 86400), math.floor(tonumber(last) / 86400) do
      redis.call('HDEL', days, string.format('%d %s', day, path))
    end
    redis.call('HDEL', files, path)
  end
end
return 0
"""
RESET = _FORGET_WRITER + _RESET.replace("IMPORT", IMPORT)
