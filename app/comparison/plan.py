"""What a comparison is to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .servers import Server
from .workloads import Workload


@dataclass(frozen=True)
class Plan:
    """*starts*: how often each server is started; *patience*: seconds for an answer; *age*: how
    many seconds old the documents are when the first load begins.
    """

    servers: tuple[Server, ...]
    workloads: tuple[Workload, ...]
    rounds: int
    seconds: float
    connections: int
    patience: float
    starts: int
    behaviour: bool
    age: float = 0.0
    crowd_sizes: Mapping[str, int] = field(default_factory=dict)

    def rounds_of(self, workload: Workload) -> int:
        """Crowds are gathered once: that takes long, and asks whether the server goes on."""
        return 1 if workload.crowd else self.rounds

    def steps(self) -> int:
        """How many times the watcher will be told of a step, if all goes well."""
        rounds = sum(map(self.rounds_of, self.workloads))
        return len(self.servers) * (1 + rounds + self.behaviour) + self.waits

    @property
    def waits(self) -> bool:
        """Whether the first load has to wait for the documents to be old enough."""
        return bool(self.workloads and self.age)
