"""Runs a comparison: starts every server, loads them in interleaved rounds, asks them the behaviour
list.

All servers run at once, and one of them is loaded at a time: round 1 of each, then round 2 of each
in another order. So what the machine does meanwhile falls on all of them alike, and ratios are
taken within a round. A server that crashes is started again, a few times at most; its fault stays
in the report.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from .behaviour import Verdict, observe
from .documents import Documents
from .expectations import TOPICS
from .generators import GeneratorError, Generators
from .load_order import LoadOrder, LoadReport
from .processes import Guard
from .results import Cell, Comparison, Round, Subject
from .servers import Server
from .starting import DidNotStartError, RunningServer, start
from .workloads import COOKIE, Ask, Complaint, Script, Workload, check_sample, script
from .wrk import WrkError

_MOST_RESTARTS = 3
_CROWD_RATE = 400.0  # requests a second beside a crowd: far below what any server manages alone
_SAMPLE = 40
_LARGE = 10_000_000
_DYING = 0.3
_PATIENCE_WITH_LARGE = 20.0
_COLD = (
    500  # more requests than a sample warms: the server is loaded a moment before it is measured
)


@dataclass(frozen=True)
class Plan:
    """What to do. *patience*: seconds for an answer; *crowd_sizes* by kind of crowd."""

    servers: tuple[Server, ...]
    workloads: tuple[Workload, ...]
    rounds: int
    seconds: float
    connections: int
    patience: float
    starts: int
    behaviour: bool
    crowd_sizes: dict[str, int] = field(default_factory=dict)

    def steps(self) -> int:
        """How many times the watcher will be told of a step, if all goes well."""
        loads = sum(self._rounds_of(workload) for workload in self.workloads)
        return len(self.servers) * (1 + loads + self.behaviour)

    def _rounds_of(self, workload: Workload) -> int:
        return 1 if workload.crowd else self.rounds

    def rounds_of(self, workload: Workload) -> range:
        """Crowds are gathered once: they take long, and what is asked is whether the server goes on
        at all.
        """
        return range(self._rounds_of(workload))


class Watcher(Protocol):
    """Is told how far the comparison is."""

    def step(self, what: str) -> None: ...


class _Contestant:
    """A server of the plan, and its running instance if there is one."""

    def __init__(self, server: Server, subject: Subject) -> None:
        self.server = server
        self.subject = subject
        self.running: RunningServer | None = None
        self.restarts = 0
        # For the workload under way:
        self.cell: Cell | None = None
        self.script: Script | None = None


class Measurement:
    """One comparison. `run` fills *comparison*; `close` ends every server that still runs."""

    def __init__(
        self,
        plan: Plan,
        comparison: Comparison,
        guard: Guard,
        scratch: str,
        generators: Generators,
        cores: frozenset[int],
        watcher: Watcher,
        documents: Documents,
    ) -> None:
        self._plan = plan
        self._comparison = comparison
        self._guard = guard
        self._scratch = scratch
        self._generators = generators
        self._cores = cores
        self._watcher = watcher
        self._documents = documents
        self._contestants: list[_Contestant] = []

    def run(self) -> None:
        begun = time.monotonic()
        self._start_all()
        for workload in self._plan.workloads:
            self._measure_workload(workload)
        self.close()
        if self._plan.behaviour:
            self._observe_all()
        self._comparison.summarize()
        self._comparison.took = time.monotonic() - begun

    def close(self) -> None:
        for contestant in self._contestants:
            if contestant.running is not None:
                contestant.running.tree.stop()
                contestant.running = None

    def _start_all(self) -> None:
        for server in self._plan.servers:
            subject = Subject(server.name, server.title, server.version())
            self._comparison.subjects.append(subject)
            self._watcher.step(f"starting {server.title}")
            missing = server.missing()
            if missing:
                subject.state, subject.reason = "not installed", missing
                continue
            contestant = _Contestant(server, subject)
            self._contestants.append(contestant)
            for _ in range(self._plan.starts):
                self._stop(contestant)
                if not self._start(contestant):
                    break

    def _start(self, contestant: _Contestant) -> bool:
        subject = contestant.subject
        scratch = os.path.join(
            self._scratch, f"{len(self._comparison.subjects)}-{subject.name.partition(' ')[0]}"
        )
        try:
            running = start(
                contestant.server, self._documents.root, scratch, self._guard, self._cores
            )
        except DidNotStartError as error:
            # What ran before has crashed; what never ran did not start.
            subject.state = "crashed" if subject.start_milliseconds else "did not start"
            subject.reason, subject.last_lines = str(error), error.lines
            return False
        contestant.running = running
        subject.command = running.command
        subject.start_milliseconds.append(running.milliseconds)
        return True

    def _stop(self, contestant: _Contestant, patience: float = 2.0) -> None:
        if contestant.running is not None:
            contestant.running.tree.stop(patience)
            contestant.running = None

    def _measure_workload(self, workload: Workload) -> None:
        for contestant in self._contestants:
            self._prepare(contestant, workload)
        for number in self._plan.rounds_of(workload):
            for contestant in self._turns(number):
                self._watcher.step(
                    f"{workload.name}, round {number + 1}: {contestant.subject.title}"
                )
                if contestant.running is not None and contestant.script is not None:
                    self._load(contestant, workload)
        last = workload is self._plan.workloads[-1]
        for contestant in self._contestants:
            if workload.crowd:
                # What a crowd has done to a server is not carried into the next; nor is its end
                # waited for.
                self._stop(contestant, patience=0.1)
            if contestant.running is None and contestant.subject.state == "measured" and not last:
                self._start(contestant)

    def _turns(self, number: int) -> Iterator[_Contestant]:
        """Everybody, beginning with another in each round, and backwards in every second."""
        count = len(self._contestants)
        turned = [self._contestants[(number // 2 + index) % count] for index in range(count)]
        return iter(turned if number % 2 == 0 else turned[::-1])

    def _prepare(self, contestant: _Contestant, workload: Workload) -> None:
        """Make the requests for this server, and look at a sample of its answers before anything is
        loaded.
        """
        contestant.cell = contestant.script = None
        if contestant.running is None:
            return
        cell = Cell(
            contestant.subject.name,
            workload.name,
            generator=self._generators.name_for(workload.bundled_only),
        )
        self._comparison.cells.append(cell)
        contestant.cell = cell
        port = contestant.running.site.port
        ready = script(workload, self._documents, port, self._plan.patience)
        if not ready.asks:
            cell.not_offered = "sends no validators"
            return
        fitted, complaint = self._fit(ready, port)
        if complaint and complaint.kind == "not offered":
            cell.not_offered = complaint.detail
        elif complaint:
            cell.add_fault(complaint.kind, 1, complaint.detail)
            self._note_crash(contestant, cell)
        else:
            contestant.script = fitted
            if len(fitted.asks) > _COLD:
                self._run_load(contestant, workload, min(0.3, self._plan.seconds / 4))

    def _fit(self, ready: Script, port: int) -> tuple[Script, Complaint | None]:
        """Leave out what this server does not offer and need not, put in the lengths only it knows;
        or complain.
        """
        while True:
            complaint, lengths = check_sample(
                _sample(ready), self._documents, port, self._patience_for(ready)
            )
            if complaint is None:
                return _with_lengths(ready, lengths), None
            without = tuple(
                index for index in ready.order if ready.asks[index].status != complaint.status
            )
            if complaint.kind != "not offered" or not without:
                return ready, complaint
            ready = Script(ready.asks, without)

    def _patience_for(self, ready: Script) -> float:
        """A file of 100 MB takes the slower servers seconds."""
        large = any(ask.length > _LARGE for ask in ready.asks)
        return self._plan.patience * 2 + (_PATIENCE_WITH_LARGE if large else 0.0)

    def _load(self, contestant: _Contestant, workload: Workload) -> None:
        running, cell, ready = contestant.running, contestant.cell, contestant.script
        assert running is not None
        assert cell is not None
        assert ready is not None
        tree = running.tree
        before = tree.usage()

        def gathered(held: int) -> None:
            # What the crowd cost to gather is not the small requests' cost.
            nonlocal before
            now = tree.usage()
            cell.held = held
            if held and workload.crowd == "idle":
                cell.connection_bytes = max(0.0, (now.pss - before.pss) / held)
            before = now

        try:
            report = self._run_load(contestant, workload, self._plan.seconds, gathered)
        except (GeneratorError, WrkError) as error:
            # One load lost is no reason to lose all the others.
            cell.add_fault("not measured", 1, str(error))
            self._note_crash(contestant, cell)
            return
        after = tree.usage()
        cell.crowd_size = self._plan.crowd_sizes.get(workload.crowd, 0)
        for kind, count in report.faults.items():
            cell.add_fault(kind, count, report.examples[kind])
        cell.rounds.append(
            Round(
                report.requests,
                report.seconds,
                report.latency,
                after.seconds - before.seconds,
                after.pss,
                report.cpu_share,
            )
        )
        gone = before.living - after.living
        if tree.wait() is None and gone and not workload.crowd:
            cell.add_fault(
                "crashed", len(gone), f"{len(gone)} of its processes ended during the load"
            )
        self._note_crash(contestant, cell)
        if contestant.running is not None and not workload.crowd:
            port = running.site.port
            complaint, _ = check_sample(
                _sample(ready)[:8], self._documents, port, self._patience_for(ready)
            )
            if complaint:
                cell.add_fault(complaint.kind, 1, complaint.detail)

    def _run_load(
        self,
        contestant: _Contestant,
        workload: Workload,
        seconds: float,
        gathered: Callable[[int], None] = lambda _held: None,
    ) -> LoadReport:
        assert contestant.running is not None
        assert contestant.script is not None
        order = LoadOrder(
            port=contestant.running.site.port,
            connections=workload.connections or self._plan.connections,
            seconds=seconds,
            asks=[
                (ask.head.decode("latin-1"), ask.status, ask.length)
                for ask in contestant.script.asks
            ],
            order=list(contestant.script.order),
            cookie=COOKIE.decode(),
            patience=self._patience_for(contestant.script),
            small_path="/small.html",
            large_path="/large.bin",
        )
        if workload.crowd:
            size = self._plan.crowd_sizes[workload.crowd]
            order = replace(
                order,
                patience=self._plan.patience,
                connections=4,
                rate=_CROWD_RATE,
                reuse=10,
                crowd=workload.crowd,
                crowd_size=size,
            )
        return self._generators.run(order, workload.bundled_only, gathered)

    def _note_crash(self, contestant: _Contestant, cell: Cell) -> None:
        """Record that the server has ended, if it has, and start it anew for the other workloads."""
        running = contestant.running
        if running is None:
            return
        # Its connections are closed a moment before the process has ended.
        status = running.tree.wait(_DYING if cell.faults else 0.0)
        if status is None:
            return
        lines = running.tree.last_lines()
        cell.add_fault("crashed", 1, f"ended with status {status}")
        contestant.subject.last_lines = lines
        contestant.subject.reason = f"ended with status {status} in the workload {cell.workload}"
        contestant.script = None
        self._stop(contestant)
        contestant.restarts += 1
        if contestant.restarts > _MOST_RESTARTS:
            contestant.subject.state = "crashed"

    def _observe_all(self) -> None:
        """Ask every server the behaviour list: each a fresh instance, a few at a time."""
        with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
            observed = []
            for contestant in self._contestants:
                if contestant.subject.state != "measured":
                    continue
                scratch = os.path.join(
                    self._scratch, "behaviour-" + contestant.subject.name.replace(" ", "-")
                )
                try:
                    running = start(
                        contestant.server,
                        self._documents.root,
                        scratch,
                        self._guard,
                        self._cores,
                        codings=True,
                    )
                except DidNotStartError:
                    continue
                stack.callback(running.tree.stop)
                port = running.site.port
                observed.append(
                    (contestant.subject, pool.submit(observe, port, self._plan.patience))
                )
            for subject, future in observed:
                verdicts: list[Verdict] = future.result()
                self._comparison.verdicts[subject.name] = verdicts
                self._watcher.step(
                    f"behaviour, {sum(map(len, TOPICS.values()))} requests: {subject.title}"
                )


def _sample(ready: Script) -> list[Ask]:
    """Some of the requests, one of each status among them."""
    asks = [ready.asks[index] for index in sorted(set(ready.order))]
    kinds = {ask.status: ask for ask in asks}
    return list(dict.fromkeys([*kinds.values(), *asks[:: max(1, len(asks) // _SAMPLE)]]))


def _with_lengths(ready: Script, lengths: dict[int, int]) -> Script:
    asks = (
        replace(ask, length=lengths.get(ask.status, -1)) if ask.length < 0 else ask
        for ask in ready.asks
    )
    return Script(tuple(asks), ready.order)
