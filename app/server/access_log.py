"""The server's access log: one line for each exchange, in Apache's combined format or as JSON.

What only the application knows, such as the number of an access, comes with its `RequestNote`.

The thread that serves only makes the line. A thread of the log's own, started with the first line
in each process, writes lines out in batches. So a disk or a reader that is slow or broken costs
lines, never service: what waits is bounded, and lost lines are counted and reported. Several
processes may write to one log: each write holds whole lines, and into a pipe never more than
PIPE_BUF bytes, so that lines do not mix.
"""

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from select import POLLOUT, poll
from threading import Condition, Thread
from time import gmtime, monotonic, sleep, strftime, time
from typing import NamedTuple

from ..client_address import Shown, shown_address
from ..clock import MONTHS
from ..line_log import RenameWatch, append_whole_lines, tell
from ..request_note import NO_NOTE, RequestNote

#: Seconds that a line may wait to be written where nobody watches.
_BATCH_TIME = 0.2
_BATCH_BYTES = 1 << 16
#: Bytes that may wait while the log cannot be written; lines beyond are lost.
_WAITING_BYTES = 8 << 20
#: POSIX's least PIPE_BUF is 512, Linux's is 4096: writes up to it are never mixed with those of
#: others.
_PIPE_WRITE = 4096
#: Seconds that closing waits for a log that does not take its lines.
_CLOSE_TIME = 2.0


class Exchange(NamedTuple):
    """One request and what became of its answer.

    Texts are as in the environ: each character is one byte, in latin-1.
    """

    remote_addr: str
    remote_user: str
    received: float  # seconds since the epoch
    request_line: str
    status: int
    sent: int  # bytes of the body that were handed to the kernel
    duration: float  # seconds
    referer: str
    user_agent: str
    aborted: bool
    host: str
    note: RequestNote = NO_NOTE
    request_id: str = ""


def refused(remote_addr: str, status: int, sent: int) -> Exchange:
    """Return the exchange with a client whose bytes were not a request."""
    return Exchange(
        remote_addr=remote_addr,
        remote_user="",
        received=time(),
        request_line="",
        status=status,
        sent=sent,
        duration=0.0,
        referer="",
        user_agent="",
        aborted=False,
        host="",
    )


Formatter = Callable[[Exchange], str]


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
        # Shared between the threads, under the condition's lock
        self._changed = Condition()
        self._lines: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._thread: Thread | None = None
        self._closing = False
        self._reopening = False
        # The writing thread's own
        self._failing = False
        self._renames = RenameWatch(target)
        self._reopening_fails = False

    def write(self, exchange: Exchange) -> None:
        """Log one exchange. Never raises and never waits for the log; safe from any thread."""
        if self._clients != "full":
            address = shown_address(exchange.remote_addr, self._clients)
            exchange = exchange._replace(remote_addr=address)
        line = self._line(exchange)
        with self._changed:
            if self._closing or self._size + len(line) > _WAITING_BYTES:
                self._lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if self._thread is None:
                self._start()
            elif len(self._lines) == 1 or (self._size >= _BATCH_BYTES > self._size - len(line)):
                self._changed.notify()

    def reopen(self) -> None:
        """Open the file anew, when a line is written next. Safe in a signal handler."""
        if self._thread is None:
            self._reopen()  # a supervisor never writes, and would keep the old file for good
        else:
            self._reopening = True

    def close(self) -> None:
        """Write what waits, for at most 2 s, and close. Calls after the first do nothing."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_TIME)
        if (thread is None or not thread.is_alive()) and self._descriptor > 2:
            os.close(self._descriptor)

    def _line(self, exchange: Exchange) -> bytes:
        line = self._format(exchange).encode("ascii", "backslashreplace")
        room = 1024
        while self._longest and len(line) > self._longest:
            # Cutting what the client sent keeps the line whole, and readable for programs.
            line = self._format(_cut(exchange, room)).encode("ascii", "backslashreplace")
            room //= 2
        return line

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
            lines, lost, closing = self._collect()
            if self._reopening or self._was_renamed():
                self._reopening = False
                self._reopen()
            if lines:
                self._write_batch(lines, lost)
            if closing:
                return

    def _collect(self) -> tuple[list[bytes], int, bool]:
        """Wait for lines, and then a little for more of them."""
        with self._changed:
            while not self._lines and not self._closing:
                self._changed.wait()
            if not self._at_once:
                deadline = monotonic() + _BATCH_TIME
                while self._size < _BATCH_BYTES and not self._closing:
                    if not self._changed.wait(max(0.0, deadline - monotonic())):
                        break
            lines, self._lines, self._size = self._lines, [], 0
            lost = self._lost
            return lines, lost, self._closing

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

    def _write_batch(self, lines: list[bytes], lost: int) -> None:
        written = 0
        try:
            for chunk, count in _chunks(lines, self._longest or 1 << 20):
                self._write_chunk(chunk)
                written += count
        except OSError as error:
            with self._changed:
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
            with self._changed:
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


def formatter(log_format: str) -> Formatter:
    """Return the function that makes a line, with its newline. Raises ValueError."""
    if log_format == "combined":
        return combined
    if log_format == "combined+":
        return combined_with_count
    if log_format == "json":
        return _json_formatter()
    raise ValueError(f"{log_format!r} is not an access log format")


def combined(exchange: Exchange) -> str:
    """Return Apache's combined line, then the duration in seconds, and `aborted` or `-`."""
    return (
        f"{_bare(exchange.remote_addr or 'unix:')} - {_bare(exchange.remote_user or '-')} "
        f'[{_combined_time(int(exchange.received))}] "{_quoted(exchange.request_line or "-")}"'
        f" {exchange.status} "
        f'{exchange.sent} "{_quoted(exchange.referer or "-")}"'
        f' "{_quoted(exchange.user_agent or "-")}" '
        f"{exchange.duration:.6f} {'aborted' if exchange.aborted else '-'}\n"
    )


def combined_with_count(exchange: Exchange) -> str:
    """Return the combined line, then `count=` and the number of the access, or `-`."""
    number = exchange.note.number
    return f"{combined(exchange)[:-1]} count={'-' if number is None else number}\n"


@lru_cache(maxsize=2)
def _combined_time(second: int) -> str:
    now = gmtime(second)
    # strftime's %b speaks the machine's language.
    return strftime(f"%d/{MONTHS[now.tm_mon - 1]}/%Y:%H:%M:%S +0000", now)


_TO_ESCAPE = re.compile(r"[^ !#-\[\]-~]")


def _quoted(text: str) -> str:
    return _TO_ESCAPE.sub(_escape, text)


def _bare(text: str) -> str:
    return _TO_ESCAPE.sub(_escape, text).replace(" ", "\\x20")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    # What is no latin-1 cannot come from the wire, but an application may put anything into the
    # environ.
    return "".join(
        f"\\x{byte:02x}"
        for byte in character.encode("latin-1" if character <= "\xff" else "utf-8", "replace")
    )


def _json_formatter() -> Formatter:
    from json.encoder import encode_basestring_ascii as quote

    def text(value: str) -> str:
        # Clients send UTF-8; other bytes stay latin-1, so that none is lost. DEL is the one control
        # character that JSON allows unescaped.
        with suppress(UnicodeError):
            value = value if value.isascii() else value.encode("latin-1").decode()
        return quote(value).replace("\x7f", "\\u007f")

    def text_or_null(value: str) -> str:
        return text(value) if value else "null"

    def noted(note: RequestNote) -> str:
        return (
            f'"path":{text_or_null(note.path)},"kind":{text_or_null(note.kind)},'
            f'"class":{text_or_null(note.class_)},'
            f'"number":{"null" if note.number is None else note.number},'
            f'"completed":{"true" if note.completed else "false"}'
        )

    def as_json(exchange: Exchange) -> str:
        method, _, rest = exchange.request_line.partition(" ")
        target, _, version = rest.rpartition(" ")
        milliseconds = int(exchange.received * 1000) % 1000
        return (
            f'{{"time":"{_json_time(int(exchange.received))}.{milliseconds:03d}Z",'
            f'"remote_addr":{text(exchange.remote_addr)},'
            f'"remote_user":{text(exchange.remote_user)},"host":{text(exchange.host)},'
            f'"method":{text(method)},"target":{text(target)},'
            f'"version":{text(version)},'
            f'"status":{exchange.status},"bytes":{exchange.sent},'
            f'"duration":{exchange.duration:.6f},'
            f'"referer":{text(exchange.referer)},"user_agent":{text(exchange.user_agent)},'
            f'"aborted":{"true" if exchange.aborted else "false"},'
            f'{noted(exchange.note)},"request_id":{text_or_null(exchange.request_id)}}}\n'
        )

    return as_json


@lru_cache(maxsize=2)
def _json_time(second: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))


def _cut(exchange: Exchange, room: int) -> Exchange:
    def cut(text: str) -> str:
        return text if len(text) <= room else text[:room] + "..."

    return exchange._replace(
        remote_addr=cut(exchange.remote_addr),
        remote_user=cut(exchange.remote_user),
        request_line=cut(exchange.request_line),
        referer=cut(exchange.referer),
        user_agent=cut(exchange.user_agent),
        host=cut(exchange.host),
        note=exchange.note.with_path(cut(exchange.note.path)),
    )


def _chunks(lines: list[bytes], most: int) -> list[tuple[bytes, int]]:
    """Join lines into writes of at most *most* bytes, each with the number of its lines."""
    chunks: list[tuple[bytes, int]] = []
    first, size = 0, 0
    for position, line in enumerate(lines):
        if size and size + len(line) > most:
            chunks.append((b"".join(lines[first:position]), position - first))
            first, size = position, 0
        size += len(line)
    chunks.append((b"".join(lines[first:]), len(lines) - first))
    return chunks
