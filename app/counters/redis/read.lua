-- Returns files' counts.
--
-- ARGV: for each file its path, a number of days, and these.
-- Returns for each file its record's text and the accesses of these days, nil for what is missing.

local answer, at = {}, 1
while ARGV[at] do
  local path, days = ARGV[at], tonumber(ARGV[at + 1])
  local read = {redis.call('HGET', KEYS[1], path)}
  for i = 1, days do read[i + 1] = redis.call('HGET', KEYS[2], ARGV[at + 1 + i] .. ' ' .. path) end
  answer[#answer + 1] = read
  at = at + 2 + days
end
return answer
