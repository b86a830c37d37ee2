-- Returns a page of the files by their accesses: how many come before it, how many there are, and
-- the paths with their records.
--
-- ARGV: how many; of the last row of the page before its accesses and its path, or nothing.
--
-- The set has accesses as negative numbers. So its order is ours: the most first, those that are
-- equal in the order of their paths.

local top, limit = KEYS[2], tonumber(ARGV[1])

-- Lua's own comparison of texts depends on the server's locale.
local function is_after(path, other)
  for i = 1, math.min(#path, #other) do
    local byte, its = string.byte(path, i), string.byte(other, i)
    if byte ~= its then return byte > its end
  end
  return #path > #other
end

local start = 0
if ARGV[2] then
  local score = ARGV[2] == '0' and '0' or '-' .. ARGV[2]
  start = redis.call('ZCOUNT', top, '-inf', '(' .. score)
  local stop = redis.call('ZCOUNT', top, '-inf', score)
  while start < stop do
    local middle = math.floor((start + stop) / 2)
    if is_after(redis.call('ZRANGE', top, middle, middle)[1], ARGV[3]) then
      stop = middle
    else
      start = middle + 1
    end
  end
end
local paths = redis.call('ZRANGE', top, start, start + limit - 1)
local records = #paths > 0 and redis.call('HMGET', KEYS[1], unpack(paths)) or {}
local site = redis.call('HMGET', KEYS[4], 'total', 'detailed_since')
return {start, redis.call('ZCARD', top), paths, records, site}
