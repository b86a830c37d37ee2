"""A file as it is kept: its record, and its values of some months."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ..reading import FileRecord
from ..tally import Tally
from .entries import lanes


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Tallies as integers; see `tally.py`."""

    path: str
    first: int
    last: int
    total: int
    #: Those that were asked for; the last one is always there.
    days: dict[int, int]

    @classmethod
    def read(cls, path: str, values: Sequence[bytes | None]) -> Self | None:
        """Return the file whose record is the first of *values*, None when there is none."""
        record, *months = values
        if record is None:
            return None
        first, last, today, total, of_today = json.loads(record)
        days = {day: lanes(tally) for text in months if text for day, tally in json.loads(text)}
        if of_today:
            days[today] = lanes(of_today)
        return cls(path, first, last, lanes(total), days)

    def record(self, oldest_day: int) -> FileRecord:
        """Return what is moved of it, without days that are too old."""
        days = {day: Tally(self.days[day]) for day in sorted(self.days) if day >= oldest_day}
        return FileRecord(Tally(self.total), self.first, self.last, days)
