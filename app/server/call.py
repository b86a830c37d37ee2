"""PEP 3333's answer side: an application's answer becomes bytes to send, piece by piece.

A `Call` runs the application once and hands its answer out by `next_output`, so that the
owner of the socket may stop between two pieces for as long as the client takes to read. Nothing
here sends, waits or knows of sockets. Only `write()` and `wsgi.input` have to: they go through the
`Channel`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from time import monotonic, time
from typing import Protocol

from ..before_answer import Work, do_together
from ..clock import date_header
from ..host_figures import Lane
from ..http11 import Request
from ..http11.response import (
    LAST_CHUNK,
    Framing,
    ResponseHead,
    choose_framing,
    encode_chunk,
    encode_head,
    usual_head,
)
from ..request_note import NO_NOTE, NOTE, REQUEST_ID, RequestNote, shown_target
from .access_log import AccessLog
from .error_page import SERVER, error_answer
from .gateway import Application, ExcInfo
from .request_body import RequestBody
from .sendfile import FileSpan, FileWrapper, note_sent, span_of

#: A body up to this size goes out together with its head, in one send.
_JOINED = 1 << 17

log = logging.getLogger("tally.server")

# Looked up for every answer; a member of an enumeration is ten times as far away.
_NO_BODY, _LENGTH = Framing.NO_BODY, Framing.LENGTH
_CHUNKED, _UNTIL_CLOSE = Framing.CHUNKED, Framing.UNTIL_CLOSE


class ClientError(OSError):
    """A request body that cannot be read to its end.

    `status` is the answer's, or 0 when nobody is left to take one.
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
        """Tell whether the connection can go on after the answer that is about to begin.

        The client's wish is not asked here.
        """


class Call:
    """One run of the application, from the environ to the last byte of the answer.

    Used by one thread at a time. Call `next_output` until it returns None or raises CutShortError,
    then `close`.
    """

    __slots__ = (
        "_application",
        "_channel",
        "_cut_short",
        "_date",
        "_iterable",
        "_output",
        "_remaining",
        "complete",
        "framing",
        "head",
        "keep_alive",
        "overhead",
        "request",
        "span",
        "wire",
        "work",
    )

    # Set with the head: its Date, and what is left of the length that it declares.
    _date: str
    _remaining: int | None

    def __init__(self, application: Application, request: Request, channel: Channel) -> None:
        self._application = application
        self._channel = channel
        self.request = request  # its variables are the environ
        if request.body is not None:
            request.variables["wsgi.input"] = RequestBody(channel.receive_body)
            if request.body.is_chunked:
                # Decoded as it is read, the body has this coding no more (RFC 9112 section 7.1.3).
                del request.variables["HTTP_TRANSFER_ENCODING"]
        # The answer, as it comes to be
        self.head: ResponseHead | None = None
        self.framing: Framing | None = None  # until the head has been encoded
        self.keep_alive = False
        self.complete = False  # nothing comes after what next_output returned last
        self.span: FileSpan | None = None  # comes next, its head was given out
        self.wire = 0  # bytes that were handed to the kernel; counted by the connection
        #: What the application has left to be done before its answer goes out.
        self.work: list[Work] | None = None
        self.overhead = 0  # how many bytes of the answer so far are not its body's
        self._cut_short = False  # a write() failed in the middle
        self._iterable: Iterable[bytes] | None = None
        self._output: Iterator[bytes] | None = None

    def _body_sent(self) -> int:
        """Return how many bytes of the body were handed to the kernel."""
        return 0 if self.wire < self.overhead else self.wire - self.overhead

    def next_output(self) -> bytes | FileSpan | None:
        """Return what is to be sent next, None when the answer is complete. Raises CutShortError.

        A failure of the application is logged, and answered with 500 as long as the head has not
        been given out.
        """
        try:
            if self.framing is None:
                return self._begin()
            if self._output is not None:
                return next(self._output, None)
            return None if self.span is None else self._take_span()
        except CutShortError:
            raise
        except ClientError as fault:
            if fault.status and self.framing is None:
                return self._error_page(fault.status, fault.reason)
            raise CutShortError from fault
        except BaseException as error:  # noqa: BLE001 - logged just below
            # Also sys.exit() and what asyncio and others raise beside Exception: it ends the
            # application's own answer, not the thread that serves the others.
            self._log_failure("the application failed at %s %r", error)
            if self.framing is not None:
                raise CutShortError from None
            return self._error_page(500, "The application failed.")

    def close(self) -> bool:
        """Close what the application returned, whether it was sent in full or not.

        Returns False when the application's `close` fails. Calls after the first do nothing.
        """
        self.complete = True
        if self.work:
            self.do_work()
        iterable = self._iterable
        if iterable is None:
            return True
        self._iterable = self._output = None
        if type(iterable) is FileWrapper:
            note_sent(iterable.filelike, self._body_sent())
        close = getattr(iterable, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:  # noqa: BLE001 - logged just below
                self._log_failure("the application failed at close(), %s %r", error)
                return False
        return True

    def take_work(self) -> list[Work]:
        """Return what is left to be done; the caller does it, with others' or alone."""
        work = self.work
        if not work:
            return []
        taken = work.copy()
        work.clear()  # the application has this list, and may go on with it
        return taken

    def do_work(self) -> None:
        do_together(self.take_work())

    def record(
        self, lane: Lane, access_log: AccessLog | None, began: float, *, aborted: bool
    ) -> None:
        """Note the end of the answer; *began* is in monotonic seconds."""
        seconds = monotonic() - began
        note: RequestNote = self.request.variables.get(NOTE) or NO_NOTE
        if not note.is_told:
            lane.end_unmeasured()
            return
        sent = self._body_sent()
        lane.end(self.request.method, seconds, sent)
        if access_log is None:
            return
        line, environ, head = self.request.line, self.request.variables, self.head
        # In the order of an `Exchange`; what is there already, as the log's thread does the rest.
        access_log.write(
            (
                environ.get("REMOTE_ADDR", ""),
                environ.get("REMOTE_USER", ""),
                time() - seconds,
                f"{line.method} {note.target} {line.version}" if note.target else line.text,
                0 if head is None else head.code,
                sent,
                seconds,
                environ.get("HTTP_REFERER", ""),
                environ.get("HTTP_USER_AGENT", ""),
                aborted,
                environ.get("HTTP_HOST", ""),
                note,
                environ.get(REQUEST_ID, ""),
            )
        )

    def _log_failure(self, message: str, error: BaseException) -> None:
        """Log *error*, unless its attribute `is_logged` says that the application has done so."""
        if getattr(error, "is_logged", False) is not True:
            log.error(message, self.request.method, self._shown_target, exc_info=error)

    @property
    def _shown_target(self) -> str:
        return shown_target(self.request.variables, self.request.line.target)

    # What the application calls

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        if exc_info:
            try:
                if self.framing is not None and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a traceback that holds its own frame would live on
        elif self.head is not None:
            raise AssertionError("start_response was called a second time without exc_info")
        self.head, date = usual_head(status, headers)
        self._date = date or date_header()
        return self.write

    def write(self, data: bytes) -> None:
        if self.complete:
            # From a thread that the application left behind, it would come in the middle of a later
            # answer.
            raise RuntimeError("write() was called after the end of the answer")
        if not isinstance(data, bytes):
            raise _not_bytes(data)
        self.do_work()
        out = self._encode_head(None) if self.framing is None else b""
        out += self._framed(data)
        if out:
            # Whatever the application makes of a failure, nothing may come after a part of this.
            self._cut_short = True
            self._channel.transmit(out)
            self._cut_short = False

    # How the answer is cut into pieces

    def _begin(self) -> bytes | FileSpan | None:
        """Call the application, and return the first output."""
        result = self._application(self.request.variables, self.start_response)
        plain = result if type(result) is tuple or type(result) is list else None
        if plain is None:
            self._iterable = result  # to be closed
        if self._cut_short:
            raise CutShortError
        if self.framing is None:
            if plain is not None and len(plain) <= 1:
                whole = self._whole(plain[0] if plain else b"")
                if whole is not None:
                    return whole
            elif type(result) is FileWrapper and self._channel.sends_files:
                span = span_of(result, None if self.head is None else self.head.content_length)
                if span is not None:
                    return self._before(span)
        self._output = self._pieces(result)
        return next(self._output, None)

    def _whole(self, body: bytes) -> bytes | None:
        """Return head and body together; None for a body that has to go the long way."""
        if not isinstance(body, bytes):
            raise _not_bytes(body)
        length, head = len(body), self.head
        if head is None or length > _JOINED:
            return None
        declared = head.content_length
        if declared != length and declared is not None and self.request.method != "HEAD":
            return None
        self.complete = True
        encoded = self._encode_head(length)
        return encoded if self.framing is _NO_BODY else encoded + body

    def _before(self, span: FileSpan) -> bytes:
        """Return the head, and keep *span* to come next."""
        head = self._encode_head(span.remaining)
        if self.framing is _NO_BODY or not span.remaining:
            self.complete = True
        else:
            self.span = span
        return head

    def _take_span(self) -> FileSpan | None:
        span, self.span = self.span, None
        self.complete = True
        return span

    def _pieces(self, result: Iterable[bytes]) -> Iterator[bytes]:
        head = b""
        for data in result:
            if self._cut_short:
                raise CutShortError
            if not isinstance(data, bytes):
                raise _not_bytes(data)
            if not data:
                continue
            if self.framing is None:
                is_alone = isinstance(result, list | tuple) and len(result) == 1
                head = self._encode_head(len(data) if is_alone else None)
            if self.framing is _NO_BODY or self._remaining == 0:
                break  # what comes may be endless, and goes nowhere
            yield head + self._framed(data)
            head = b""
        if self._cut_short:
            raise CutShortError
        if self.framing is None:
            head = self._encode_head(0)
        if rest := head + self._ending():
            yield rest

    def _ending(self) -> bytes:
        """Return what ends the body. Raises CutShortError for a body that is too short."""
        self.complete = True
        if self.framing is _CHUNKED:
            self.overhead += len(LAST_CHUNK)
            return LAST_CHUNK
        if self._remaining:
            log.error(
                "the body was shorter than its Content-Length at %s %r",
                self.request.method,
                self._shown_target,
            )
            raise CutShortError
        return b""

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

    def _encode_head(self, length: int | None) -> bytes:
        """Settle the framing, and return the head's bytes.

        *length* is that of the whole body, None where the server does not know it.
        """
        head = self.head
        if head is None:
            raise AssertionError("the application did not call start_response")
        request = self.request
        method, version = request.method, request.version
        if head.content_length is not None:
            length = head.content_length
        elif head.code == 304 or (length == 0 and method == "HEAD"):
            length = None  # an application that leaves the body out says nothing of its length
        framing = choose_framing(method, version, head.code, length)
        self._remaining = length if framing is _LENGTH else None
        self.keep_alive = keep_alive = (
            request.keep_alive
            and not head.closes
            and framing is not _UNTIL_CLOSE
            and self._channel.may_persist()
        )
        encoded = encode_head(head, framing, length, self._date, version, keep_alive, SERVER)
        self.overhead += len(encoded)
        self.framing = framing
        return encoded

    def _error_page(self, status: int, reason: str) -> bytes:
        self.close()
        self.complete = True
        self.head, page = error_answer(status, reason, [("Connection", "close")])
        self._date = date_header()
        head = self._encode_head(len(page))
        return head if self.framing is _NO_BODY else head + page


def _not_bytes(data: object) -> TypeError:
    return TypeError(f"an application's body is made of bytes, not of {type(data).__name__}")
