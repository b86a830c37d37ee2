-- What the scripts that read month blocks share; the text of each of them follows this one.

-- Returns a packed block with some of its numbers alone (a set by place; nil: all), and with the
-- days of some (likewise) beside the month's sums. The layout is that of month_block.py.
local HEAD = 9
local function cut(block, places, of_days)
  local heads, bodies, at = {}, {}, 2 + HEAD * string.byte(block)
  for head = 2, at - 1, HEAD do
    local place, sum_planes, sums, planes, days = struct.unpack('<BBHBI4', block, head)
    if not places or places[place] then
      local ends = at + sums + days
      if of_days and not of_days[place] then
        heads[#heads + 1] = struct.pack('<BBHBI4', place, sum_planes, sums, 0, 0)
        ends = at + sums
      else
        heads[#heads + 1] = string.sub(block, head, head + HEAD - 1)
      end
      bodies[#bodies + 1] = string.sub(block, at, ends - 1)
    end
    at = at + sums + days
  end
  return string.char(#heads) .. table.concat(heads) .. table.concat(bodies)
end
local function set_of(places)
  local set = {}
  for _, place in ipairs(places) do set[place] = true end
  return set
end
