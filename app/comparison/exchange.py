"""One exchange on a raw socket: bytes out, answers in, read as RFC 9112 says and forgiving nothing."""

import contextlib
import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

_STATUS_LINE = re.compile(rb"HTTP/\d\.\d ([1-9]\d\d)(?: .*)?\Z", re.DOTALL)
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\Z")
_LONGEST_HEAD = 65536


@dataclass(frozen=True)
class Answer:
    """A response as it was received.

    Field names in *fields* are in lower case, in order, repeated ones too.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    ends_connection: bool = False  # framed by the end of the connection

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name.lower()]

    def value(self, name: str) -> str:
        """Return the field's values joined by commas, or an empty text."""
        return ", ".join(self.values(name))


@dataclass
class Exchange:
    """What came back.

    *failure* is a sentence when something other than answers did: a time-out, a reset, nonsense.
    """

    answers: list[Answer] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)  # the 1xx that came before
    closed: bool = False
    failure: str = ""


class IncompleteError(Exception):
    """More bytes are needed: at least *missing*."""

    def __init__(self, missing: int = 1) -> None:
        super().__init__(missing)
        self.missing = missing


class NotHttpError(Exception):
    """The bytes are no HTTP/1.1 response."""


CLOSED = "the connection was closed without an answer"
NOT_HTTP = "the answer is not HTTP/1.1"


def exchange(
    port: int,
    parts: Sequence[bytes],
    methods: Sequence[str] = ("GET",),
    patience: float = 2.0,
    follow_up: bytes = b"",
) -> Exchange:
    """Send *parts* one after another and read one final answer for each of *methods*.

    A part after the first waits for a first answer, be it interim, or a tenth of a second.
    *follow_up* is a GET that is sent when all answers are in, to see whether the connection still
    serves; its answer is appended. No error is raised: the outcome says what failed. Takes at most
    about four times *patience* seconds.
    """
    seen = Exchange()
    try:
        connection = socket.create_connection(("127.0.0.1", port), patience)
    except OSError as error:
        seen.failure = f"cannot connect: {error.strerror or error}"
        return seen
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = bytearray()
        with contextlib.suppress(OSError):
            for number, part in enumerate(parts):
                if number:
                    select.select([connection], [], [], 0.1)
                connection.settimeout(patience)
                connection.sendall(part)
        seen.failure = _read_answers(connection, rest, seen, methods, patience)
        if follow_up and not seen.failure and not seen.closed:
            select.select([connection], [], [], 0.02)
            with contextlib.suppress(OSError):
                connection.sendall(follow_up)
            failure = _read_answers(connection, rest, seen, [*methods, "GET"], patience / 2)
            seen.failure = failure if failure != CLOSED else ""
    return seen


def _read_answers(
    connection: socket.socket,
    data: bytearray,
    seen: Exchange,
    methods: Sequence[str],
    patience: float,
) -> str:
    """Read until *seen* has a final answer for each of *methods*; return what failed, if anything.

    *data* is what was received and belongs to no answer yet.
    """
    deadline = time.monotonic() + patience
    wanted = 1  # bytes in all before another look is worth while
    while len(seen.answers) < len(methods):
        if len(data) >= wanted or seen.closed:
            try:
                method = methods[len(seen.answers)]
                answer, data[:] = read_answer(bytes(data), method, seen.closed)
            except IncompleteError as error:
                wanted = len(data) + error.missing
                if seen.closed:
                    # What is left must be nothing, else an answer was cut short.
                    return "the answer was cut short" if data else CLOSED
            except NotHttpError as error:
                return f"{NOT_HTTP}: {error}"
            else:
                wanted = 1
                if answer.status < 200 and answer.status != 101:
                    seen.interim.append(answer.status)
                else:
                    seen.answers.append(answer)
                continue
        left = deadline - time.monotonic()
        if left <= 0:
            return f"no {'whole ' * bool(data)}answer within {patience:g} s"
        connection.settimeout(left)
        try:
            received = connection.recv(262144)
        except TimeoutError:
            continue
        except OSError:
            received = b""
        seen.closed = not received
        data += received
    return ""


def read_answer(data: bytes, method: str, at_end: bool) -> tuple[Answer, bytes]:
    """Return the first response in *data* and the bytes behind it (RFC 9112 section 6.3).

    Raises IncompleteError when it is not whole; *at_end* tells that no more bytes will come.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        if data and not b"HTTP/1.".startswith(data[:7]):
            raise NotHttpError(repr(data[:40]))
        if len(data) > _LONGEST_HEAD:
            raise NotHttpError("a head without end")
        raise IncompleteError
    lines = head.split(b"\r\n")
    found = _STATUS_LINE.match(lines[0])
    if not found:
        raise NotHttpError(repr(lines[0][:40]))
    answer = Answer(int(found[1]), tuple(map(_read_field, lines[1:])), b"")
    if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
        return answer, rest
    body, rest, ends = _read_body(answer, rest, at_end)
    return replace(answer, body=body, ends_connection=ends), rest


def _read_field(line: bytes) -> tuple[str, str]:
    found = _FIELD_LINE.match(line)
    if not found:
        raise NotHttpError(f"the field line {line[:40]!r}")
    return found[1].decode().lower(), found[2].decode("latin-1")


def _read_body(answer: Answer, rest: bytes, at_end: bool) -> tuple[bytes, bytes, bool]:
    if answer.values("transfer-encoding"):
        return *_read_chunks(rest), False
    if lengths := set(answer.values("content-length")):
        text = lengths.pop()
        if lengths or not text.isdigit():
            raise NotHttpError(f"Content-Length {answer.value('content-length')!r}")
        if len(rest) < int(text):
            raise IncompleteError(int(text) - len(rest))
        return rest[: int(text)], rest[int(text) :], False
    if not at_end:
        raise IncompleteError
    return rest, b"", True


def _read_chunks(data: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, data = _read_line(data)
        try:
            length = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise NotHttpError(f"the chunk size {line[:40]!r}") from None
        if length == 0:
            break
        if len(data) < length + 2:
            raise IncompleteError
        body += data[:length]
        data = data[length + 2 :]
    while line:  # trailers
        line, data = _read_line(data)
    return body, data


def _read_line(data: bytes) -> tuple[bytes, bytes]:
    line, separator, rest = data.partition(b"\r\n")
    if not separator:
        raise IncompleteError
    return line, rest
