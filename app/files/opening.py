"""Opening files below the root: regular ones, that lie inside, and whose path hides nothing."""

import os
import stat

from .document_root import RootDirectory, true_path
from .names import Visibility, is_hidden

# O_NONBLOCK: what became a fifo after the stat must not block; O_NOCTTY: nor may a terminal become
# ours.
OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | getattr(os, "O_LARGEFILE", 0)


def open_inside(
    root: RootDirectory, name: bytes, visible: Visibility, seen: os.stat_result | None = None
) -> tuple[int, os.stat_result]:
    """Open the regular file *name*; return its descriptor and the status of what was opened.

    *seen* is its status when the caller has just asked for it. Raises OSError.
    """
    # Asked before opening: opening a device can do something.
    _require_regular(seen or os.stat(name, dir_fd=root.descriptor), name)
    descriptor = os.open(name, OPEN_FILE, dir_fd=root.descriptor)
    try:
        status = os.fstat(descriptor)
        _require_regular(status, name)
        inner = root.inner_path(descriptor, name)
        if (not visible.outside) if inner is None else hides(inner, visible):
            raise FileNotFoundError(name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def open_plain(
    prefix: bytes, name: bytes, visible: Visibility, seen: os.stat_result, *, compares: bool
) -> tuple[int, os.stat_result] | None:
    """Open the regular file *name*, if no link leads from the root to it, nor to the root; return
    what `open_inside` does, or None.

    *prefix* is the root's path and a slash. The kernel says by which names the file is reached at
    this moment. If they are those of the path, then the root is one of the directories on the way,
    whatever was renamed before: the root need not be opened to know where it is.

    *seen* is as in `open_inside`. A caller who *compares* it with the status after reading, and
    uses nothing if they differ, has it for the status of what was opened.
    """
    if not stat.S_ISREG(seen.st_mode) or hides(name, visible):
        return None
    path = prefix + name
    try:
        descriptor = os.open(path, OPEN_FILE)
    except OSError:
        return None
    try:
        status = seen if compares else os.fstat(descriptor)
        if true_path(descriptor) == path and stat.S_ISREG(status.st_mode):
            return descriptor, status
    except OSError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def hides(inner: bytes, visible: Visibility) -> bool:
    """Return whether the path *inner* below the root leads through what is hidden."""
    if visible.dotfiles or b"/." not in b"/" + inner:
        return False
    *directories, base = inner.split(b"/")
    # Kubernetes publishes volumes through directories such as ..data and ..2026_11_22, which no URL
    # can name.
    return is_hidden([part for part in directories if not part.startswith(b"..")] + [base])


def _require_regular(status: os.stat_result, name: bytes) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise (IsADirectoryError if stat.S_ISDIR(status.st_mode) else FileNotFoundError)(name)


def read_whole(descriptor: int, size: int) -> bytes:
    """Return the file's bytes from the first on, one more than *size* at most, so that growth
    shows.
    """
    data = os.pread(descriptor, size + 1, 0)
    while 0 < len(data) < size:
        more = os.pread(descriptor, size + 1 - len(data), len(data))
        if not more:
            break
        data += more
    return data
