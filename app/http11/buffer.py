"""Bytes that were received and not yet made into events, and lines read from them."""

from .errors import ProtocolError

_CR = 0x0D
_LF = 0x0A


class ReceiveBuffer:
    """Appended to at its end, consumed from its front; time linear in the bytes, however they are
    cut.
    """

    __slots__ = ("data", "position", "searched")

    def __init__(self) -> None:
        # What arrives in one piece and is used up at once stays the object it came in; more becomes
        # a bytearray.
        self.data: bytes | bytearray = b""
        self.position = 0
        self.searched = 0  # no line ends before it; not below `position`

    def __len__(self) -> int:
        return len(self.data) - self.position

    def append(self, data: bytes) -> None:
        if not self.data:
            self.data = data
            return
        if isinstance(self.data, bytes):
            self.data = bytearray(self.data[self.position :] if self.position else self.data)
        elif self.position:
            del self.data[: self.position]
        self.searched -= self.position
        self.position = 0
        self.data += data

    def hold(self, data: bytes | bytearray, position: int) -> None:
        """Hold *data* from *position* on, in place of what is held."""
        self.data = data
        self.position = self.searched = position

    def skip(self, count: int) -> None:
        """Drop the first *count* bytes, which must be there."""
        self.position += count
        self.searched = self.position
        if self.position == len(self.data):
            self.clear()

    def clear(self) -> None:
        self.data = b""
        self.position = self.searched = 0

    def take(self, count: int) -> bytes:
        """Return and drop the first *count* bytes, or as many as there are."""
        data = self.data
        if self.position == 0 and len(data) <= count and isinstance(data, bytes):
            self.clear()
            return data
        taken = bytes(data[self.position : self.position + count])
        self.skip(len(taken))
        return taken

    def read_line(self, size: int, status: int, reason: str) -> str | None:
        """Return and drop one line without its CRLF, or return None when it is not all there.

        Raises ProtocolError: 400 at a bare CR or LF (RFC 9112 section 2.2), *status* with *reason*
        when the line without its CRLF is longer than *size* bytes: whichever comes first in the
        stream, however that was cut.
        """
        data, start = self.data, self.position
        stop = start + size + 2  # the last byte before it must be the LF
        cr = data.find(
            _CR, self.searched, max(start, stop - 1)
        )  # a negative end would count from the back
        lf = data.find(_LF, self.searched, cr if cr >= 0 else stop)
        if lf >= 0:
            raise ProtocolError(400, "A line ends in a bare LF.")
        if cr >= 0:
            if cr + 1 == len(data):
                self.searched = cr
                return None
            if data[cr + 1] != _LF:
                raise ProtocolError(400, "A line holds a bare CR.")
            line = str(data[start:cr], "latin-1")
            self.skip(cr + 2 - start)
            return line
        if len(data) > stop:
            raise ProtocolError(status, reason)
        self.searched = min(len(data), stop)
        return None
