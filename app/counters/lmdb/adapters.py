"""LMDB transactions in the shapes that `row_counter`, `row_moving` and `row_reader` use."""

from collections.abc import Iterable, Iterator

from ..history import Packed
from .environment import Transaction
from .rows import BLOCK_KEY, FIRST_MONTH, FOLDED, STORE_ID, number_at


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


class TransactionBlocks:
    """The month blocks of one store, in a read transaction on history/data.mdb.

    Without a *transaction* there are none. Blocks that were kept for another store (this one was
    reset since) are not seen.
    """

    def __init__(self, transaction: Transaction | None, store_id: bytes) -> None:
        is_ours = transaction is not None and transaction.get(STORE_ID) == store_id
        self._transaction = transaction if is_ours else None
        #: The last batch of days that is in the blocks.
        self.folded = number_at(self._transaction.get(FOLDED)) if self._transaction else 0

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

    def of_month(self, month: int) -> Iterable[tuple[int, Packed]]:
        if self._transaction is None:
            return
        with self._transaction.cursor() as cursor:
            if not cursor.set_range(BLOCK_KEY.pack(month, 0)):
                return
            for key, packed in cursor.iternext():
                its_month, number = BLOCK_KEY.unpack(key)
                if its_month != month:
                    return
                yield number, packed
