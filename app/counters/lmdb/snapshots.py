"""A copy of a store on the disk every few seconds, for the day that the power fails.

The live file is never waited for by anyone who counts, so after a power failure it may not open.
The copy is made from a read transaction, written beside, synced and renamed. One process of those
that share the store takes it at a time; `snapshot.lock` says who, and holds the number of the last
transaction that is in the copy. The same thread looks whether the live files are still in place.
"""

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from time import time

from ... import after_fork
from ..contract import CounterError
from ..outage import tell
from .environment import WATCH_SECONDS, Environment
from .file_check import has_meta_page
from .store_files import SNAPSHOT

INTERVAL_SECONDS = 3.0
_LOCK = "snapshot.lock"
_TRANSACTION = struct.Struct("<Q")


class Snapshots:
    """Takes the snapshots of one environment and watches its files, from a thread.

    *after* is called by the thread every now and then, for what else has time.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        interval: float = INTERVAL_SECONDS,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._environment = environment
        self._after = after
        self._interval = interval
        self._complained = False
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        """Set what belongs to one process."""
        #: Whether this process wrote anything. Read at every count.
        self.begun = False
        self._lock, self._end = Lock(), Event()
        self._thread: Thread | None = None

    def watch(self) -> None:
        """Start the thread, once in a process."""
        with self._lock:
            if self._thread is not None:
                return
            self._end = Event()
            self._thread = Thread(target=self._run, name="count-snapshots", daemon=True)
            # The interpreter may be ending; end() takes the last snapshot then.
            with suppress(RuntimeError):
                self._thread.start()

    def begin(self) -> None:
        """Note that this process writes; to be called from its first transaction on."""
        self.begun = True
        self.watch()

    def end(self) -> None:
        """Stop the thread and take the last snapshot, if this process wrote anything."""
        self._end.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()
        self._thread = None
        if self.begun and self._environment.in_place():
            self.take(due_after=0.0)
        self.begun = False

    def _run(self) -> None:
        end = self._end
        while not end.wait(min(self._interval, WATCH_SECONDS)):
            if self._environment.in_place():
                self.take(due_after=self._interval * 0.9)
                if self._after is not None:
                    self._after()

    def take(self, *, due_after: float) -> bool:
        """Take one unless nothing changed, the last is younger than *due_after* seconds or another
        is being taken. Return whether there is one now that is no older than that.
        """
        path = os.path.join(self._environment.directory, SNAPSHOT)
        try:
            with self._lock:
                descriptor = os.open(
                    os.path.join(self._environment.directory, _LOCK),
                    os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                    0o644,
                )
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _age(path) >= due_after:
                        self._take_changed(path, descriptor)
                    return True
                finally:
                    os.close(descriptor)
        except BlockingIOError:
            return False
        except (OSError, CounterError) as error:
            # Where the files have gone meanwhile, that is told, and nothing else is amiss.
            if self._environment.in_place() and not self._complained:
                self._complained = True
                tell(
                    f"counts: no snapshot could be written to {path}:"
                    f" {getattr(error, 'strerror', None) or error}"
                )
            return False

    def _take_changed(self, path: str, lock: int) -> None:
        last = self._environment.last_transaction()
        known = os.pread(lock, _TRANSACTION.size, 0)
        if not last or (known == _TRANSACTION.pack(last) and os.path.exists(path)):
            return
        beside = f"{path}.new"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            self._environment.copy(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not has_meta_page(beside):
            raise CounterError("the live file is damaged")
        os.replace(beside, path)
        directory = os.open(self._environment.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        os.pwrite(lock, _TRANSACTION.pack(last), 0)
        self._complained = False


def _age(path: str) -> float:
    try:
        return abs(time() - os.stat(path).st_mtime)
    except OSError:
        return float("inf")
