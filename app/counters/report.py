"""Counts as a table, as CSV and as JSON; the JSON is complete, and is read back."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any

from .contract import KINDS, CounterError, Counts, FileRecord, day_number, day_text

FORMAT = 1
#: The end of the year 9999, after which no time can be written.
_LAST_SECOND = 253_402_300_799
_HEADINGS = ("accesses", *KINDS, "first", "last", "path")
_TEXT_HEADINGS = ("day", "first", "last", "path")


def _time_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def _rows(counts: Counts, paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    for path in paths:
        record = counts.files[path]
        numbers = (record.accesses, *(getattr(record, kind) for kind in KINDS))
        yield (*map(str, numbers), _time_text(record.first), _time_text(record.last), path)


def _day_rows(counts: Counts, paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    by_day = sorted(
        (day, path, number) for path in paths for day, number in counts.files[path].days.items()
    )
    for day, path, number in by_day:
        yield day_text(day), str(number), path


def as_table(counts: Counts, paths: Sequence[str], *, by_day: bool, statuses: bool) -> str:
    """Return aligned columns for people, with the sum of the accesses shown."""
    headings = ("day", "accesses", "path") if by_day else _HEADINGS
    rows = [headings, *(_day_rows if by_day else _rows)(counts, paths)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width)
            if cell.isdigit() or (row is headings and name not in _TEXT_HEADINGS)
            else cell.ljust(width)
            for cell, width, name in zip(row, widths, headings, strict=True)
        ).rstrip()
        for row in rows
    ]
    total = sum(int(row[headings.index("accesses")]) for row in rows[1:])
    lines.append(f"{total} accesses to {len(paths)} files")
    if statuses and counts.all_statuses():
        answers = ", ".join(
            f"{status}: {number}" for status, number in counts.all_statuses().items()
        )
        lines.append(f"answers by status: {answers}")
    return "\n".join(lines) + "\n"


def as_csv(counts: Counts, paths: Sequence[str], *, by_day: bool) -> str:
    """Return a line for each file, or for each file and day, below the headings (RFC 4180)."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(("day", "accesses", "path") if by_day else _HEADINGS)
    writer.writerows((_day_rows if by_day else _rows)(counts, paths))
    return text.getvalue()


def as_json(counts: Counts, paths: Sequence[str]) -> str:
    """Return everything about *paths*, and the answers by status.

    `from_json` reads it back without loss.
    """
    document = {
        "format": FORMAT,
        "files": {path: _file_document(counts.files[path]) for path in paths},
        "statuses": {str(status): number for status, number in counts.all_statuses().items()},
        "other_statuses": {
            str(status): number for status, number in sorted(counts.other_statuses.items())
        },
    }
    return json.dumps(document, indent=1) + "\n"


def as_day_json(counts: Counts, paths: Sequence[str], day: int) -> str:
    """Return the accesses of one day, which is all that is kept by day.

    `from_json` refuses it: it is a part.
    """
    files = {path: {"accesses": counts.files[path].days[day]} for path in paths}
    return json.dumps({"format": FORMAT, "day": day_text(day), "files": files}, indent=1) + "\n"


def _file_document(record: FileRecord) -> dict[str, Any]:
    return {
        "accesses": record.accesses,
        **{kind: getattr(record, kind) for kind in KINDS},
        "first": record.first,
        "last": record.last,
        "days": {day_text(day): accesses for day, accesses in sorted(record.days.items())},
    }


def from_json(text: bytes | str) -> Counts:
    """Return the counts of a document that `as_json` wrote. Raises CounterError."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise CounterError(
                f"counts: a document of format {document['format']}, this program knows {FORMAT}"
            )
        counts = Counts()
        for path, kept in document["files"].items():
            if not (path.startswith("/") and path.isascii() and path.isprintable()):
                raise ValueError
            counts.files[path] = _record(kept)
        for status, answers in document["other_statuses"].items():
            if not 100 <= int(status) <= 999:
                raise ValueError
            counts.other_statuses[int(status)] = _whole(answers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CounterError("counts: this is not a document that `export` wrote") from None
    return counts


def _record(kept: dict[str, Any]) -> FileRecord:
    *kinds, first, last = (_whole(kept[name]) for name in (*KINDS, "first", "last"))
    days = {day_number(day): _whole(accesses) for day, accesses in kept["days"].items()}
    record = FileRecord.of([*kinds, first, last], days)
    if (
        max(first, last) > _LAST_SECOND
        or min(days, default=0) < 0
        or sum(days.values()) > record.accesses
    ):
        raise ValueError
    return record


def _whole(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 2**53:
        raise ValueError
    return number
