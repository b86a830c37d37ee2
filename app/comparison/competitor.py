"""A server under measurement: started, loaded, and started again when it has crashed."""

from contextlib import ExitStack

from .bench import Bench
from .load_order import LoadError, LoadOrder, LoadReport
from .plan import Plan
from .results import Cell, Round, Subject
from .sampling import check, fit, patience_for
from .servers import Server
from .starting import DidNotStartError, RunningServer, start
from .workloads import COOKIE, Script, Workload, script

_MOST_RESTARTS = 3
_DYING = 0.3  # seconds: a server's connections are closed a moment before it has ended
_CROWD_RATE = 400.0  # requests a second beside a crowd: far below what any server manages alone
#: With more requests than a sample warms, the server is loaded a moment before it is measured.
_COLD = 500


class Competitor:
    """A server of the plan, what the report has of it, and its running instance if there is one."""

    def __init__(self, server: Server, subject: Subject, bench: Bench, plan: Plan) -> None:
        self.server = server
        self.subject = subject
        self.running: RunningServer | None = None
        self._bench = bench
        self._plan = plan
        self._restarts = 0
        # Of the workload under way; without a script the server takes no part in it.
        self._cell = Cell("", "")
        self._script: Script | None = None

    def start(self) -> bool:
        """Start the server; the subject has why not, if it did not."""
        subject = self.subject
        try:
            self.running = start(self.server, self._bench, "speed")
        except DidNotStartError as error:
            # What ran before has crashed; what never ran did not start.
            subject.state = "crashed" if subject.start_milliseconds else "did not start"
            subject.reason, subject.last_lines = str(error), error.lines
            return False
        subject.command = self.running.command
        subject.start_milliseconds.append(self.running.milliseconds)
        return True

    def stop(self, patience: float = 2.0) -> None:
        if self.running is not None:
            self.running.tree.stop(patience)
            self.running = None

    def prepare(self, workload: Workload) -> Cell | None:
        """Make the requests for this server, and look at a sample of its answers before any load.

        Returns the cell of the report, None when the server does not run.
        """
        self._script = None
        if self.running is None:
            return None
        generator = self._bench.generator_for(workload.bundled_only)
        cell = self._cell = Cell(self.subject.name, workload.name, generator=generator)
        documents, port, patience = self._bench.documents, self.running.port, self._plan.patience
        wanted = script(workload, documents, port, patience)
        if not wanted.asks:
            cell.not_offered = "sends no validators"
            return cell
        fitted, complaint = fit(wanted, documents, port, patience)
        if complaint is None:
            self._script = fitted
            if len(fitted.asks) > _COLD:
                self._run_load(workload, fitted, min(0.3, self._plan.seconds / 4))
        elif complaint.kind == "not offered":
            cell.not_offered = complaint.detail
        else:
            cell.add_fault(complaint.kind, 1, complaint.detail)
            self._note_crash()
        return cell

    def load(self, workload: Workload) -> None:
        """Load the server once, and measure what it costs."""
        running, cell, wanted = self.running, self._cell, self._script
        if running is None or wanted is None:
            return
        with ExitStack() as stack:
            try:
                before = running.tree.usage()
                if workload.crowd:
                    cell.crowd_size = self._plan.crowd_sizes[workload.crowd]
                    crowd = self._bench.crowd(workload.crowd, cell.crowd_size, running.port)
                    cell.held = stack.enter_context(crowd)
                    # What the crowd cost to gather is not the small requests' cost.
                    alone, before = before, running.tree.usage()
                    if cell.held and workload.crowd == "idle":
                        cell.connection_bytes = max(0.0, (before.pss - alone.pss) / cell.held)
                report = self._run_load(workload, wanted, self._plan.seconds)
            except LoadError as error:
                # One load lost is no reason to lose all the others.
                cell.add_fault("not measured", 1, str(error))
                self._note_crash()
                return
            after = running.tree.usage()
        for kind, count in report.faults.items():
            cell.add_fault(kind, count, report.examples[kind])
        used = after.seconds - before.seconds
        cell.rounds.append(
            Round(
                report.requests, report.seconds, report.latency, used, after.pss, report.cpu_share
            )
        )
        gone = len(before.living - after.living)
        if gone and running.tree.wait() is None and not workload.crowd:
            cell.add_fault("crashed", gone, f"{gone} of its processes ended during the load")
        self._note_crash()
        if self.running is not None and not workload.crowd:
            documents, patience = self._bench.documents, self._plan.patience
            complaint, _ = check(wanted, documents, running.port, patience, most=8)
            if complaint:
                cell.add_fault(complaint.kind, 1, complaint.detail)

    def _run_load(self, workload: Workload, wanted: Script, seconds: float) -> LoadReport:
        assert self.running is not None
        beside = bool(workload.crowd)
        order = LoadOrder(
            port=self.running.port,
            connections=workload.connections or self._plan.connections,
            seconds=seconds,
            asks=[(ask.head.decode("latin-1"), ask.status, ask.length) for ask in wanted.asks],
            order=list(wanted.order),
            cookie=COOKIE.decode(),
            rate=_CROWD_RATE if beside else 0.0,
            reuse=10 if beside else 0,
            patience=self._plan.patience if beside else patience_for(wanted, self._plan.patience),
        )
        return self._bench.load(order, workload.bundled_only)

    def _note_crash(self) -> None:
        """Record that the server has ended, if it has, and start it anew for the other workloads."""
        cell, running = self._cell, self.running
        status = running.tree.wait(_DYING if cell.faults else 0.0) if running else None
        if running is None or status is None:
            return
        cell.add_fault("crashed", 1, f"ended with status {status}")
        self.subject.last_lines = running.tree.last_lines()
        self.subject.reason = f"ended with status {status} in the workload {cell.workload}"
        self._script = None
        self.stop()
        self._restarts += 1
        if self._restarts > _MOST_RESTARTS:
            self.subject.state = "crashed"
