"""The server's access log: one line for each exchange (`access_line.py`), to a file or a pipe.

The thread that serves only notes what is to be said. A thread of the log's own, started with the
first line in each process, makes the lines and writes them out, in batches: many lines in a row
take a third of the time that they take one by one between requests. A disk or a reader that is slow
or broken costs lines, never service: what waits is bounded, and lost lines are counted and
reported. Several processes may write to one log: each write holds whole lines, and into a pipe
never more than PIPE_BUF bytes, so that lines do not mix.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from select import POLLOUT, poll
from threading import Condition, Lock, Thread
from time import monotonic, sleep

from ..client_address import Shown, shown_address
from ..line_log import RenameWatch, append_whole_lines, tell
from .access_line import AnyExchange, cut, formatter

#: Seconds that a line may wait to be written where nobody watches.
_BATCH_TIME = 0.2
#: What is waited for at the most, in bytes of memory: some 900 lines, which are made in less than a
#: millisecond. With a quarter of it, switches between the threads cost requests a thirtieth more;
#: with twice as much, requests would wait longer.
_BATCH_BYTES = 1 << 19
#: Bytes of memory that may wait while the log cannot be written; lines beyond are lost.
_WAITING_BYTES = 8 << 20
#: What an exchange takes in memory, beside the client's texts.
_EXCHANGE_BYTES = 400
#: POSIX's least PIPE_BUF is 512, Linux's is 4096: writes up to it are never mixed with those of
#: others.
_PIPE_WRITE = 4096
#: Seconds that closing waits for a log that does not take its lines.
_CLOSE_TIME = 2.0


class AccessLog:
    """Writes exchanges to *target*: a file, or `-` for standard output.

    *clients* is how much of clients' addresses it shows.
    May be opened before a fork: each process then has its own thread. Raises OSError when the file
    cannot be opened, ValueError for an unknown *log_format*.
    """

    def __init__(
        self,
        target: str,
        log_format: str = "combined",
        *,
        clients: Shown = "full",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self._format = formatter(log_format)
        self._clients = clients
        self._report = report or tell
        self._target = target
        self._descriptor = -1
        self._at_once = False
        self._longest = 0  # 0: a line may have any length
        self._open()
        # Shared between the threads, under the lock. A plain one: a condition's own costs those who
        # write thrice as much.
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._waiting: list[AnyExchange] = []
        self._size = 0
        self._lost = 0
        self._thread: Thread | None = None
        self._is_asleep = False  # the thread, until it is told of a line
        self._closing = False
        self._reopening = False
        # The writing thread's own
        self._failing = False
        self._renames = RenameWatch(target)
        self._reopening_fails = False

    def write(self, exchange: AnyExchange) -> None:
        """Log one exchange. Never waits for the log; safe from any thread."""
        try:  # the texts of which a client may send much
            size = len(exchange[3]) + len(exchange[7]) + len(exchange[8]) + len(exchange[10])
        except TypeError:  # an application may put anything there
            size = sum(len(part) for part in exchange if isinstance(part, str))
        with self._lock:
            before = self._size
            size += before + _EXCHANGE_BYTES
            if size > _WAITING_BYTES or self._closing:
                self._lost += 1
                return
            self._waiting.append(exchange)
            self._size = size
            if self._thread is None:
                self._start()
            elif self._is_asleep or size >= _BATCH_BYTES > before:
                self._is_asleep = False
                self._changed.notify()

    def reopen(self) -> None:
        """Open the file anew, when a line is written next. Safe in a signal handler."""
        if self._thread is None:
            self._reopen()  # a supervisor never writes, and would keep the old file for good
        else:
            self._reopening = True

    def close(self) -> None:
        """Write what waits, for at most 2 s, and close. Calls after the first do nothing."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_TIME)
        if (thread is None or not thread.is_alive()) and self._descriptor > 2:
            os.close(self._descriptor)

    def _start(self) -> None:
        self._thread = Thread(target=self._write_lines, name="access log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no more threads just now: the next line tries again
            self._thread = None

    def _open(self) -> None:
        if self._target == "-":
            descriptor = 1
        else:
            # Without O_NONBLOCK opening a fifo waits for its reader.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self._target, flags, 0o644)
            os.set_blocking(descriptor, True)
        former, self._descriptor = self._descriptor, descriptor
        self._at_once = os.isatty(descriptor)
        self._longest = 0 if stat.S_ISREG(os.fstat(descriptor).st_mode) else _PIPE_WRITE
        if former > 2:
            os.close(former)

    def _write_lines(self) -> None:
        while True:
            exchanges, lost, closing = self._collect()
            if self._reopening or self._was_renamed():
                self._reopening = False
                self._reopen()
            if exchanges:
                self._write_batch(self._lines(exchanges), lost)
            if closing:
                return

    def _collect(self) -> tuple[list[AnyExchange], int, bool]:
        """Wait for exchanges, and then a little for more of them."""
        with self._changed:
            if self._at_once or not self._gather():
                while not self._waiting and not self._closing:
                    self._is_asleep = True
                    self._changed.wait()
                if not self._at_once:
                    self._gather()
            exchanges, self._waiting, self._size = self._waiting, [], 0
            return exchanges, self._lost, self._closing

    def _gather(self) -> bool:
        """With the lock held: wait for a batch; return whether anything waits."""
        deadline = monotonic() + _BATCH_TIME
        while self._size < _BATCH_BYTES and not self._closing:
            if not self._changed.wait(max(0.0, deadline - monotonic())):
                break
        return bool(self._waiting)

    def _lines(self, exchanges: list[AnyExchange]) -> list[str]:
        with suppress(Exception):  # an application may put anything there: then one by one
            line = self._format
            lines = [line(exchange) for exchange in self._shown(exchanges)]
            if not self._longest or max(map(len, lines)) <= self._longest:
                return lines
        lines = []
        for exchange in exchanges:
            try:
                lines += map(self._line, self._shown([exchange]))
            except Exception:  # noqa: BLE001 - the same
                with self._lock:
                    self._lost += 1
        return lines

    def _shown(self, exchanges: list[AnyExchange]) -> list[AnyExchange]:
        if self._clients == "full":
            return exchanges
        return [(shown_address(one[0], self._clients), *one[1:]) for one in exchanges]

    def _line(self, exchange: AnyExchange) -> str:
        line = self._format(exchange)
        room = 1024
        while self._longest and len(line) > self._longest:
            # Cutting what the client sent keeps the line whole, and readable for programs.
            line = self._format(cut(exchange, room))
            room //= 2
        return line

    def _was_renamed(self) -> bool:
        is_file = self._target != "-" and not self._longest
        return is_file and self._renames.has_left(self._descriptor)

    def _reopen(self) -> None:
        try:
            self._open()
            self._reopening_fails = False
        except OSError as error:
            if not self._reopening_fails:
                self._report(
                    f"access log {self._target}: {error.strerror}; the old file is still written"
                )
            self._reopening_fails = True

    def _write_batch(self, lines: list[str], lost: int) -> None:
        written = 0
        try:
            for chunk, count in _chunks(lines, self._longest or 1 << 20):
                self._write_chunk(chunk)
                written += count
        except OSError as error:
            with self._lock:
                self._lost += len(lines) - written
            if not self._failing:
                self._failing = True
                self._report(
                    f"access log {self._target}: {error.strerror}; lines are lost until it works"
                    " again"
                )
            # A disk that is full stays so for a while; without a pause a busy server would try all
            # the time.
            if not self._closing:
                sleep(_BATCH_TIME)
            return
        if lost:
            with self._lock:
                self._lost -= lost
            again = "works again; " if self._failing else ""
            self._report(f"access log {self._target}: {again}{lost} lines were lost")
        self._failing = False

    def _write_chunk(self, chunk: bytes) -> None:
        rest = chunk
        while rest:
            try:
                written = (
                    os.write(self._descriptor, rest)
                    if self._longest
                    else append_whole_lines(self._descriptor, rest)
                )
            except BlockingIOError:  # a terminal or pipe that somebody else made non-blocking
                self._wait_for_room()
                continue
            rest = rest[written:]

    def _wait_for_room(self) -> None:
        room = poll()
        room.register(self._descriptor, POLLOUT)
        room.poll(1000)


def _chunks(lines: list[str], most: int) -> list[tuple[bytes, int]]:
    """Join lines, which are ASCII, into writes of at most *most* bytes, each with the number of its
    lines.
    """
    if sum(map(len, lines)) <= most:
        return [_joined(lines)]
    chunks: list[tuple[bytes, int]] = []
    first, size = 0, 0
    for position, line in enumerate(lines):
        if size and size + len(line) > most:
            chunks.append(_joined(lines[first:position]))
            first, size = position, 0
        size += len(line)
    chunks.append(_joined(lines[first:]))
    return chunks


def _joined(lines: list[str]) -> tuple[bytes, int]:
    return "".join(lines).encode("ascii", "backslashreplace"), len(lines)
