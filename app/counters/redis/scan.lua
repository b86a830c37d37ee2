-- Reads a part of a hash whose fields are paths and whose values are JSON: a reply of many texts
-- costs whoever reads it more than their contents.
--
-- ARGV: the key, the cursor, and about how many.
-- Returns the next cursor, the paths with a line feed after each, and a JSON array of the values.

local cursor, found = unpack(redis.call('HSCAN', ARGV[1], ARGV[2], 'COUNT', ARGV[3]))
local paths, texts = {}, {}
for i = 1, #found, 2 do
  paths[#paths + 1] = found[i]
  texts[#texts + 1] = found[i + 1]
end
paths[#paths + 1] = ''
return {cursor, table.concat(paths, '\n'), '[' .. table.concat(texts, ',') .. ']'}
