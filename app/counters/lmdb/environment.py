"""An LMDB environment that many threads and processes share: opened, checked, grown and left in
order.

Each process opens it for itself (LMDB cannot be carried across a fork, nor opened twice in a
process), at the first use. What several processes do to the file itself, opening and growing,
happens under a lock file. Who comes alone (`users_lock.py`) checks the file before LMDB maps it: a
damaged map would end the process by a signal. Disk space is allocated before it is mapped for the
same reason: on a full disk, writing to a page of a sparse map is a SIGBUS.

Files that are removed or replaced while they are open would part the processes: each would count in
what it has open. So `in_place` is asked now and then, and whoever comes where such a file is
missing waits until the others have left.

A process that is stopped (SIGSTOP, a debugger, a frozen container) inside of a transaction holds up
all others until it goes on, as it would with any lock; LMDB's knows no time limit, and what was
half done under it cannot be taken over from a process that is alive. The transaction takes some 3
us of the 30 to 50 of a request, so it is rare, and nothing is lost or counted twice by it.

Nothing of counts is known here. The flags: a commit is safe against the death of any process as
soon as it returns, and never waits for the disk; what outlives a power failure is the snapshot
(`snapshots.py`). Only the commit of a *durable* environment is on the disk when it returns. Where
space cannot be reserved, pages are written by system calls instead of through the map, which costs
more, and can fail without harm.
"""

import fcntl
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias, TypeVar, TypeVarTuple

import lmdb

from ..contract import CounterError
from ..outage import tell
from .file_check import copy_file, has_meta_page, newer_lmdb, verified_problem
from .file_system import reserves_space
from .lock_file import put_in_memory
from .users_lock import UsersLock

__all__ = ["Environment", "Transaction"]

FIRST_SIZE = 1 << 20
LARGEST_STEP = 256 << 20
#: How often `in_place` is to be asked by those that have it open, and how long a newcomer waits for
#: them to leave.
WATCH_SECONDS, LEAVE_SECONDS = 1.0, 3.0
#: LMDB's lock file, room for 254 readers.
LOCK_SIZE = 16384
DATA, LOCK, RESIZE_LOCK, USERS_LOCK, SNAPSHOT = (
    "data.mdb",
    "lock.mdb",
    "resize.lock",
    "users.lock",
    "snapshot.mdb",
)
FORMAT_KEY = b"\0format"
#: Raised whenever an older program would misread what is written now.
FORMAT = 2

if TYPE_CHECKING:
    Transaction: TypeAlias = lmdb.Transaction[bytes]
else:
    Transaction = lmdb.Transaction

#: What LMDB and the system raise. MemoryError: no address space for a larger map.
_FAILURES = (lmdb.Error, OSError, MemoryError)

#: Called by the process that comes alone, with a write transaction and the format of what is kept,
#: 0 for nothing. Brings it into today's format.
Prepare: TypeAlias = Callable[[Transaction, int], None]

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
Ts = TypeVarTuple("Ts")


class FileMissingError(CounterError):
    """A file that other processes have open was removed: they have to leave first."""


_in_process: "weakref.WeakSet[Environment]" = weakref.WeakSet()
_by_directory: "weakref.WeakValueDictionary[str, Environment]" = weakref.WeakValueDictionary()
_registry_lock = Lock()


class Environment:
    """Use `shared`, which gives one object a directory and process, and `release` it as often.

    Safe from any thread.
    """

    @classmethod
    def shared(
        cls,
        directory: str,
        *,
        first_size: int = FIRST_SIZE,
        mode: int = 0o755,
        guest: bool = False,
        durable: bool = False,
        prepare: Prepare | None = None,
    ) -> "Environment":
        """Return the process's environment in *directory*; nothing is opened yet.

        A *guest* leaves soon.
        """
        with _registry_lock:
            path = os.path.realpath(directory)
            environment = _by_directory.get(path)
            if environment is None:
                environment = cls(path, first_size, mode, guest, durable, prepare)
                _by_directory[path] = environment
                _in_process.add(environment)
            environment._references += 1
            return environment

    def __init__(
        self,
        directory: str,
        first_size: int,
        mode: int,
        guest: bool,
        durable: bool,
        prepare: Prepare | None,
    ) -> None:
        self.directory = directory
        self._durable = durable
        self._prepare = prepare
        self._guest = guest
        self._reserves_space = True  # known when it is opened
        self._first_size = first_size
        self._mode = mode
        self._references = 0
        #: Told by a process that came alone and found an older boot's identity in the file: a power
        #: failure may have left pages of different ages, so values are to be compared with the
        #: snapshot's.
        self.may_be_stale = False
        self._begin()

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._opened: lmdb.Environment | None = None
        self._users = UsersLock(self._path(USERS_LOCK), self._mode & 0o666, is_guest=self._guest)
        self._identities: list[tuple[int, int] | None] = []  # of the files, while they are open
        # Taken in this order. Writers hold the first; readers the second, because growing moves the
        # map.
        self._lock = Lock()
        self._reading = Lock()

    def _begin_in_child(self) -> None:
        inherited, users = self._opened, self._users
        self._begin()
        if inherited is not None:
            inherited.close()  # in a child this only drops the descriptors
        users.leave()

    # ------------------------------------------------------------------ reading and writing

    def transact(self, work: Callable[[Transaction, *Ts], T], *arguments: *Ts) -> T:
        """Return what *work* returned in one write transaction.

        Raises CounterError, and then nothing was written.

        *work* runs again when the map had to grow, so it changes nothing but the transaction.
        """
        return self.transact_in_order(None, _apply, work, arguments)

    def transact_in_order(
        self,
        announce: Callable[[T], object] | None,
        work: Callable[[Transaction, A, B], T],
        first: A,
        second: B,
    ) -> T:
        """Do as `transact`, and call *announce* with the result before this process's next
        transaction begins.

        Two arguments, not any number, and not `with transaction`: each would take a tenth of a
        count's time.
        """
        with self._lock:
            while True:
                opened = self._opened or self._open()
                try:
                    transaction = Transaction(opened, None, None, True)
                    try:
                        result = work(transaction, first, second)
                        transaction.commit()
                    except BaseException:
                        transaction.abort()
                        raise
                    break
                except _FAILURES as error:
                    self._overcome(error, opened)
            if announce is not None:
                announce(result)
            return result

    def _overcome(self, error: Exception, opened: lmdb.Environment) -> None:
        """Make room after a transaction that failed for want of it.

        Raises CounterError for any other *error*.
        """
        if isinstance(error, lmdb.MapFullError):
            self._resize(opened, grow=True)
        elif isinstance(error, lmdb.MapResizedError):
            self._resize(opened, grow=False)
        else:
            # What LMDB finds wrong with an open file it may find for good. The next attempt opens
            # anew, and checks.
            with self._reading:
                self._close()
            raise self._problem(error) from None

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Return what *work* returned in one read transaction: a moment's state.

        Raises CounterError.
        """

        def transaction(opened: lmdb.Environment) -> T:
            with opened.begin() as begun:
                return work(begun)

        while True:
            if self._opened is None:
                with self._lock:
                    if self._opened is None:
                        self._open()
            done = self._read_in_map(transaction)
            if done:
                return done[0]

    def copy(self, descriptor: int) -> None:
        """Write a compact copy of this moment's state.

        Does not hold up writers. Raises CounterError.
        """

        def copied(opened: lmdb.Environment) -> None:
            opened.reader_check()
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            opened.copyfd(descriptor, compact=True)

        while self._opened is not None and not self._read_in_map(copied):
            pass

    def _read_in_map(self, work: Callable[[lmdb.Environment], T]) -> tuple[T] | None:
        """Do *work*, which reads; None when the map had to follow the file first, or it is not open
        any more.
        """
        try:
            with self._reading:
                return None if self._opened is None else (work(self._opened),)
        except lmdb.MapResizedError:
            with self._lock:
                if self._opened is not None:
                    self._resize(self._opened, grow=False)
            return None
        except _FAILURES as error:
            raise self._problem(error) from None

    def last_transaction(self) -> int:
        """Return the number of the last write transaction of any process; 0 when it is not open."""
        with self._reading:
            return int(self._opened.info()["last_txnid"]) if self._opened is not None else 0

    def in_place(self) -> bool:
        """Return True while it is open and its files are those in the directory.

        If they are not, it is closed, which is told; the next use opens what is there then.
        """
        try:
            if not self._identities or self._identities_there() == self._identities:
                return bool(self._identities)
            with self._lock, self._reading:
                if not self._identities or self._identities_there() == self._identities:
                    return bool(self._identities)
                self._close()
        except OSError:
            return True  # not to be known now
        tell(
            f"counts: {self.directory}: removed or replaced while in use; counting goes on in what"
            " is there now"
        )
        return False

    def release(self) -> None:
        """Close the process's environment when this was its last user."""
        with _registry_lock:
            self._references -= 1
            if self._references:
                return
            _by_directory.pop(self.directory, None)
        with self._lock, self._reading:
            self._close()

    # ------------------------------------------------------------------ opening

    def open(self) -> None:
        """Open it now, for the sake of the error. Raises CounterError."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while True:
            try:
                with self._lock:
                    if self._opened is None:
                        self._open()
                return
            except FileMissingError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.05)

    def _open(self) -> lmdb.Environment:
        try:
            os.makedirs(self.directory, self._mode, exist_ok=True)
            self._reserves_space = reserves_space(self.directory)
            with self._file_lock(RESIZE_LOCK):
                try:
                    alone = self._users.join()
                    self._opened = self._open_alone() if alone else self._open_shared()
                    self._identities = self._identities_there()
                except BaseException:
                    self._close()
                    raise
                self._users.share()
                return self._opened
        except _FAILURES as error:
            raise self._problem(error) from None

    def _open_alone(self) -> lmdb.Environment:
        path, snapshot = self._path(DATA), self._path(SNAPSHOT)
        size = os.path.getsize(path) if os.path.exists(path) else 0
        if size or os.path.exists(snapshot):
            if size and (newer := newer_lmdb(path)):
                raise CounterError(f"counts: {self.directory}: {newer}")
            if problem := verified_problem(path):
                self._recover(path, snapshot, problem)
        if not self._reserves_space:
            put_in_memory(self._path(LOCK), self._mode)
        # Only now may this process open and close the lock file: closing it later would drop LMDB's
        # own locks on it.
        self._allocate(LOCK, 0, LOCK_SIZE)
        opened = self._open_file()
        self._allocate(DATA, 0, os.path.getsize(path))
        while True:
            try:
                with opened.begin(write=True) as transaction:
                    self._begin_store(transaction)
                return opened
            except lmdb.MapFullError:
                self._grow(opened)

    def _begin_store(self, transaction: Transaction) -> None:
        """Bring what is kept into today's format, and note the boot."""
        kept, boot = _kept_format(self.directory, transaction)
        self.may_be_stale = bool(kept) and boot != _boot()
        if self._prepare is not None:
            self._prepare(transaction, kept)
        elif kept not in (0, FORMAT):
            raise CounterError(f"counts: {self.directory}: kept in format {kept}")
        transaction.put(FORMAT_KEY, str(FORMAT).encode() + b" " + _boot())

    def _open_shared(self) -> lmdb.Environment:
        path = self._path(DATA)
        for name in (DATA, LOCK):
            if not os.path.exists(self._path(name)):
                raise FileMissingError(
                    f"counts: {self._path(name)} was removed while other processes have it open"
                )
        if not has_meta_page(path):
            raise CounterError(
                f"counts: {path} is damaged, and another process has it open; stop that one first"
            )
        opened = self._open_file()
        with opened.begin() as transaction:
            kept, _ = _kept_format(self.directory, transaction)
        if kept != FORMAT:
            raise CounterError(
                f"counts: {self.directory}: an older program counts there in format {kept}; stop"
                " it, and what is kept is brought into today's format"
            )
        return opened

    def _open_file(self) -> lmdb.Environment:
        path = self._path(DATA)
        # LMDB cuts the file to the map's size, so this must never be less than what another process
        # maps.
        size = max(self._first_size, os.path.getsize(path) if os.path.exists(path) else 0)
        return lmdb.open(
            self.directory, map_size=size, mode=self._mode, writemap=self._reserves_space,
            map_async=not self._durable, sync=self._durable, metasync=self._durable,
            max_dbs=0, readahead=False, lib_version=0,
        )  # fmt: skip

    def _recover(self, path: str, snapshot: str, problem: str) -> None:
        aside = ""
        if os.path.exists(path):
            aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            os.replace(path, aside)
        where = f"set aside as {os.path.basename(aside)}" if aside else "missing"
        if os.path.exists(snapshot) and not verified_problem(snapshot):
            age = max(0, round(time.time() - os.path.getmtime(snapshot)))
            copy_file(snapshot, path)
            tell(
                f"counts: {path} {where} ({problem}); counting goes on from the snapshot of {age}"
                " s ago"
            )
        else:
            tell(
                f"counts: {path} {where} ({problem}); there is no snapshot that can be used:"
                " counts begin at 0"
            )

    # ------------------------------------------------------------------ size

    def _resize(self, opened: lmdb.Environment, *, grow: bool) -> None:
        """Map what another process grew the file to, or else, if *grow*, grow it."""
        try:
            with self._reading, self._or_close(), self._file_lock(RESIZE_LOCK):
                opened.reader_check()  # a reader that was killed would keep old pages for good
                size, mapped = os.path.getsize(self._path(DATA)), int(opened.info()["map_size"])
                if grow and size <= mapped:
                    self._grow(opened)
                else:
                    opened.set_mapsize(size)
        except _FAILURES as error:
            raise self._problem(error) from None

    def _grow(self, opened: lmdb.Environment) -> None:
        """Make the file and the map larger, with the file lock held."""
        mapped = int(opened.info()["map_size"])
        step = min(mapped, LARGEST_STEP)
        self._allocate(DATA, mapped, step)
        opened.set_mapsize(mapped + step)

    @contextmanager
    def _or_close(self) -> Iterator[None]:
        """Close it when the block fails for want of memory: the old map has gone by then, and there
        is no new one.
        """
        try:
            yield
        except (lmdb.Error, MemoryError):
            self._close()
            raise

    def _allocate(self, name: str, offset: int, length: int) -> None:
        descriptor = os.open(
            self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode & 0o666
        )
        try:
            before = os.fstat(descriptor).st_size
            try:
                os.posix_fallocate(descriptor, offset, length)
            except OSError:
                if os.fstat(descriptor).st_size > before:
                    os.ftruncate(
                        descriptor, before
                    )  # what was got of the space would look like a grown map
                raise
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------------ small things

    def _close(self) -> None:
        opened, self._opened, self._identities = self._opened, None, []
        if opened is not None:
            opened.close()
        self._users.leave()

    def _identities_there(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for name in (DATA, LOCK, USERS_LOCK):
            try:
                status = os.stat(self._path(name))
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    @contextmanager
    def _file_lock(self, name: str) -> Iterator[None]:
        descriptor = os.open(
            self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode & 0o666
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _problem(self, error: Exception) -> CounterError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return CounterError(f"counts: {self.directory}: {reason}".replace("\n", " "))


def _apply(
    transaction: Transaction, work: Callable[[Transaction, *Ts], T], arguments: tuple[*Ts]
) -> T:
    return work(transaction, *arguments)


def _kept_format(directory: str, transaction: Transaction) -> tuple[int, bytes]:
    """Return the format of what is kept, 0 for nothing, and the boot that it was last opened in.

    Raises CounterError for a format that this program does not know.
    """
    value = transaction.get(FORMAT_KEY)
    if value is None:
        return 0, b""
    number, _, boot = bytes(value).partition(b" ")
    if not number.isdigit() or not 1 <= int(number) <= FORMAT:
        shown = number[:20].decode("ascii", "replace")
        raise CounterError(
            f"counts: {directory}: kept in format {shown}, this program knows format {FORMAT} and"
            " before"
        )
    return int(number), boot


def _boot() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip()
    except OSError:
        return b"?"


# A fork waits for the transactions of other threads: an environment that one of them is in could
# not be dropped in the child.
_held_for_fork: list[Environment] = []


def _hold_all() -> None:
    _registry_lock.acquire()
    # Who reads in both environments of a store enters the durable one last; so does a fork.
    for environment in sorted(_in_process, key=lambda each: each._durable):
        environment._lock.acquire()
        environment._reading.acquire()
        _held_for_fork.append(environment)


def _let_all_go() -> None:
    while _held_for_fork:
        environment = _held_for_fork.pop()
        environment._reading.release()
        environment._lock.release()
    _registry_lock.release()


def _begin_all_in_child() -> None:
    while _held_for_fork:
        _held_for_fork.pop()._begin_in_child()
    _registry_lock.release()


os.register_at_fork(
    before=_hold_all, after_in_parent=_let_all_go, after_in_child=_begin_all_in_child
)
