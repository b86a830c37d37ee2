"""The report in the terminal: tables by rich, and a progress bar while it runs; plain lines when
piped.
"""

import sys
from types import TracebackType

import rich.progress
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .results import Cell, Comparison
from .wording import (
    GENERATOR_NOTE,
    count,
    duration,
    mebibytes,
    microseconds,
    ratio,
    spread,
    tally,
    verdict_of,
)


class Progress:
    """A bar on standard error while it is a terminal; else a line for each step there.

    Use as a context.
    """

    def __init__(self, steps: int) -> None:
        console = Console(stderr=True)
        self._bar = (
            rich.progress.Progress(
                rich.progress.TextColumn("{task.description:60}"),
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TimeRemainingColumn(),
                console=console,
                transient=True,
                # The generator's core draws this too: seldom is enough.
                refresh_per_second=2,
            )
            if console.is_terminal
            else None
        )
        self._task = self._bar.add_task("preparing", total=steps) if self._bar else None
        self._begun = False

    def step(self, what: str) -> None:
        if self._bar is None or self._task is None:
            print(what, file=sys.stderr, flush=True)
            return
        self._bar.update(self._task, description=what, advance=1 if self._begun else 0)
        self._begun = True

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()


def print_report(comparison: Comparison) -> None:
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(f"\n[bold]{escape(comparison.command)}[/bold], {comparison.date}")
    console.print(
        ", ".join(f"{name}: {value}" for name, value in comparison.machine.items()), markup=False
    )
    if comparison.workloads:
        console.print(
            f"{GENERATOR_NOTE[comparison.generator]} "
            f"Medians of {comparison.rounds} rounds of {comparison.seconds:g} s; "
            f"ratios of CPU time to {comparison.baseline}.",
            markup=False,
        )
    for name, title in comparison.workloads:
        draw = _crowd_table if name.startswith("crowd-") else _workload_table
        console.print(draw(comparison, name, title))
    console.print(_servers_table(comparison))
    if comparison.verdicts:
        _print_behaviour(comparison, console)
    _print_troubles(comparison, console)


def _crowd_table(comparison: Comparison, name: str, title: str) -> Table:
    table = Table(
        title=f"[bold]{name}[/bold]: {title}", title_justify="left", box=SIMPLE_HEAD, title_style=""
    )
    table.add_column("server")
    for heading in ("held", "KiB each", "p50 ms", "p99 ms", "PSS MiB"):
        table.add_column(heading, justify="right")
    table.add_column("answers")
    for subject in comparison.measured:
        cell = comparison.cell(subject.name, name)
        if cell:
            p50, p99, pss = cell.latency(50.0), cell.latency(99.0), cell.pss
            table.add_row(
                subject.title,
                f"{cell.held} of {cell.crowd_size}",
                f"{cell.connection_bytes / 1024:.1f}"
                if cell.workload == "crowd-idle" and cell.held
                else "",
                duration(p50.median) if p50 else "",
                duration(p99.median) if p99 else "",
                mebibytes(pss.median) if pss else "",
                _answers(cell),
            )
    return table


def _workload_table(comparison: Comparison, name: str, title: str) -> Table:
    table = Table(
        title=f"[bold]{name}[/bold]: {title}", title_justify="left", box=SIMPLE_HEAD, title_style=""
    )
    for heading in (
        "server",
        "requests/s",
        "±",
        "p50 ms",
        "p99 ms",
        "CPU µs/request",
        "±",
        "ratio",
        "PSS MiB",
    ):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    table.add_column("answers")
    baseline = comparison.cell(comparison.baseline, name)
    for subject in comparison.measured:
        cell = comparison.cell(subject.name, name)
        if cell:
            table.add_row(subject.title, *_figures(cell, baseline), _answers(cell))
    return table


def _figures(cell: Cell, baseline: Cell | None) -> list[str]:
    rate, cpu, pss = cell.rate, cell.cpu, cell.pss
    p50, p99 = cell.latency(50.0), cell.latency(99.0)
    if not (rate and cpu and pss and p50 and p99):
        return [""] * 8
    return [
        (">" if cell.generator_bound else "") + count(rate.median),
        spread(rate),
        duration(p50.median),
        duration(p99.median),
        microseconds(cpu.median),
        spread(cpu),
        ratio(cell.cpu_ratio(baseline)) if baseline else "",
        mebibytes(pss.median),
    ]


def _answers(cell: Cell) -> str:
    told = verdict_of(cell)
    style = {"right": "green", "not offered": "dim"}.get(told, "bold red")
    return f"[{style}]{escape(told)}[/{style}]"


def _servers_table(comparison: Comparison) -> Table:
    table = Table(
        title="[bold]servers[/bold]", title_justify="left", box=SIMPLE_HEAD, title_style=""
    )
    for heading in ("server", "version", "first 200, ms", "±", "behaviour", "state"):
        table.add_column(heading, justify="right" if heading in ("first 200, ms", "±") else "left")
    for subject in comparison.subjects:
        start = subject.start
        table.add_row(
            subject.title,
            subject.version,
            count(start.median) if start else "",
            spread(start) if start else "",
            tally(comparison.verdicts[subject.name]) if subject.name in comparison.verdicts else "",
            escape(f"{subject.state}: {subject.reason}" if subject.reason else subject.state),
        )
    return table


def _print_behaviour(comparison: Comparison, console: Console) -> None:
    table = Table(
        title="[bold]behaviour[/bold]: passed of those that apply",
        title_justify="left",
        box=SIMPLE_HEAD,
        title_style="",
    )
    names = [subject.name for subject in comparison.subjects if subject.name in comparison.verdicts]
    topics = list(dict.fromkeys(verdict.topic for verdict in comparison.verdicts[names[0]]))
    table.add_column("server")
    for heading in ("MUST", "SHOULD", *topics):
        table.add_column(heading, justify="right")
    for name in names:
        verdicts = comparison.verdicts[name]
        groups = [[v for v in verdicts if v.level == level] for level in ("MUST", "SHOULD")]
        groups += [[v for v in verdicts if v.topic == topic] for topic in topics]
        table.add_row(name, *(tally(group).replace(" of ", "/") for group in groups))
    console.print(table)
    if len(names) <= 6:
        _print_differences(comparison, names, console)
    else:
        console.print("Each difference is explained in the page and the JSON file.", style="dim")


def _print_differences(comparison: Comparison, names: list[str], console: Console) -> None:
    for name in names:
        wrong = [v for v in comparison.verdicts[name] if v.outcome in ("deviates", "error")]
        if wrong:
            console.print(f"[bold]{escape(name)}[/bold] differs from what is required:")
        for verdict in wrong:
            console.print(
                f"  {verdict.level:6} {verdict.name} ({verdict.section}): {verdict.said};"
                f" required: {verdict.requires}",
                markup=False,
            )


def _print_troubles(comparison: Comparison, console: Console) -> None:
    for subject in comparison.subjects:
        if subject.last_lines:
            console.print(f"[bold]{escape(subject.title)}[/bold], last lines:")
            for line in subject.last_lines:
                console.print(f"  {line}", markup=False)
    for cell in comparison.cells:
        for kind, example in cell.examples.items():
            console.print(f"{cell.server}, {cell.workload}: {kind}: {example}", markup=False)
        if cell.not_offered:
            console.print(
                f"{cell.server}, {cell.workload}: not offered: {cell.not_offered}",
                markup=False,
                style="dim",
            )
