"""PEP 3333: a request becomes an environ, an application's answer becomes bytes to send.

A `Gateway` belongs to a server; each request is a `Call`. A call runs the application once and
hands its answer out piece by piece (`next_output`), so that whoever owns the socket may stop
between two pieces for as long as the client takes to read: nothing here sends, waits or knows of
sockets, but for the two moments when the application itself asks for it, `write()` and
`wsgi.input`, which go through the `Channel`.
"""

import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from ..clock import date_header
from ..http11 import ProtocolError, Request
from ..http11.response import (
    LAST_CHUNK,
    Framing,
    ResponseHead,
    choose_framing,
    encode_chunk,
    encode_head,
)
from .request_body import RequestBody
from .sendfile import FileSpan, FileWrapper, note_sent, span_of

SERVER = "Tally"

#: A body up to this size goes out together with its head, in one send.
_JOINED = 1 << 17

log = logging.getLogger("tally.server")

# Looked up for every answer; a member of an enumeration is ten times as far away.
_NO_BODY, _LENGTH = Framing.NO_BODY, Framing.LENGTH
_CHUNKED, _UNTIL_CLOSE = Framing.CHUNKED, Framing.UNTIL_CLOSE

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class ClientError(OSError):
    """A request body that cannot be read to its end; `status` is the answer, 0 when nobody is left
    to take one.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class CutShortError(Exception):
    """The answer cannot be completed: the connection has to be cut, so that the client notices."""


class Channel(Protocol):
    """What a call may ask of its connection."""

    sends_files: bool  # False where the kernel cannot, as the bytes have to be encrypted first

    def transmit(self, data: bytes) -> None:
        """Send all of *data*, waiting as long as the client makes progress, and count it.

        Raises ClientError.
        """

    def receive_body(self) -> bytes:
        """Return the next piece of the request's body, b"" at its end. Raises ClientError."""

    def may_persist(self) -> bool:
        """Tell whether the connection can go on after the answer that is about to begin."""


class Gateway:
    """What every call of a server shares."""

    def __init__(self, application: Application, *, multithread: bool, multiprocess: bool) -> None:
        self.application = application
        self._base: Environ = {
            "SCRIPT_NAME": "",
            "SERVER_SOFTWARE": SERVER,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }

    def base_environ(self, server_name: str, server_port: str, *, tls: bool) -> Environ:
        """Return what is the same for every request that comes in through one listener."""
        base = {**self._base, "SERVER_NAME": server_name, "SERVER_PORT": server_port}
        if tls:
            base["wsgi.url_scheme"] = "https"
            base["HTTPS"] = "on"
        return base


def make_environ(base: Environ, request: Request, address: str, port: str) -> Environ:
    """Return the environ of *request*, without `wsgi.input`.

    *port* is "" where the client has none.
    """
    environ = base.copy()
    environ.update(request.variables)
    environ["REMOTE_ADDR"] = address
    if port:
        environ["REMOTE_PORT"] = port
    environ["REQUEST_METHOD"] = request.method
    environ["REQUEST_URI"] = request.target
    path = request.path
    if path == "*":
        path = ""  # PEP 3333: empty, or a path
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    environ["QUERY_STRING"] = request.query
    environ["SERVER_PROTOCOL"] = request.version
    return environ


class Call:
    """One run of the application, from the environ to the last byte of the answer.

    Used by one thread at a time. Call `next_output` until it returns None or raises CutShortError,
    then `close`.
    """

    __slots__ = (
        "_channel",
        "_cut_short",
        "_gateway",
        "_head_encoded",
        "_iterable",
        "_iterator",
        "_remaining",
        "complete",
        "environ",
        "framing",
        "head",
        "keep_alive",
        "overhead",
        "request",
        "span",
        "wire",
    )

    def __init__(
        self, gateway: Gateway, request: Request, environ: Environ, channel: Channel
    ) -> None:
        self._gateway = gateway
        self._channel = channel
        self.request = request
        self.environ = environ
        environ["wsgi.input"] = (
            RequestBody(channel.receive_body) if request.has_body else io.BytesIO()
        )
        # The answer, as it comes to be
        self.head: ResponseHead | None = None
        self.framing: Framing = _NO_BODY
        self.keep_alive = False
        self.complete = False  # nothing comes after what next_output returned last
        self.span: FileSpan | None = None  # comes next, without asking the application
        self.wire = 0  # bytes that were handed to the kernel; counted by the connection
        self.overhead = 0  # how many bytes of the answer so far are not its body's
        self._head_encoded = False
        self._cut_short = False  # a write() failed in the middle
        self._iterable: Iterable[bytes] | None = None
        self._iterator: Iterator[bytes] | None = None
        self._remaining: int | None = None

    @property
    def body_sent(self) -> int:
        """How many bytes of the body were handed to the kernel."""
        return max(0, self.wire - self.overhead)

    def next_output(self) -> bytes | FileSpan | None:
        """Return what is to be sent next, None when the answer is complete. Raises CutShortError.

        A failure of the application is logged, and answered with 500 as long as the head has not
        been given out.
        """
        try:
            if self._iterator is not None:
                return self._next_piece()
            if self.span is not None:
                span, self.span = self.span, None
                self.complete = True
                return span
            if self._iterable is not None:
                return None
            return self._begin()
        except CutShortError:
            raise
        except ClientError as fault:
            if fault.status and not self._head_encoded:
                return self._error_page(fault.status, fault.reason)
            raise CutShortError from fault
        except BaseException as error:  # noqa: BLE001 - logged just below
            # Also sys.exit() and what asyncio and others raise beside Exception: it ends the
            # application's own answer, not the thread that serves the others.
            self._log_failure("the application failed at %s %r", error)
            if self._head_encoded:
                raise CutShortError from None
            return self._error_page(500, "The application failed.")

    def close(self) -> bool:
        """Tell the application that its answer is done with, complete or not; False when that
        fails.

        Calls after the first do nothing.
        """
        iterable, self._iterable, self._iterator = self._iterable, None, None
        self.complete = True
        if type(iterable) is FileWrapper:
            note_sent(iterable.filelike, self.body_sent)
        close = None if type(iterable) is list else getattr(iterable, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:  # noqa: BLE001 - logged just below
                self._log_failure("the application failed at close(), %s %r", error)
                return False
        return True

    def _log_failure(self, message: str, error: BaseException) -> None:
        """Log *error*, unless the application has: it says so with `is_logged`, an attribute of the
        exception.
        """
        if getattr(error, "is_logged", False) is not True:
            log.error(message, self.request.method, self.request.target, exc_info=error)

    # What the application calls

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        if exc_info:
            try:
                if self._head_encoded and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a traceback that holds its own frame would live on
        elif self.head is not None:
            raise AssertionError("start_response was called a second time without exc_info")
        self.head = ResponseHead(status, headers)
        return self.write

    def write(self, data: bytes) -> None:
        if self.complete:
            # From a thread that the application left behind, it would come in the middle of a later
            # answer.
            raise RuntimeError("write() was called after the end of the answer")
        data = _checked(data)
        out = self._head(None) if not self._head_encoded else b""
        out += self._framed(data)
        if out:
            # Whatever the application makes of a failure, nothing may come after a part of this.
            self._cut_short = True
            self._channel.transmit(out)
            self._cut_short = False

    # How the answer is cut into pieces

    def _begin(self) -> bytes | None:
        result = self._gateway.application(self.environ, self.start_response)
        self._iterable = result
        if self._cut_short:
            raise CutShortError
        if type(result) is list and len(result) == 1 and not self._head_encoded:
            whole = self._whole(result[0])
            if whole is not None:
                return whole
        elif type(result) is FileWrapper and self._channel.sends_files and not self._head_encoded:
            head = self._file(result)
            if head is not None:
                return head
        self._iterator = iter(result)
        return self._next_piece()

    def _whole(self, body: bytes) -> bytes | None:
        """Return head and body together; None for a body that has to go the long way."""
        length = len(_checked(body))
        if self.head is None or self.head.content_length not in (None, length) or length > _JOINED:
            return None
        self.complete = True
        head = self._head(length)
        return head if self.framing is _NO_BODY else head + body

    def _file(self, wrapper: FileWrapper) -> bytes | None:
        """Return the head and keep the span for the next call; None for what the kernel cannot
        send.
        """
        span = span_of(wrapper, None if self.head is None else self.head.content_length)
        if span is None:
            return None
        head = self._head(span.remaining)
        if self.framing is _NO_BODY or not span.remaining:
            self.complete = True
        else:
            self.span = span
        return head

    def _next_piece(self) -> bytes | None:
        assert self._iterator is not None
        for data in self._iterator:
            if self._cut_short:
                break
            if not _checked(data):
                continue
            length = (
                len(data)
                if isinstance(self._iterable, list | tuple) and len(self._iterable) == 1
                else None
            )
            out = self._head(length) if not self._head_encoded else b""
            if self.framing is _NO_BODY or self._remaining == 0:
                break
            return out + self._framed(data)
        else:
            out = self._head(0) if not self._head_encoded else b""
        self._iterator = None
        if self._cut_short:
            raise CutShortError
        self.complete = True
        if self.framing is _CHUNKED:
            out += LAST_CHUNK
            self.overhead += len(LAST_CHUNK)
        elif self._remaining and self.framing is _LENGTH:
            log.error(
                "the body was shorter than its Content-Length at %s %r",
                self.request.method,
                self.request.target,
            )
            raise CutShortError
        return out or None

    def _framed(self, data: bytes) -> bytes:
        if self.framing is _CHUNKED:
            if not data:
                return b""
            chunk = encode_chunk(data)
            self.overhead += len(chunk) - len(data)
            return chunk
        if self.framing is _NO_BODY:
            return b""
        if self._remaining is not None:
            # More than was declared would be read as the next answer's head.
            data = data[: self._remaining]
            self._remaining -= len(data)
        return data

    def _head(self, length: int | None) -> bytes:
        """Return the head's bytes. *length*: of the whole body, if the server knows it."""
        head = self.head
        if head is None:
            raise AssertionError("the application did not call start_response")
        request = self.request
        if head.content_length is not None:
            length = head.content_length
        elif head.code == 304 or (length == 0 and request.method == "HEAD"):
            length = None  # an application that leaves the body out says nothing of its length
        self.framing = choose_framing(request.method, request.version, head.code, length)
        self._remaining = length if self.framing is _LENGTH else None
        self.keep_alive = (
            self.framing is not _UNTIL_CLOSE and not head.closes and self._channel.may_persist()
        )
        encoded = encode_head(
            head, self.framing, length, date_header(), request.version, self.keep_alive, SERVER
        )
        self.overhead += len(encoded)
        self._head_encoded = True
        return encoded

    def _error_page(self, status: int, reason: str) -> bytes:
        self.close()
        self.complete = True
        self.head, page = error_answer(status, reason)
        self.head.closes = True
        head = self._head(len(page))
        return head if self.framing is _NO_BODY else head + page


def _checked(data: bytes) -> bytes:
    if not isinstance(data, bytes):
        raise TypeError(f"an application's body is made of bytes, not of {type(data).__name__}")
    return data


_PHRASES = {
    301: "Moved Permanently",
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def error_answer(
    status: int, reason: str, more: Iterable[tuple[str, str]] = ()
) -> tuple[ResponseHead, bytes]:
    """Return the head and body of the server's own answer to a request that it, or the application,
    could not serve.
    """
    phrase = _PHRASES.get(status, "Error")
    page = f"{status} {phrase}\n{reason}\n".encode("latin-1", "replace")
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        *more,
    ]
    return ResponseHead(f"{status} {phrase}", fields), page


def refusal(error: ProtocolError, *, to_head: bool) -> tuple[bytes, bytes]:
    """Return head and body of the answer to bytes that are no request; the connection closes after
    it.

    With *to_head*, what can be seen of them is a HEAD request, whose answer has no body (RFC 9110
    section 9.3.2).
    """
    more = [("Location", error.location)] if error.location else []
    head, page = error_answer(error.status, error.reason, more)
    encoded = encode_head(head, Framing.LENGTH, len(page), date_header(), "HTTP/1.1", False, SERVER)
    return encoded, b"" if to_head else page
