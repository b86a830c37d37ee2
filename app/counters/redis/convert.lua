-- Converts what format 1 kept, each field once.
--
-- ARGV: `files` with paths, or `days` with texts "DAY path".

if ARGV[1] == 'files' then read_ahead({unpack(ARGV, 2)}) end
for i = 2, #ARGV do
  if ARGV[1] == 'files' then
    load(ARGV[i])
  else
    local accesses = redis.call('HGET', old_days, ARGV[i])
    local day, path = string.match(ARGV[i], '^(%d+) (.*)$')
    local file = accesses and load(path)
    if file then
      local tally = {}
      tally[PLACE.accesses], tally[PLACE.unknown] = tonumber(accesses), tonumber(accesses)
      add(of_day(path, file, tonumber(day)), tally)
      add(in_table(of_days, tonumber(day)), tally)
    end
    used_days[#used_days + 1] = ARGV[i]
  end
end
read_site()
redis.call('HSET', site, 'era', redis.call('HGET', site, 'era') or '0')
probe(false)
write()
return 0
