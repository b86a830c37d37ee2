"""How a process opens an LMDB environment: alone, or beside others; and how it makes it larger.

The flags: a commit is safe against the death of any process as soon as it returns, and never waits
for the disk; what outlives a power failure is the snapshot (`snapshots.py`). Only the commit of a
*durable* environment is on the disk when it returns. Where space cannot be reserved, pages are
written by system calls instead of through the map, which costs more, and can fail without harm.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import lmdb

from ..contract import CounterError
from .file_check import has_meta_page
from .file_system import boot
from .lock_file import put_in_memory
from .store_files import DATA, LOCK, StoreFiles

FIRST_SIZE = 1 << 20
#: A store grows by its own size, up to this; for a transaction that is larger, by twice as much
#: each time. A durable one changes a few times a day: to grow more often costs it nothing.
_LARGEST_STEP, _LARGEST_STEP_OF_DURABLE = 16 << 20, 4 << 20
#: LMDB's lock file, room for 254 readers.
LOCK_SIZE = 16384
FORMAT_KEY = b"\0format"
#: Raised whenever an older program would misread what is written now.
FORMAT = 2

if TYPE_CHECKING:
    Transaction: TypeAlias = lmdb.Transaction[bytes]
else:
    Transaction = lmdb.Transaction

#: Called by the process that comes alone, with a write transaction and the format of what is kept,
#: 0 for nothing. Brings it into today's format.
Prepare: TypeAlias = Callable[[Transaction, int], None]


class FileMissingError(CounterError):
    """A file that other processes have open was removed: they have to leave first."""


@dataclass(slots=True)
class Opening:
    """What an environment is opened with."""

    files: StoreFiles
    first_size: int
    durable: bool
    prepare: Prepare | None
    #: Known when the directory is there.
    reserves_space: bool = True

    @property
    def largest_step(self) -> int:
        return _LARGEST_STEP_OF_DURABLE if self.durable else _LARGEST_STEP

    def open_alone(self) -> tuple[lmdb.Environment, bool]:
        """Open it for the only process that has it. The second: `Environment.may_be_stale`."""
        files = self.files
        files.make_sound()
        if not self.reserves_space:
            put_in_memory(files.path(LOCK), files.mode)
        # Only now may this process open and close the lock file: closing it later would drop LMDB's
        # own locks on it.
        files.allocate(LOCK, 0, LOCK_SIZE)
        opened = self._open_file()
        files.allocate(DATA, 0, files.size(DATA))
        attempts = 0
        while True:
            try:
                with opened.begin(write=True) as transaction:
                    return opened, self._begin_store(transaction)
            except lmdb.MapFullError:
                grow(self.files, opened, self.largest_step << attempts)
                attempts += 1

    def _begin_store(self, transaction: Transaction) -> bool:
        """Bring what is kept into today's format, and note the boot."""
        kept, kept_boot = _kept_format(self.files.directory, transaction)
        if self.prepare is not None:
            self.prepare(transaction, kept)
        elif kept not in (0, FORMAT):
            raise CounterError(f"counts: {self.files.directory}: kept in format {kept}")
        transaction.put(FORMAT_KEY, str(FORMAT).encode() + b" " + boot())
        return bool(kept) and kept_boot != boot()

    def open_shared(self) -> lmdb.Environment:
        """Open it beside other processes."""
        path = self.files.path(DATA)
        for missing in (path, self.files.path(LOCK)):
            if not os.path.exists(missing):
                raise FileMissingError(
                    f"counts: {missing} was removed while other processes have it open"
                )
        if not has_meta_page(path):
            raise CounterError(
                f"counts: {path} is damaged, and another process has it open; stop that one first"
            )
        opened = self._open_file()
        with opened.begin() as transaction:
            kept, _ = _kept_format(self.files.directory, transaction)
        if kept != FORMAT:
            raise CounterError(
                f"counts: {self.files.directory}: an older program counts there in format {kept};"
                " stop it, and what is kept is brought into today's format"
            )
        return opened

    def _open_file(self) -> lmdb.Environment:
        # LMDB cuts the file to the map's size, so this must never be less than what another process
        # maps.
        size = max(self.first_size, self.files.size(DATA))
        return lmdb.open(
            self.files.directory, map_size=size, mode=self.files.mode, writemap=self.reserves_space,
            map_async=not self.durable, sync=self.durable, metasync=self.durable,
            max_dbs=0, readahead=False, lib_version=0,
        )  # fmt: skip


def grow(files: StoreFiles, opened: lmdb.Environment, most: int) -> None:
    """Make the file and the map larger, with the file lock held."""
    mapped = int(opened.info()["map_size"])
    step = min(mapped, most)
    files.allocate(DATA, mapped, step)
    opened.set_mapsize(mapped + step)


def _kept_format(directory: str, transaction: Transaction) -> tuple[int, bytes]:
    """Return the format of what is kept, 0 for nothing, and the boot that it was last opened in.

    Raises CounterError for a format that this program does not know.
    """
    value = transaction.get(FORMAT_KEY)
    if value is None:
        return 0, b""
    number, _, its_boot = bytes(value).partition(b" ")
    if not number.isdigit() or not 1 <= int(number) <= FORMAT:
        shown = number[:20].decode("ascii", "replace")
        raise CounterError(
            f"counts: {directory}: kept in format {shown}, this program knows format {FORMAT} and"
            " before"
        )
    return int(number), its_boot
