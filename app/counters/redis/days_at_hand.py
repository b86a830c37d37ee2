"""The days of all files that are in no month block: as columns, for lists that are made ahead.

These are the day in each file's record, and the days in the texts of the months. On the last days
most files have something: such a day is a column of all files, and these columns one after the
other are one. On other days only a few have something: of these are kept file, day and numbers.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, zip_longest
from operator import add, sub

from ..history import Terms
from ..periods import Period
from .columns import numbers_of, packed, unpacked

#: A day on which one of so many files has something is a column.
_MOST = 4
#: When days are packed as they should be, files have three or four. Who imports many has to wait.
_DAYS_OF_A_FILE = 8
_COLUMN_DAYS, _FILES, _DAYS = "column-days", "few-files", "few-days"


class TooManyDaysError(Exception):
    """Most days are not packed yet, and would take too much memory."""


class DaysAtHand:
    """Gathers them, of the numbers at some *places* of a tally. Files are known by their places in
    the order of the paths.
    """

    def __init__(self, files: int, places: Iterable[int]) -> None:
        self._count = files
        self._files, self._days = array("q"), array("q")
        self._numbers = {place: array("q") for place in places}

    def add(
        self, files: Sequence[int], days: Sequence[int], numbers: Mapping[int, Sequence[int]]
    ) -> None:
        """Add days of files, a file and day once. Raises TooManyDaysError."""
        if len(self._files) + len(files) > _DAYS_OF_A_FILE * self._count:
            raise TooManyDaysError
        self._files.extend(files)
        self._days.extend(days)
        for place, column in self._numbers.items():
            column.extend(numbers.get(place) or bytes(len(files)))

    def add_tallies(
        self, files: Sequence[int], days: Sequence[int], tallies: Sequence[Sequence[int]]
    ) -> None:
        self.add(files, days, dict(enumerate(zip_longest(*tallies, fillvalue=0))))

    def fields(self) -> dict[str, bytes]:
        """Return what is kept of them."""
        in_order = sorted(range(len(self._days)), key=self._days.__getitem__)
        column_days: list[int] = []
        dense: list[list[int]] = []
        few: list[int] = []
        for day, group in groupby(in_order, key=self._days.__getitem__):
            rows = list(group)
            if len(rows) * _MOST >= self._count:
                column_days.append(day)
                dense.append(rows)
            else:
                few += rows
        found = {
            _COLUMN_DAYS: packed(column_days),
            _FILES: packed(map(self._files.__getitem__, few)),
            _DAYS: packed(map(self._days.__getitem__, few)),
        }
        for place, numbers in self._numbers.items():
            found[_dense(place)] = packed(self._columns(dense, numbers))
            found[_few(place)] = packed(map(numbers.__getitem__, few))
        return found

    def _columns(self, dense: list[list[int]], numbers: Sequence[int]) -> "array[int]":
        columns = array("q")
        for rows in dense:
            column = array("q", bytes(8 * self._count))
            for row in rows:
                column[self._files[row]] = numbers[row]
            columns += column
        return columns


def names(places: Iterable[int]) -> list[str]:
    """Return the fields that `sums` needs."""
    of_places = [name for place in places for name in (_dense(place), _few(place))]
    return [_COLUMN_DAYS, _FILES, _DAYS, *of_places]


def sums(
    fields: Mapping[str, bytes], wanted: Sequence[Terms], period: Period, files: int
) -> list[list[int]]:
    """Return what each of *wanted* comes to in a period, by place in the order of the paths."""
    column_days = unpacked(fields[_COLUMN_DAYS])
    whole = range(bisect_left(column_days, period.first), bisect_right(column_days, period.last))
    few_days = unpacked(fields[_DAYS])
    begin, end = bisect_left(few_days, period.first), bisect_right(few_days, period.last)
    few_files = unpacked(fields[_FILES])[begin:end]
    found: list[list[int]] = []
    for terms in wanted:
        lanes, of_few = 0, [0] * (end - begin)
        for place, sign in terms:
            if whole:
                size, columns = 8 * files, memoryview(unpacked(fields[_dense(place)])).cast("B")
                for day in whole:
                    column = columns[day * size : (day + 1) * size]
                    lanes += sign * int.from_bytes(column, "little")
            if of_few:
                join = add if sign > 0 else sub
                of_few = list(map(join, of_few, unpacked(fields[_few(place)])[begin:end]))
        numbers = numbers_of(lanes, files).tolist()
        for file, number in zip(few_files, of_few, strict=True):
            numbers[file] += number
        found.append(numbers)
    return found


def _dense(place: int) -> str:
    return f"columns {place}"


def _few(place: int) -> str:
    return f"few {place}"
