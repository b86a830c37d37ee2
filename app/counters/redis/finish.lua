-- Notes that writers deliver nothing any more.
--
-- ARGV: the writers.

local FORGET_AFTER = 30 * 86400  -- as in apply.lua
-- A finished writer is kept this long: a batch that the network held up must still find that it was
-- applied.
local KEEP_FINISHED = 3600

local writers, seen, replies = KEYS[8], KEYS[9], KEYS[10]
local forget_at = tonumber(redis.call('TIME')[1]) - FORGET_AFTER + KEEP_FINISHED
for _, writer in ipairs(ARGV) do
  if redis.call('HEXISTS', writers, writer) == 1 then
    redis.call('ZADD', seen, forget_at, writer)
  end
  redis.call('HDEL', replies, writer)
end
return 0
