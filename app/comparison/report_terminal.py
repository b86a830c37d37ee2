"""The report in the terminal: tables, and a progress bar while it runs; plain lines when piped."""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence

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


@contextlib.contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error while it is a terminal; else a line for each step there.

    The context's value is to be called with what comes next.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what: print(what, file=sys.stderr, flush=True)
        return
    columns: list[rich.progress.ProgressColumn] = [
        rich.progress.TextColumn("{task.description:60}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
    ]
    # The generator's core draws this too: seldom is enough.
    with rich.progress.Progress(
        *columns, console=console, transient=True, refresh_per_second=2
    ) as bar:
        task, done = bar.add_task("preparing", total=steps), itertools.count()
        yield lambda what: bar.update(task, description=what, completed=next(done))


def print_report(comparison: Comparison) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
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
    headings = ("held", "KiB each", "p50 ms", "p99 ms", "PSS MiB")

    def columns(cell: Cell) -> list[str]:
        each = f"{cell.connection_bytes / 1024:.1f}" if cell.connection_bytes else ""
        latency = [_median(cell, figure, duration) for figure in ("p50", "p99")]
        held = f"{cell.held} of {cell.crowd_size}"
        return [held, each, *latency, _median(cell, "pss", mebibytes)]

    return _cells_table(comparison, name, title, headings, columns)


def _workload_table(comparison: Comparison, name: str, title: str) -> Table:
    headings = ("requests/s", "±", "p50 ms", "p99 ms", "CPU µs/request", "±", "ratio", "PSS MiB")

    def columns(cell: Cell) -> list[str]:
        return [
            ">" * cell.generator_bound + _median(cell, "rate", count),
            spread(cell.figures.get("rate")),
            *(_median(cell, figure, duration) for figure in ("p50", "p99")),
            _median(cell, "cpu", microseconds),
            spread(cell.figures.get("cpu")),
            _median(cell, "cpu_ratio", ratio),
            _median(cell, "pss", mebibytes),
        ]

    return _cells_table(comparison, name, title, headings, columns)


def _cells_table(
    comparison: Comparison,
    name: str,
    title: str,
    headings: Sequence[str],
    columns: Callable[[Cell], list[str]],
) -> Table:
    table = _table(f"[bold]{name}[/bold]: {title}", *headings)
    table.add_column("answers")
    for subject in comparison.measured:
        if cell := comparison.cell(subject.name, name):
            table.add_row(subject.title, *columns(cell), _answers(cell))
    return table


def _table(title: str, *headings: str) -> Table:
    """A table of servers, with columns of numbers."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, title_style="")
    table.add_column("server", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _median(cell: Cell, name: str, write: Callable[[float], str]) -> str:
    figure = cell.figures.get(name)
    return write(figure.median) if figure else ""


def _answers(cell: Cell) -> str:
    told = verdict_of(cell)
    style = {"right": "green", "not offered": "dim"}.get(told, "bold red")
    return f"[{style}]{escape(told)}[/{style}]"


def _servers_table(comparison: Comparison) -> Table:
    table = _table("[bold]servers[/bold]", "first 200, ms", "±", "behaviour")
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
    table = _table(title, "MUST", "SHOULD", *topics)
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
