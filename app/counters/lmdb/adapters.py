"""LMDB transactions in the shapes that `row_counter`, `row_moving` and `row_reader` use."""

from collections.abc import Iterator
from itertools import islice

from ..history import Span
from ..month_block import Packed
from . import rests
from .environment import Transaction
from .rows import (
    BLOCK_KEY,
    FIRST_MONTH,
    FOLDED,
    LAST_MONTH,
    MONTH,
    REST_KEY,
    RESTS,
    STORE_ID,
    SUMMED,
    SUMS,
    number_at,
)


class TransactionRows:
    """The rows of data.mdb, in one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self.get = transaction.get
        self.put = transaction.put
        self.delete = transaction.delete
        self._cursor = transaction.cursor

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over the rows from *key* on, in the order of the keys."""
        cursor = self._cursor()
        return iter(cursor.iternext() if cursor.set_range(key) else ())

    def keys(self, key: bytes) -> Iterator[bytes]:
        """Return an iterator over the keys from *key* on."""
        cursor = self._cursor()
        return iter(cursor.iternext(values=False) if cursor.set_range(key) else ())

    def values(self, key: bytes, size: int) -> Iterator[tuple[bytes, list[bytes]]]:
        """Return an iterator over what the rows from *key* on hold, *size* of them at a time, with
        the last one's key.
        """
        cursor = self._cursor()
        values = iter(cursor.iternext(keys=False) if cursor.set_range(key) else ())
        while part := list(islice(values, size)):
            yield cursor.key(), part


class TransactionBlocks:
    """The month blocks of one store, in a read transaction on history/data.mdb.

    Without a *transaction* there are none. Blocks that were kept for another store (this one was
    reset since) are not seen.
    """

    def __init__(self, transaction: Transaction | None, store_id: bytes) -> None:
        is_ours = transaction is not None and transaction.get(STORE_ID) == store_id
        self._transaction = transaction if is_ours else None
        #: The last batch of days that is in the blocks.
        self.folded = self._number(FOLDED)
        #: Whether the sums are those of the blocks: a program that knew no sums may have written
        #: blocks since.
        self.has_sums = self._number(SUMMED) == self.folded
        self._rests = rests.ready(transaction) if transaction is not None and is_ours else set()

    def _number(self, key: bytes) -> int:
        return 0 if self._transaction is None else number_at(self._transaction.get(key))

    def block(self, month: int, number: int) -> Packed | None:
        if self._transaction is None:
            return None
        return self._transaction.get(BLOCK_KEY.pack(month, number))

    def months(self) -> list[int]:
        found: list[int] = []
        if self._transaction is not None:
            with self._transaction.cursor() as cursor:
                while cursor.set_range(BLOCK_KEY.pack(found[-1] + 1 if found else FIRST_MONTH, 0)):
                    found.append(BLOCK_KEY.unpack(cursor.key())[0])
        return found

    def of_month(self, month: int) -> Iterator[tuple[int, Packed]]:
        return self._numbered(MONTH.pack(month)) if month <= LAST_MONTH else iter(())

    def sums_of(self, span: Span) -> Iterator[tuple[int, Packed]] | None:
        if span.month > LAST_MONTH:
            return iter(())  # no key reaches so far
        if span.is_whole:
            return self._numbered(SUMS + MONTH.pack(span.month)) if self.has_sums else None
        if span.ends_month and (span.month, span.first) in self._rests:
            return self._numbered(RESTS + REST_KEY.pack(span.month, span.first, 0)[:-4])
        return None

    def _numbered(self, begin: bytes) -> Iterator[tuple[int, Packed]]:
        """Yield the rows whose keys are *begin* and a number."""
        if self._transaction is None:
            return
        with self._transaction.cursor() as cursor:
            if not cursor.set_range(begin):
                return
            for key, packed in cursor.iternext():
                if not key.startswith(begin):
                    return
                yield number_at(key[len(begin) :]), packed
