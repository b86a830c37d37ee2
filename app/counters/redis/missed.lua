-- Adds how often names that are not there were asked for.
--
-- ARGV: how many names stay when there are more than twice as many; then names, each with a number.

local missed, most = KEYS[16], tonumber(ARGV[1])

for i = 2, #ARGV, 2 do redis.call('HINCRBY', missed, ARGV[i], ARGV[i + 1]) end
if redis.call('HLEN', missed) <= 2 * most then return 0 end
local kept, names = redis.call('HGETALL', missed), {}
for i = 1, #kept, 2 do names[#names + 1] = {kept[i], tonumber(kept[i + 1])} end
table.sort(names, function(one, other)
  return one[2] > other[2] or (one[2] == other[2] and one[1] < other[1])
end)
for i = most + 1, #names do redis.call('HDEL', missed, names[i][1]) end
return 0
