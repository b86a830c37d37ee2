"""The document root: whether files can be served from it, and telling once when that changes.

The root is looked up by its path each time: it may be a symbolic link that a deployment switches,
or a mount that goes and comes back. `RootDirectory` is one look at it, so that a switch in the
middle of a look-up mixes nothing.
"""

import errno
import logging
import os
import stat
from collections.abc import Callable
from functools import partial
from threading import Lock
from types import TracebackType

_log = logging.getLogger("tally.files")

_EFFECTIVE = os.access in os.supports_effective_ids
# O_PATH needs no right to list the directory, and exists on Linux alone.
OPEN_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

#: Whether there is something at a path: an answer costs less than an error.
exists: Callable[[bytes], bool] = partial(os.access, mode=os.F_OK, effective_ids=_EFFECTIVE)


class RootLostError(OSError):
    """The document root is gone, is no directory or cannot be read: 503."""


def root_problem(root: str | bytes) -> str | None:
    """Return why no file can be served from *root*, in one line that names it, or None when nothing
    is wrong.
    """
    shown = ascii(os.fsdecode(root))
    try:
        mode = os.stat(root).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"the document root {shown} does not exist"
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path has a NUL in it"
        return f"the document root {shown} cannot be read: {reason}"
    if not stat.S_ISDIR(mode):
        return f"the document root {shown} is not a directory"
    # The right to search is what serving takes; a directory that cannot be listed will do.
    if not os.access(root, os.X_OK, effective_ids=_EFFECTIVE):
        return f"the document root {shown} cannot be read: {os.strerror(errno.EACCES)}"
    return None


class RootDirectory:
    """The directory that the root's path led to when this was made.

    Raises OSError; a context manager.
    """

    __slots__ = ("_path", "descriptor")

    def __init__(self, path: bytes) -> None:
        self._path = path
        self.descriptor = os.open(path, OPEN_DIRECTORY)

    def __enter__(self) -> "RootDirectory":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self.descriptor)

    def is_current(self) -> bool:
        """Return whether the root's path still leads to this directory."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self.descriptor))
        except OSError:
            return False

    def inner_path(self, descriptor: int, name: bytes, end: bytes = b"") -> bytes | None:
        """Return the true path, below the root, of what was opened as *name*; None when it lies
        outside. *end* is what its path is to end with: a slash lets the root itself be inside.
        """
        try:
            root, path = true_path(self.descriptor), true_path(descriptor)
        except OSError:
            root, path = self._resolved(descriptor, name)
        prefix = root.rstrip(b"/") + b"/"
        path += end
        return path[len(prefix) :] if path.startswith(prefix) else None

    def _resolved(self, descriptor: int, name: bytes) -> tuple[bytes, bytes]:
        """Without Linux's /proc: follow the links again and see that they still lead to the very
        same file.
        """
        path = os.path.realpath(os.path.join(self._path, name))
        if not os.path.samestat(os.stat(path), os.fstat(descriptor)):
            raise FileNotFoundError(name)
        return os.path.realpath(self._path), path


def true_path(descriptor: int) -> bytes:
    """Return the path that what is open has at this moment. Raises OSError, and without Linux's
    /proc always.
    """
    return os.readlink(b"/proc/self/fd/%d" % descriptor)


class RootWatch:
    """Remembers whether the root was lost, and logs each loss and each return once.

    Safe from any thread.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._inside = root.rstrip(b"/") + b"/."
        self._lost = False
        self._lock = Lock()

    def look(self) -> None:
        """Raise RootLostError when the root cannot be served from."""
        # One question that only a directory answers with yes, and only one that can be searched.
        is_there = os.access(self._inside, os.X_OK, effective_ids=_EFFECTIVE)
        problem = None if is_there else root_problem(self._root)
        if problem is None:
            self.seen()
            return
        with self._lock:
            newly, self._lost = not self._lost, True
        if newly:
            _log.error("%s; requests are answered with 503 until it is back", problem)
        raise RootLostError(problem)

    def seen(self) -> None:
        """Note that the root is there."""
        if not self._lost:
            return
        with self._lock:
            back, self._lost = self._lost, False
        if back:
            _log.warning("the document root %s is back", ascii(os.fsdecode(self._root)))
