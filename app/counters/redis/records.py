"""The records of all files, as columns: what lists and directories are made of."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from operator import add, itemgetter, sub

from ..history import Terms
from ..tally import NAMES, Tally
from . import scripts
from .server import Server

Column = "array[int]"


class Records:
    """The records at *as_of*, read in parts: each file's is of one moment. It does not change.

    *packs* says how often days had been packed when the reading began.
    """

    def __init__(self, as_of: int, packs: int) -> None:
        self.as_of = as_of
        self.packs = packs
        #: In their order; all columns have that of the reading, and `places` says which is whose.
        self.paths: list[bytes] = []
        self.places: list[int] = []
        #: First and last access, id (-1: none), and the day of the record's second tally.
        self.firsts, self.lasts, self.ids, self.days = (array("q") for _ in range(4))
        self._totals: list[array[int]] = []
        self._todays: list[array[int]] = []

    def read(self, server: Server, go_on: Callable[[], None] = lambda: None) -> "Records":
        """Read what *server* keeps, with a call of *go_on* for each part. Raises CounterError."""
        place_of: dict[bytes, int] = {}
        read = 0
        for paths, records in server.scan_joined(scripts.RECORDS):
            go_on()
            if records:
                # What a scan comes upon twice counts as it was the second time.
                place_of.update(zip(paths, range(read, read + len(paths)), strict=True))
                self._append(records, read)
                read += len(paths)
        self.paths = sorted(place_of)
        self.places = list(map(place_of.__getitem__, self.paths))
        return self

    def take(
        self,
        paths: list[bytes],
        firsts: "array[int]",
        lasts: "array[int]",
        totals: "Mapping[int, array[int]]",
    ) -> None:
        """Take what was read before, in the order of the *paths*: *totals* by number of a tally."""
        self.paths, self.places = paths, list(range(len(paths)))
        self.firsts, self.lasts = firsts, lasts
        none = array("q", bytes(8 * len(paths)))
        self._totals = [totals.get(place, none) for place in range(max(totals, default=-1) + 1)]

    def _append(self, records: list[list[int]], read: int) -> None:
        for place, column in enumerate((self.firsts, self.lasts, self.days)):
            column.extend(map(itemgetter(place), records))
        self.ids.extend([record[5] if len(record) > 5 else -1 for record in records])
        for place, columns in ((3, self._totals), (4, self._todays)):
            tallies: Iterable[Sequence[int]] = map(itemgetter(place), records)
            found = list(zip_longest(*tallies, fillvalue=0))
            while len(columns) < len(found):
                columns.append(array("q", bytes(8 * read)))
            for column, numbers in zip_longest(columns, found):
                column.extend(numbers or bytes(len(records)))

    def totals(self, terms: Terms) -> list[int]:
        """Return what *terms* come to in all, in the order of the paths."""
        return self._come_to(terms, self._totals)

    def todays(self, terms: Terms, first: int, last: int) -> list[int]:
        """Return what *terms* come to on the records' days, as far as these are in a period."""
        found = self._come_to(terms, self._todays)
        if self.days and not (first <= min(self.days) and max(self.days) <= last):
            days = self.ordered(self.days)
            found = [
                number if first <= day <= last else 0
                for number, day in zip(found, days, strict=True)
            ]
        return found

    def ordered(self, column: Sequence[int]) -> list[int]:
        return list(map(column.__getitem__, self.places))

    def _come_to(self, terms: Terms, columns: "list[array[int]]") -> list[int]:
        found = [0] * len(self.places)
        for place, sign in terms:
            if place < len(columns):
                found = list(map(add if sign > 0 else sub, found, self.ordered(columns[place])))
        return found

    def below(self, path: str) -> tuple[int, Tally, int, int]:
        """Return how many files are below a directory, their tally, first and last access."""
        begin = path.encode("utf-8", "surrogatepass")
        first = bisect_left(self.paths, begin)
        last = bisect_left(self.paths, begin[:-1] + b"0")  # what comes after a slash
        places = self.places[first:last]
        numbers = (sum(map(column.__getitem__, places)) for column in self._totals)
        return (
            len(places),
            Tally.of(**dict(zip(NAMES, numbers, strict=False))),
            min(filter(None, map(self.firsts.__getitem__, places)), default=0),
            max(map(self.lasts.__getitem__, places), default=0),
        )
