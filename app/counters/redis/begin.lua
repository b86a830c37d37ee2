-- Makes the store one of this format. Returns its format, and whether anything of the first one is
-- still to be converted.
--
-- ARGV: today.
--
-- What an earlier format kept goes on under other names. Texts stand in its place, so that a
-- program that knows only that format and runs already is refused, whatever it counts: that waits
-- in its journal.

local records, site, marked_files, marked_days, old_files, old_days, format_key, marked_records =
  KEYS[1], KEYS[4], KEYS[11], KEYS[12], KEYS[13], KEYS[14], KEYS[15], KEYS[17]
local MARK = 'moved: kept in a newer format'

local kept = redis.call('GET', format_key)
if kept and kept ~= '1' and kept ~= '2' and kept ~= '3' then return {kept, 0} end
if kept ~= '3' then redis.call('SET', format_key, '3') end
local moves = {{marked_files, old_files}, {marked_days, old_days}, {marked_records, records}}
for _, move in ipairs(moves) do
  local key, to = unpack(move)
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' and redis.call('EXISTS', to) == 0 then
    if to ~= records then redis.call('HSETNX', site, 'detailed_since', ARGV[1]) end
    redis.call('RENAME', key, to)
    kind = 'none'
  end
  if kind == 'none' then redis.call('SET', key, MARK) end
end
return {'3', redis.call('EXISTS', old_files) + redis.call('EXISTS', old_days)}
