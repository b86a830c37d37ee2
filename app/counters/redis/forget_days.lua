-- Forgets days that are too old: the site's, and the files' whole months.
--
-- ARGV: the first day that is kept, and its month.

local months, site_days = KEYS[3], KEYS[6]
for _, day in ipairs(redis.call('HKEYS', site_days)) do
  if tonumber(day) < tonumber(ARGV[1]) then redis.call('HDEL', site_days, day) end
end
for _, month in ipairs(redis.call('HKEYS', months)) do
  if tonumber(month) < tonumber(ARGV[2]) then
    redis.call('UNLINK', '{tally}:month:' .. month, '{tally}:packed:' .. month)
    redis.call('HDEL', months, month)
  end
end
return 0
