-- Returns the salt of a day, which every host shares; makes it when there is none.
--
-- ARGV: the day, a new salt, after how many seconds it is forgotten.

local key = '{tally}:salt:' .. ARGV[1]
redis.call('SET', key, ARGV[2], 'NX', 'EX', ARGV[3])
return redis.call('GET', key)
