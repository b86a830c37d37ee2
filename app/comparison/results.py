"""What a comparison found: made by `measure`, read by the reports. Times are seconds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .behaviour import Verdict
from .load_order import PERCENTILES

State = Literal["measured", "not installed", "did not start", "crashed"]


class Figure(NamedTuple):
    """A median with the least and the greatest of the rounds, where those are known."""

    median: float
    low: float | None = None
    high: float | None = None

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
    def cpu(self) -> float:
        """Microseconds of CPU time for a request."""
        return self.cpu_seconds / self.requests * 1e6

    def latency_at(self, percent: float) -> float:
        return self.latency[PERCENTILES.index(percent)]


@dataclass
class Cell:
    """One server under one workload.

    *figures*: `rate`, `cpu`, `p50`, `p90`, `p99`, `p99.9`, `pss`, `cpu_ratio` and `rate_ratio` to
    the baseline; those that could be measured. *faults* counts what was wrong, by kind; *examples*
    has one of each. *not_offered* says why the workload does not apply. *held* of *crowd_size*
    connections were in place beside the requests, at *connection_bytes* of memory each (0: not
    measured). *generator_bound*: the generator had no time left; the server could have done more.
    """

    server: str
    workload: str
    rounds: list[Round] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    not_offered: str = ""
    generator: str = ""
    generator_bound: bool = False
    crowd_size: int = 0
    held: int = 0
    connection_bytes: float = 0.0

    def add_fault(self, kind: str, count: int, example: str) -> None:
        self.faults[kind] = self.faults.get(kind, 0) + count
        self.examples.setdefault(kind, example)

    @property
    def answered(self) -> list[Round]:
        """The rounds with at least one right answer."""
        return [one for one in self.rounds if one.requests]

    def summarize(self, baseline: "Cell | None") -> None:
        """Work out the figures from the rounds; ratios are taken within a round."""
        values: dict[str, Callable[[Round], float]] = {
            "rate": lambda one: one.rate,
            "cpu": lambda one: one.cpu,
            "pss": lambda one: float(one.pss),
        }
        figures = {name: Figure.of(list(map(of, self.answered))) for name, of in values.items()}
        for percent in (50.0, 90.0, 99.0, 99.9):
            at = [one.latency_at(percent) for one in self.answered]
            figures[f"p{percent:g}"] = Figure.of(at)
        both = zip(self.rounds, baseline.rounds if baseline else (), strict=False)
        pairs = [(own, other) for own, other in both if own.requests and other.requests]
        for name in ("rate", "cpu"):
            of = values[name]
            figures[f"{name}_ratio"] = Figure.of([of(own) / of(other) for own, other in pairs])
        self.figures = {name: figure for name, figure in figures.items() if figure}
        shares = [one.generator_share for one in self.answered]
        self.generator_bound = bool(shares) and statistics.median(shares) > 0.9


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
    """Everything.

    *commit* is the project's own; *verdicts* are by server name; *workloads* are name and title,
    in order.
    """

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
    commit: str = ""

    def cell(self, server: str, workload: str) -> Cell | None:
        return next(
            (one for one in self.cells if (one.server, one.workload) == (server, workload)), None
        )

    def summarize(self) -> None:
        for cell in self.cells:
            cell.summarize(self.cell(self.baseline, cell.workload))

    @property
    def measured(self) -> list[Subject]:
        return [one for one in self.subjects if one.state in ("measured", "crashed")]
