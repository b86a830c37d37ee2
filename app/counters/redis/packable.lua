-- Finds files of a month that have days to be packed, in a part of them.
--
-- ARGV: month, cursor, about how many, and the first day that is not to be packed.
-- Returns the next cursor, the paths with a line feed after each, and their ids (-1: none).

local key, before = '{tally}:month:' .. ARGV[1], tonumber(ARGV[4])
local cursor, found = unpack(redis.call('HSCAN', key, ARGV[2], 'COUNT', ARGV[3]))
local paths, ids = {}, {}
for i = 1, #found, 2 do
  local record = redis.call('HGET', KEYS[1], found[i])
  for day in record and string.gmatch(found[i + 1], '%[(%d+),%[') or function() end do
    if tonumber(day) < before then
      paths[#paths + 1] = found[i] .. '\n'
      ids[#ids + 1] = tonumber(string.match(record, ',(%d+)%]$') or '-1')
      break
    end
  end
end
return {cursor, table.concat(paths), ids}
