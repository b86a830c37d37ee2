"""What the kernel says of a server's processes, added up: the metrics `process_*`.

The library's collector speaks of one process. A server has several, each scrape meets another of
them, and the time of those that have ended is known to the one that started them.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_READINGS = 3


class _Usage(NamedTuple):
    """Of one process; times are in ticks."""

    own_time: int
    ended_children: int
    started: int
    virtual: int
    resident: int
    descriptors: int

    @classmethod
    def of(cls, process: int) -> "_Usage | None":
        """Return None for a process that is not there."""
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                # The name in front may hold anything, blanks and brackets too.
                fields = [int(text) for text in file.read().rpartition(b")")[2].split()[1:]]
        except OSError:
            return None
        descriptors = 0
        with suppress(OSError):  # another user's, such as gunicorn's master
            descriptors = len(os.listdir(f"/proc/{process}/fd"))
        # proc_pid_stat(5) numbers them from 1; these begin at its fourth.
        return cls(
            own_time=fields[10] + fields[11],
            ended_children=fields[12] + fields[13],
            started=fields[18],
            virtual=fields[19],
            resident=fields[20] * _PAGE,
            descriptors=descriptors,
        )


def of_processes(first: int, others: tuple[int, ...]) -> Iterator[Metric]:
    """Yield the sums over *first*, which starts the *others*, and these."""
    found = _usages(first, {*others} - {first})
    if not found:
        return
    ticks = sum(each.own_time + each.ended_children for each in found)
    started = _boot_time() + min(each.started for each in found) / _TICKS
    yield CounterMetricFamily(
        "process_cpu_seconds", "Processor time of the server, ended workers too", ticks / _TICKS
    )
    for name, documentation, value in (
        ("start_time_seconds", "When the server was started, since the epoch", started),
        (
            "virtual_memory_bytes",
            "Virtual memory of all processes of the server",
            sum(each.virtual for each in found),
        ),
        (
            "resident_memory_bytes",
            "Resident memory of all processes; what they share counts for each. One takes at most"
            " 96 MiB more than at its start, and 660 bytes for each file counted in memory:",
            sum(each.resident for each in found),
        ),
        (
            "open_fds",
            "Open file descriptors of all processes",
            sum(each.descriptors for each in found),
        ),
        (
            "max_fds",
            "How many file descriptors one process may have",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        ),
    ):
        yield GaugeMetricFamily(f"process_{name}", documentation, value)


def _usages(first: int, others: set[int]) -> list[_Usage]:
    found: list[_Usage] = []
    after: _Usage | None = None
    for _ in range(_READINGS):
        before = _Usage.of(first)
        found = [usage for process in others if (usage := _Usage.of(process))]
        after = _Usage.of(first)
        # A worker that is reaped meanwhile would be in both, or in neither.
        if before is None or after is None or before.ended_children == after.ended_children:
            return [*found, *([after] if after else [])]
    return [*found, *([after] if after else [])]


def _boot_time() -> int:
    with open("/proc/stat", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
