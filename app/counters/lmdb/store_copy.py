"""Everything that a store holds as of one moment, read while others count.

A read transaction keeps LMDB from using pages again, so one that is open for minutes makes the file
grow with every count. So data.mdb is copied, to a file that has no name, and read from there. The
month blocks are read where they are, a few at a time: nobody moves days meanwhile.
"""

from collections.abc import Callable, Iterable
from tempfile import TemporaryFile
from typing import TypeVar

from ..history import Span
from ..month_block import Packed
from ..reading import Contents
from .adapters import TransactionBlocks, TransactionRows
from .environment import Environment, Transaction
from .file_check import reading
from .past_days import Hold, PastDays
from .row_reader import RowReader
from .rows import STORE_ID

T = TypeVar("T")


class StoreCopy(TransactionRows):
    """The rows of data.mdb, copied, while the blocks are held."""

    def __init__(self, transaction: Transaction, hold: Hold) -> None:
        super().__init__(transaction)
        self._hold = hold


class HeldBlocks:
    """The blocks of a store, each read in a transaction of its own."""

    def __init__(self, past: PastDays, store_id: bytes) -> None:
        self._past = past
        self._store_id = store_id
        self.folded = self._read(lambda blocks: blocks.folded)

    def block(self, month: int, number: int) -> Packed | None:
        def read(blocks: TransactionBlocks) -> bytes | None:
            found = blocks.block(month, number)
            return None if found is None else bytes(found)

        return self._read(read)

    def months(self) -> list[int]:
        return self._read(TransactionBlocks.months)

    def of_month(self, month: int) -> Iterable[tuple[int, Packed]]:
        return self._read(lambda blocks: list(blocks.of_month(month)))

    def sums_of(self, _span: Span) -> None:
        """Return nothing: an export asks for days."""

    def _read(self, work: Callable[[TransactionBlocks], T]) -> T:
        return self._past.read(self._store_id, work)


def contents(
    environment: Environment, past: PastDays, now: Callable[[], int], keep_days: int | None
) -> Contents:
    """Return what the store holds; see `Store.contents`. Raises CounterError and OSError."""
    environment.open()
    past.open()
    hold = past.hold()
    with TemporaryFile(dir=environment.directory) as file:
        environment.copy(file.fileno())
        rows = StoreCopy(reading(f"/proc/self/fd/{file.fileno()}"), hold)
    blocks = HeldBlocks(past, rows.get(STORE_ID) or b"")
    return RowReader(rows, blocks, blocks.folded, now(), keep_days).contents()
