"""A store in the rows of format 2, kept in two dicts: the layout without LMDB, to be held to the contract.

Days that are over are moved to the month blocks as LMDB's will be, in steps; a reader may come between any two.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator
from threading import Lock
from time import time

from app.counters.contract import Announce, Class, Kind
from app.counters.lmdb import row_moving
from app.counters.lmdb.row_counter import RowCounter
from app.counters.lmdb.row_reader import RowReader
from app.counters.lmdb.rows import BATCH, FIRST_BATCH, NUMBER, SPILLED, SPILLED_KEY, number_at
from app.counters.periods import Period, Unit
from app.counters.ranking import Query
from app.counters.reading import (
    DirectoryAnswer,
    FileAnswer,
    FileRecord,
    Order,
    Ranking,
    Series,
    SiteRecord,
    Totals,
)
from app.counters.salts import MemorySalts


class Rows(dict[bytes, bytes]):
    """data.mdb, within a transaction."""

    def put(self, key: bytes, value: bytes) -> bool:
        self[key] = value
        return True

    def delete(self, key: bytes) -> bool:
        return self.pop(key, None) is not None

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self)
        return ((found, self[found]) for found in keys[bisect_left(keys, key) :])


class Blocks(dict[tuple[int, int], bytes]):
    """history/data.mdb: the month blocks, by month and number."""

    def block(self, month: int, number: int) -> bytes | None:
        return self.get((month, number))

    def months(self) -> list[int]:
        return sorted({month for month, _ in self})

    def of_month(self, month: int) -> list[tuple[int, bytes]]:
        return [(number, packed) for (its, number), packed in self.items() if its == month]


class RowsStore:
    def __init__(self, *, keep_days: int | None = None, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._keep_days = keep_days
        self._lock = Lock()
        self._counter = RowCounter(MemorySalts())
        self.rows = Rows()
        self.blocks = Blocks()
        self.folded = 0
        #: How many counts there are between two movings of days to the blocks; 0: never.
        self.fold_after = 7
        self._counts = 0

    # Counting

    def count(
        self,
        path: str,
        kind: Kind,
        announce: Announce | None = None,
        class_: Class = "unknown",
        sent: int = 0,
        complete: bool = False,
        client: bytes | None = None,
        enough: int = 0,
        at: int = 0,
    ) -> int | None:
        at = at or int(self._clock())
        with self._lock:
            number = self._counter.count(
                self.rows, path.encode(), kind, class_, sent, complete, client, enough, at
            )
            if announce is not None and number is not None:
                announce(number)
            self._counts += 1
            if self.fold_after and self._counts % self.fold_after == 0:
                for _ in self.fold():
                    pass
            return number

    def sent(
        self,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None = None,
        enough: int = 0,
    ) -> None:
        with self._lock:
            self._counter.sent(self.rows, path.encode(), kind, sent, complete, at, client, enough)

    def answered(self, status: int) -> None:
        with self._lock:
            self._counter.answered(self.rows, status)

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        with self._lock:
            self._counter.uncounted(self.rows, accesses, transfers, at)

    def fold(self) -> Generator[str, None, None]:
        """Move the days that are over to the blocks; stop after each step."""
        batch = number_at(self.rows.get(BATCH), FIRST_BATCH)
        self.rows[BATCH] = NUMBER.pack(batch + 1)
        yield "the batch is closed"
        blocks = Blocks(self.blocks)
        row_moving.fold(
            [(key, value) for key, value in self.rows.starting(SPILLED) if key[:1] == SPILLED],
            self.folded, batch, lambda month, number: blocks.get((month, number)),
            lambda month, number, packed: blocks.__setitem__((month, number), packed),
        )  # fmt: skip
        self.blocks, self.folded = blocks, batch
        yield "it is in the blocks"
        for key in [key for key in self.rows if key[:1] == SPILLED]:
            if SPILLED_KEY.unpack(key[1:])[2] <= batch:
                del self.rows[key]
                yield "a row is deleted"

    # Reading

    def _reader(self) -> RowReader:
        with self._lock:
            assert self.folded < number_at(self.rows.get(BATCH), FIRST_BATCH)
            rows = Rows(self.rows)
            return RowReader(rows, self.blocks, self.folded, int(self._clock()), self._keep_days)

    def totals(self) -> Totals:
        return self._reader().totals()

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        return self._reader().series(unit, period, path)

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        return self._reader().ranked(Query.of(order, period, match, after, limit, classes))

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        return self._reader().file(path, period)

    def directory(self, path: str) -> DirectoryAnswer:
        return self._reader().directory(path)

    # Moving

    def contents(self) -> tuple[SiteRecord, Iterator[tuple[str, FileRecord]]]:
        return self._reader().contents()

    def add(
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        with self._lock:
            rows = Rows(self.rows)
            row_moving.add(rows, records, site)
            self.rows = rows

    def reset(self, paths: Iterable[str] | None = None) -> None:
        with self._lock:
            if paths is None:
                self.rows, self.blocks, self.folded = Rows(), Blocks(), 0
            else:
                row_moving.reset(self.rows, paths)

    def close(self) -> None:
        """Nothing is held."""
