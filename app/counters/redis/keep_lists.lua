-- Keeps a part of a hash for those who look, unless counts were reset since its making began. The
-- hash is seen with the last part.
--
-- ARGV: the token of who makes it; the hash's key ('' while parts follow); after how many
-- milliseconds it is forgotten; then fields and values.
-- Returns whether it was kept.

local making, parts = '{tally}:making', '{tally}:lists-parts'
if redis.call('GET', making) ~= ARGV[1] then return 0 end
for i = 4, #ARGV, 2 do redis.call('HSET', parts, ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', parts, ARGV[3])
if ARGV[2] ~= '' then redis.call('RENAME', parts, ARGV[2]) end
return 1
