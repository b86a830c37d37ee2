"""The receiving side of a connection: bytes in, events out, no I/O (RFC 9112).

A head that is there as a whole, short and without surprises, which is nearly every one, is split
into lines and each line is looked up in the memory of valid lines; if the former heads began with
the same lines, these are known as a whole (`beginning.py`). Whatever else arrives, wrong or in
pieces, goes through one slower path that reads line by line. So that the outcome never depends on
how the bytes were cut, only the slower path refuses anything: the quick one gives up without a
trace. What becomes of an event is not known here.
"""

from collections.abc import Mapping
from itertools import takewhile
from operator import eq
from types import MappingProxyType
from typing import Any

from .beginning import Beginning
from .body import END_OF_MESSAGE, ChunkedBody, EndOfMessage, LengthBody
from .buffer import ReceiveBuffer
from .errors import ProtocolError
from .fields import DROPPED, FieldSection, LineMemory
from .grammar import TCHARS
from .limits import Limits
from .request import Body, Request, RequestLine, RequestLineMemory, parse_request_line

_DEFAULT_LIMITS = Limits()
_NO_VARIABLES: Mapping[str, Any] = MappingProxyType({})
_MAY_BEGIN_A_MESSAGE = TCHARS | frozenset(b"\r\n")
_TLS_HANDSHAKE = 0x16  # the record type that every TLS client begins with (RFC 8446 section 5.1)

#: To learn how a connection's heads begin takes as long as three of them save by it. So that is not
#: done for the first ones, as most connections bring no more; nor for ever, as a proxy brings ever
#: different ones. Counted are those that do not begin as is known.
_NOT_LEARNED_FROM, _LAST_LEARNED_FROM = 8, 40
#: Fewer lines are looked up as quickly as they are compared.
_FEWEST_SHARED = 4
#: Longer heads are not learned from, so that a connection at rest holds little.
_LONGEST_LEARNED = 2048

_memory = LineMemory()
_recall = _memory.__getitem__
_recall_request_line = RequestLineMemory().__getitem__


class _PartialHead:
    """A head of which the request line and perhaps some field lines were read."""

    __slots__ = ("count", "fields", "line", "room")

    def __init__(self, line: RequestLine, room: int) -> None:
        self.line = line
        self.room = room  # bytes of the head that may still come
        self.count = 0  # of field lines
        self.fields = FieldSection()


class Receiver:
    """Turns the bytes of a connection into requests and their bodies. For one thread at a time."""

    __slots__ = (
        "_base",
        "_beginning",
        "_body",
        "_buffer",
        "_failure",
        "_former_lines",
        "_head",
        "_limits",
        "_skipped_empty_line",
        "_unlike",
        "idle",
        "refused_head",
    )

    def __init__(
        self, limits: Limits = _DEFAULT_LIMITS, base: Mapping[str, Any] = _NO_VARIABLES
    ) -> None:
        """*base* are variables that every request has beside its own."""
        # for the connection
        self._limits = limits
        self._base = base
        #: With which field lines its heads begin, if that is known.
        self._beginning: Beginning | None = None
        self._former_lines: list[str] = []  # of a head that may have begun as the next one does
        self._unlike = 0  # heads that did not begin as is known
        self._buffer = ReceiveBuffer()
        self._failure: tuple[int, str, str] | None = None
        #: Whether nothing of a next message has come (but an empty line, RFC 9112 section 2.2).
        self.idle = True
        # for the message
        #: Whether what was refused, or is not complete yet, is a HEAD request: then its answer has
        #: no content.
        self.refused_head = False
        self._skipped_empty_line = False
        self._head: _PartialHead | None = None
        self._body: LengthBody | ChunkedBody | None = None

    @property
    def buffered(self) -> int:
        """How many bytes were fed and not yet made into events; an unfinished head counts, too."""
        begun = 0 if self._head is None else self._limits.head - self._head.room
        return begun + len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append bytes that arrived.

        Take all events before the next call, so that no more than a line is held.
        """
        if self._failure is None and data:
            self._buffer.append(data)
            self.idle = False

    def receive(self, data: bytes) -> Request | bytes | EndOfMessage | None:
        """Feed *data*, and return the next event as `next_event` does."""
        if self.idle:
            request = self._read_short_head(data, 0)
            if request is not None:
                return request
        self.feed(data)
        return self.next_event()

    def next_event(self) -> Request | bytes | EndOfMessage | None:
        """Return the next event, or None when more bytes are needed for it.

        A request without a body (`body`) stands alone. Any other is followed by body data, in
        pieces as they come, and END_OF_MESSAGE. Raises ProtocolError, and the same again from then
        on.
        """
        buffer = self._buffer
        if self._head is None and self._body is None and buffer.searched == buffer.position:
            request = self._read_short_head(buffer.data, buffer.position)
            if request is not None:
                return request
        if self._failure is not None:
            raise ProtocolError(*self._failure)
        try:
            event = self._next_request() if self._body is None else self._body.next(self._buffer)
        except ProtocolError as error:
            self._failure = (error.status, error.reason, error.location)
            self._buffer.clear()
            self._head = self._body = None
            raise
        if event is END_OF_MESSAGE:
            self._body = None
        if not self._buffer.data and self._head is None and self._body is None:
            self.idle = True
        return event

    def _next_request(self) -> Request | None:
        request = self._read_head_by_lines()
        if request is not None:
            self._head = None
            self._skipped_empty_line = False
            if request.body is not None:
                self._begin_body(request, request.body)
        return request

    def _begin_body(self, request: Request, body: Body) -> None:
        self.idle = False
        self.refused_head = request.method == "HEAD"
        self._body = ChunkedBody(self._limits) if body.is_chunked else LengthBody(body.length)

    def _read_short_head(self, data: bytes | bytearray, start: int) -> Request | None:
        """Return the request whose head *data* has from *start* on; None for the slower path."""
        limits = self._limits
        if not start and data[-4:] == b"\r\n\r\n" and len(data) <= limits.short_head:
            # Nearly always it is one head. Should it be several, the empty line between them is no
            # field line.
            end = len(data) - 4
        else:
            end = data.find(b"\r\n\r\n", start, start + limits.short_head + 4)
            if end < 0:
                return None
        before, known = self._base, 0
        beginning = self._beginning
        if beginning is not None and (at := beginning.end_in(data, start, end)):
            request_line = data[start : at - beginning.length].decode("latin-1")
            lines = data[at:end].decode("latin-1").split("\r\n")
            before, known = beginning.variables, beginning.count
        else:
            lines = data[start:end].decode("latin-1").split("\r\n")
            request_line = lines.pop(0)
        if known + len(lines) > limits.fields:
            return None
        try:
            line = _recall_request_line(request_line)
            variables = {**before, **line.variables}
            size = len(variables) + len(lines)
            variables.update(map(_recall, lines))
            if len(variables) != size:
                return None  # a field is repeated
            variables.pop(DROPPED, None)
            request = Request(line, variables, limits.body)
        except ProtocolError:
            return None
        if not known and len(lines) > _FEWEST_SHARED:
            self._unlike += 1
            if _NOT_LEARNED_FROM < self._unlike <= _LAST_LEARNED_FROM:
                self._learn_from(lines)
        if not self.idle or end + 4 < len(data):
            self._hold_rest(data, end + 4)
        self._skipped_empty_line = False
        if request.body is not None:
            self._begin_body(request, request.body)
        return request

    def _hold_rest(self, data: bytes | bytearray, position: int) -> None:
        """Hold what *data* has from *position* on in place of what was held."""
        self.idle = position == len(data)
        if self.idle:
            self._buffer.clear()
        else:
            self._buffer.hold(data, position)

    def _learn_from(self, lines: list[str]) -> None:
        """Learn with which lines heads begin, when two in a row have most of them in common."""
        former, self._former_lines = self._former_lines, []
        if sum(map(len, lines)) > _LONGEST_LEARNED:
            return
        # One is left to be behind them.
        count = sum(takewhile(bool, map(eq, former, lines[:-1])))
        if count >= _FEWEST_SHARED and 2 * count >= len(lines):
            shared = lines[:count]
            self._beginning = Beginning(shared, self._base, map(_recall, shared))
        else:
            self._former_lines = lines

    def _read_head_by_lines(self) -> Request | None:
        if self._head is None:
            line = self._read_request_line()
            if line is None:
                return None
            self._head = _PartialHead(parse_request_line(line), self._limits.head - len(line) - 2)
        head, limits = self._head, self._limits
        while True:
            size, reason = limits.field_size, "A field line is longer than allowed."
            if head.room < size:
                size, reason = head.room, "The request head is larger than allowed."
            line = self._buffer.read_line(size - 2, 431, reason)
            if line is None:
                return None
            if not line:
                variables = {**self._base, **head.line.variables, **head.fields.finish()}
                return Request(head.line, variables, limits.body)
            head.room -= len(line) + 2
            head.count += 1
            if head.count > limits.fields:
                raise ProtocolError(431, "There are more fields than allowed.")
            head.fields.add(*_recall(line))

    def _read_request_line(self) -> str | None:
        buffer, limits = self._buffer, self._limits
        while buffer.data:
            first = buffer.data[buffer.position]
            self.refused_head = buffer.data.startswith(b"HEAD ", buffer.position)
            if first not in _MAY_BEGIN_A_MESSAGE:
                if first == _TLS_HANDSHAKE:
                    raise ProtocolError(400, "This port speaks plain HTTP, not TLS.")
                raise ProtocolError(400, "The request does not begin with a method.")
            size = min(limits.line, limits.head - 4)
            line = buffer.read_line(size, 414, "The request line is longer than allowed.")
            if line != "":
                return line
            if self._skipped_empty_line:
                raise ProtocolError(400, "There is more than one empty line before the request.")
            self._skipped_empty_line = True
        return None
