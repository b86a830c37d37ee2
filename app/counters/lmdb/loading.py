"""Files that are taken into a store with their days, many at once: an import, a migration.

Days that are over go into month blocks at once, under ids that no file has. The files' rows follow
in one transaction, and only with them does what is in the blocks belong to anybody:

 1. data.mdb: ids are reserved, some thousand at a time; whoever counts a new file gets a later one
 2. a snapshot is taken, so that these ids are not given away after a power failure
 3. history: the blocks, in durable transactions
 4. data.mdb: the rows, in one transaction

Whoever is killed before the last step has used up ids, and nothing was added. The files wait in a
temporary file meanwhile, so that only a few thousand of them are in memory.
"""

import marshal
from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import Self

from ..month_block import FILES, MonthBlock
from ..month_sums import BLOCKS
from ..periods import first_day_of, month_of
from ..reading import FileRecord
from ..tally import Tally
from .row_moving import Placed
from .row_writing import Rows
from .rows import SITE, SiteRow

#: Of files that share the rows of their sums.
IDS = BLOCKS * FILES


class Loading:
    """Takes files, and gives them back as often as the transaction that adds them runs.

    *reserve* returns ids that no other file will have, *write* adds packed blocks to the history,
    and *is_counted* says whether there is a row of a path: such a file's days come with it.
    """

    def __init__(
        self,
        directory: str,
        reserve: Callable[[], range],
        write: Callable[[dict[tuple[int, int], bytes]], None],
        is_counted: Callable[[str], bool],
    ) -> None:
        self._reserve = reserve
        self._write = write
        self._is_counted = is_counted
        self._spool = TemporaryFile(dir=directory)  # noqa: SIM115 - closed by __exit__
        #: Reserved, and the first of them that is not in use.
        self._ids = range(0)
        self._next = 0
        self._blocks: dict[tuple[int, int], MonthBlock] = {}
        self._packed: dict[tuple[int, int], bytes] = {}
        #: What the files have, by day.
        self.days: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    def take(self, records: Iterable[tuple[str, FileRecord]]) -> None:
        """Take files in. Raises what *records* raises, CounterError and OSError."""
        for path, record in records:
            days = {day: tally.lanes for day, tally in record.days.items()}
            for day, lanes in days.items():
                self.days[day] = self.days.get(day, 0) + lanes
            file_id = None
            if len(days) > 1 and not self._is_counted(path):
                latest = max(days)
                file_id = self._place(days, latest)
                days = {latest: days[latest]}
            marshal.dump(
                (path, record.total.lanes, record.first, record.last, days, file_id), self._spool
            )
        self._pack()
        self._flush()

    def _place(self, days: dict[int, int], latest: int) -> int:
        """Add the days before the *latest* to the blocks; return the file's id."""
        if self._next == self._ids.stop:
            self._flush()
            self._ids = self._reserve()
            self._next = self._ids.start
        number, file = divmod(self._next, FILES)
        for day, lanes in days.items():
            if day != latest:
                month = month_of(day)
                block = self._blocks.setdefault((month, number), MonthBlock())
                block.add(day - first_day_of(month), file, lanes)
        self._next += 1
        if file == FILES - 1:
            self._pack()
        return self._next - 1

    def _pack(self) -> None:
        self._packed |= {place: block.pack() for place, block in self._blocks.items()}
        self._blocks.clear()

    def _flush(self) -> None:
        if self._packed:
            self._write(self._packed)
            self._packed.clear()

    def files(self) -> Iterator[tuple[str, Placed]]:
        """Yield the files that were taken in."""
        end = self._spool.seek(0, 2)
        self._spool.seek(0)
        while self._spool.tell() < end:
            path, total, first, last, days, file_id = marshal.load(self._spool)  # noqa: S302 - our own
            tallies = {day: Tally(lanes) for day, lanes in days.items()}
            yield path, Placed(FileRecord(Tally(total), first, last, tallies), file_id)

    def give_back(self, rows: Rows) -> None:
        """Give back reserved ids that are not in use, if nobody got a later one meanwhile."""
        site = SiteRow.of(rows.get(SITE))
        if self._ids and site.next_id == self._ids.stop:
            rows.put(SITE, site._replace(next_id=self._next).pack())


def reserve(rows: Rows) -> range:
    """Return ids up to the end of a group of blocks, none of which shares a block with others."""
    site = SiteRow.of(rows.get(SITE))
    start = -(-site.next_id // FILES) * FILES
    ids = range(start, (start // IDS + 1) * IDS)
    rows.put(SITE, site._replace(next_id=ids.stop).pack())
    return ids
