-- Keeps a part of a hash for those who look, unless counts were reset since its making began. The
-- hash is seen with the last part, as a whole or not at all.
--
-- ARGV: the token of who makes it; the hash's key; how many fields it has in all; after how many
-- milliseconds it is forgotten; then fields and values.
-- Returns whether it may still become whole.

local token, key, wanted, forgotten = unpack(ARGV)
-- Two may be at it, when one was held up for long.
local parts = '{tally}:lists-parts:' .. token
if redis.call('GET', '{tally}:making') ~= token then return 0 end
for i = 5, #ARGV, 2 do redis.call('HSET', parts, ARGV[i], ARGV[i + 1]) end
if redis.call('HLEN', parts) == tonumber(wanted) then
  redis.call('RENAME', parts, key)
  redis.call('PEXPIRE', key, forgotten)
else
  -- They go with the token, without which they cannot become whole.
  redis.call('PEXPIRE', parts, redis.call('PTTL', '{tally}:making'))
end
return 1
