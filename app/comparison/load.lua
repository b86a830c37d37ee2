-- Sends the requests of a load order with wrk, and checks the status and length of every answer.
--
-- wrk does not tell which connection an answer came by. So a tally is kept of what is outstanding by
-- status and length: an answer that nobody waits for is a wrong one. Each page has a length of its
-- own, so an answer that belongs to another request is seen. Latency is counted from the request's
-- first byte, without the time to connect.
local asks, order, threads = {}, {}, {}
local sent, faults, examples, outstanding, statuses, unchecked = 0, {}, {}, {}, {}, {}

function setup(thread) table.insert(threads, thread) end

-- The arguments: a file of asks, a file with the order to send them in, percentiles of latency.
function init(arguments)
  percentiles = arguments[3]
  local file = io.open(arguments[1], "rb")
  for line in file:lines() do
    local status, length, before, after = line:match("^(%d+) (-?%d+) (%d+) (-?%d+)$")
    local ask = { status = tonumber(status), length = tonumber(length), before = file:read(tonumber(before)) }
    if tonumber(after) >= 0 then ask.after = file:read(tonumber(after)) end
    file:read(1)
    ask.key = status .. ":" .. length
    if ask.length < 0 then unchecked[ask.status] = true end
    statuses[ask.status] = true
    table.insert(asks, ask)
  end
  file:close()
  for line in io.lines(arguments[2]) do table.insert(order, tonumber(line) + 1) end
end

function request()
  local ask = asks[order[sent % #order + 1]]
  sent = sent + 1
  outstanding[ask.key] = (outstanding[ask.key] or 0) + 1
  if ask.after then return ask.before .. string.format("%016x", (sent * 2654435761) % 2^52) .. ask.after end
  return ask.before
end

local function wrong(kind, example)
  faults[kind] = (faults[kind] or 0) + 1
  examples[kind] = examples[kind] or example
end

function response(status, headers, body)
  local length = #body
  local key = status .. ":" .. (unchecked[status] and -1 or length)
  local count = outstanding[key] or 0
  if count > 0 then
    outstanding[key] = count - 1
  elseif statuses[status] then
    wrong("wrong length", "an answer of " .. length .. " bytes with " .. status .. " that no request waits for")
  else
    wrong("wrong status", "an answer with " .. status)
  end
  report = ""
  for kind, number in pairs(faults) do report = report .. kind .. "=" .. number .. "=" .. examples[kind] .. "\n" end
end

function done(summary, latency, requests)
  local points = {}
  for text in threads[1]:get("percentiles"):gmatch("%S+") do
    local percent = tonumber(text)
    local value = percent == 0 and latency.min or percent == 100 and latency.max or latency:percentile(percent)
    table.insert(points, string.format("%.4f", value / 1000))
  end
  local faults = ""
  for _, thread in ipairs(threads) do faults = faults .. (thread:get("report") or "") end
  local errors = summary.errors
  io.write("\n==== for the comparison\n", summary.requests, " ", summary.duration / 1e6, " ", errors.connect, " ", errors.read, " ",
    errors.write, " ", errors.timeout, "\n", table.concat(points, " "), "\n", faults)
end
