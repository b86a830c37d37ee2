"""`wsgi.file_wrapper` (PEP 3333), and the span of a file that the kernel sends (sendfile(2))."""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

#: One sendfile call sends no more than this, so that one fast reader does not keep the others
#: waiting.
PIECE = 1 << 20

#: What file systems answer that cannot splice their pages.
_NOT_FOR_SENDFILE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class FileWrapper:
    """An iterable over a file-like object.

    If the application returns the wrapper itself, the kernel may send the file.
    """

    #: An application may look at this: the server asks an object's `file_span`, if its class has
    #: one, which bytes of which descriptor to send, and leaves the descriptor's offset alone. So
    #: many objects may share a descriptor.
    sends_spans = True

    # An object of its own only for what an application may add.
    __slots__ = ("__dict__", "__weakref__", "block_size", "close", "filelike")

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.block_size)
        if not data:
            raise StopIteration
        return data


class FileSpan:
    """`remaining` bytes of an open regular file, from `offset` on.

    It does not own the descriptor.
    """

    __slots__ = ("_unchanged", "descriptor", "offset", "remaining")

    def __init__(
        self, descriptor: int, offset: int, remaining: int, unchanged: Callable[[], bool] | None
    ) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.remaining = remaining
        self._unchanged = unchanged

    def send(self, to: int) -> int:
        """Send one piece to the descriptor *to* and return its length.

        Returns 0 when the file was replaced or has become shorter. Raises BlockingIOError when *to*
        takes no more, and other OSErrors of sendfile.
        """
        # A file that is rewritten while it is being sent would put new bytes under the old header
        # fields.
        if self._unchanged is not None and not self._unchanged():
            return 0
        count = min(self.remaining, PIECE)
        try:
            sent = os.sendfile(to, self.descriptor, self.offset, count)
        except OSError as error:
            if error.errno not in _NOT_FOR_SENDFILE:
                raise
            sent = os.write(to, os.pread(self.descriptor, min(count, 65536), self.offset))
        self.offset += sent
        self.remaining -= sent
        return sent


def note_sent(filelike: Any, count: int) -> None:
    """Say how many bytes went out, to a file-like object whose class has `note_sent` for this."""
    note = getattr(type(filelike), "note_sent", None)
    if callable(note):
        note(filelike, count)


def _reads_its_descriptor(filelike: Any) -> bool:
    """Tell whether *filelike* reads just what its descriptor holds.

    A wrapper that unpacks, decodes or counts may well have the `fileno` of what lies below it. So
    it is only believed of Python's own raw files, buffered or not, and of a class that has the
    method `unchanged` for this server.
    """
    raw = filelike.raw if type(filelike) is io.BufferedReader else filelike
    return type(raw) is io.FileIO or callable(getattr(type(filelike), "unchanged", None))


def span_of(wrapper: FileWrapper, length: int | None) -> FileSpan | None:
    """Return what *wrapper* has left, at most *length* bytes of it.

    None when the kernel cannot send it.
    """
    filelike = wrapper.filelike
    unchanged = getattr(filelike, "unchanged", None)
    span = getattr(type(filelike), "file_span", None)
    if span is not None:
        descriptor, offset, left = span(filelike)
        return FileSpan(descriptor, offset, left if length is None else length, unchanged)
    try:
        descriptor = filelike.fileno()
        status = os.fstat(descriptor)
        offset = filelike.tell()
    except (AttributeError, OSError, ValueError):
        return None
    if (
        not stat.S_ISREG(status.st_mode)
        or not isinstance(offset, int)
        or not _reads_its_descriptor(filelike)
    ):
        return None
    left = status.st_size - offset
    if left <= 0:
        return None  # files of /proc and the like have no size, and yet something to read
    return FileSpan(descriptor, offset, left if length is None else length, unchanged)
