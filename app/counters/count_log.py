"""The count log: one line for each access, `path|client address|client port|number`.

`write` only appends to a queue; a thread of the process takes what has gathered and writes it: at
once on a terminal, after a tenth of a second elsewhere. So a slow or stalled reader of the log
never holds up an answer. Whole lines go out in one write each time, because worker processes share
the stream. Lines keep the order of the `write` calls.
"""

import atexit
import errno
import os
import select
import stat
import sys
from collections import deque
from threading import Event, Lock, Thread
from time import monotonic

from .. import after_fork, host_figures
from ..line_log import RenameWatch, append_whole_lines
from .outage import tell

#: A pipe takes a write of up to this size (PIPE_BUF on Linux) whole; a larger one could mix with
#: another process's.
PIPE_WRITE_SIZE = 4096
FILE_WRITE_SIZE = 1 << 20
#: How many lines may wait for a reader that stalls (about 10 MB). Further lines are dropped, and
#: one line says how many.
MOST_WAITING_LINES = 100_000
#: How many lines are made into one piece of bytes for a file.
MOST_LINES_AT_ONCE = 4096
BATCH_SECONDS = 0.1
RETRY_SECONDS = 1.0
CLOSE_SECONDS = 2.0


class CountLog:
    """Writes count lines to *target*: "-" for standard output, "off", or a file's name (appended
    to).

    Nothing is opened before the first line, and each process opens for itself after a fork. Safe
    from any thread.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.enabled = target != "off"
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._begin()
        after_fork.register(self)

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._start_lock = Lock()
        self._output_lock = Lock()
        self._wake = Event()
        self._asleep = True  # the thread waits for a line, or there is no thread yet
        self._thread: Thread | None = None
        self._descriptor = -1
        self._is_terminal = False
        self._write_size = FILE_WRITE_SIZE
        self._reopen = False
        self._renames = RenameWatch(self.target)
        self._unwritten = b""  # whole lines or, where a pipe took a part, the rest of one first
        self._complained = False

    def begin_in_child(self) -> None:
        # What still waits here is the parent's to write.
        self._close_descriptor()
        self._waiting.clear()
        self._dropped = 0
        self._begin()

    def check(self) -> None:
        """Open the target now, so that one that cannot be opened is known at the start.

        Raises OSError.
        """
        if self.enabled:
            with self._output_lock:
                self._open()

    def write(self, path: str, addr: str, port: str, number: int | None) -> None:
        """Append one line; a *number* of None is written as `?`. Never waits, never raises."""
        if not self.enabled:
            return
        if len(self._waiting) >= MOST_WAITING_LINES:
            self._drop(1)
            return
        self._waiting.append(f"{path}|{addr}|{port}|{'?' if number is None else number}\n")
        if self._asleep:
            self._wake_thread()

    def reopen(self) -> None:
        """Open the file anew before the next batch: it was renamed. Safe in a signal handler."""
        self._reopen = True

    def close(self) -> None:
        """Write what waits, for two seconds at most, and release the file.

        A later line opens it again.
        """
        deadline = monotonic() + CLOSE_SECONDS
        # A thread that is stuck in a write to a stalled reader keeps the lock.
        if not self._output_lock.acquire(timeout=CLOSE_SECONDS):
            return
        try:
            while (self._waiting or self._unwritten) and self._write_batch(deadline):
                pass
            self._drop(len(self._waiting) + self._unwritten.count(b"\n"))
            self._waiting.clear()
            self._unwritten = b""
            self._tell_dropped()
            self._close_descriptor()
        finally:
            self._output_lock.release()

    # ------------------------------------------------------------------ the thread

    def _wake_thread(self) -> None:
        with self._start_lock:
            self._asleep = False
            if self._thread is None:
                self._thread = Thread(target=self._run, name="count-log", daemon=True)
                try:
                    self._thread.start()
                except (
                    RuntimeError
                ):  # no thread to be had, or the interpreter is ending: close() writes
                    self._thread = None
                    return
                atexit.register(self.close)
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            pause = 0.0 if self._is_terminal else BATCH_SECONDS
            while self._waiting or self._unwritten:
                if pause:
                    Event().wait(pause)
                with self._output_lock:
                    written = self._write_batch(monotonic() + RETRY_SECONDS)
                pause = (
                    RETRY_SECONDS if not written else 0.0 if self._is_terminal else BATCH_SECONDS
                )
            self._asleep = True
            # A line that came between the last look and the flag woke nobody.
            if self._waiting:
                self._asleep = False
                self._wake.set()

    def _write_batch(self, deadline: float) -> bool:
        """Write what waits.

        Returns False when the target took nothing for now; what is left waits on.
        """
        try:
            if self._descriptor < 0 or self._reopen or self._was_renamed():
                self._open()
            while self._unwritten or self._waiting:
                if not self._unwritten:
                    self._unwritten = self._next_bytes()
                if not self._writable(deadline):
                    return False
                written = self._write(self._piece())
                self._unwritten = self._unwritten[written:]
        except BlockingIOError:
            return False
        except OSError as error:
            self._complain(error)
            return False
        if self._complained or self._dropped:
            self._tell_dropped()
        return True

    def _write(self, data: bytes) -> int:
        if self._write_size == FILE_WRITE_SIZE:
            return append_whole_lines(self._descriptor, data)
        return os.write(self._descriptor, data)

    def _was_renamed(self) -> bool:
        is_file = self.target != "-" and self._write_size == FILE_WRITE_SIZE
        return is_file and self._renames.has_left(self._descriptor)

    def _next_bytes(self) -> bytes:
        """Take whole lines off the queue; for a pipe as many as fit into one write (a longer line
        comes alone).
        """
        take = self._waiting.popleft
        if self._write_size == FILE_WRITE_SIZE:
            lines = [take() for _ in range(min(len(self._waiting), MOST_LINES_AT_ONCE))]
            return "".join(lines).encode("ascii", "backslashreplace")
        lines = [take()]
        size = len(lines[0])
        for _ in range(len(self._waiting)):
            size += len(self._waiting[0])
            if size > self._write_size:
                break
            lines.append(take())
        return "".join(lines).encode("ascii", "backslashreplace")

    def _piece(self) -> bytes:
        """Return what goes out in one write: whole lines, unless one is longer than that."""
        data, size = self._unwritten, self._write_size
        if len(data) <= size:
            return data
        return data[: data.rfind(b"\n", 0, size) + 1] or data[:size]

    def _writable(self, deadline: float) -> bool:
        if self._write_size == FILE_WRITE_SIZE:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(max(0.0, deadline - monotonic()) * 1000))

    # ------------------------------------------------------------------ the target

    def _open(self) -> None:
        if self.target == "-":
            self._descriptor = _standard_output()
        else:
            # Not blocking, so that a named pipe without a reader is an error and not a wait.
            flags = (
                os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            )
            descriptor = os.open(self.target, flags, 0o644)
            self._close_descriptor()
            self._descriptor = descriptor
        self._reopen = False
        self._is_terminal = os.isatty(self._descriptor)
        regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._write_size = FILE_WRITE_SIZE if regular else PIPE_WRITE_SIZE

    def _close_descriptor(self) -> None:
        if self._descriptor >= 0 and self.target != "-":
            os.close(self._descriptor)
        self._descriptor = -1

    def _complain(self, error: OSError) -> None:
        if error.errno == errno.EPIPE:  # nobody will read these
            self._drop(self._unwritten.count(b"\n") + len(self._waiting))
            self._unwritten = b""
            self._waiting.clear()
        if not self._complained:
            self._complained = True
            tell(
                f"count log {self._name}: {error.strerror}; count lines wait or are dropped until"
                " it works again"
            )

    def _drop(self, lines: int) -> None:
        self._dropped += lines
        if lines:
            host_figures.present().lane.dropped(lines)

    def _tell_dropped(self) -> None:
        if self._dropped:
            tell(f"count log {self._name}: {self._dropped} lines were dropped")
        elif self._complained:
            tell(f"count log {self._name}: works again")
        self._dropped = 0
        self._complained = False

    @property
    def _name(self) -> str:
        return "on standard output" if self.target == "-" else self.target


def _standard_output() -> int:
    try:
        return sys.stdout.fileno()
    except (
        AttributeError,
        OSError,
        ValueError,
    ):  # None, replaced by an object without one, or closed
        return 1
