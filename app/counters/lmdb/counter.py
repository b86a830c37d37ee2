"""Counts of every worker process of a host, in an LMDB directory.

One transaction a count. Once it is committed the death of any process leaves the access counted,
before that it is not. `rows.py` says what is kept and how, `row_counter.py` what an answer changes,
`row_reader.py` how it is read, and `environment.py` how LMDB is opened, grown and recovered.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from secrets import token_bytes
from time import monotonic, sleep, time
from typing import TypeVar

from ..contract import ACCESSES, Announce, Class, Count, CounterError, Kind
from ..outage import Outage
from ..periods import SECONDS_PER_DAY, Period, Unit
from ..ranking import Query
from ..reading import (
    Contents,
    DirectoryAnswer,
    FileAnswer,
    FileRecord,
    Missed,
    Order,
    Ranking,
    Series,
    SiteRecord,
    Totals,
)
from ..salts import FileSalts
from ..tally import Tally
from . import migration, recovery, row_moving, store_copy
from .adapters import TransactionBlocks, TransactionRows
from .environment import Environment, Transaction
from .file_check import rows_of_file
from .loading import Loading, reserve
from .opening import FIRST_SIZE, FORMAT_KEY
from .past_days import PastDays
from .private_directory import is_private, remove_unused
from .row_counter import RowCounter
from .row_reader import RowReader
from .rows import (
    BATCH,
    CLIENTS,
    FIRST_BATCH,
    NUMBER,
    STORE_ID,
    accesses_of_row,
    key_of,
    number_at,
)
from .snapshots import INTERVAL_SECONDS, Snapshots
from .store_files import DATA, SNAPSHOT

#: How many rows of clients of past days are deleted at a time.
_DELETED_AT_ONCE = 512
#: How long to wait for a snapshot that another process takes.
_SNAPSHOT_SECONDS = 10.0

T = TypeVar("T")


class LmdbCounter:
    """Counts in *directory*, shared with every process that counts there.

    *keep_days*: how long days are kept (None: for ever). Raises CounterError if it cannot be used.
    """

    #: A transaction is a tenth of a request. With few clients, their next requests do not come
    #: while their answers wait for each other, and this process sleeps between.
    pays_together_from = 24

    def __init__(
        self, directory: str, *, create: bool = True, guest: bool = False,
        keep_days: int | None = None, clock: Callable[[], float] = time,
        first_size: int = FIRST_SIZE, snapshot_interval: float = INTERVAL_SECONDS,
    ) -> None:  # fmt: skip
        if not directory:
            raise CounterError("counts: lmdb: needs a directory, as in lmdb:/var/lib/tally")
        if not create and not any(
            os.path.exists(os.path.join(directory, name)) for name in (DATA, SNAPSHOT)
        ):
            raise CounterError(f"counts: {directory}: no counts are kept there")
        self._clock = clock
        self._keep_days = keep_days
        self._outage = Outage()
        self._environment = Environment.shared(
            directory, first_size=first_size, guest=guest, prepare=self._prepare
        )
        self._salts = FileSalts(self._environment.directory)
        self._counter = RowCounter(self._salts, self._environment.breaks)
        self._private = is_private(directory)
        self._counts_here = create  # who only reads what a killed server left must find it again
        self._snapshots = Snapshots(self._environment, interval=snapshot_interval, after=self._tidy)
        self._past = PastDays(
            self._environment, lambda: self._snapshots.take(due_after=0.0), keep_days
        )
        self._closed = False
        try:
            self._environment.open()
            self._raise_to_snapshot()
        except BaseException:
            self._past.close()
            self._environment.release()
            raise
        if create and not self._private:
            self._snapshots.watch()

    # ------------------------------------------------------------------ counting

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
        outage = self._outage
        if outage.retry_at and outage.is_waiting():
            self._uncounted([(path, kind, announce, class_, sent, complete, client, enough)])
            return None
        if kind not in ACCESSES:
            announce = None
        answer = (kind, class_, sent, complete), client, enough, at or int(self._clock())
        try:
            number = self._environment.transact_in_order(
                announce, self._counter.count, path, answer
            )
        except CounterError as error:
            outage.failed(error)
            self._uncounted([(path, kind, announce, class_, sent, complete, client, enough)])
            return None
        if outage.retry_at or not self._snapshots.begun:
            self._counted()
        return number

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
        outage = self._outage
        if outage.retry_at and outage.is_waiting():
            return self._uncounted(counts)
        at = int(self._clock())
        try:
            numbers: list[int | None] = self._environment.transact_in_order(
                partial(_announce, counts), self._counter.count_together, counts, at
            )
        except CounterError as error:
            outage.failed(error)
            return self._uncounted(counts)
        if outage.retry_at or not self._snapshots.begun:
            self._counted()
        return numbers

    def _counted(self) -> None:
        """Do what is due after a transaction that counted."""
        if self._outage.retry_at:
            self._end_outage()
        if not self._snapshots.begun and not self._private:
            self._snapshots.begin()

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
        if self._outage.retry_at and self._outage.is_waiting():
            self._outage.uncounted(0, transfers=1)
            return
        try:
            self._environment.transact(
                self._counter.sent, path, kind, sent, complete, at, client, enough
            )
        except CounterError as error:
            self._outage.failed(error)
            self._outage.uncounted(0, transfers=1)

    def answered(self, status: int, answers: int = 1) -> None:
        if self._outage.retry_at and self._outage.is_waiting():
            return
        try:
            self._environment.transact(self._counter.answered, status, answers)
        except CounterError as error:
            self._outage.failed(error)

    def _uncounted(self, counts: Sequence[Count]) -> list[int | None]:
        numbers: list[int | None] = [None] * len(counts)
        self._outage.uncounted(sum(count[1] in ACCESSES for count in counts))
        _announce(counts, numbers)
        return numbers

    def _end_outage(self) -> None:
        accesses, transfers = self._outage.ended()
        if accesses or transfers:
            try:
                self.uncounted(accesses, transfers, int(self._clock()))
            except CounterError as error:
                self._outage.failed(error)
                self._outage.uncounted_still(accesses, transfers)

    def pending(self) -> int:
        return 0

    def is_counting(self) -> bool:
        if self._outage.retry_at and not self._outage.is_waiting():
            # A proxy that hears of the failure sends no more requests, so the store is tried here.
            try:
                self.uncounted(0, 0, int(self._clock()))
            except CounterError as error:
                self._outage.failed(error)
            else:
                self._end_outage()
        return not self._outage.retry_at

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        self._environment.transact(self._counter.uncounted, accesses, transfers, at)

    def add_missed(self, names: Mapping[str, int]) -> None:
        self._environment.transact(self._counter.add_missed, names)

    # ------------------------------------------------------------------ reading

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        def read(transaction: Transaction) -> dict[str, int]:
            rows = ((path, transaction.get(_key(path))) for path in paths)
            return {path: accesses_of_row(row) for path, row in rows}

        if self._outage.is_waiting():
            return {}
        try:
            return self._environment.read(read)
        except CounterError as error:
            self._outage.failed(error)
            return {}

    def totals(self) -> Totals:
        return self._read(RowReader.totals)

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        return self._read(lambda reader: reader.series(unit, period, path))

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        query = Query.of(order, period, match, after, limit, classes)
        return self._read(lambda reader: reader.ranked(query))

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        return self._read(lambda reader: reader.file(path, period))

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        return self._read(lambda reader: reader.tallies(paths))

    def directory(self, path: str) -> DirectoryAnswer:
        return self._read(lambda reader: reader.directory(path))

    def missed(self) -> Missed:
        return self._read(RowReader.missed)

    def contents(self) -> Contents:
        """Return everything as of one moment; writers go on meanwhile."""
        try:
            return store_copy.contents(
                self._environment, self._past, lambda: int(self._clock()), self._keep_days
            )
        except OSError as error:
            raise self._problem(error) from None

    def _read(self, work: Callable[[RowReader], T]) -> T:
        """Return what *work* returned for one moment's state of both environments."""
        self._past.open()
        while True:
            done = self._environment.read(lambda transaction: self._read_in(transaction, work))
            if done:
                return done[0]

    def _read_in(self, transaction: Transaction, work: Callable[[RowReader], T]) -> tuple[T] | None:
        """Return None when days were moved to the history between the two transactions."""
        rows, batch = TransactionRows(transaction), number_at(transaction.get(BATCH), FIRST_BATCH)

        def read(blocks: TransactionBlocks) -> tuple[T] | None:
            if blocks.folded >= batch:
                return None
            now = int(self._clock())
            return (work(RowReader(rows, blocks, blocks.folded, now, self._keep_days)),)

        return self._past.read(transaction.get(STORE_ID) or b"", read)

    # ------------------------------------------------------------------ moving

    def add(
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        def add(transaction: Transaction) -> None:
            rows = TransactionRows(transaction)
            loading.give_back(rows)
            row_moving.add(rows, loading.files(), loading.days, site, days_of)

        self._past.open()
        store_id = self._environment.read(lambda transaction: transaction.get(STORE_ID)) or b""
        days_of = partial(self._past.days_of, store_id)
        try:
            with (
                self._past.hold(),
                Loading(
                    self._environment.directory,
                    self._reserved,
                    partial(self._past.write, store_id),
                    self._is_counted,
                ) as loading,
            ):
                loading.take(records)
                self._environment.transact(add)
        except OSError as error:
            raise self._problem(error) from None
        self._snapshots.begin()
        if not self._private:
            self._past.fold_if_due(self._today())

    def _is_counted(self, path: str) -> bool:
        return self._environment.read(lambda rows: rows.get(_key(path))) is not None

    def _reserved(self) -> range:
        """Reserve ids for good: they must not be given away again after a power failure."""
        ids = self._environment.transact(lambda rows: reserve(TransactionRows(rows)))
        deadline = monotonic() + _SNAPSHOT_SECONDS
        while not self._private and not self._snapshots.take(due_after=0.0):
            if monotonic() >= deadline:
                raise CounterError(
                    f"counts: {self._environment.directory}: no snapshot can be taken"
                )
            sleep(0.05)
        return ids

    def _problem(self, error: OSError) -> CounterError:
        return CounterError(f"counts: {self._environment.directory}: {error.strerror}")

    def reset(self, paths: Iterable[str] | None = None) -> None:
        chosen = None if paths is None else list(paths)

        def reset(transaction: Transaction) -> None:
            if chosen is None:
                _forget_everything(transaction)
            else:
                row_moving.reset(TransactionRows(transaction), chosen)

        self._environment.transact(reset)
        self._snapshots.begin()

    def close(self) -> None:
        """Take the last snapshot and leave the directory; the last one out of a private directory
        removes it.
        """
        if self._closed:
            return
        self._closed = True
        if not self._private:
            self._snapshots.end()
        self._past.close()
        self._environment.release()
        self._outage.close()
        if self._private and self._counts_here:
            remove_unused(self._environment.directory)

    # ------------------------------------------------------------------ now and then

    def _tidy(self) -> None:
        """Move days that are over to the history, and forget their clients."""
        today = self._today()
        self._past.fold_if_due(today)
        try:
            self._salts.forget_old(today)
            while self._environment.read(lambda rows: bool(_old_clients(rows, today))):
                self._environment.transact(_forget_clients, today)
        except (CounterError, OSError):
            return  # it is tried again

    def _today(self) -> int:
        return int(self._clock()) // SECONDS_PER_DAY

    def _prepare(self, transaction: Transaction, kept: int) -> None:
        """Bring a store into today's format, when the first process opens it."""
        if kept == 1:
            migration.migrate(transaction, self._past, self._environment.directory, self._today())
        elif transaction.get(STORE_ID) is None:
            transaction.put(STORE_ID, token_bytes(16))

    def _raise_to_snapshot(self) -> None:
        """After a power failure, take what the snapshot has more than the live file."""
        snapshot = os.path.join(self._environment.directory, SNAPSHOT)
        if not self._environment.may_be_stale or not os.path.exists(snapshot):
            return
        rows = dict(rows_of_file(snapshot))
        if rows.get(FORMAT_KEY, b"").startswith(b"2 "):
            self._environment.transact(recovery.raise_to, rows)


def _announce(counts: Sequence[Count], numbers: Sequence[int | None]) -> None:
    for count, number in zip(counts, numbers, strict=True):
        kind, announce = count[1], count[2]
        if announce is not None and kind in ACCESSES:
            announce(number)


def _key(path: str) -> bytes:
    return key_of(path.encode("utf-8", "surrogatepass"))


def _forget_everything(transaction: Transaction) -> None:
    """Delete all rows. With another id, the store has no history."""
    with transaction.cursor() as cursor:
        found = cursor.set_range(b"\1")  # what lies before is the environment's own
        while found:
            found = cursor.delete()
    transaction.put(STORE_ID, token_bytes(16))


def _old_clients(transaction: Transaction, today: int) -> list[bytes]:
    """Return the keys of some clients of days before *today*."""
    end = CLIENTS + NUMBER.pack(today)
    old: list[bytes] = []
    for key, _ in TransactionRows(transaction).starting(CLIENTS):
        if key >= end or len(old) == _DELETED_AT_ONCE:
            break
        old.append(key)
    return old


def _forget_clients(transaction: Transaction, today: int) -> None:
    for key in _old_clients(transaction, today):
        transaction.delete(key)
