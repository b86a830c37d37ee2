"""Runs a comparison: starts every server, loads them in rounds, asks them the behaviour list.

All servers run at once, and one of them is loaded at a time: round 1 of each, then round 2 of each
in another order. So what the machine does meanwhile falls on all of them alike, and ratios are
taken within a round. A server that crashes is started again, a few times at most; its fault stays
in the report.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from .behaviour import observe
from .bench import Bench
from .competitor import Competitor
from .documents import Documents
from .expectations import TOPICS
from .plan import Plan
from .results import Comparison, Subject
from .starting import DidNotStartError, start
from .workloads import Workload


def measure(plan: Plan, comparison: Comparison, bench: Bench, step: Callable[[str], None]) -> None:
    """Fill *comparison*; *step* is told what comes next. No server runs at the end."""
    begun = time.monotonic()
    competitors: list[Competitor] = []
    with ExitStack() as stack:
        for server in plan.servers:
            subject = Subject(server.name, server.title, server.version())
            comparison.subjects.append(subject)
            step(f"starting {server.title}")
            if missing := server.missing():
                subject.state, subject.reason = "not installed", missing
                continue
            competitor = Competitor(server, subject, bench, plan)
            stack.callback(competitor.stop)
            competitors.append(competitor)
            for _ in range(plan.starts):
                competitor.stop()
                if not competitor.start():
                    break
        if plan.waits:
            step(f"waiting until the files are {plan.age:g} s old")
            _let_age(bench.documents, plan.age)
        for workload in plan.workloads:
            _measure_workload(workload, plan, comparison, competitors, step)
    if plan.behaviour:
        _observe_all(competitors, comparison, bench, plan.patience, step)
    comparison.summarize()
    comparison.took = time.monotonic() - begun


def _let_age(documents: Documents, seconds: float) -> None:
    """Wait until the documents were written so many seconds ago."""
    time.sleep(max(0.0, documents.written_at + seconds - time.monotonic()))


def _measure_workload(
    workload: Workload,
    plan: Plan,
    comparison: Comparison,
    competitors: list[Competitor],
    step: Callable[[str], None],
) -> None:
    cells = [competitor.prepare(workload) for competitor in competitors]
    comparison.cells += filter(None, cells)
    for number in range(plan.rounds_of(workload)):
        for competitor in _turns(competitors, number):
            step(f"{workload.name}, round {number + 1}: {competitor.subject.title}")
            competitor.load(workload)
    for competitor in competitors:
        if workload.crowd:
            # What a crowd has done to a server is not carried into the next; nor is its end waited
            # for.
            competitor.stop(patience=0.1)
        is_wanted = competitor.subject.state == "measured" and workload != plan.workloads[-1]
        if competitor.running is None and is_wanted:
            competitor.start()


def _turns(competitors: list[Competitor], number: int) -> list[Competitor]:
    """Everybody, beginning with another in each round, and backwards in every second."""
    first = number // 2 % max(1, len(competitors))
    turned = competitors[first:] + competitors[:first]
    return turned if number % 2 == 0 else turned[::-1]


def _observe_all(
    competitors: list[Competitor],
    comparison: Comparison,
    bench: Bench,
    patience: float,
    step: Callable[[str], None],
) -> None:
    """Ask every server the behaviour list: each a fresh instance, a few at a time."""
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        observed = []
        for competitor in competitors:
            subject = competitor.subject
            if subject.state != "measured":
                continue
            try:
                running = start(competitor.server, bench, "behaviour", codings=True)
            except DidNotStartError:
                continue
            stack.callback(running.tree.stop)
            observed.append((subject, pool.submit(observe, running.port, patience)))
        for subject, future in observed:
            comparison.verdicts[subject.name] = future.result()
            step(f"behaviour, {sum(map(len, TOPICS.values()))} requests: {subject.title}")
