"""What a load generator is told, and what it tells: the same for wrk and for the bundled one."""

from array import array
from dataclasses import dataclass, field

PERCENTILES = (0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0)


class LoadError(Exception):
    """The load generator itself failed; the message has its last lines."""


@dataclass(frozen=True)
class LoadOrder:
    """What to do.

    *asks* are (head, status, length) with the head as latin-1 text; a length of -1 is not checked.
    In the place of *cookie* another one goes with each request.

    *rate*: requests a second in all, 0 for as many as possible; *reuse*: requests on a connection,
    0 for no limit; *patience*: seconds after which an unanswered request is given up.
    """

    port: int
    connections: int
    seconds: float
    asks: list[tuple[str, int, int]]
    order: list[int]
    cookie: str
    rate: float = 0.0
    reuse: int = 0
    patience: float = 5.0


@dataclass
class LoadReport:
    """What happened: right answers in *requests*, wrong ones in *faults*, by kind.

    *examples* has one of each kind. *latency* holds milliseconds at PERCENTILES; *cpu_share* is how
    busy the generator itself was (1.0: fully).
    """

    requests: int = 0
    seconds: float = 0.0
    latency: list[float] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    cpu_share: float = 0.0

    def add_fault(self, kind: str, count: int, example: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + count
        self.examples.setdefault(kind, example)


def percentiles(values: "array[float]") -> list[float]:
    """Return the values at PERCENTILES, or an empty list if there are none."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return [ordered[min(last, (last + 1) * int(p * 10) // 1000)] for p in PERCENTILES if ordered]
