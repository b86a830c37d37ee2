"""A bounded part of an open file, as a body for any WSGI server: read in blocks, or sent by the
kernel.

A `FileSlice` has a descriptor of its own. Positions are the file's own, as `sendfile` needs them,
and the descriptor's offset is the only record of them: servers that send by the kernel ask for
`fileno()` and begin at that offset. `read` ends where the slice ends. A `SharedSlice` is for
servers that send from where `file_span` says, and has a descriptor that others have, too.

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
from typing import TypeAlias

from ..failure_log import Repeats
from .open_files import OpenFile
from .ranges import Multipart
from .version import sample

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


class FileSlice:
    """The bytes from *first* to *last* of the open *descriptor*, which the slice closes.

    *size*, *modified_ns* and *sampled* (see `version.sample`) are the file's when the header fields
    were made. For one thread at a time.
    """

    def __init__(
        self, descriptor: int, first: int, last: int, size: int, modified_ns: int, sampled: bytes
    ) -> None:
        self._descriptor = descriptor
        self._first = first
        self._end = last + 1
        self._sent_until = first
        #: To be set before the body is given to a server.
        self.ended: Ended | None = None
        self._size = size
        self._modified_ns = modified_ns
        self._sampled = sampled
        self._seen_size = size
        self._change_told = False
        self._closed = False
        self._go_to(first, os.SEEK_SET)

    def file_span(self) -> tuple[int, int, int]:
        """Return the descriptor of a regular file, where in it the rest of the slice begins, and
        how many bytes that is.
        """
        position = self.tell()
        return self._descriptor, position, self._end - position

    def fileno(self) -> int:
        if self._closed:
            raise ValueError("the slice is closed")
        return self._descriptor

    def unchanged(self) -> bool:
        """Return whether the file is what the header fields say, whatever was appended to it."""
        status = os.fstat(self.fileno())
        same = status.st_mtime_ns == self._modified_ns and status.st_size == self._seen_size
        if not same and not self.has_grown_only():
            self._note_change()
            return False
        return True

    def has_grown_only(self) -> bool:
        """Return whether the file has become longer since, and the blocks that were sampled are
        what they were.
        """
        status = os.fstat(self.fileno())
        if status.st_size <= self._size or sample(self._descriptor, self._size) != self._sampled:
            return False
        self._modified_ns, self._seen_size = status.st_mtime_ns, status.st_size
        return True

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
        self._sent_until = max(self._sent_until, min(offset, self._end))

    def _note_change(self) -> None:
        if not self._change_told:
            self._change_told = True
            _log_change(self._descriptor)

    def tell(self) -> int:
        return os.lseek(self.fileno(), 0, os.SEEK_CUR)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        if whence == os.SEEK_SET:
            self._note_sent_until(offset)
        return self._go_to(offset, whence)

    def _go_to(self, offset: int, whence: int) -> int:
        return os.lseek(self.fileno(), offset, whence)

    def _read_here(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def _release(self) -> None:
        os.close(self._descriptor)

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
        """Release the descriptor. Raises FileChangedError when a change went unnoticed so far.

        A server that let the kernel send a file that was cut short meanwhile may not notice:
        gunicorn would keep the connection open, in the middle of an answer. An error here makes it
        close the connection.
        """
        if self._closed:
            return
        was_told, same = self._change_told, False
        try:
            same = not was_told and self.unchanged()
        finally:
            self._closed = True
            self._release()
            if self.ended is not None:
                sent = self._sent_until - self._first
                self.ended(sent, same and self._sent_until == self._end)
        if not same and not was_told:
            raise FileChangedError

    def give_up(self) -> None:
        """Release the descriptor of a slice that is not sent."""
        self._closed = True
        self._release()

    def __del__(self) -> None:
        # A server that fails before it has the body does not close it.
        if not getattr(self, "_closed", True):
            self._closed = True
            self._release()


class SharedSlice(FileSlice):
    """A slice of the open *file*, whose descriptor others have, too: it keeps its place itself."""

    def __init__(
        self, file: OpenFile, first: int, last: int, size: int, modified_ns: int, sampled: bytes
    ) -> None:
        self._file: OpenFile | None = file
        self._position = first
        super().__init__(file.descriptor, first, last, size, modified_ns, sampled)

    def tell(self) -> int:
        return self._position

    def _go_to(self, offset: int, whence: int) -> int:
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def _read_here(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._position)
        self._position += len(data)
        return data

    def _release(self) -> None:
        self._file = None


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
