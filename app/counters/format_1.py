"""What was kept before there were classes, completed downloads and bytes, in the form of today.

Stores and documents of that format had for each file the answers of five kinds, first and last
access, and the accesses of each day. Their accesses get the class `unknown`; nothing is known of
what was completed or sent.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .contract import CounterError
from .periods import LAST_SECOND, day_number
from .reading import Contents, FileRecord, SiteRecord, add_to
from .tally import LIMIT, Tally

FORMAT = 1
#: In the order in which they were stored.
KINDS = ("full", "partial", "not_modified", "resumed", "head")


@dataclass(slots=True)
class Counts:
    """What a whole store or document held."""

    files: dict[str, FileRecord] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)

    def contents(self, today: int) -> Contents:
        """Return the site, and the files by path. Details are kept from *today* on."""
        files = {path: self.files[path] for path in sorted(self.files)}
        site = SiteRecord(statuses=self.statuses, detailed_since=today if files else 0)
        for record in files.values():
            add_to(site.days, record.days)
        return site, iter(files.items())


def file_record(numbers: Iterable[int], days: dict[int, int]) -> FileRecord:
    """Return a file of which the answers of KINDS, the first and the last access were kept."""
    full, partial, not_modified, resumed, head, first, last = numbers
    accesses = full + partial + not_modified
    total = Tally.of(
        accesses=accesses,
        unknown=accesses,
        partial=partial,
        not_modified=not_modified,
        resumed=resumed,
        head=head,
    )
    by_day = {
        day: Tally.of(accesses=times, unknown=times) for day, times in sorted(days.items()) if times
    }
    return FileRecord(total, first, last, by_day)


def from_json(text: bytes | str) -> Counts:
    """Return the counts of a document. Raises CounterError."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError
        counts = Counts()
        for path, kept in document["files"].items():
            if not (path.startswith("/") and path.isascii() and path.isprintable()):
                raise ValueError
            counts.files[path] = _record(kept)
        for status, answers in document["other_statuses"].items():
            if not 100 <= int(status) <= 999:
                raise ValueError
            counts.statuses[int(status)] = _whole(answers)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CounterError("counts: this is not a document that `export` wrote") from None
    return counts


def _record(kept: dict[str, Any]) -> FileRecord:
    numbers = [_whole(kept[name]) for name in (*KINDS, "first", "last")]
    days = {day_number(day): _whole(accesses) for day, accesses in kept["days"].items()}
    accesses = sum(numbers[:3])
    if max(numbers[5:]) > LAST_SECOND or min(days, default=0) < 0 or sum(days.values()) > accesses:
        raise ValueError
    return file_record(numbers, days)


def _whole(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < LIMIT:
        raise ValueError
    return number
