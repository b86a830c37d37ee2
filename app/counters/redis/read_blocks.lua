-- Reads month blocks.
--
-- ARGV: month, first and last number, whether their days are wanted (1) or the sums alone (0), then
-- the places of the wanted numbers.
-- Returns JSON [[number, length], ...], and the blocks one after the other.

local key, first, last = '{tally}:packed:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local places, numbers, heads, blocks = {}, {}, {}, {}
for i = 5, #ARGV do places[tonumber(ARGV[i])] = true end
for number = first, last do numbers[#numbers + 1] = number end
for i, block in ipairs(redis.call('HMGET', key, unpack(numbers))) do
  if block then
    blocks[#blocks + 1] = cut(block, places, ARGV[4] == '0' and {})
    heads[#heads + 1] = string.format('[%d,%d]', numbers[i], #blocks[#blocks])
  end
end
return {'[' .. table.concat(heads, ',') .. ']', table.concat(blocks)}
