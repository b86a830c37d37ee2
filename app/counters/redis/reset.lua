-- Forgets counts.
--
-- ARGV: what the name of an import's writer begins with; then paths. Without paths everything is
-- forgotten. The writers that count stay: what they deliver again must still be known. Those of
-- imports go: what they bring again after a reset of everything is to be counted.

local files, days, statuses = KEYS[1], KEYS[2], KEYS[3]
local import = ARGV[1]
if #ARGV == 1 then
  redis.call('UNLINK', files, days, statuses)
  for _, writer in ipairs(redis.call('HKEYS', KEYS[4])) do
    if string.sub(writer, 1, #import) == import then
      redis.call('HDEL', KEYS[4], writer)
      redis.call('ZREM', KEYS[5], writer)
      redis.call('HDEL', KEYS[6], writer)
    end
  end
end
for i = 2, #ARGV do
  local path = ARGV[i]
  local text = redis.call('HGET', files, path)
  if text then
    local first, last = string.match(text, '(%d+) (%d+)$')
    for day = math.floor(tonumber(first) / 86400), math.floor(tonumber(last) / 86400) do
      redis.call('HDEL', days, string.format('%d %s', day, path))
    end
    redis.call('HDEL', files, path)
  end
end
return 0
