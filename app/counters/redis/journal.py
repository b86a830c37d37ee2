"""Where a host keeps what it counted while the remote store is away.

So killing the server loses nothing.

One file for each writer, `TOKEN.journal`, which its process holds locked as long as it lives. A
file that is not locked is a dead process's or a finished one: whoever gets the lock delivers what
is in it and removes it. The lock alone says who lives. Process ids say nothing: servers in several
containers may share a directory.

A file begins with a line of fixed length, which says how far it is delivered. Each further line is
an entry: a checksum, the entry's number and its four texts, which are opaque here. An entry is in
the file, safe from the death of the process, when `append` returns; a thread has it on the disk,
safe from a power failure, within `SYNC_SECONDS` and the time that the disk takes.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from time import gmtime, strftime
from zlib import crc32

from ... import after_fork
from ..contract import CounterError
from ..outage import tell
from .entries import Entry

SYNC_SECONDS = 1.0
SUFFIX, _UNFINISHED = ".journal", ".new"
#: "tally-journal 1 BOOT DELIVERED STATE": the boot that it was written in, the end of what is
#: delivered, and whether it was given up in order, with all of it on the disk ("ended"), or not
#: ("open").
_HEADER = "tally-journal 1 {:36.36} {:020d} {:5}\n"
HEADER_SIZE = len(_HEADER.format("", 0, ""))
_READ_SIZE = 1 << 20
#: After a power failure, the line about lost accesses reckons with this many seconds at the last
#: known rate.
_UNSYNCED_SECONDS = 3


class Writer:
    """A file of the journal that this process holds: its own, or one that was left by another."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        #: Entries that could not be read.
        self.unreadable = 0
        fields = _header_in(descriptor)
        self.delivered = int(fields[3]) if fields else HEADER_SIZE
        self._boot, self._state = (fields[2], fields[4]) if fields else ("", "open")

    @property
    def token(self) -> str:
        """Names the writer to the remote store."""
        return os.path.basename(self.path).removesuffix(SUFFIX)

    @property
    def has_waiting(self) -> bool:
        return self.size > max(self.delivered, HEADER_SIZE)

    @property
    def is_open(self) -> bool:
        """Whether it was not given up in order, with all of it on the disk."""
        return self._state == "open"

    @property
    def lost_power(self) -> bool:
        """Whether the machine went down with it open, so that its last entries may be missing."""
        return self.is_open and self._boot != _boot()

    def write_header(self, state: str = "") -> None:
        self._boot, self._state = (_boot(), state) if state else (self._boot, self._state)
        _write_whole(
            self.descriptor, _HEADER.format(self._boot, self.delivered, self._state).encode(), 0
        )


class Journal:
    """The journal in *directory*. Raises OSError when that cannot be used. Safe from any thread."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        os.makedirs(directory, 0o700, exist_ok=True)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        self._begin()
        after_fork.register(self)

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._lock = Lock()
        self._held: set[Writer] = set()
        self._unsynced: set[Writer] = set()
        self._complaints: set[str] = set()
        self._syncing: Thread | None = None
        self._end = Event()

    def begin_in_child(self) -> None:
        """Let go of the parent's files.

        Held here too, they would seem alive when the parent is dead.
        """
        held = self._held
        self._begin()
        for writer in held:
            os.close(writer.descriptor)

    # ------------------------------------------------------------------ writers

    def register(self) -> Writer:
        """Return a new writer for this process. Raises OSError, and leaves nothing behind then."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        path = os.path.join(self.directory, secrets.token_hex(8) + SUFFIX)
        unfinished = path + _UNFINISHED
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            writer = Writer(path, descriptor)
            writer.write_header("open")
            writer.size = HEADER_SIZE
            os.rename(unfinished, path)  # only now can others see it, and it is locked
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            os.close(descriptor)
            raise
        with self._lock:
            self._held.add(writer)
        return writer

    def adopt(self) -> Iterator[Writer]:
        """Yield the writers that nobody holds; each is to be given to `retire` or `abandon`.

        Raises OSError.
        """
        for name in sorted(os.listdir(self.directory)):
            if name.endswith((SUFFIX, _UNFINISHED)) and (
                writer := self._take(os.path.join(self.directory, name))
            ):
                if name.endswith(SUFFIX):
                    yield writer
                else:  # its process died while it registered
                    self.retire(writer)

    def _take(self, path: str) -> Writer | None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except PermissionError:
            self._complain(f"{path} belongs to another user; what it holds is not delivered")
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.fstat(descriptor).st_nlink > 0  # else another process retired it in between
            writer = Writer(path, descriptor) if there else None
        except BlockingIOError:
            writer = None
        except BaseException:
            os.close(descriptor)
            raise
        if writer is None:
            os.close(descriptor)
            return None
        with self._lock:
            self._held.add(writer)
        return writer

    def empty(self, writer: Writer) -> None:
        """Forget the entries of a writer, all of which are delivered, for good. Raises OSError."""
        if writer.size > HEADER_SIZE:
            os.ftruncate(writer.descriptor, HEADER_SIZE)
            writer.size = writer.delivered = HEADER_SIZE
            writer.write_header()
            # Should it be there again after a power failure, nothing of it may be delivered again.
            os.fsync(writer.descriptor)

    def retire(self, writer: Writer) -> None:
        """Remove a writer that has nothing waiting."""
        with suppress(FileNotFoundError):
            os.unlink(writer.path)
        self._let_go(writer)

    def abandon(self, writer: Writer) -> None:
        """Leave a writer's entries, all of them on the disk, to whoever comes next.

        That may be this process, too.
        """
        try:
            if writer.has_waiting and writer.is_open and not writer.lost_power:
                os.fsync(writer.descriptor)
                writer.write_header("ended")
        except OSError as error:
            self._complain(
                f"{self.directory}: {error.strerror}; what it holds may not survive a power failure"
            )
        finally:
            self._let_go(writer)

    def _let_go(self, writer: Writer) -> None:
        with self._lock:
            self._unsynced.discard(writer)
            if writer in self._held:
                self._held.remove(writer)
                os.close(writer.descriptor)

    def close(self) -> None:
        self._end.set()
        for writer in list(self._held):
            self.abandon(writer)

    # ------------------------------------------------------------------ entries

    def append(self, writer: Writer, first: int, entries: Sequence[Entry]) -> None:
        """Keep *entries*, numbered from *first*.

        When this returns, the death of the process does not lose them.

        Raises CounterError, and then none of them is kept.
        """
        data = b"".join([_line(number, entry) for number, entry in enumerate(entries, first)])
        try:
            _write_whole(writer.descriptor, data, writer.size)
        except OSError as error:
            os.ftruncate(writer.descriptor, writer.size)
            raise CounterError(f"counts: {self.directory}: {error.strerror}") from None
        writer.size += len(data)
        with self._lock:
            self._unsynced.add(writer)
            if self._syncing is None and not self._end.is_set():
                self._start_syncing()

    def waiting(self, writer: Writer, most: int) -> tuple[int, list[Entry], int]:
        """Return up to *most* consecutive entries that are not delivered.

        Before them comes the number of the first, after them their end in the file.
        """
        entries: list[Entry] = []
        first, end = 0, max(writer.delivered, HEADER_SIZE)
        for line in _lines(os.pread(writer.descriptor, _READ_SIZE, end)):
            numbered = _parsed(line)
            if numbered is None:
                writer.unreadable += 1
            elif len(entries) == most or (entries and numbered[0] != first + len(entries)):
                break
            else:
                first = first or numbered[0]
                entries.append(numbered[1])
            end += len(line)
        return first, entries, end

    def count(self, writer: Writer) -> int:
        """Return how many entries are not delivered, as the lines say."""
        lines, at = 0, max(writer.delivered, HEADER_SIZE)
        while data := os.pread(writer.descriptor, _READ_SIZE, at):
            lines, at = lines + data.count(b"\n"), at + len(data)
        return lines

    def delivered(self, writer: Writer, end: int) -> None:
        """Remember that the remote store has all entries up to *end*. Raises OSError."""
        writer.delivered = end
        writer.write_header()

    def tell_lost(self, writer: Writer) -> None:
        """Say what a power failure took, once the others of its entries are delivered."""
        if writer.lost_power and writer.size > HEADER_SIZE:
            start = max(HEADER_SIZE, writer.size - _READ_SIZE)
            lines = _lines(os.pread(writer.descriptor, _READ_SIZE, start))
            times = [
                int(numbered[1][3])
                for line in lines
                if (numbered := _parsed(line)) and numbered[1][3] != "0"
            ]
            last = max(times, default=0)
            at_most = sum(time > last - _UNSYNCED_SECONDS for time in times)
            moment = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(last)) if last else "an unknown time"
            tell(
                f"counts: journal {writer.path}: the machine went down after {moment} while the"
                f" server ran; about {at_most} accesses of the last {_UNSYNCED_SECONDS} s may be"
                " lost"
            )
        if writer.unreadable:
            tell(
                f"counts: journal {writer.path}: {writer.unreadable} lines cannot be read, and are"
                " not counted"
            )

    # ------------------------------------------------------------------ the disk

    def _start_syncing(self) -> None:
        thread = Thread(
            target=self._sync_now_and_then, args=(self._end,), name="count-journal", daemon=True
        )
        with suppress(RuntimeError):  # the interpreter is ending: close() syncs
            thread.start()
            self._syncing = thread

    def _sync_now_and_then(self, end: Event) -> None:
        named: set[Writer] = set()  # their names are on the disk too
        while not end.wait(SYNC_SECONDS):
            with self._lock:
                unsynced, self._unsynced = self._unsynced & self._held, set()
                descriptors = [os.dup(writer.descriptor) for writer in unsynced]
            try:
                for descriptor in descriptors:
                    os.fdatasync(descriptor)
                if unsynced - named:
                    _sync_directory(self.directory)
                    named = unsynced
            except OSError as error:
                self._complain(
                    f"{self.directory}: {error.strerror}; what it holds may not survive a power"
                    " failure"
                )
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _complain(self, problem: str) -> None:
        if problem not in self._complaints:
            self._complaints.add(problem)
            tell(f"counts: journal {problem}")


def delivered_in(descriptor: int) -> int | None:
    """Return the end of what is delivered of an open file, None when its first line is unknown."""
    fields = _header_in(descriptor)
    return int(fields[3]) if fields else None


def _header_in(descriptor: int) -> list[str]:
    """Return the words of a file's first line, none when it is not as it was written."""
    fields = os.pread(descriptor, HEADER_SIZE, 0).decode("ascii", "replace").split()
    return fields if len(fields) == 5 and fields[3].isdigit() else []


def _line(number: int, entry: Entry) -> bytes:
    text = json.dumps([number, *entry]).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _lines(data: bytes) -> list[bytes]:
    """Return the lines of *data* with their ends.

    One that goes on behind a whole piece is left for the next piece.
    """
    *whole, rest = data.split(b"\n")
    lines = [line + b"\n" for line in whole]
    if rest and (not lines or len(data) < _READ_SIZE):
        lines.append(rest)
    return lines


def _parsed(line: bytes) -> tuple[int, Entry] | None:
    """Return number and entry of a line; None when it is not as it was written."""
    text = line[9:-1]
    if line[:9] != b"%08x " % crc32(text) or not line.endswith(b"\n"):
        return None
    number, operation, name, amount, time = json.loads(text)
    return number, (operation, name, amount, time)


def _write_whole(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return (
                file.read().decode("ascii").strip()
            )  # this way without a codec that a worker may not read
    except OSError:
        return "?"
