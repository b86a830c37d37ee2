-- Forgets counts.
--
-- ARGV: what the name of an import's writer begins with; then paths. Without paths everything is
-- forgotten. The writers that count stay: what they deliver again must still be known. Those of
-- imports go: what they bring again after a reset of everything is to be counted.

local import = ARGV[1]
local LISTS_FORMAT = 2  -- as in scripts.py
-- These can be made anew. Columns follow from month blocks, and a file's stay in these.
local about = redis.call('HGET', '{tally}:lists', 'about')
redis.call('UNLINK', '{tally}:lists', '{tally}:making')
local kept_months = redis.call('HKEYS', months)
if #ARGV == 1 then
  -- What lists of another format say is not read; their columns expire.
  local is_json, known = pcall(cjson.decode, about or '')
  if is_json and type(known) == 'table' and known.format == LISTS_FORMAT then
    for month, kept in pairs(known.months) do
      redis.call('UNLINK', '{tally}:columns-1:' .. month .. ':' .. kept[1])
    end
  end
  local next_era = tonumber(redis.call('HGET', site, 'era') or '0') + 1
  for _, month in ipairs(kept_months) do
    redis.call('UNLINK', MONTH .. month, PACKED .. month)
  end
  redis.call('UNLINK', records, top, months, site, hours, days, statuses, old_files, old_days,
    missed)
  redis.call('HSET', site, 'era', format('%d', next_era))
  for _, writer in ipairs(redis.call('HKEYS', writers)) do
    if string.sub(writer, 1, #import) == import then
      redis.call('HDEL', writers, writer)
      redis.call('ZREM', seen, writer)
      redis.call('HDEL', replies, writer)
    end
  end
  return 0
end
local forgotten_files = {}
for i = 2, #ARGV do
  local file = load(ARGV[i])
  if file and not forgotten_files[ARGV[i]] then
    forgotten_files[ARGV[i]] = file
    local total = {}
    for place, number in pairs(file.total) do total[place] = -number end
    add(of_site, total)
  end
end
read_site()
redis.call('HSET', site, 'era', redis.call('HGET', site, 'era') or '0')
probe(false)
redis.call('ZREM', top, '')
for path, file in pairs(forgotten_files) do
  files[path] = false
  redis.call('HDEL', records, path)
  redis.call('ZREM', top, path)
  for _, month in ipairs(kept_months) do redis.call('HDEL', MONTH .. month, path) end
  for day = file.day - 2, file.day do redis.call('UNLINK', clients_key(path, day)) end
end
write()
return 0
