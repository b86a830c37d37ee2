-- Returns the digest of some month blocks, '' when there are none; see month_columns.py.
--
-- ARGV: month, first and last number.

local key, each = '{tally}:packed:' .. ARGV[1], {}
for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local block = redis.call('HGET', key, number)
  if block then each[#each + 1] = string.format('%d:%s', number, redis.sha1hex(block)) end
end
return #each > 0 and redis.sha1hex(table.concat(each, ' ')) or ''
