"""Request bodies, decoded as they arrive (RFC 9112 sections 6 and 7).

Each has `next(buffer)`: body data, END_OF_MESSAGE, or None when more bytes are needed.
"""

from enum import Enum
from typing import Final

from .buffer import ReceiveBuffer
from .errors import ProtocolError
from .fields import check_trailer_line
from .grammar import CHUNK_LINE
from .limits import Limits

_LONGEST_CHUNK_LINE = 256
# Nobody needs them, and unbounded they make a server read much for little (CVE-2023-39326 in
# another server).
_MOST_EXTENSION_BYTES = 16384


class EndOfMessage(Enum):
    """The type of END_OF_MESSAGE."""

    END_OF_MESSAGE = "end of message"


END_OF_MESSAGE: Final = EndOfMessage.END_OF_MESSAGE


class LengthBody:
    """A body delimited by Content-Length."""

    __slots__ = ("_remaining",)

    def __init__(self, length: int) -> None:
        self._remaining = length

    def next(self, buffer: ReceiveBuffer) -> bytes | EndOfMessage | None:
        if not self._remaining:
            return END_OF_MESSAGE
        data = buffer.take(self._remaining)
        self._remaining -= len(data)
        return data or None


class _Expecting(Enum):
    SIZE = "a chunk size"
    DATA = "chunk data"
    DATA_END = "the CRLF after chunk data"
    TRAILERS = "the trailer section"


class ChunkedBody:
    """A body in the chunked transfer coding. Extensions and trailers are checked and dropped."""

    __slots__ = ("_expecting", "_extension_bytes", "_limits", "_remaining", "_total", "_trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._expecting = _Expecting.SIZE
        self._remaining = 0  # of the present chunk
        self._total = 0
        self._extension_bytes = 0
        self._trailers: TrailerSection | None = None

    def next(self, buffer: ReceiveBuffer) -> bytes | EndOfMessage | None:
        """Raises ProtocolError: 400, 413, 431 (trailers)."""
        while True:
            if self._expecting is _Expecting.DATA:
                data = buffer.take(self._remaining)
                self._remaining -= len(data)
                if not self._remaining:
                    self._expecting = _Expecting.DATA_END
                return data or None
            if self._expecting is _Expecting.TRAILERS:
                return self._read_trailers(buffer)
            if self._expecting is _Expecting.DATA_END:
                advanced = self._read_data_end(buffer)
            else:
                advanced = self._read_size(buffer)
            if not advanced:
                return None

    def _read_size(self, buffer: ReceiveBuffer) -> bool:
        line = buffer.read_line(
            _LONGEST_CHUNK_LINE, 400, "A chunk size with its extensions is too long."
        )
        if line is None:
            return False
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "A chunk size or its extensions are malformed.")
        size, extensions = match.groups()
        self._extension_bytes += len(extensions)
        if self._extension_bytes > _MOST_EXTENSION_BYTES:
            raise ProtocolError(400, "There are too many chunk extensions.")
        self._remaining = int(size, 16)
        self._total += self._remaining
        if self._limits.body and self._total > self._limits.body:
            raise ProtocolError(413, "The request body is larger than allowed.")
        self._expecting = _Expecting.DATA if self._remaining else _Expecting.TRAILERS
        return True

    def _read_data_end(self, buffer: ReceiveBuffer) -> bool:
        end = bytes(buffer.data[buffer.position : buffer.position + 2])
        if not b"\r\n".startswith(end):
            raise ProtocolError(400, "Chunk data is not followed by CRLF.")
        if len(end) < 2:
            return False
        buffer.skip(2)
        self._expecting = _Expecting.SIZE
        return True

    def _read_trailers(self, buffer: ReceiveBuffer) -> EndOfMessage | None:
        if self._trailers is None:
            self._trailers = TrailerSection(self._limits)
        return self._trailers.next(buffer)


class TrailerSection:
    """The fields after the last chunk (RFC 9112 section 7.1.2)."""

    __slots__ = ("_fields", "_limits", "_room")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = limits.head
        self._fields = 0

    def next(self, buffer: ReceiveBuffer) -> EndOfMessage | None:
        while True:
            size = min(self._limits.field_size, self._room)
            line = buffer.read_line(size - 2, 431, "The trailer section is larger than allowed.")
            if line is None:
                return None
            if not line:
                return END_OF_MESSAGE
            self._room -= len(line) + 2
            self._fields += 1
            if self._fields > self._limits.fields:
                raise ProtocolError(431, "There are more trailer fields than allowed.")
            check_trailer_line(line)
