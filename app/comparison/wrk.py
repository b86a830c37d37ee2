"""Load by wrk, with a Lua script that sends the same requests and checks every answer.

wrk does not tell which connection an answer came by. So the script keeps a tally of what is
outstanding by status and length: an answer that nobody waits for is a wrong one. Each page has a
length of its own, so an answer that belongs to another request is seen. Latency is counted from the
request's first byte, without the time to connect.
"""

import os
import re
import resource
import signal
import time

from .load_order import PERCENTILES, LoadOrder, LoadReport
from .processes import Guard, ProcessTree

_SCRIPT = """
local asks, order, threads = {}, {}, {}
local sent, faults, examples, outstanding, statuses, unchecked = 0, {}, {}, {}, {}, {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  local file = io.open("@ASKS@", "rb")
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
  for line in io.lines("@ORDER@") do table.insert(order, tonumber(line) + 1) end
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
  for kind, number in pairs(faults) do report = report .. kind .. "=" .. number .. "=" .. examples[kind] .. "\\n" end
end

function done(summary, latency, requests)
  local points = {}
  for _, percent in ipairs({@PERCENTILES@}) do
    local value = percent == 0 and latency.min or percent == 100 and latency.max or latency:percentile(percent)
    table.insert(points, string.format("%.4f", value / 1000))
  end
  local faults = ""
  for _, thread in ipairs(threads) do faults = faults .. (thread:get("report") or "") end
  local errors = summary.errors
  io.write("\\n@MARK@\\n", summary.requests, " ", summary.duration / 1e6, " ", errors.connect, " ", errors.read, " ",
    errors.write, " ", errors.timeout, "\\n", table.concat(points, " "), "\\n", faults)
end
"""
_MARK = "==== for the comparison"


class WrkError(Exception):
    """wrk did not run to its end; the message has its last lines."""


def run_wrk(
    program: str, order: LoadOrder, scratch: str, guard: Guard, cores: frozenset[int]
) -> LoadReport:
    """Load by wrk as *order* says (rate, reuse and crowd are not for wrk). Raises WrkError."""
    script = _write_script(order, scratch)
    whole = int(order.seconds) + 12
    command = [
        program,
        "-t1",
        f"-c{order.connections}",
        f"-d{whole}s",
        f"--timeout={int(order.patience) or 1}s",
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    tree = ProcessTree(
        [*command, "-s", script, f"http://127.0.0.1:{order.port}/"],
        guard,
        os.path.join(scratch, "wrk.out"),
        cores=cores,
    )
    try:
        # wrk counts whole seconds; at SIGINT it ends early and reports, once it listens to it.
        _await_handler(tree)
        if tree.wait(order.seconds) is None:
            tree.interrupt()
        if tree.wait(10) is None:
            raise WrkError("wrk did not end: " + " / ".join(tree.last_lines()))
        elapsed = time.perf_counter() - begun
        text = tree.output()
    finally:
        tree.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _read_report(text, used / elapsed)


def _await_handler(tree: ProcessTree) -> None:
    """Wait until wrk catches SIGINT, which it does when its threads have begun."""
    deadline = time.perf_counter() + 10
    while tree.wait() is None and time.perf_counter() < deadline:
        with open(f"/proc/{tree.pid}/status", encoding="ascii", errors="replace") as file:
            caught = re.search(r"SigCgt:\s*(\w+)", file.read())
        if caught and int(caught[1], 16) >> (signal.SIGINT - 1) & 1:
            return
        time.sleep(0.005)


def _write_script(order: LoadOrder, scratch: str) -> str:
    asks_path, order_path, path = (
        os.path.join(scratch, name) for name in ("asks", "order", "load.lua")
    )
    with open(asks_path, "wb") as file:
        for head, status, length in order.asks:
            before, marker, after = head.encode("latin-1").partition(order.cookie.encode())
            file.write(f"{status} {length} {len(before)} {len(after) if marker else -1}\n".encode())
            file.write(before + after + b"\n")
    with open(order_path, "w", encoding="ascii") as file:
        file.writelines(f"{index}\n" for index in order.order)
    text = (
        _SCRIPT.replace("@ASKS@", asks_path).replace("@ORDER@", order_path).replace("@MARK@", _MARK)
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("@PERCENTILES@", ", ".join(map(str, PERCENTILES))))
    return path


def _read_report(text: str, cpu_share: float) -> LoadReport:
    _, mark, told = text.partition(_MARK + "\n")
    if not mark:
        raise WrkError("wrk failed: " + " / ".join(text.splitlines()[-4:]))
    counts, points, *lines = told.splitlines()
    answered, seconds, *errors = [float(number) for number in counts.split()]
    faults: dict[str, int] = {}
    examples: dict[str, str] = {}
    for line in filter(None, lines):
        kind, number, example = line.split("=", 2)
        faults[kind] = faults.get(kind, 0) + int(number)
        examples.setdefault(kind, example)
    wrong = sum(faults.values())
    for name, count in zip(("connect", "read", "write", "timeout"), errors, strict=True):
        if count:
            faults["no answer"] = faults.get("no answer", 0) + int(count)
            examples.setdefault("no answer", f"{int(count)} {name} errors")
    latency = [float(point) for point in points.split()] if answered else []
    return LoadReport(int(answered) - wrong, seconds, latency, faults, examples, cpu_share)
