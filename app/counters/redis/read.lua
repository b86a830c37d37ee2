-- Reads as of one moment.
--
-- ARGV: JSON {"commands": [...], "paths": [...], "months": [first, last]}.
-- Returns the replies to the commands, and for each path its record (nil for none) with its values
-- of these months.

local asked = cjson.decode(ARGV[1])
local replies, files, wanted = {}, {}, {}
for i, command in ipairs(asked.commands) do replies[i] = redis.call(unpack(command)) end
if #asked.paths > 0 and #asked.months > 0 then
  for _, month in ipairs(redis.call('HKEYS', KEYS[3])) do
    local number = tonumber(month)
    if asked.months[1] <= number and number <= asked.months[2] then
      wanted[#wanted + 1] = '{tally}:month:' .. month
    end
  end
end
for i, path in ipairs(asked.paths) do
  local values = {redis.call('HGET', KEYS[1], path)}
  if values[1] then
    for _, key in ipairs(wanted) do
      local value = redis.call('HGET', key, path)
      if value then values[#values + 1] = value end
    end
  end
  files[i] = values
end
return {replies, files}
