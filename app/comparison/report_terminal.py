"""The report in the terminal: tables by rich, and a progress bar while it runs; plain lines when
piped.
"""

import sys
from collections.abc import Callable
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
    headings = ("server", "held", "KiB each", "p50 ms", "p99 ms", "PSS MiB")
    table = _table(f"[bold]{name}[/bold]: {title}", *headings)
    table.add_column("answers")
    for subject in comparison.measured:
        cell = comparison.cell(subject.name, name)
        if cell:
            each = f"{cell.connection_bytes / 1024:.1f}" if cell.connection_bytes else ""
            table.add_row(
                subject.title,
                f"{cell.held} of {cell.crowd_size}",
                each,
                *(_median(cell, figure, duration) for figure in ("p50", "p99")),
                _median(cell, "pss", mebibytes),
                _answers(cell),
            )
    return table


def _workload_table(comparison: Comparison, name: str, title: str) -> Table:
    headings = ("server", "requests/s", "±", "p50 ms", "p99 ms", "CPU µs/request", "±", "ratio")
    table = _table(f"[bold]{name}[/bold]: {title}", *headings, "PSS MiB")
    table.add_column("answers")
    for subject in comparison.measured:
        cell = comparison.cell(subject.name, name)
        if cell:
            table.add_row(
                subject.title,
                ">" * cell.generator_bound + _median(cell, "rate", count),
                spread(cell.figures.get("rate")),
                *(_median(cell, figure, duration) for figure in ("p50", "p99")),
                _median(cell, "cpu", microseconds),
                spread(cell.figures.get("cpu")),
                _median(cell, "cpu_ratio", ratio),
                _median(cell, "pss", mebibytes),
                _answers(cell),
            )
    return table


def _table(title: str, *headings: str) -> Table:
    """A table whose columns are numbers, the first apart."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    return table


def _median(cell: Cell, name: str, write: Callable[[float], str]) -> str:
    figure = cell.figures.get(name)
    return write(figure.median) if figure else ""


def _answers(cell: Cell) -> str:
    told = verdict_of(cell)
    style = {"right": "green", "not offered": "dim"}.get(told, "bold red")
    return f"[{style}]{escape(told)}[/{style}]"


def _servers_table(comparison: Comparison) -> Table:
    table = _table("[bold]servers[/bold]", "server", "first 200, ms", "±", "behaviour")
    table.add_column("version")
    table.add_column("state")
    for subject in comparison.subjects:
        start, verdicts = subject.start, comparison.verdicts.get(subject.name)
        table.add_row(
            subject.title,
            count(start.median) if start else "",
            spread(start),
            tally(verdicts) if verdicts else "",
            escape(subject.version),
            escape(f"{subject.state}: {subject.reason}" if subject.reason else subject.state),
        )
    return table


def _print_behaviour(comparison: Comparison, console: Console) -> None:
    names = [subject.name for subject in comparison.subjects if subject.name in comparison.verdicts]
    topics = list(dict.fromkeys(verdict.topic for verdict in comparison.verdicts[names[0]]))
    title = "[bold]behaviour[/bold]: passed of those that apply"
    table = _table(title, "server", "MUST", "SHOULD", *topics)
    for name in names:
        verdicts = comparison.verdicts[name]
        groups = [[v for v in verdicts if v.level == level] for level in ("MUST", "SHOULD")]
        groups += [[v for v in verdicts if v.topic == topic] for topic in topics]
        table.add_row(name, *map(tally, groups))
    console.print(table)
    if len(names) <= 6:
        _print_differences(comparison, names, console)
    else:
        console.print("Each difference is explained in the page and the JSON file.", style="dim")


def _print_differences(comparison: Comparison, names: list[str], console: Console) -> None:
    for name in names:
        wrong = [verdict for verdict in comparison.verdicts[name] if verdict.is_wrong]
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
