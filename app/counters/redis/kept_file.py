"""A file as it is kept: its record, its texts of some months, and what is in month blocks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from ..month_block import FILES, MonthBlock
from ..periods import Period, first_day_of, month_of, within
from ..reading import FileRecord
from ..tally import Tally
from .entries import lanes


class ReadBlocks(NamedTuple):
    """Month blocks by month and number, and of which months they have sums in place of days."""

    blocks: Mapping[tuple[int, int], MonthBlock]
    sums: range


@dataclass(frozen=True, slots=True)
class KeptFile:
    """Tallies as integers; see `tally.py`."""

    path: str
    first: int
    last: int
    total: int
    #: Those that were asked for; the last one is always there.
    days: dict[int, int]
    #: What whole months have beside these days; and by day, some of their numbers.
    months: dict[int, int] = field(default_factory=dict)
    days_in_part: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(
        cls, path: str, values: Sequence[bytes | None], read: ReadBlocks | None = None
    ) -> Self | None:
        """Return the file whose record is the first of *values*, None when there is none."""
        record, *texts = values
        if record is None:
            return None
        first, last, today, total, of_today, *its_id = json.loads(record)
        days = {day: lanes(tally) for text in texts if text for day, tally in json.loads(text)}
        if of_today:
            days[today] = lanes(of_today)
        file = cls(path, first, last, lanes(total), days)
        if its_id and read is not None:
            file._add(its_id[0], read)
        return file

    def _add(self, its_id: int, read: ReadBlocks) -> None:
        number, place = divmod(its_id, FILES)
        for (month, its_number), block in read.blocks.items():
            if its_number == number:
                days = self.days_in_part if month in read.sums else self.days
                for day, tally in enumerate(block.file_days(place), first_day_of(month)):
                    if tally:
                        days[day] = days.get(day, 0) + tally
                if month in read.sums:
                    self.months[month] = block.file_sum(place)

    def by_day(self, period: Period) -> dict[int, int]:
        """Return what was read of each day of a period."""
        days = dict(self.days_in_part)
        for day, tally in within(self.days, period).items():
            days[day] = days.get(day, 0) + tally
        return days

    def over(self, period: Period) -> int:
        """Return the tally of a period, whose whole months may have been read as sums."""
        return sum(within(self.days, period).values()) + sum(self.months.values())

    def by_month(self, period: Period) -> dict[int, int]:
        """Return the tallies of a period by month."""
        found = dict(self.months)
        for day, tally in within(self.days, period).items():
            found[month_of(day)] = found.get(month_of(day), 0) + tally
        return found

    def record(self, oldest_day: int) -> FileRecord:
        """Return what is moved of it, without days that are too old."""
        days = {day: Tally(self.days[day]) for day in sorted(self.days) if day >= oldest_day}
        return FileRecord(Tally(self.total), self.first, self.last, days)
