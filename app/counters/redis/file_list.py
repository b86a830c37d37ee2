"""A list of files in an order, for which every file must be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import add
from typing import Self

from ..history import Span, Terms, ranked_terms, spans, sums
from ..month_block import FILES, UNITS
from ..path_search import matching
from ..periods import Period, month_of
from ..ranking import Query, values_of
from ..tally import PLACE
from . import scripts
from .records import Records
from .server import Server

#: So many blocks are read at once; a millisecond or two of the server's time.
_BLOCKS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FileList:
    """What `ranking.page` needs: all paths in order, and what they are ranked by."""

    as_of: int
    #: How often days had been packed when the reading began.
    packs: int
    paths: list[bytes]
    values: list[int]

    @classmethod
    def of(cls, query: Query, records: Records, numbers: list[list[int]]) -> Self:
        """Return the list that *query* asks for, whatever it matches."""
        values = values_of(
            query,
            numbers,
            lambda: records.ordered(records.firsts),
            lambda: records.ordered(records.lasts),
        )
        return cls(records.as_of, records.packs, records.paths, values)

    def matching(self, query: Query) -> list[int]:
        """Return the values, -1 for files that *query* does not match."""
        return matching(query, self.paths, self.values)


def read_list(server: Server, records: Records, query: Query) -> FileList:
    """Read the list that *query* asks for, whatever it matches. Raises CounterError."""
    terms = ranked_terms(query.order, query.classes)
    if query.period is None:
        numbers = [records.totals(its) for its in terms]
    else:
        numbers = _over(server, records, terms, query.period)
    return FileList.of(query, records, numbers)


def _over(server: Server, records: Records, terms: list[Terms], period: Period) -> list[list[int]]:
    """Return for each of *terms* what it comes to over a period, in the order of the paths.

    The texts of the months come after the records. So nothing is missed; what went from a record to
    its month in between is there twice, and known by its day. Blocks come last: whoever reads
    begins again when something was packed meanwhile.
    """
    first, last = period
    numbers = [records.todays(its, first, last) for its in terms]
    _add_texts(server, records, terms, period, numbers)
    ids = records.ordered(records.ids)
    files = max(ids, default=-1) + 1
    blocks = RemoteBlocks(server, period, terms, files)
    for nth, found in enumerate(sums(blocks, terms, first, last, files)):
        by_id = [*found, 0]  # the last one is what those without an id have
        numbers[nth] = list(map(add, numbers[nth], map(by_id.__getitem__, ids)))
    return numbers


def _add_texts(
    server: Server,
    records: Records,
    terms: list[Terms],
    period: Period,
    numbers: list[list[int]],
) -> None:
    place_of = dict(zip(records.paths, range(len(records.paths)), strict=True))
    days = records.ordered(records.days)
    months = server.ask(server.reading, "HKEYS", scripts.MONTHS)
    for month in map(int, months):
        if not month_of(period.first) <= month <= month_of(period.last):
            continue
        seen: set[int] = set()
        for paths, values in server.scan_joined(f"{scripts.MONTH}{month}"):
            for path, value in zip(paths, values, strict=True):
                place = place_of.get(path, -1)
                if place < 0 or place in seen:
                    continue
                seen.add(place)
                for day, tally in value:
                    if period.first <= day <= period.last and day != days[place]:
                        for nth, its in enumerate(terms):
                            numbers[nth][place] += sum(
                                sign * tally[at] for at, sign in its if at < len(tally)
                            )


class RemoteBlocks:
    """The month blocks on *server*, as far as *terms* and *period* need them (`history.Blocks`)."""

    def __init__(self, server: Server, period: Period, terms: list[Terms], files: int) -> None:
        self._server = server
        self._count = -(-files // FILES)
        self._needs_days = {
            span.month: not span.is_whole for span in spans(period.first, period.last)
        }
        places = {place for its in terms for place, _ in its}
        if PLACE["sent_bytes"] in places:
            places |= {PLACE["completed"], UNITS}
        self._places = [str(place) for place in sorted(places)]
        self._months = set(self.months()) if files else set()
        self._kept: dict[int, list[tuple[int, bytes]]] = {}

    def months(self) -> list[int]:
        return [
            int(month) for month in self._server.ask(self._server.reading, "HKEYS", scripts.MONTHS)
        ]

    def sums_of(self, _span: Span) -> None:
        """Return nothing: what a script cuts out of the blocks has them."""

    def block(self, month: int, number: int) -> bytes | None:
        return dict(self.of_month(month)).get(number)

    def of_month(self, month: int) -> list[tuple[int, bytes]]:
        if month not in self._kept:
            self._kept[month] = list(self._read(month)) if month in self._months else []
        return self._kept[month]

    def _read(self, month: int) -> Iterator[tuple[int, bytes]]:
        for begin in range(0, self._count, _BLOCKS_AT_ONCE):
            numbers = [str(begin), str(min(begin + _BLOCKS_AT_ONCE, self._count) - 1)]
            of_days = str(int(self._needs_days[month]))
            yield from self._server.read_blocks([str(month), *numbers, of_days, *self._places])
