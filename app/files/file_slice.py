"""A bounded part of an open file, as a body for any WSGI server: read in blocks, or sent by the
kernel.

A `FileSlice` is for servers that send from where `file_span` says. It keeps its place itself, so
others may have its descriptor, too. An `OwnSlice` has one alone, whose offset is the only record of
its place: other servers that send by the kernel ask for `fileno()` and begin at that offset.
Positions are the file's own, as `sendfile` needs them. `read` ends where the slice ends.

A file that is rewritten while it is being sent ends the answer early: `read` raises
FileChangedError instead of giving out new bytes, and a server that sends by the kernel asks
`unchanged` before each piece. One that does not (gunicorn) at least closes the connection, since
`close` raises then.

How much was handed over is known from what the server does. One that reads has sent a block when it
comes for the next. gunicorn's sendfile seeks to the end of what it sent, and the built-in server
says it (`note_sent`).
"""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from ..failure_log import Repeats
from .open_files import OpenFile
from .ranges import Multipart
from .version import Version, has_grown_only

BLOCK = 65536

#: Called once, when a body is closed: with the bytes that were handed to the network, and whether
#: these were all.
Ended: TypeAlias = Callable[[int, bool], None]


class FileChangedError(ConnectionResetError):
    """The file was changed after the header fields of the answer were made; the answer cannot be
    completed.

    All that is left is to end the connection, so to a server this is a connection that was lost,
    and no fault to be logged: gunicorn goes by the class, the built-in server by `is_logged`, since
    one line has been said here.
    """

    is_logged = True

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the file was changed while it was being sent")


_log = logging.getLogger("tally.files")
_changes = Repeats(_log.warning)


def _log_change(descriptor: int) -> None:
    try:
        name = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        name = "a file"
    what = f"{name!a} was changed while it was being sent; the answer was cut short"
    if _changes.is_first(what):
        _log.warning(what)


class Described(Protocol):
    """What is known of a file: its size, its version, and its `sample`."""

    @property
    def size(self) -> int: ...
    @property
    def version(self) -> Version: ...
    @property
    def sampled(self) -> bytes: ...


class FileSlice:
    """The bytes from *first* to *last* of what is *opened*, which was *file* when the header fields
    were made. For one thread at a time.
    """

    __slots__ = (
        "_change_told",
        "_descriptor",
        "_end",
        "_file",
        "_first",
        "_modified_ns",
        "_opened",
        "_position",
        "_seen_size",
        "_sent_until",
        "ended",
    )

    def __init__(self, opened: OpenFile, first: int, last: int, file: Described) -> None:
        self._opened: OpenFile | None = opened  # until the slice is closed
        self._descriptor = opened.descriptor
        self._first = first
        self._position = first
        self._end = last + 1
        self._sent_until = first
        self._file = file
        self._modified_ns = file.version[3]
        self._seen_size = file.size
        self._change_told = False
        #: To be set before the body is given to a server.
        self.ended: Ended | None = None

    def file_span(self) -> tuple[int, int, int]:
        """Return the descriptor of a regular file, where in it the rest of the slice begins, and
        how many bytes that is.
        """
        position = self.tell()
        return self._descriptor, position, self._end - position

    def fileno(self) -> int:
        if self._opened is None:
            raise ValueError("the slice is closed")
        return self._descriptor

    def unchanged(self) -> bool:
        """Return whether the file is what the header fields say, whatever was appended to it."""
        status = os.fstat(self._descriptor)
        if status.st_mtime_ns == self._modified_ns and status.st_size == self._seen_size:
            return True
        file = self._file
        if has_grown_only(self._descriptor, status, file.size, file.sampled):
            self._modified_ns, self._seen_size = status.st_mtime_ns, status.st_size
            return True
        self._note_change()
        return False

    def read(self, size: int | None = -1) -> bytes:
        """Return up to *size* bytes, all that is left for -1, and b"" at the end.

        Raises FileChangedError.
        """
        position = self.tell()
        self._note_sent_until(position)
        left = self._end - position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        data = self._read_here(wanted)
        # Asked afterwards: a change that came before the read shows in the status by now.
        if not data or not self.unchanged():
            self._note_change()
            raise FileChangedError
        return data

    def note_sent(self, count: int) -> None:
        """Note that the first *count* bytes of the slice were handed to the network."""
        self._note_sent_until(self._first + count)

    def _note_sent_until(self, offset: int) -> None:
        if offset > self._sent_until:
            self._sent_until = min(offset, self._end)

    def _note_change(self) -> None:
        if not self._change_told:
            self._change_told = True
            _log_change(self._descriptor)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        if whence == os.SEEK_SET:
            self._note_sent_until(offset)
        return self._go_to(offset, whence)

    def _go_to(self, offset: int, whence: int) -> int:
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def _read_here(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def seekable(self) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self.read(BLOCK)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Let go of the file. Raises FileChangedError when a change went unnoticed so far.

        A server that let the kernel send a file that was cut short meanwhile may not notice:
        gunicorn would keep the connection open, in the middle of an answer. An error here makes it
        close the connection.
        """
        if self._opened is None:
            return
        was_told, same = self._change_told, False
        try:
            same = not was_told and self.unchanged()
        finally:
            self._opened, self._descriptor = None, -1
            if self.ended is not None:
                sent = self._sent_until - self._first
                self.ended(sent, same and self._sent_until == self._end)
        if not same and not was_told:
            raise FileChangedError


class OwnSlice(FileSlice):
    """A slice whose place is the offset of its descriptor, which nobody else has."""

    __slots__ = ()

    def __init__(self, opened: OpenFile, first: int, last: int, file: Described) -> None:
        super().__init__(opened, first, last, file)
        self._go_to(first, os.SEEK_SET)

    def tell(self) -> int:
        return self._go_to(0, os.SEEK_CUR)

    def _go_to(self, offset: int, whence: int) -> int:
        return os.lseek(self.fileno(), offset, whence)

    def _read_here(self, size: int) -> bytes:
        return os.read(self._descriptor, size)


class MultipartBody:
    """A multipart/byteranges body read from *source*, a slice that begins with the file's first
    byte.
    """

    def __init__(self, layout: Multipart, source: FileSlice) -> None:
        self._layout = layout
        self._source = source
        self._sent = 0
        self._pieces = self._counted(_pieces(layout, source))
        self.ended: Ended | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            self._sent += len(piece)

    def close(self) -> None:
        try:
            self._source.close()
        finally:
            ended, self.ended = self.ended, None
            if ended is not None:
                ended(self._sent, self._sent == self._layout.length)


def _pieces(layout: Multipart, source: FileSlice) -> Iterator[bytes]:
    for head, item in zip(layout.heads, layout.ranges, strict=True):
        yield head
        source.seek(item.first)
        left = item.length
        while left:
            data = source.read(min(left, BLOCK))
            left -= len(data)
            yield data
    yield layout.end
