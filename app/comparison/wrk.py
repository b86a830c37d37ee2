"""Load by wrk, whose script (load.lua) sends the same requests and checks every answer."""

import os
import re
import resource
import signal
import time

from .load_order import PERCENTILES, LoadError, LoadOrder, LoadReport
from .processes import Guard, ProcessTree

_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.lua")
_MARK = "==== for the comparison"


def run_wrk(
    program: str, order: LoadOrder, scratch: str, guard: Guard, cores: frozenset[int]
) -> LoadReport:
    """Load by wrk as *order* says (rate and reuse are not for wrk). Raises LoadError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    command = [program, "-t1", f"-c{order.connections}", f"-d{int(order.seconds) + 12}s"]
    command += [f"--timeout={int(order.patience) or 1}s", "-s", _SCRIPT]
    command += [f"http://127.0.0.1:{order.port}/", "--", *_write_order(order, scratch)]
    tree = ProcessTree(command, guard, os.path.join(scratch, "wrk.out"), cores=cores)
    try:
        # wrk counts whole seconds; at SIGINT it ends early and reports, once it listens to it.
        _await_handler(tree)
        if tree.wait(order.seconds) is None:
            tree.interrupt()
        if tree.wait(10) is None:
            raise LoadError("wrk did not end: " + " / ".join(tree.last_lines()))
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


def _write_order(order: LoadOrder, scratch: str) -> list[str]:
    """Write the files that the script reads; return its arguments."""
    asks_path, order_path = os.path.join(scratch, "asks"), os.path.join(scratch, "order")
    with open(asks_path, "wb") as file:
        for head, status, length in order.asks:
            before, marker, after = head.encode("latin-1").partition(order.cookie.encode())
            file.write(f"{status} {length} {len(before)} {len(after) if marker else -1}\n".encode())
            file.write(before + after + b"\n")
    with open(order_path, "w", encoding="ascii") as text:
        text.writelines(f"{index}\n" for index in order.order)
    return [asks_path, order_path, " ".join(map(str, PERCENTILES))]


def _read_report(text: str, cpu_share: float) -> LoadReport:
    _, mark, told = text.partition(_MARK + "\n")
    if not mark:
        raise LoadError("wrk failed: " + " / ".join(text.splitlines()[-4:]))
    counts, points, *lines = told.splitlines()
    answered, seconds, *errors = [float(number) for number in counts.split()]
    report = LoadReport(0, seconds, [], {}, {}, cpu_share)
    for line in filter(None, lines):
        kind, number, example = line.split("=", 2)
        report.add_fault(kind, int(number), example)
    report.requests = int(answered) - sum(report.faults.values())
    report.latency = [float(point) for point in points.split()] if answered else []
    for name, count in zip(("connect", "read", "write", "timeout"), errors, strict=True):
        if count:
            report.add_fault("no answer", int(count), f"{int(count)} {name} errors")
    return report
