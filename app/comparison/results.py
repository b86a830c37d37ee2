"""What a comparison found: plain data, made by `measure`, read by the reports. Times are seconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .behaviour import Verdict
from .load_order import PERCENTILES

State = Literal["measured", "not installed", "did not start", "crashed"]


@dataclass(frozen=True)
class Figure:
    """A median with the least and the greatest of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure | None":
        return cls(statistics.median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Round:
    """One load of one server.

    *latency* is in milliseconds at load_order.PERCENTILES; *pss* in bytes, at its end.
    """

    requests: int
    seconds: float
    latency: list[float]
    cpu_seconds: float
    pss: int
    generator_share: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def cpu_microseconds(self) -> float:
        return self.cpu_seconds / self.requests * 1e6 if self.requests else 0.0

    def latency_at(self, percent: float) -> float:
        return self.latency[PERCENTILES.index(percent)]


@dataclass
class Cell:
    """One server under one workload.

    *faults* counts what was wrong, by kind; *examples* has one of each kind.

    *not_offered* says why the workload does not apply. *held* of *crowd_size* connections were in
    place beside the requests, at *connection_bytes* of memory each (0: not measured).
    """

    server: str
    workload: str
    rounds: list[Round] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    not_offered: str = ""
    generator: str = ""
    crowd_size: int = 0
    held: int = 0
    connection_bytes: float = 0.0

    def add_fault(self, kind: str, count: int, example: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + count
        self.examples.setdefault(kind, example)

    @property
    def told(self) -> list[Round]:
        """The rounds with at least one right answer."""
        return [one for one in self.rounds if one.requests]

    @property
    def rate(self) -> Figure | None:
        return Figure.of([one.rate for one in self.told])

    @property
    def cpu(self) -> Figure | None:
        """Microseconds of CPU time for a request."""
        return Figure.of([one.cpu_microseconds for one in self.told])

    @property
    def pss(self) -> Figure | None:
        return Figure.of([float(one.pss) for one in self.told])

    def latency(self, percent: float) -> Figure | None:
        return Figure.of([one.latency_at(percent) for one in self.told])

    @property
    def generator_bound(self) -> bool:
        """The generator had no time left: the server could have answered more."""
        return bool(self.told) and statistics.median(one.generator_share for one in self.told) > 0.9

    def cpu_ratio(self, baseline: "Cell") -> Figure | None:
        """CPU time for a request in terms of the baseline's, round by round."""
        pairs = zip(self.rounds, baseline.rounds, strict=False)
        return Figure.of(
            [a.cpu_microseconds / b.cpu_microseconds for a, b in pairs if a.requests and b.requests]
        )

    def rate_ratio(self, baseline: "Cell") -> Figure | None:
        pairs = zip(self.rounds, baseline.rounds, strict=False)
        return Figure.of([a.rate / b.rate for a, b in pairs if a.requests and b.requests])


@dataclass
class Subject:
    """A server that was to be compared, and how it took part. *command* is a line for a shell."""

    name: str
    title: str
    version: str
    command: str = ""
    state: State = "measured"
    reason: str = ""
    last_lines: list[str] = field(default_factory=list)
    start_milliseconds: list[float] = field(default_factory=list)

    @property
    def start(self) -> Figure | None:
        return Figure.of(self.start_milliseconds)


@dataclass
class Comparison:
    """Everything. *verdicts* by server name; *workloads* are name and title, in order."""

    date: str
    command: str
    machine: dict[str, str]
    baseline: str
    rounds: int
    seconds: float
    connections: int
    generator: str
    workloads: list[tuple[str, str]]
    subjects: list[Subject] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    took: float = 0.0

    def cell(self, server: str, workload: str) -> Cell | None:
        return next(
            (one for one in self.cells if (one.server, one.workload) == (server, workload)), None
        )

    @property
    def measured(self) -> list[Subject]:
        return [one for one in self.subjects if one.state in ("measured", "crashed")]
