"""Where the time of one request goes: `python -m tests.server.budget [--html]`.

Microseconds for each stage of each kind of answer, in one thread: a request with the fields that
Chrome sends and a cookie of its own goes through a socket pair, the connection, the application,
the counter in memory, and back. The kernel's part is in `receive` and `send`; the loop that waits
for clients is not in it, nor is the client's part. Each stage's time is without that of the
stages that it calls, and what it costs to look at the clock is taken off. Everything is in the
processor's caches here; with a thousand files and clients it is not, and a request takes half as
long again. `--html` prints the table of the guide.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from app.counters.lmdb.counter import LmdbCounter
from app.counters.memory import MemoryCounter
from app.files.version import may_be_held
from app.http11 import Receiver
from app.server import call
from app.server.connection import Connection
from app.server.stream import Stream
from app.wsgi import Application
from tests.waiting import wait_until

from .instructions import COUNTED, stages, write_site

_ROUNDS = 9
_PASSES = 20
#: Where each stage begins and ends: an object, and the name of its function.
_STAGES: dict[str, list[tuple[Any, str]]] = {
    "receive": [(Stream, "receive")],
    "parse": [(Receiver, "receive")],
    "application": [(Application, "__call__")],
    "count": [(MemoryCounter, "count"), (LmdbCounter, "count_together")],
    "head": [(call, "usual_head"), (call, "encode_head")],
    "send": [(Stream, "begin"), (Stream, "flush")],
    "connection": [(Connection, "ready")],
}


class Clock:
    """Adds up the nanoseconds of calls by stage, each without those of the calls in it."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = defaultdict(int)
        self._inner = [0]

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            inner = self._inner
            inner.append(0)
            begin = perf_counter_ns()
            try:
                return function(*arguments)
            finally:
                taken = perf_counter_ns() - begin
                self.spent[stage] += taken - inner.pop()
                inner[-1] += taken + self.cost

        return call

    #: Nanoseconds that a timed call costs beyond what it counts.
    cost = 0

    def calibrate(self) -> None:
        nothing = self.timed("", lambda: None)
        begin = perf_counter_ns()
        for _ in range(100_000):
            nothing()
        self.cost = (perf_counter_ns() - begin - self.spent.pop("")) // 100_000


def budget() -> dict[str, dict[str, float]]:
    """Return the microseconds of each kind of answer by stage, and of all together."""
    with tempfile.TemporaryDirectory() as directory:
        write_site(directory)
        # The last one that was written.
        newest = os.stat(f"{directory}/www/l.bin")
        wait_until(lambda: may_be_held(newest, time.time()), message="files that may be held")
        clock = Clock()
        clock.calibrate()
        for stage, places in _STAGES.items():
            for owner, name in places:
                setattr(owner, name, clock.timed(stage, getattr(owner, name)))
        answers = [
            (name, act) for name, act in stages(directory) if name[0].isdigit() or name == "HEAD"
        ]
        return {name: _of(clock, act) for name, act in answers}


def _of(clock: Clock, act: Callable[[int], object]) -> dict[str, float]:
    rounds: dict[str, list[float]] = defaultdict(list)
    for _ in range(_ROUNDS):
        clock.spent.clear()
        for _ in range(_PASSES):
            for number in range(COUNTED):
                act(number)
        for stage, spent in clock.spent.items():
            rounds[stage].append(spent / 1000 / _PASSES / COUNTED)
    found = {stage: statistics.median(each) for stage, each in rounds.items()}
    return {**found, "all": sum(found.values())}


def _as_html(columns: Sequence[str], table: Sequence[tuple[str, Sequence[str]]]) -> str:
    heads = "".join(f'<th scope="col">{column.capitalize()}</th>' for column in columns)
    rows = "".join(
        f'            <tr><th scope="row">{kind}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
        for kind, cells in table
    )
    return (
        f'        <table>\n          <thead>\n            <tr><th scope="col">Answer</th>{heads}</tr>\n'
        f"          </thead>\n          <tbody>\n{rows}          </tbody>\n        </table>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.server.budget", allow_abbrev=False)
    parser.add_argument("--html", action="store_true", help="print the table of the guide")
    is_html = parser.parse_args().html
    columns = [*_STAGES, "all"]
    table = [
        (kind, [f"{spent.get(column, 0.0):.1f}" for column in columns])
        for kind, spent in budget().items()
    ]
    if is_html:
        sys.stdout.write(_as_html(columns, table))
        return
    for kind, cells in [("us", columns), *table]:
        print(f"{kind:18}", *(f"{cell:>12}" for cell in cells), sep="")


if __name__ == "__main__":
    main()
