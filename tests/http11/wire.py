"""How the tables of this room are written and run: raw bytes, the events that they must give, ways
of cutting them.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.http11 import END_OF_MESSAGE, EndOfMessage, Limits, ProtocolError, Receiver, Request


class Asked(NamedTuple):
    """What a Request says, to be compared."""

    method: str
    target: str
    path: str
    query: str
    scheme: str
    version: str
    variables: dict[str, str]
    content_length: int
    chunked: bool
    has_body: bool
    keep_alive: bool
    expects_continue: bool


class Refused(NamedTuple):
    """A ProtocolError; in a table *reason* is a part of the whole sentence."""

    status: int
    reason: str
    to_head: bool = False


Event = Asked | bytes | EndOfMessage | Refused


class Case(NamedTuple):
    """Bytes on the wire and everything they give. No event at all: the receiver waits for more."""

    raw: bytes
    expected: tuple[Event, ...]
    limits: Limits = Limits()


def case(raw: bytes, *expected: Event, limits: Limits | None = None) -> Case:
    return Case(raw, expected, limits or Limits())


def refused(raw: bytes, status: int, reason: str, limits: Limits | None = None) -> Case:
    return case(raw, Refused(status, reason), limits=limits)


def request(
    target: str = "/",
    method: str = "GET",
    *,
    path: str | None = None,
    query: str | None = None,
    scheme: str = "",
    version: str = "HTTP/1.1",
    length: int = 0,
    chunked: bool = False,
    keep_alive: bool = True,
    expects_continue: bool = False,
    host: str | None = "a",
    **variables: str,
) -> Asked:
    """Return the request expected for *target*, with `Host: a` unless told otherwise."""
    own_path, _, own_query = target.partition("?")
    fields = ({} if host is None else {"HTTP_HOST": host}) | variables
    if length:
        fields.setdefault("CONTENT_LENGTH", str(length))
    if chunked:
        fields.setdefault("HTTP_TRANSFER_ENCODING", "chunked")
    return Asked(
        method=method,
        target=target,
        path=own_path if path is None else path,
        query=own_query if query is None else query,
        scheme=scheme,
        version=version,
        variables=fields,
        content_length=length,
        chunked=chunked,
        has_body=chunked or length > 0,
        keep_alive=keep_alive,
        expects_continue=expects_continue,
    )


def events_of(pieces: Iterable[bytes], limits: Limits) -> list[Event]:
    """Feed *pieces* one after another, and return all events, adjacent body data joined and the
    refusal last.
    """
    receiver = Receiver(limits)
    events: list[Event] = []
    data: list[bytes] = []
    try:
        for piece in pieces:
            event = receiver.receive(piece)
            while event is not None:
                if isinstance(event, bytes):
                    assert event, "empty body data"
                    data.append(event)
                else:
                    if data:
                        events.append(b"".join(data))
                        data.clear()
                    events.append(comparable(event) if isinstance(event, Request) else event)
                event = receiver.next_event()
    except ProtocolError as error:
        if data:
            events.append(b"".join(data))
        events.append(Refused(error.status, error.reason, receiver.refused_head))
        return events
    if data:
        events.append(b"".join(data))
    return events


def comparable(request: Request) -> Asked:
    """Return what *request* says, as `request` returns it."""
    line = request.line
    fields = {
        name: value for name, value in request.variables.items() if name not in line.variables
    }
    return Asked(
        method=request.method,
        target=line.target,
        path=line.path,
        query=line.query,
        scheme=line.scheme,
        version=request.version,
        variables=fields,
        content_length=request.body.length if request.body else 0,
        chunked=request.body is not None and request.body.is_chunked,
        has_body=request.body is not None,
        keep_alive=request.keep_alive,
        expects_continue=request.body is not None and request.body.expects_continue,
    )


def by_byte(raw: bytes) -> Iterator[bytes]:
    return (raw[index : index + 1] for index in range(len(raw)))


def head(*field_lines: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    """Return a request head of *line*, *host* and *field_lines*; host b"": without."""
    lines = [line, *([host] if host else []), *field_lines]
    return b"".join(part + b"\r\n" for part in lines) + b"\r\n"


def post(*field_lines: bytes, body: bytes = b"") -> bytes:
    return head(*field_lines, line=b"POST / HTTP/1.1") + body


def chunked(body: bytes) -> bytes:
    """Return a POST whose body is sent in chunks, which are *body* as it stands."""
    return post(b"Transfer-Encoding: chunked", body=body)


END = END_OF_MESSAGE
