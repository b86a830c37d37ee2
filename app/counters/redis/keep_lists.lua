-- Keeps a part of the lists for those who look, unless counts were reset since the making of them
-- began. They are seen with the last part.
--
-- ARGV: the token of who makes them; after how many milliseconds they are forgotten, and may be
-- made anew ('' while parts follow); then fields and values.

local lists, making, parts = '{tally}:lists', '{tally}:making', '{tally}:lists-parts'
if redis.call('GET', making) ~= ARGV[1] then return 0 end
for i = 4, #ARGV, 2 do redis.call('HSET', parts, ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', parts, ARGV[2])
if ARGV[3] ~= '' then
  redis.call('RENAME', parts, lists)
  redis.call('PEXPIRE', making, ARGV[3])
end
return 1
