"""Lines to a descriptor that perhaps nobody reads: written at once while there is room, never
waited for.

    write ─► there is room: the caller writes the line, so that it is out even if the process dies
             the next moment
             there is no room: the line waits in memory, and a thread, which lives only while lines
             wait, writes it

Only so many lines may wait. Further ones are dropped, and when there is room again, one line says
how many. So a reader that stalls (a full pipe, a stopped terminal, a log service that
hangs) holds up neither a request nor the end of the process. No lock is ever waited for, which
makes `write` safe in signal handlers too.

`standard_error` and `standard_output` belong to the process. `tell` is for the few lines that a
server says of itself.
"""

import _thread
import atexit
import errno
import io
import os
import select
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from . import after_fork

#: A pipe takes a write of up to this size whole (PIPE_BUF on Linux), so lines of several processes
#: do not mix.
_PIECE = 4096
#: How many pieces may wait: 32 MiB of long lines, some hundred KiB of usual ones.
_MOST_WAITING = 8192
#: How long the thread waits for room before it looks again whether the descriptor still is what it
#: was.
_ROOM_SECONDS = 1.0
#: How long a process waits for another's lock of a file.
_LOCK_SECONDS = 0.5
#: How often it is looked whether a log file was renamed.
_LOOK_SECONDS = 1.0
#: How long the end of the process waits for a reader.
_END_SECONDS = 0.5

_Write = Callable[[bytes], int]


class LineLog:
    """Writes to *descriptor*, which stays its owner's, without ever waiting.

    Safe from any thread and signal handler.

    *name* is what a notice about lost lines calls it; the notice goes to *notices*, or here. A
    forked child begins with nothing waiting.
    """

    def __init__(self, descriptor: int, name: str, notices: "LineLog | None" = None) -> None:
        self.descriptor = descriptor
        self._name = name
        self._notices = notices or self
        self._waiting: deque[bytes] = (
            deque()
        )  # appended by anybody, taken by whoever holds the lock
        self._lost = 0  # lines, not told yet
        self._target: _Target | None = None
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        """Forget what waits, which is the parent's to write, and a lock that another thread of the
        parent held.
        """
        self._lock = _thread.allocate_lock()
        self._waiting.clear()
        self._lost = 0
        self._stalled = False  # the thread writes, and nobody else

    def write(self, data: bytes) -> None:
        """Write *data*, whole lines, now or later. Never raises and never waits."""
        pieces = _pieces(data)
        if self._waiting and len(self._waiting) + len(pieces) > _MOST_WAITING:
            lines = data.count(b"\n")
            self._lost += lines
            return
        self._waiting.extend(pieces)
        self._write_now()

    def wait_until_written(self, seconds: float) -> bool:
        """Wait, for the end of the process, until nothing waits any more; False when *seconds* have
        passed.
        """
        deadline = monotonic() + seconds
        while self._waiting:
            if monotonic() >= deadline:
                return False
            sleep(0.01)
        return True

    def _write_now(self) -> None:
        # Whoever holds the lock looks at `_waiting` once more after it has let go, so no line is
        # left behind.
        while self._waiting and not self._stalled and self._lock.acquire(blocking=False):
            try:
                self._stalled = not self._write_waiting(self._present_target().write_at_once)
            finally:
                self._lock.release()
            if self._stalled:
                self._start_thread()
                return

    def _start_thread(self) -> None:
        try:
            # Not threading.Thread: starting one takes locks, which a signal handler must not.
            _thread.start_new_thread(self._write_when_there_is_room, ())
        except RuntimeError:  # no thread to be had now: the next line tries again
            self._stalled = False

    def _write_when_there_is_room(self) -> None:
        while self._stalled:
            target = self._present_target()
            write = target.wait_for_room()
            with self._lock:
                self._stalled = not self._write_waiting(write)
        self._write_now()  # what came between the last look and the end of the stall

    def _write_waiting(self, write: _Write) -> bool:
        """With the lock held: write what waits; False when there is no room for now."""
        waiting = self._waiting
        while waiting:
            piece = waiting[0]
            try:
                written = write(piece)
            except BlockingIOError:
                return False
            except OSError:  # nobody will read it, or the disk is full
                while waiting:
                    lines = waiting.popleft().count(b"\n")
                    self._lost += lines
                return True
            if written < len(piece):
                waiting[0] = piece[written:]
                continue
            waiting.popleft()
            if not waiting and (lost := self._lost):
                self._lost -= lost
                self._notices.write(
                    f"tally: {lost} lines to {self._name} were lost here\n".encode()
                )
        return True

    def _present_target(self) -> "_Target":
        """Return how to write to what the descriptor is now: it may have been given to another
        file.
        """
        identity = _identity(self.descriptor)
        if self._target is None or self._target.identity != identity:
            self._target = _Target(self.descriptor, identity)
        return self._target


class _Target:
    """What a descriptor leads to, and the way of writing there that does not wait.

    The descriptor itself stays as it is: its flags are shared with every other process that has
    inherited it.
    """

    def __init__(self, descriptor: int, identity: tuple[int, int, int]) -> None:
        self.identity = identity
        self._descriptor = descriptor
        self._own = -1
        self.write_at_once: _Write = self._to_own
        mode = identity[0]
        if stat.S_ISREG(mode) or not mode:
            self.write_at_once = self._to_descriptor
        elif stat.S_ISSOCK(mode):
            self.write_at_once = _sender(descriptor)
        else:
            # Opened anew, a pipe or terminal has flags of its own. Another user's cannot be.
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._own = os.open(f"/proc/self/fd/{descriptor}", flags)
            except OSError:
                self.write_at_once = _never

    def wait_for_room(self) -> _Write:
        """Wait, in a thread that may, until there could be room; return how this thread is to write
        then.
        """
        if self.write_at_once is _never:
            return self._to_descriptor
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        if room.poll(_ROOM_SECONDS * 1000):
            sleep(
                0.01
            )  # should there be room for less than a piece, this keeps the thread from spinning
        return self.write_at_once

    def _to_descriptor(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def _to_own(self, data: bytes) -> int:
        return os.write(self._own, data)

    def __del__(self) -> None:
        if self._own >= 0:
            os.close(self._own)


def _identity(descriptor: int) -> tuple[int, int, int]:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return 0, 0, 0
    return status.st_mode, status.st_dev, status.st_ino


def _never(_data: bytes) -> int:
    raise BlockingIOError


def _sender(descriptor: int) -> _Write:
    import socket  # of those whose standard error is a socket, such as systemd's journal, alone

    def send(data: bytes) -> int:
        with socket.socket(fileno=os.dup(descriptor)) as peer:
            return peer.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    return send


def _pieces(data: bytes) -> list[bytes]:
    """Cut *data* at line ends into pieces of at most `_PIECE` bytes; only a longer line is cut
    elsewhere.
    """
    pieces = []
    start = 0
    while len(data) - start > _PIECE:
        end = data.rfind(b"\n", start, start + _PIECE) + 1 or start + _PIECE
        pieces.append(data[start:end])
        start = end
    pieces.append(data[start:])
    return pieces


class RenameWatch:
    """Notices, by a look now and then, that a log was renamed or removed, as logrotate does."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._look_at = 0.0

    def has_left(self, descriptor: int) -> bool:
        """Tell whether what *descriptor* writes is no longer the file at the path; False between
        two looks.
        """
        now = monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        try:
            there = os.stat(self._path)
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(descriptor))


def append_whole_lines(descriptor: int, data: bytes) -> int:
    """Append to a regular file as many whole lines of *data* as there is room for; return their
    bytes.

    A line that does not fit is taken back: other processes append to the same file, and theirs
    would go on in it. They come here, too, one at a time. Raises BlockingIOError while another one
    keeps the file to itself (it was stopped in here, and may yet take back what lies behind), and
    OSError when there is no room for any line.
    """
    with _file_lock(descriptor) as is_locked:
        written = os.write(descriptor, data)
        whole = data.rfind(b"\n", 0, written) + 1
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        if whole == written or not is_locked or os.fstat(descriptor).st_size != end:
            return written
        os.ftruncate(descriptor, end - (written - whole))
        # Opened for appending, it would go there by itself; standard output may be opened
        # otherwise.
        os.lseek(descriptor, end - (written - whole), os.SEEK_SET)
    if not whole:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return whole


@contextmanager
def _file_lock(descriptor: int) -> Iterator[bool]:
    """Lock a file against other processes that share it; False where files cannot be locked.

    Raises BlockingIOError when the lock is not to be had soon.
    """
    import fcntl

    deadline = monotonic() + _LOCK_SECONDS
    while True:
        try:
            # Not flock: all who inherited one open file, such as standard output, would have that
            # lock together.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (BlockingIOError, PermissionError) as error:
            if monotonic() >= deadline:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
            sleep(0.001)
        except OSError:
            yield False
            return
    try:
        yield True
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


standard_error = LineLog(2, "standard error")
standard_output = LineLog(1, "standard output", notices=standard_error)


def tell(line: str) -> None:
    """Write one line, or a text of several, to standard error.

    Never raises or waits; safe in a signal handler.
    """
    standard_error.write(f"{line}\n".encode("utf-8", "backslashreplace"))


class _LogStream(io.RawIOBase):
    def __init__(self, log: LineLog, name: str) -> None:
        self._log = log
        self.name = name

    def writable(self) -> bool:
        return True

    def write(self, data: "io.ReadableBuffer") -> int:  # type: ignore[name-defined]
        taken = bytes(data)
        if taken:
            self._log.write(taken)
        return len(taken)

    def fileno(self) -> int:
        return self._log.descriptor

    def isatty(self) -> bool:
        return os.isatty(self._log.descriptor)


def replace_standard_streams() -> None:
    """Let whatever this process prints go through the logs above: prints of an application,
    logging, tracebacks.

    What their encoding does not have is escaped.
    """
    for name, log in (("stdout", standard_output), ("stderr", standard_error)):
        former = getattr(sys, name)
        former.flush()
        stream = io.TextIOWrapper(
            _LogStream(log, f"<{name}>"),  # as with `python -u`, no buffer between
            encoding=former.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)


def _finish() -> None:
    deadline = monotonic() + _END_SECONDS
    for log in (standard_error, standard_output):
        log.wait_until_written(deadline - monotonic())


atexit.register(_finish)
