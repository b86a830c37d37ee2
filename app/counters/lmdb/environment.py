"""An LMDB environment that many threads and processes share: opened, checked, grown and left in
order.

Each process opens it for itself (LMDB cannot be carried across a fork, nor opened twice in a
process), at the first use. What several processes do to the file itself, opening and growing,
happens under a lock file. A process that opens it alone (`users_lock.py`) checks that the file is
sound before LMDB maps it (`store_files.py`): a damaged map would end the process by a signal. Disk
space is allocated before it is mapped for the same reason: on a full disk, writing to a page of a
sparse map is a SIGBUS.

If files are removed or replaced while they are open, processes would count apart, each in what it
has open. So each looks now and then whether they still are in place (`in_place`), and a process
that finds such a file missing when it opens the store waits until the others have left.

A process that is stopped (SIGSTOP, a debugger, a frozen container) inside of a transaction holds up
all others until it goes on, as with any lock. LMDB's lock has no time limit, and half a transaction
cannot be taken over from a process that is alive. The transaction takes some 2
us of the 20 of a request, so it is rare, and nothing is lost or counted twice by it.

This module knows nothing of counts.
"""

import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar, TypeVarTuple

import lmdb

from ..contract import CounterError
from ..outage import tell
from .breaks import Breaks
from .file_system import reserves_space
from .opening import (
    FIRST_SIZE,
    FileMissingError,
    Opening,
    Prepare,
    Transaction,
    grow,
)
from .store_files import DATA, USERS_LOCK, Identity, StoreFiles
from .users_lock import UsersLock

__all__ = ["Environment", "Transaction"]

#: How often `in_place` is to be asked by those that have it open, and how long a newcomer waits for
#: them to leave.
WATCH_SECONDS, LEAVE_SECONDS = 1.0, 3.0
#: What LMDB and the system raise. MemoryError: no address space for a larger map.
_FAILURES = (lmdb.Error, OSError, MemoryError)

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
Ts = TypeVarTuple("Ts")


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
        self._files = StoreFiles(directory, mode)
        self._opening = Opening(self._files, first_size, durable, prepare)
        self._guest = guest
        self._references = 0
        #: Told by a process that came alone and found an older boot's identity in the file: a power
        #: failure may have left pages of different ages, so values are to be compared with the
        #: snapshot's.
        self.may_be_stale = False
        #: For those that know what they wrote in the last transaction.
        self.breaks = Breaks()
        self._begin()

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._opened: lmdb.Environment | None = None
        path, rights = self._files.path(USERS_LOCK), self._files.mode & 0o666
        self._users = UsersLock(path, rights, is_guest=self._guest)
        self._identities: list[Identity] = []  # of the files, while they are open
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

        Two arguments, not any number, and no `with`, neither for the lock nor for the transaction:
        each would take a twentieth of a count's time.
        """
        self._lock.acquire()
        try:
            attempts = 0
            while True:
                opened = self._opened or self._open()
                try:
                    transaction = Transaction(opened, None, None, True)
                    try:
                        result = work(transaction, first, second)
                        transaction.commit()
                    except BaseException:
                        transaction.abort()
                        self.breaks.number += 1
                        raise
                    break
                except _FAILURES as error:
                    self._overcome(error, opened, attempts)
                    attempts += 1
            if announce is not None:
                announce(result)
            return result
        finally:
            self._lock.release()

    def _overcome(self, error: Exception, opened: lmdb.Environment, attempts: int) -> None:
        """Make room after a transaction that failed for want of it, after others of its attempts.

        Raises CounterError for any other *error*.
        """
        if isinstance(error, lmdb.MapFullError):
            self._resize(opened, grow_by=self._opening.largest_step << attempts)
        elif isinstance(error, lmdb.MapResizedError):
            self._resize(opened)
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
                    self._resize(self._opened)
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
            if not self._identities or self._files.identities() == self._identities:
                return bool(self._identities)
            with self._lock, self._reading:
                if not self._identities or self._files.identities() == self._identities:
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
            try:
                if self._opened is not None and self._files.identities() == self._identities:
                    self._leave()
            except OSError:
                pass  # who comes next checks the file
            finally:
                self._close()

    def _leave(self) -> None:
        """Close it; the last of all processes notes that it was left in order."""
        with self._files.locked():
            is_last = self._users.is_alone()
            self._close()
            if is_last:
                self._files.note_left()

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
            os.makedirs(self.directory, self._files.mode, exist_ok=True)
            self._opening.reserves_space = reserves_space(self.directory)
            with self._files.locked():
                try:
                    if self._users.join():
                        self._opened, self.may_be_stale = self._opening.open_alone()
                    else:
                        self._opened = self._opening.open_shared()
                    self._identities = self._files.identities()
                except BaseException:
                    self._close()
                    raise
                self._users.share()
                self.breaks.number += 1
                return self._opened
        except _FAILURES as error:
            raise self._problem(error) from None

    # ------------------------------------------------------------------ size

    def _resize(self, opened: lmdb.Environment, *, grow_by: int = 0) -> None:
        """Map what another process grew the file to; or else grow it, by no more than *grow_by*."""
        try:
            with self._reading, self._or_close(), self._files.locked():
                opened.reader_check()  # a reader that was killed would keep old pages for good
                size, mapped = self._files.size(DATA), int(opened.info()["map_size"])
                if grow_by and size <= mapped:
                    grow(self._files, opened, grow_by)
                else:
                    opened.set_mapsize(size)
        except _FAILURES as error:
            raise self._problem(error) from None

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

    # ------------------------------------------------------------------ small things

    def _close(self) -> None:
        opened, self._opened, self._identities = self._opened, None, []
        if opened is not None:
            opened.close()
        self._users.leave()

    def _problem(self, error: Exception) -> CounterError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return CounterError(f"counts: {self.directory}: {reason}".replace("\n", " "))


def _apply(
    transaction: Transaction, work: Callable[[Transaction, *Ts], T], arguments: tuple[*Ts]
) -> T:
    return work(transaction, *arguments)


# A fork waits for the transactions of other threads: an environment that one of them is in could
# not be dropped in the child.
_held_for_fork: list[Environment] = []


def _hold_all() -> None:
    _registry_lock.acquire()
    # Who reads in both environments of a store enters the durable one last; so does a fork.
    for environment in sorted(_in_process, key=lambda each: each._opening.durable):
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
