-- Gives files ids, by which month blocks know them.
--
-- ARGV: their paths. Returns for each its id, -1 for a file that there is not.

read_ahead(ARGV)
local next_id = tonumber(redis.call('HGET', site, 'next_id') or '0')
local ids = {}
for i, path in ipairs(ARGV) do
  local file = load(path)
  if file and not file.id then
    file.id = next_id
    next_id = next_id + 1
  end
  ids[i] = file and file.id or -1
end
read_site()
site_texts.next_id = format('%d', next_id)
redis.call('HSET', site, 'era', redis.call('HGET', site, 'era') or '0')
probe(false)
write()
return ids
