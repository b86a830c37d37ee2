"""A directory for the counts of one server with several processes, which goes when the server has gone.

Whoever has it in use, the master that made it and the workers that count there, holds `users.lock` in it shared. The
last one out removes it. What a killed server left behind is removed by the next server of the same user that starts.
"""

import fcntl
import os
import shutil
import tempfile

from app.counters.record import CounterError

_PREFIX = "tally-counts-"
_MARK = "private"
USERS_LOCK = "users.lock"


class PrivateDirectory:
    """Holds a private directory for the process that made or joined it. A forked child's copy does nothing."""

    @classmethod
    def make(cls) -> "PrivateDirectory":
        """Make one, and remove those that killed servers left behind. Raises CounterError."""
        parent = _parent()
        try:
            _sweep(parent)
            unfinished = tempfile.mkdtemp(prefix=".tally-counts-", dir=parent)  # mode 0700
            descriptor = _hold(unfinished)
            with open(os.path.join(unfinished, _MARK), "wb"):
                pass
            # Only under this name can another server's sweep find it, and by then it is held.
            path = os.path.join(parent, _PREFIX + os.path.basename(unfinished).rpartition("-")[2])
            os.rename(unfinished, path)
        except OSError as error:
            raise CounterError(f"counts: no private directory in {parent}: {error.strerror}") from None
        return cls(path, descriptor)

    @classmethod
    def join(cls, path: str) -> "PrivateDirectory":
        """Hold one that another process made (the new master of an upgrade). Raises CounterError when it has gone."""
        try:
            descriptor = _hold(path)
        except OSError as error:
            raise CounterError(f"counts: {path}: {error.strerror}") from None
        return cls(path, descriptor)

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._pid = os.getpid()

    @property
    def url(self) -> str:
        """What `open_counter` takes, and TALLY_COUNTS."""
        return f"lmdb:{self.path}"

    def close(self) -> None:
        """Leave it, and remove it if nobody else has it in use. Calls after the first do nothing."""
        if self._descriptor < 0 or self._pid != os.getpid():
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_private(self.path)
        except OSError:
            pass  # someone else's to remove
        finally:
            os.close(descriptor)


def is_private(directory: str) -> bool:
    """Return True for a directory that goes with its server, and so needs no snapshots."""
    return os.path.exists(os.path.join(directory, _MARK))


def remove_private(directory: str) -> None:
    """Remove a private directory, never another one."""
    if is_private(directory):
        shutil.rmtree(directory, ignore_errors=True)


def _parent() -> str:
    # Memory where there is: the counts are as short-lived as the server, and no cleaner of old files comes by.
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108


def _hold(path: str) -> int:
    # Not inherited by another program; a forked worker holds it too, and so outlives its master's removal.
    descriptor = os.open(os.path.join(path, USERS_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not os.path.exists(os.path.join(path, USERS_LOCK)):
        os.close(descriptor)
        raise FileNotFoundError(2, "the private directory has gone with its server")
    return descriptor


def _sweep(parent: str) -> None:
    for name in os.listdir(parent):
        path = os.path.join(parent, name)
        if not name.startswith(_PREFIX) or not is_private(path) or os.stat(path).st_uid != os.getuid():
            continue
        try:
            descriptor = os.open(os.path.join(path, USERS_LOCK), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_private(path)
        except OSError:
            continue  # a server runs on it
        finally:
            os.close(descriptor)
