"""Answers as aligned columns for people, and as CSV (RFC 4180) for other programs.

Numbers are written with all their digits.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from .contract import CLASSES, KINDS
from .periods import time_text, unit_text
from .reading import Answer, FileNumbers, Series, Totals
from .tally import Tally

_OF_TALLY = ("accesses", *KINDS, *CLASSES, "completed", "resumed_completed", "sent_bytes")
_OF_CLIENTS = (
    "mean_clients_per_day",
    "highest_clients",
    "downloads",
    "total_requests",
    "unique_requests",
)

#: What a CSV has of a file, and of a point of a curve.
FILE_HEADINGS = ("path", *_OF_TALLY, *_OF_CLIENTS, "first", "last")
SERIES_HEADINGS = ("at", *_OF_TALLY, "clients", *_OF_CLIENTS[2:])

#: What a table shows of a file. The path is last, because it may be long.
_COLUMNS = ("accesses", *CLASSES, "completed", "sent bytes", "last", "path")
_SERIES_COLUMNS = ("at", "accesses", *CLASSES, "completed", "sent bytes")
_TEXTS = frozenset({"at", "last", "path"})


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as CSV."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def file_row(file: FileNumbers) -> list[object]:
    """Return a file's cells under FILE_HEADINGS; without counted clients theirs are empty."""
    tally, clients = file.tally, file.clients
    of_clients: list[object] = [""] * len(_OF_CLIENTS)
    if clients is not None:
        of_clients = [
            clients.mean_per_day,
            clients.highest,
            *(tally[name] for name in _OF_CLIENTS[2:]),
        ]
    return [file.path, *_cells(tally), *of_clients, time_text(file.first), time_text(file.last)]


def series_rows(series: Series) -> list[list[object]]:
    """Return a curve's cells under SERIES_HEADINGS."""
    return [
        [
            unit_text(series.unit, at),
            *_cells(tally),
            *(
                tally[name] if series.path is not None else ""
                for name in ("clients", *_OF_CLIENTS[2:])
            ),
        ]
        for at, tally in series.points
    ]


def files_table(files: Sequence[FileNumbers], ranks: Sequence[int] = ()) -> str:
    """Return aligned columns, with a number before each row when *ranks* are given."""
    headings = ("no.", *_COLUMNS) if ranks else _COLUMNS
    rows = [_shown(file) for file in files]
    if ranks:
        rows = [[str(rank), *row] for rank, row in zip(ranks, rows, strict=True)]
    return _aligned(headings, rows)


def series_table(series: Series) -> str:
    return _aligned(
        _SERIES_COLUMNS,
        [[unit_text(series.unit, at), *_short_cells(tally)] for at, tally in series.points],
    )


def totals_text(totals: Totals) -> str:
    """Return the site's numbers, one to a line."""
    tally = totals.tally
    classes = ", ".join(f"{class_} {times}" for class_, times in tally.classes.items())
    kinds = ", ".join(f"{kind} {times}" for kind, times in tally.kinds.items())
    statuses = ", ".join(f"{status}: {answers}" for status, answers in totals.statuses.items())
    lines = [
        f"accesses      {tally.accesses} to {totals.files} files; today {totals.today.accesses}",
        f"by class      {classes}",
        f"by kind       {kinds}",
        f"completed     {tally.completed}, resumed and completed {tally['resumed_completed']}",
        f"sent          {tally.sent_bytes} bytes; today {totals.today.sent_bytes}",
        f"first, last   {time_text(totals.first) or 'never'}, {time_text(totals.last) or 'never'}",
        f"answers       {statuses or 'none'}",
    ]
    return "\n".join(lines) + "\n"


def standing_text(answer: Answer) -> str:
    """Return as of when an answer is, and why it is not exact if it is not."""
    return "".join(f"{line}\n" for line in (f"as of {time_text(answer.as_of)}", *answer.reasons))


def _shown(file: FileNumbers) -> list[str]:
    return [*_short_cells(file.tally), time_text(file.last), file.path]


def _short_cells(tally: Tally) -> list[str]:
    return [
        str(value)
        for value in (tally.accesses, *tally.classes.values(), tally.completed, tally.sent_bytes)
    ]


def _cells(tally: Tally) -> list[int]:
    kinds, classes = tally.kinds, tally.classes
    return [
        tally.accesses,
        *(kinds[kind] for kind in KINDS),
        *(classes[class_] for class_ in CLASSES),
        *(tally[name] for name in _OF_TALLY[-3:]),
    ]


def _aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in (headings, *rows):
        cells = (
            cell.ljust(width) if name in _TEXTS else cell.rjust(width)
            for cell, width, name in zip(row, widths, headings, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
