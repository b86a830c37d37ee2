-- Says for how long somebody makes lists, if it is still he who does: he may have been held up for so
-- long that another has begun, or counts were reset.
--
-- ARGV: the token of who makes them; for how many milliseconds, 0: he leaves it to others at once.
-- Returns whether it is he.

if redis.call('GET', '{tally}:making') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', '{tally}:making', ARGV[2])
