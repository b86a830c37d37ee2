"""Everything that a store keeps, as lines of JSON that another store takes: `export` and `import`.

The first line says what follows and holds the site's part, then comes a line for each file, and the
last says how many these were, so that a document that was cut off is not taken for a whole one. A
line is read or written at a time. A tally is written as the numbers of `tally.NAMES` that are not
0.

Documents of format 1, which were one JSON object, are still read.
"""

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from . import format_1
from .contract import CounterError
from .periods import LAST_SECOND, day_number, unit_text
from .reading import Contents, FileRecord, SiteRecord
from .tally import LIMIT, NAMES, Tally

FORMAT: Final = 2

_NOT_OURS = "counts: this is not a document that `export` wrote"


def written(site: SiteRecord, records: Iterable[tuple[str, FileRecord]]) -> Iterator[str]:
    """Yield the lines of a document, each with its line end."""
    yield _line(
        {
            "format": FORMAT,
            "statuses": {str(status): site.statuses[status] for status in sorted(site.statuses)},
            "detailed_since": site.detailed_since,
            "days": {unit_text("day", day): _numbers(tally) for day, tally in site.days.items()},
            "hours": {
                unit_text("hour", hour): _numbers(tally) for hour, tally in site.hours.items()
            },
        }
    )
    files = 0
    for path, record in records:
        files += 1
        days = {unit_text("day", day): _numbers(tally) for day, tally in record.days.items()}
        first, last = record.first, record.last
        yield _line(
            {
                "path": path,
                "first": first,
                "last": last,
                "total": _numbers(record.total),
                "days": days,
            }
        )
    yield _line({"files": files})


def read(source: IO[bytes], today: int) -> Contents:
    """Return what a document holds. Raises CounterError, also while the files are read.

    *today* is the day from which on class, completed and bytes are kept, if the document is of
    format 1.
    """
    line = source.readline()
    try:
        head = json.loads(line)
        if head["format"] == FORMAT:
            return _site(head), _files(source)
        is_known = head["format"] == format_1.FORMAT
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_known = True  # the first line of an object that was written on many
    if not is_known:
        raise CounterError(
            f"counts: a document of format {head['format']}, this program knows {FORMAT}"
        )
    return format_1.from_json(line + source.read()).contents(today)


def _files(source: IO[bytes]) -> Iterator[tuple[str, FileRecord]]:
    seen: set[str] = set()
    for line in source:
        try:
            document = json.loads(line)
            if "path" not in document:
                if document != {"files": len(seen)} or source.read(1):
                    raise ValueError
                return
            path = document["path"]
            if not (path.startswith("/") and path.isascii() and path.isprintable()) or path in seen:
                raise ValueError
            record = _record(document)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise CounterError(_NOT_OURS) from None
        yield path, record
        seen.add(path)
    raise CounterError("counts: the document ends too early; nothing of it should be used")


def _record(document: dict[str, Any]) -> FileRecord:
    first, last = (_whole(document[name]) for name in ("first", "last"))
    record = FileRecord(_tally(document["total"]), first, last, _days(document["days"]))
    together = sum(record.days.values(), Tally())
    if max(first, last) > LAST_SECOND or any(together[name] > record.total[name] for name in NAMES):
        raise ValueError
    return record


def _site(head: dict[str, Any]) -> SiteRecord:
    try:
        hours = {}
        for text, numbers in head["hours"].items():
            day, hour = day_number(text[:10]), int(text[11:13])
            if unit_text("hour", day * 24 + hour) != text:
                raise ValueError
            hours[day * 24 + hour] = _tally(numbers)
        statuses = {int(status): _whole(answers) for status, answers in head["statuses"].items()}
        if any(not 100 <= status <= 999 for status in statuses):
            raise ValueError
        return SiteRecord(hours, _days(head["days"]), statuses, _whole(head["detailed_since"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CounterError(_NOT_OURS) from None


def _days(document: dict[str, Any]) -> dict[int, Tally]:
    days = {day_number(text): _tally(numbers) for text, numbers in document.items()}
    if min(days, default=0) < 0:
        raise ValueError
    return days


def _tally(numbers: dict[str, Any]) -> Tally:
    tally = Tally.of(**{name: _whole(number) for name, number in numbers.items()})
    kinds, classes = tally.kinds, tally.classes
    # What follows from the others must not be less than nothing.
    if (
        kinds["full"] < 0
        or classes["people"] < 0
        or tally.completed > kinds["full"] + kinds["partial"]
    ):
        raise ValueError
    return tally


def _numbers(tally: Tally) -> dict[str, int]:
    return {name: tally[name] for name in NAMES if tally[name]}


def _whole(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < LIMIT:
        raise ValueError
    return number


def _line(document: object) -> str:
    return json.dumps(document, separators=(",", ":")) + "\n"
