-- Makes the store one of this format. Returns its format, and whether anything of the one before is
-- still to be converted.
--
-- ARGV: today.
--
-- What format 1 kept is put aside under other names. Texts stand in its place, so that a program
-- that knows only format 1 and runs already is refused, whatever it counts: that waits in its
-- journal.

local site, marked_files, marked_days, old_files, old_days, format_key =
  KEYS[4], KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local MARK = 'moved: kept in a newer format'

local kept = redis.call('GET', format_key)
if kept and kept ~= '1' and kept ~= '2' then return {kept, 0} end
if kept ~= '2' then redis.call('SET', format_key, '2') end
for key, old in pairs({[marked_files] = old_files, [marked_days] = old_days}) do
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' and redis.call('EXISTS', old) == 0 then
    redis.call('HSETNX', site, 'detailed_since', ARGV[1])
    redis.call('RENAME', key, old)
    kind = 'none'
  end
  if kind == 'none' then redis.call('SET', key, MARK) end
end
return {'2', redis.call('EXISTS', old_files) + redis.call('EXISTS', old_days)}
