"""The second environment of a store, `history/`: days that are over, moved there now and then.

`rows.py` has the four steps and why a kill between any two loses and doubles nothing. One process
of those that share the store moves days at a time; `fold.lock` says who, and its date when.
"""

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic, sleep, time
from typing import NamedTuple, Self, TypeVar

from ..contract import CounterError
from ..history import days_of
from ..month_block import MonthBlock
from ..month_sums import BLOCKS, packed_sums
from ..outage import tell
from ..periods import first_day_of, month_of
from . import rests, row_moving
from .adapters import TransactionBlocks, TransactionRows
from .environment import Environment, Transaction
from .rows import (
    BATCH,
    BLOCK_KEY,
    FIRST_BATCH,
    FIRST_MONTH,
    FOLDED,
    LAST_MONTH,
    NUMBER,
    SPILLED,
    SPILLED_KEY,
    STORE_ID,
    SUMMED,
    SUMS,
    number_at,
)
from .store_files import DATA

#: Seconds between two moves of days, at least: on a new day a site's files are counted one after
#: the other.
INTERVAL_SECONDS = 600.0
_RETRY_SECONDS = 30.0
_DIRECTORY, _LOCK = "history", "fold.lock"
#: How long an export or import waits for another, or for days that are moved.
_HOLD_SECONDS = 60.0
_READ_AT_ONCE, _DELETED_AT_ONCE = 4096, 512

T = TypeVar("T")


class _Changes(NamedTuple):
    """Packed rows of history: by month and number, and by month and group."""

    blocks: dict[tuple[int, int], bytes]
    sums: dict[tuple[int, int], bytes]


class PastDays:
    """The days that are over of the store in *data*. Safe from any thread.

    *snapshot* takes a snapshot of *data* now, and returns whether there is one that has everything
    up to now. With *keep_days*, months that ended that many days ago are dropped.
    """

    def __init__(
        self, data: Environment, snapshot: Callable[[], bool], keep_days: int | None
    ) -> None:
        self._data = data
        self._snapshot = snapshot
        self._keep_days = keep_days
        self._directory = os.path.join(data.directory, _DIRECTORY)
        self._history = Environment.shared(self._directory, durable=True)
        self._is_used = False
        self._is_closed = False
        self._complained = False

    def read(self, store_id: bytes, work: Callable[[TransactionBlocks], T]) -> T:
        """Return what *work* returned for the blocks of one moment. Raises CounterError."""
        environment = self._existing()
        if environment is None:
            return work(TransactionBlocks(None, store_id))
        return environment.read(lambda transaction: work(TransactionBlocks(transaction, store_id)))

    def open(self) -> None:
        """Open it if it exists, which must not be done within a transaction on the first."""
        environment = self._existing()
        if environment is not None:
            environment.open()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._history.release()

    def hold(self) -> "Hold":
        """Keep others from changing the blocks, as long as the result is there. Waits for one that
        does. Raises CounterError and OSError.
        """
        return Hold(os.path.join(self._data.directory, _LOCK))

    def write(self, store_id: bytes, blocks: dict[tuple[int, int], bytes]) -> None:
        """Add blocks of ids that no other block has. To be called while the blocks are held.

        Raises CounterError.
        """
        history = self._created()
        folded = history.read(lambda transaction: TransactionBlocks(transaction, store_id).folded)
        changes = _Changes(blocks, _sums_with(history, store_id, blocks))
        history.transact(_write, store_id, folded, 0, changes)

    def days_of(self, store_id: bytes, file_id: int) -> dict[int, int]:
        """Return what the blocks have of a file, by day. Raises CounterError."""

        def read(blocks: TransactionBlocks) -> dict[int, int]:
            months = blocks.months()
            if not months:
                return {}
            first, last = first_day_of(months[0]), first_day_of(months[-1] + 1) - 1
            return days_of(blocks, [file_id], first, last)[file_id]

        return self.read(store_id, read)

    def fold_if_due(self, today: int) -> None:
        """Move the days before *today* that were not moved yet. Never raises."""
        path = os.path.join(self._data.directory, _LOCK)
        try:
            if self._is_used:
                self._history.in_place()  # else what is there now is opened at the next use
            if not _is_due(path) or not (self._data.read(_has_spilled) or self._lacks_rests(today)):
                return
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                due_again = time() - INTERVAL_SECONDS + _RETRY_SECONDS
                os.utime(descriptor, (due_again, due_again))  # should this fail
                if not self._data.read(_has_spilled) or self.fold(today):
                    with suppress(CounterError):  # without them lists take a little longer
                        if self._lacks_rests(today):
                            self.make_rests(today)
                    os.utime(descriptor)
            finally:
                os.close(descriptor)
            self._complained = False
        except BlockingIOError:
            return
        except (OSError, CounterError) as error:
            if not self._complained:
                self._complained = True
                reason = getattr(error, "strerror", None) or str(error).removeprefix("counts: ")
                tell(f"counts: days that are over wait in {self._data.directory}: {reason}")

    def fold(self, today: int) -> bool:
        """Move what is over to the blocks. For one process at a time. Raises CounterError.

        Returns False when no snapshot was to be had now.
        """
        batch, store_id = self._data.transact(_close_batch)
        if not self._snapshot():
            return False
        history = self._created()
        blocks = self._blocks_with(history, store_id, batch)
        sums = _sums_with(history, store_id, blocks)
        oldest = 0 if self._keep_days is None else month_of(max(0, today - self._keep_days + 1))
        history.transact(_write, store_id, batch, oldest, _Changes(blocks, sums))
        while self._data.transact(_delete_folded, batch):
            pass
        return True

    def make_rests(self, today: int) -> None:
        """Make the sums of the rests of months that are asked for from *today* on (`rests.py`).

        For one process at a time. Raises CounterError.
        """
        history, store_id = self._created(), self._data.read(_store_id)
        ready, wanted = history.read(rests.ready), rests.wanted(today)
        made: dict[tuple[rests.Rest, int], bytes] = {}
        for rest in wanted - ready:
            made |= _rest_sums(history, store_id, rest)
        if ready != wanted:
            # The room of those that are dropped is used again, by the next transaction.
            history.transact(rests.replace, ready & wanted, {})
            history.transact(rests.replace, wanted, made)

    def _lacks_rests(self, today: int) -> bool:
        """Tell whether there are so many files that rests are worth it, and some are not made."""
        history = self._existing()
        return (
            history is not None
            and history.read(rests.ready) != rests.wanted(today)
            and self.read(self._data.read(_store_id), _has_many)
        )

    def _blocks_with(
        self, history: Environment, store_id: bytes, batch: int
    ) -> dict[tuple[int, int], bytes]:
        """Return the blocks that change, packed, with all days up to *batch*."""
        packed: dict[tuple[int, int], bytes] = {}

        def get(month: int, number: int) -> bytes | None:
            if (month, number) in packed:
                return packed[month, number]
            found = history.read(
                lambda transaction: TransactionBlocks(transaction, store_id).block(month, number)
            )
            return None if found is None else bytes(found)

        def put(month: int, number: int, block: bytes) -> None:
            packed[month, number] = block

        folded = history.read(lambda transaction: TransactionBlocks(transaction, store_id).folded)
        row_moving.fold(self._spilled(), folded, batch, get, put)
        return packed

    def _spilled(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of days that are over, some thousand in a transaction.

        No transaction is open while a row is looked at, so that this may be done beside another
        environment's.
        """
        key = SPILLED
        while True:
            rows = self._data.read(lambda transaction, key=key: _spilled_from(transaction, key))  # type: ignore[misc]
            yield from rows
            if len(rows) < _READ_AT_ONCE:
                return
            key = rows[-1][0] + b"\0"

    def _existing(self) -> Environment | None:
        is_there = self._is_used or os.path.exists(os.path.join(self._directory, DATA))
        return self._created() if is_there else None

    def _created(self) -> Environment:
        """Return the environment, which exists as soon as it is used."""
        self._is_used = True
        return self._history


class Hold:
    """`fold.lock`, held until it is released or nobody has the object any more."""

    def __init__(self, path: str) -> None:
        is_new = not os.path.exists(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.release = weakref.finalize(self, os.close, descriptor)
        if is_new:
            os.utime(descriptor, (0, 0))  # no days were moved yet
        deadline = monotonic() + _HOLD_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise CounterError(
                        f"counts: {os.path.dirname(path)}: another export or import goes on there"
                    ) from None
            sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _is_due(path: str) -> bool:
    try:
        return abs(time() - os.stat(path).st_mtime) >= INTERVAL_SECONDS
    except OSError:
        return True


def _has_spilled(transaction: Transaction) -> bool:
    with transaction.cursor() as cursor:
        return bool(cursor.set_range(SPILLED)) and cursor.key()[:1] == SPILLED


def _spilled_from(transaction: Transaction, key: bytes) -> list[tuple[bytes, bytes]]:
    rows: list[tuple[bytes, bytes]] = []
    for found, value in TransactionRows(transaction).starting(key):
        if found[:1] != SPILLED or len(rows) == _READ_AT_ONCE:
            break
        rows.append((found, value))
    return rows


def _close_batch(transaction: Transaction) -> tuple[int, bytes]:
    batch = number_at(transaction.get(BATCH), FIRST_BATCH)
    transaction.put(BATCH, NUMBER.pack(batch + 1))
    return batch, transaction.get(STORE_ID) or b""


def _write(
    transaction: Transaction,
    store_id: bytes,
    batch: int,
    oldest: int,
    changes: _Changes,
) -> None:
    """Write *changes*, and drop what is of another store and of months before *oldest*."""
    is_ours = transaction.get(STORE_ID) == store_id
    kept = rests.ready(transaction) if is_ours else set()
    for mark, rows in ((b"", changes.blocks), (SUMS, changes.sums)):
        end = mark + BLOCK_KEY.pack(oldest if is_ours else LAST_MONTH, 0)
        with transaction.cursor() as cursor:
            found = cursor.set_range(mark + BLOCK_KEY.pack(FIRST_MONTH, 0))
            while found and b"" < cursor.key() < end:
                found = cursor.delete()
        for (month, number), packed in rows.items():
            if month >= oldest:
                transaction.put(mark + BLOCK_KEY.pack(month, number), packed)
    transaction.put(STORE_ID, store_id)
    transaction.put(FOLDED, NUMBER.pack(batch))
    transaction.put(SUMMED, NUMBER.pack(batch))
    changed = {month for month, _ in changes.blocks}
    kept = {rest for rest in kept if rest.month >= oldest and rest.month not in changed}
    rests.replace(transaction, kept, {})


def _sums_with(
    history: Environment, store_id: bytes, changed: dict[tuple[int, int], bytes]
) -> dict[tuple[int, int], bytes]:
    """Return the rows of sums that follow from the *changed* blocks; all rows if those that are
    there cannot be used.
    """

    def begin(transaction: Transaction) -> set[tuple[int, int]]:
        blocks = TransactionBlocks(transaction, store_id)
        if blocks.has_sums:
            return set()
        months = blocks.months()
        return {(month, number) for month in months for number, _ in blocks.of_month(month)}

    def row(transaction: Transaction, month: int, group: int) -> bytes:
        blocks = TransactionBlocks(transaction, store_id)
        numbers = range(group * BLOCKS, (group + 1) * BLOCKS)
        packed = [changed.get((month, n)) or blocks.block(month, n) or b"" for n in numbers]
        while packed and not packed[-1]:
            packed.pop()
        return packed_sums([MonthBlock(block) for block in packed])

    keys = {(month, number // BLOCKS) for month, number in history.read(begin) | changed.keys()}
    return {key: history.read(lambda rows, key=key: row(rows, *key)) for key in sorted(keys)}  # type: ignore[misc]


def _store_id(transaction: Transaction) -> bytes:
    return transaction.get(STORE_ID) or b""


def _has_many(blocks: TransactionBlocks) -> bool:
    """Tell whether there are so many files that it takes time to unpack a month of them."""
    months = blocks.months()
    return any(number >= BLOCKS for month in months[-1:] for number, _ in blocks.of_month(month))


def _rest_sums(
    history: Environment, store_id: bytes, rest: rests.Rest
) -> dict[tuple[rests.Rest, int], bytes]:
    """Return the sums of a rest by group of blocks, without groups in which nothing was counted."""

    def groups(transaction: Transaction) -> set[int]:
        blocks = TransactionBlocks(transaction, store_id).of_month(rest.month)
        return {number // BLOCKS for number, _ in blocks}

    def packed(transaction: Transaction, group: int) -> bytes:
        return rests.packed(TransactionBlocks(transaction, store_id), rest, group)

    rows = {
        (rest, group): history.read(lambda rows, group=group: packed(rows, group))  # type: ignore[misc]
        for group in sorted(history.read(groups))
    }
    return {key: sums for key, sums in rows.items() if sums}


def _delete_folded(transaction: Transaction, batch: int) -> bool:
    """Delete some rows of batches up to *batch*; return whether there may be more."""
    folded: list[bytes] = []
    for key, _ in TransactionRows(transaction).starting(SPILLED):
        if key[:1] != SPILLED or len(folded) == _DELETED_AT_ONCE:
            break
        if SPILLED_KEY.unpack(key[1:])[2] <= batch:
            folded.append(key)
    for key in folded:
        transaction.delete(key)
    return len(folded) == _DELETED_AT_ONCE
