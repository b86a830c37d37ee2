-- Returns the accesses of files.
--
-- ARGV: their paths.

local top, old_files = KEYS[2], KEYS[13]
local has_old = redis.call('EXISTS', old_files) == 1
local answer = {}
for i, path in ipairs(ARGV) do
  local accesses = -tonumber(redis.call('ZSCORE', top, path) or '0')
  local old = has_old and redis.call('HGET', old_files, path)
  if old then
    local full, partial, not_modified = string.match(old, '^(%d+) (%d+) (%d+)')
    accesses = accesses + tonumber(full) + tonumber(partial) + tonumber(not_modified)
  end
  answer[i] = accesses
end
return answer
