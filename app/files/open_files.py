"""Larger files that stay open between requests, so that a part of one costs no opening.

Many bodies share a descriptor, for a server that says by itself where each send begins. A file that
nobody has asked for stays open for a second or two and no longer: what was deleted gives its room
on the disk back, and a file system can be unmounted.
"""

import os
import resource
from threading import Event, Lock, Thread

from .. import after_fork
from .static_file import StaticFile

_MOST_OPEN = 32
#: At most one in this many of the descriptors that the process may have.
_SHARE = 32
_LOOK_SECONDS = 1.0


class OpenFile:
    """A descriptor, closed when the last one has let go of this."""

    __slots__ = ("asked", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.asked = True

    def __del__(self) -> None:
        os.close(self.descriptor)


class OpenFiles:
    """The files that are open. Safe from any thread."""

    def __init__(self) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = _MOST_OPEN if most < 0 else min(_MOST_OPEN, most // _SHARE)
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._files: dict[StaticFile, OpenFile] = {}
        self._lock = Lock()
        self._has_thread = False

    def get(self, file: StaticFile) -> OpenFile | None:
        """Return *file*, open; None when it is not."""
        opened = self._files.get(file)
        if opened is not None:
            opened.asked = True
        return opened

    def put(self, file: StaticFile, opened: OpenFile) -> None:
        """Keep *file* open, if there is room."""
        with self._lock:
            if len(self._files) < self._most:
                self._files[file] = opened
                self._start_thread()

    def _start_thread(self) -> None:
        if self._has_thread:
            return
        try:
            Thread(target=self._close_unasked, name="open files", daemon=True).start()
            self._has_thread = True
        except RuntimeError:  # no thread to be had: nothing stays open
            self._files.clear()

    def _close_unasked(self) -> None:
        never = Event()
        while True:
            never.wait(_LOOK_SECONDS)
            with self._lock:
                for file, opened in list(self._files.items()):
                    if opened.asked:
                        opened.asked = False
                    else:
                        del self._files[file]
                if not self._files:
                    self._has_thread = False
                    return
