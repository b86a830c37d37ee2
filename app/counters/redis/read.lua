-- Reads as of one moment.
--
-- ARGV: JSON {"commands": [...], "paths": [...], "months": [first, last], "sums": [first, last],
-- "numbers": [...]}. Of the months of *sums* a file's days are not wanted, only their sums and, of
-- each day, the *numbers* (places of a tally).
-- Returns the replies to the commands; for each path its record (nil for none) with the texts of
-- these months; and the month blocks of these files: month, block number, block, ...

local FILES = 128
local asked = cjson.decode(ARGV[1])
local replies, files, months, blocks, is_read = {}, {}, {}, {}, {}
for i, command in ipairs(asked.commands) do replies[i] = redis.call(unpack(command)) end
if #asked.paths > 0 and #asked.months > 0 then
  for _, month in ipairs(redis.call('HKEYS', KEYS[3])) do
    local number = tonumber(month)
    if asked.months[1] <= number and number <= asked.months[2] then
      local of_days = #asked.sums > 0 and asked.sums[1] <= number and number <= asked.sums[2]
        and set_of(asked.numbers)
      months[#months + 1] = {number, '{tally}:month:' .. month, '{tally}:packed:' .. month, of_days}
    end
  end
end
local function read_blocks(number)
  for _, month in ipairs(months) do
    local block = redis.call('HGET', month[3], number)
    if block then
      local at = #blocks
      blocks[at + 1], blocks[at + 2] = month[1], number
      blocks[at + 3] = month[4] and cut(block, nil, month[4]) or block
    end
  end
end
for i, path in ipairs(asked.paths) do
  local values = {redis.call('HGET', KEYS[1], path)}
  if values[1] then
    for _, month in ipairs(months) do
      local value = redis.call('HGET', month[2], path)
      if value then values[#values + 1] = value end
    end
    local id = #months > 0 and string.match(values[1], ',(%d+)%]$')
    local number = id and math.floor(id / FILES)
    if number and not is_read[number] then
      is_read[number] = true
      read_blocks(number)
    end
  end
  files[i] = values
end
return {replies, files, blocks}
