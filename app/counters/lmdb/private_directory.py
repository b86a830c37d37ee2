"""A directory for the counts of one server with several processes, which goes when the server has
gone.

A master holds `owners.lock` in it, and every process that counts there holds `users.lock`
(`environment.py`). A process that leaves and finds both free removes it. What a killed server left
behind is removed by the next server that starts as the same user, or as root.
"""

import fcntl
import os
import shutil
import tempfile
from time import monotonic, sleep

from ... import after_fork
from ..contract import CounterError

_PREFIX = "tally-counts-"
_MARK = "private"
_OWNERS_LOCK, _USERS_LOCK = "owners.lock", "users.lock"
#: How long a master that leaves waits for the last processes that count there.
_LEAVE_SECONDS = 1.0


class PrivateDirectory:
    """Holds a private directory for the process that made or joined it.

    A forked child's copy holds nothing.
    """

    @classmethod
    def make(cls, owner: tuple[int, int] | None = None) -> "PrivateDirectory":
        """Make one, and remove those that killed servers left behind. Raises CounterError.

        *owner*: user and group of those that count in it, where root makes it for others.
        """
        parent = _parent()
        try:
            _sweep(parent)
            unfinished = tempfile.mkdtemp(prefix=".tally-counts-", dir=parent)  # mode 0700
            descriptor = _hold(unfinished)
            with open(os.path.join(unfinished, _MARK), "wb"):
                pass
            if owner is not None:
                os.fchown(descriptor, *owner)
                os.chown(unfinished, *owner)
            # Only under this name can another server's sweep find it, and by then it is held.
            path = os.path.join(parent, _PREFIX + os.path.basename(unfinished).rpartition("-")[2])
            os.rename(unfinished, path)
        except OSError as error:
            raise CounterError(
                f"counts: no private directory in {parent}: {error.strerror}"
            ) from None
        return cls(path, descriptor)

    @classmethod
    def join(cls, path: str) -> "PrivateDirectory":
        """Hold one that another process made (the new master of an upgrade).

        Raises CounterError when it has gone.
        """
        try:
            descriptor = _hold(path)
        except OSError as error:
            raise CounterError(f"counts: {path}: {error.strerror}") from None
        return cls(path, descriptor)

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        after_fork.register(self)

    @property
    def url(self) -> str:
        """What `open_counter` takes, and TALLY_COUNTS."""
        return f"lmdb:{self.path}"

    def close(self) -> None:
        """Leave it; remove it if nobody else uses it. Calls after the first do nothing."""
        if self._descriptor >= 0:
            self._let_go()
            # A worker that was killed a moment ago still holds its lock, and will not remove
            # anything.
            deadline = monotonic() + _LEAVE_SECONDS
            while not remove_unused(self.path) and monotonic() < deadline:
                sleep(0.02)

    def begin_in_child(self) -> None:
        # A worker that outlives its master must not hold for it what it then could not remove.
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def is_private(directory: str) -> bool:
    """Return True for a directory that goes with its server, and so needs no snapshots."""
    return os.path.exists(os.path.join(directory, _MARK))


def remove_unused(directory: str) -> bool:
    """Remove a private directory that nobody has in use, never another one.

    False: others use it, but no master.
    """
    held: list[int] = []
    try:
        if is_private(directory) and os.getuid() in (0, os.stat(directory).st_uid):
            flags = (
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            )  # root follows nobody's link
            for name in (_OWNERS_LOCK, _USERS_LOCK):
                held.append(os.open(os.path.join(directory, name), flags, 0o600))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
    except BlockingIOError:
        return len(held) == 1  # the first is a master's, who removes it
    except OSError:
        return True  # gone already, or not ours
    finally:
        for descriptor in held:
            os.close(descriptor)
    return True


def _parent() -> str:
    # In memory, if possible: the counts live no longer than the server, and nothing removes old
    # files there.
    try:
        return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108
    except OSError:
        raise CounterError(
            "counts: several processes need a directory to count in, and neither /dev/shm nor a"
            " temporary one can be"
            " written to; --counts lmdb:DIR or TMPDIR names one"
        ) from None


def _hold(path: str) -> int:
    descriptor = os.open(
        os.path.join(path, _OWNERS_LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        raise FileNotFoundError(2, "the private directory has gone with its server")
    return descriptor


def _sweep(parent: str) -> None:
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            remove_unused(os.path.join(parent, name))
