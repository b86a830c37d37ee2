"""What counting costs in real service: `python -m tests.counters.service [--clients] [ROUNDS]`.

Two servers, one that counts in memory and one that counts in a fresh LMDB directory, answer wrk's
requests in turns: 64 connections, the fields that Chrome sends, 20 files of 8 KiB. Printed is each
server's CPU time for a request, and LMDB's in parts of memory's. Both share the first core, wrk has
the last. Other work on the machine makes single rounds worthless; the medians hold.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from app.comparison.workloads import CHROME
from tests.end_to_end.servers import BUILTIN, LiveServer, command_of, started
from tests.waiting import wait_until

FILES, SIZE = 20, 8192
CONNECTIONS = 64
ROUNDS = 15
#: Each request has a cookie of its own, as browsers' have.
SCRIPT = """
local number = 0
request = function()
  number = number + 1
  wrk.headers["Cookie"] = string.format("theme=dark; session=%032x", number)
  return wrk.format("GET", string.format("/%d.html", number % {files}))
end
"""


def main() -> None:
    arguments = sys.argv[1:]
    options = ["--clients"] if "--clients" in arguments else []
    rounds = int(next((text for text in arguments if text.isdigit()), ROUNDS))
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "www").mkdir()
        for number in range(FILES):
            (scratch / "www" / f"{number}.html").write_bytes(os.urandom(SIZE))
        (scratch / "browser.lua").write_text(SCRIPT.format(files=FILES))
        servers = {}
        for name, url in (("memory", "memory:"), ("lmdb", f"lmdb:{scratch}/counts")):
            command = command_of(BUILTIN, "--root", str(scratch / "www"), "--counts", url,
                                 "--bind", "127.0.0.1:0", "--count-log", "/dev/null",
                                 *options)  # fmt: skip
            server = stack.enter_context(started(["taskset", "-c", "0", *command]))
            wait_until(server.port_named, message="the port")
            servers[name] = server
        for server in servers.values():
            cost(server, scratch / "browser.lua")
        costs: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(rounds):
            for name in sorted(servers, reverse=bool(turn % 2)):
                costs[name].append(cost(servers[name], scratch / "browser.lua"))
    ratios = [lmdb / memory for lmdb, memory in zip(costs["lmdb"], costs["memory"], strict=True)]
    for name, its in costs.items():
        print(f"{name:8}{statistics.median(its):6.2f} us of CPU a request, least {min(its):.2f}")
    print(f"lmdb : memory  {statistics.median(ratios):.3f}, of the least"
          f" {min(costs['lmdb']) / min(costs['memory']):.3f}")  # fmt: skip


def cost(server: LiveServer, script: Path) -> float:
    """Return the microseconds of CPU that a request costs, over a second."""
    fields = [word for field in CHROME if not field.startswith("Cookie:") for word in ("-H", field)]
    before = nanoseconds(server.process.pid)
    done = subprocess.run(
        ["taskset", "-c", str(max(os.sched_getaffinity(0))), "wrk", "-t1",
         f"-c{CONNECTIONS}", "-d1s", "-s", str(script), *fields,
         f"http://127.0.0.1:{server.port_named()}/"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    used = nanoseconds(server.process.pid) - before
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found is not None, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    return used / 1000 / max(1, int(found[1]))


def nanoseconds(pid: int) -> int:
    """Return the time of CPU that a process's threads have had."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads)


if __name__ == "__main__":
    main()
