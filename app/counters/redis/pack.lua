-- Moves days of some files to their month block, if nothing has changed meanwhile.
--
-- ARGV: month; the block's number; the digest of what it was, '' for nothing; what it is to be; the
-- first day that is not packed; then for each file its path, the text that its days were in, and
-- the text that remains, '' for none.
-- Returns 1, and 0 when something had changed, and so nothing was done.

local FILES = 128
local records, months, site = KEYS[1], KEYS[3], KEYS[4]
local month_key, packed_key = '{tally}:month:' .. ARGV[1], '{tally}:packed:' .. ARGV[1]
local number, before = ARGV[2], ARGV[5]

local kept = redis.call('HGET', packed_key, number)
if (kept and redis.sha1hex(kept) or '') ~= ARGV[3] then return 0 end
for i = 6, #ARGV, 3 do
  if redis.call('HGET', month_key, ARGV[i]) ~= ARGV[i + 1] then return 0 end
  local id = string.match(redis.call('HGET', records, ARGV[i]) or '', ',(%d+)%]$')
  if not id or math.floor(id / FILES) ~= tonumber(number) then return 0 end
end
-- What Redis may refuse comes first, in a way that moves nothing (see common.lua).
local packs, packed_before = unpack(redis.call('HMGET', site, 'packs', 'packed_before'))
redis.call('HSET', site, 'packs', string.format('%.0f', (packs or 0) + 1))
redis.call('HDEL', month_key, '')
redis.call('HDEL', packed_key, '')
if tonumber(packed_before or '0') < tonumber(before) then
  redis.call('HSET', site, 'packed_before', before)
end
redis.call('HSET', packed_key, number, ARGV[4])
redis.call('HSET', months, ARGV[1], 1)
for i = 6, #ARGV, 3 do
  if ARGV[i + 2] == '' then
    redis.call('HDEL', month_key, ARGV[i])
  else
    redis.call('HSET', month_key, ARGV[i], ARGV[i + 2])
  end
end
return 1
