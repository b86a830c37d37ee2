"""The files of an LMDB environment, as long as LMDB does not look at them: names, locks, room on
the disk, and whether the data file may be mapped.

Whoever comes alone checks the whole file, since a damaged map would end the process by a signal.
That takes a second for a million files. So the last one to leave notes what it leaves
(`left.mark`): within the same boot, a file that nobody touched since is sound. After a kill, or
after another boot, there is no such note, or none that counts.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..contract import CounterError
from ..outage import tell
from .file_check import copy_file, newer_lmdb, verified_problem
from .file_system import boot

DATA, LOCK, RESIZE_LOCK, USERS_LOCK, SNAPSHOT, LEFT_MARK = (
    "data.mdb",
    "lock.mdb",
    "resize.lock",
    "users.lock",
    "snapshot.mdb",
    "left.mark",
)

#: Of a file: device and inode; None when it is not there.
Identity = tuple[int, int] | None


class StoreFiles:
    """The files in *directory*, which are made with the rights of *mode*."""

    def __init__(self, directory: str, mode: int) -> None:
        self.directory = directory
        self.mode = mode

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def size(self, name: str) -> int:
        """Return a file's size, 0 for one that is not there."""
        try:
            return os.path.getsize(self.path(name))
        except FileNotFoundError:
            return 0

    def identities(self) -> list[Identity]:
        """Return of the files that processes share which ones they are. Raises OSError."""
        found: list[Identity] = []
        for name in (DATA, LOCK, USERS_LOCK):
            try:
                status = os.stat(self.path(name))
            except (FileNotFoundError, NotADirectoryError):
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino))
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from opening, growing and leaving. Raises OSError."""
        descriptor = self._opened(RESIZE_LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def allocate(self, name: str, offset: int, length: int) -> None:
        """Give a file room on the disk, or leave it as it is. Raises OSError."""
        descriptor = self._opened(name)
        try:
            before = os.fstat(descriptor).st_size
            try:
                os.posix_fallocate(descriptor, offset, length)
            except OSError:
                if os.fstat(descriptor).st_size > before:
                    # What was got of the space would look like a grown map.
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)

    def _opened(self, name: str) -> int:
        return os.open(self.path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self.mode & 0o666)

    # Whether the data file may be mapped

    def make_sound(self) -> None:
        """See that the data file can be mapped, if there is one: a damaged one is set aside, and
        the snapshot takes its place.

        For a process that has the store alone. Raises CounterError for a file of a newer LMDB.
        """
        path, size = self.path(DATA), self.size(DATA)
        if not size and not os.path.exists(self.path(SNAPSHOT)):
            return
        if size and (newer := newer_lmdb(path)):
            raise CounterError(f"counts: {self.directory}: {newer}")
        if not self._is_as_left() and (problem := verified_problem(path)):
            self._recover(problem)

    def note_left(self) -> None:
        """Note that the data file is sound as it is now.

        For a process that has the store alone and has closed it. Its time of change becomes a
        moment that no other write has, so that one that follows at once is seen. It may not be
        ours to change; then it is checked the next time.
        """
        with suppress(OSError):
            now = time.time_ns()
            os.utime(self.path(DATA), ns=(now, now))
            descriptor = self._opened(LEFT_MARK)
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, self._mark())
            finally:
                os.close(descriptor)

    def _is_as_left(self) -> bool:
        """Return whether the file is as the last one left it. The note is gone then."""
        try:
            with open(self.path(LEFT_MARK), "rb") as file:
                noted = file.read()
            os.unlink(self.path(LEFT_MARK))
            return boot() != b"?" and noted == self._mark()
        except OSError:
            return False

    def _mark(self) -> bytes:
        status = os.stat(self.path(DATA))
        numbers = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        return b"%s %d %d %d %d\n" % (boot(), *numbers)

    def _recover(self, problem: str) -> None:
        path, snapshot = self.path(DATA), self.path(SNAPSHOT)
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
