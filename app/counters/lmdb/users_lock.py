"""`users.lock`: every process that has an LMDB store open holds it, shared, and it says in which
process-id namespace they are.

A process that gets it alone knows that no other has the store open. LMDB knows its readers by their
process ids, and a container may have a process of the same number. So processes of two process-id
namespaces do not share a store. Only a guest, which reads or moves counts and leaves, may be of
another namespace.
"""

import fcntl
import os

from ..contract import CounterError
from .file_system import process_namespace

_LONGEST = 200


class UsersLock:
    """The lock at *path*, as this process holds it.

    To be joined and left under another lock, one process at a time.
    """

    def __init__(self, path: str, mode: int, *, is_guest: bool) -> None:
        self._path = path
        self._mode = mode
        self._is_guest = is_guest
        self._descriptor = -1

    def join(self) -> bool:
        """Hold it; return True, and keep others out until `share`, if nobody else holds it.

        Raises CounterError and OSError.
        """
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._mode)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            self._enter(os.pread(self._descriptor, _LONGEST, 0))
            return False
        self._enter(b"")
        return True

    def is_alone(self) -> bool:
        """Return whether nobody else holds it. Whoever asks is about to leave: it may be lost."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Let go of it, if it is held."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _enter(self, theirs: bytes) -> None:
        """Come in beside those of the namespace *theirs*; b"": nobody, guests, or not known."""
        if self._is_guest:
            if not theirs:
                os.ftruncate(self._descriptor, 0)
            return
        ours = process_namespace()
        if not theirs:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, ours, 0)
        elif ours and theirs != ours:
            raise CounterError(
                f"counts: {os.path.dirname(self._path)} is in use from another process-id"
                " namespace (another"
                " container); give each its own directory, let them share the namespace, or count"
                " in Redis"
            )
