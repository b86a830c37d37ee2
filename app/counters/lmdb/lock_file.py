"""LMDB's lock file, in memory where the disk cannot promise room.

LMDB writes to its lock file through a map, always. On a file system without reserve
(`file_system.py`) that is a SIGBUS once the disk is full; so the lock file in the store's directory
is a symbolic link there, to a file in memory. It need not outlive the machine, and all processes
that share a store are on one machine.
"""

import os
import shutil
import tempfile
from contextlib import suppress

_MEMORY = "/dev/shm"  # noqa: S108 - in a directory of our own, with a name that cannot be foreseen
_PREFIX = "tally-lock-"


def put_in_memory(path: str, mode: int) -> None:
    """Make *path* a link to a new, empty lock file in memory, if there is memory to be had.

    Raises OSError.

    For a process that has the store alone: what is at *path* is replaced.
    """
    try:
        directory = tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY)
    except OSError:
        return  # as it was, then
    os.chmod(directory, 0o755)  # noqa: S103 - other users may read counts
    target = os.path.join(directory, os.path.basename(path))
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o666))
    _remove_from_memory(path)
    beside = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    os.symlink(target, beside)
    os.replace(beside, path)


def _remove_from_memory(path: str) -> None:
    """Remove what a link at *path* led to, if it was one of ours."""
    try:
        directory = os.path.dirname(os.readlink(path))
    except OSError:
        return
    if os.path.dirname(directory) == _MEMORY and os.path.basename(directory).startswith(_PREFIX):
        shutil.rmtree(directory, ignore_errors=True)
