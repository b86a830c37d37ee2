-- Keeps lists for those who look, unless counts were reset since the making of them began.
--
-- ARGV: the token of who makes them; after how many milliseconds they may be made anew, and are
-- forgotten; then fields and values.

local lists, making = '{tally}:lists', '{tally}:making'
if redis.call('GET', making) ~= ARGV[1] then return 0 end
redis.call('UNLINK', lists)
for i = 4, #ARGV, 2 do redis.call('HSET', lists, ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', lists, ARGV[3])
redis.call('PEXPIRE', making, ARGV[2])
return 1
