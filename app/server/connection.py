"""One client's connection: from bytes to requests, calls and answers, without ever waiting.

    advance ─► read a request ─► host.run_call ─► perform: application, pieces, send ─► the next request
                    │ nothing to read: return          │ client takes no more: return
                    └──────────── the host calls again when the socket is ready, or at `deadline`: expire

The host (a poller, or a thread of the connection's own) owns readiness, threads and time; a connection holds the state
that lies between two of its calls. `busy` is True while an application call owns it: then nobody else touches it, apart
from setting `readable`. Readiness is edge-triggered: `readable` stays True until a read has found nothing more.
"""

import errno
import fcntl
import logging
import select
import socket
import struct
import termios
from collections import deque
from contextlib import AbstractContextManager, suppress
from enum import Enum
from time import monotonic, time
from typing import Protocol

from app.http11 import END_OF_MESSAGE, ProtocolError, Receiver, Request
from app.http11.response import CONTINUE, Framing
from app.server.access_log import AccessLog, Exchange
from app.server.gateway import Call, ClientError, CutShortError, Environ, Gateway, make_environ, refusal
from app.server.options import ServerOptions
from app.server.sendfile import FileSpan

log = logging.getLogger("tally.server")

_READ_SIZE = 65536
#: What an answer may send before other connections get their turn.
_TURN = 4 << 20
#: A body is collected up to this size, or this long, before the application is called: a slow upload needs no thread.
_COLLECTED = 65536
_PATIENCE = 1.0
#: An unread body up to this size is read and thrown away, so that the connection can go on.
_DRAINED = 65536
#: After an answer that closes, what the client still sends is read and thrown away, since a reset could destroy the
#: answer: until it pauses this long, and this long at most.
_LINGER_PAUSE = 2.0
_LINGER_TIME = 30.0
_LINGER_READS = 16  # before others get their turn

_GONE = frozenset(
    {errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ECONNABORTED}
)


class Phase(Enum):
    """What a connection is waiting for, and so what its deadline means."""

    HANDSHAKE = "handshake"
    FIRST = "first request"
    IDLE = "next request"
    HEAD = "rest of a head"
    BODY = "rest of a body"
    DRAIN = "rest of an unread body"
    ANSWER = "application or client"
    LINGER = "client's close"
    CLOSED = "nothing"


# Looked up for every request; a member of an enumeration is ten times as far away.
_IDLE, _HEAD, _BODY, _DRAIN, _ANSWER, _LINGER, _CLOSED = (
    Phase.IDLE,
    Phase.HEAD,
    Phase.BODY,
    Phase.DRAIN,
    Phase.ANSWER,
    Phase.LINGER,
    Phase.CLOSED,
)
#: Nothing is lost when a connection in one of these is closed.
RESTING = (Phase.FIRST, Phase.IDLE)


class Host(Protocol):
    """What a connection asks of whoever runs it."""

    gateway: Gateway
    options: ServerOptions
    access_log: AccessLog | None
    now: float  # monotonic seconds, as of the last readiness

    @property
    def stopping(self) -> bool: ...

    def run_call(self, connection: "Connection") -> bool:
        """Have `connection.perform` run. False: another thread has it, or will; it is not the caller's any more."""

    def aside(self, connection: "Connection") -> AbstractContextManager[None]:
        """Enclose a wait of the application's own for its client: it does not count as a running call."""

    def may_upload(self) -> bool:
        """Tell whether one more call may begin whose body has not arrived in full."""

    def uploading(self, change: int) -> None:
        """Note that a call with such a body begins (1) or has ended (-1)."""

    def again(self, connection: "Connection") -> None:
        """Have `advance` called once the others had their turn, unless the connection is busy then. From any thread."""

    def forget(self, connection: "Connection") -> None:
        """Drop a connection that is about to be closed."""


class Connection:
    __slots__ = (
        "_body",
        "_body_ended",
        "_body_since",
        "_collected",
        "_continued",
        "_linger_until",
        "_pending",
        "_queued",
        "_receiver",
        "_request",
        "_started",
        "_uploading",
        "address",
        "base",
        "busy",
        "call",
        "deadline",
        "descriptor",
        "host",
        "hung_up",
        "phase",
        "port",
        "readable",
        "socket",
    )
    sends_files = True

    def __init__(self, host: Host, sock: socket.socket, address: str, port: str, base: Environ) -> None:
        # For the connection
        self.host = host
        self.socket = sock
        self.descriptor = sock.fileno()
        self.address = address
        self.port = port
        self.base = base  # the listener's part of each environ
        self.phase = Phase.FIRST
        self.deadline = host.now + host.options.header_timeout
        self.readable = False
        self.hung_up = False
        self.busy = False
        self._receiver = Receiver(host.options.limits)
        self._linger_until = 0.0
        # For the request
        self._request: Request | None = None
        self._body: deque[bytes] | None = None  # arrived, and not yet asked for
        self._body_ended = True
        self._body_since = 0.0
        self._collected = 0
        self._continued = False
        self._uploading = False
        # For the answer
        self.call: Call | None = None
        self._pending: memoryview | FileSpan | None = None
        self._queued = 0  # bytes in the kernel at the last look
        self._started = 0.0

    # What the host calls

    def ready(self, events: int) -> None:
        """Note what epoll says, and go on."""
        if events != select.EPOLLOUT:
            self.readable = True
            if events & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                self.hung_up = True
        if not self.busy:
            self.advance()

    def advance(self) -> None:
        """Go as far as it goes without waiting. Only for the thread that owns the connection."""
        try:
            while True:
                phase = self.phase
                if phase is _ANSWER:
                    if not self._resume_answer():
                        return
                elif phase is _LINGER:
                    self._linger()
                    return
                elif phase is _CLOSED or not self._read_request() or not self._begin_call():
                    return
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection and no other
            self._fail(error)

    def expire(self) -> None:
        """Do what is due at `deadline`."""
        try:
            self._do_what_is_due()
        except Exception as error:  # noqa: BLE001 - as in advance
            self._fail(error)

    def _do_what_is_due(self) -> None:
        host, phase = self.host, self.phase
        if phase is _HEAD:
            self._refuse(ProtocolError(408, "The request's head took too long."))
        elif phase is _BODY:
            if host.now - self._body_since >= host.options.body_timeout:
                self._refuse(ProtocolError(408, "The request's body took too long."))
            elif host.may_upload():
                if self._begin_call():
                    self.advance()
            else:
                self.deadline = host.now + _PATIENCE
        elif phase is _ANSWER:
            # The kernel reports room only after much of it has gone; a slow reader is seen in what it still holds.
            before = self._queued
            self._await_reader()
            if self._queued >= before:
                self._abort()
        else:
            self.close()

    def perform(self) -> None:
        """Run the application's call, and send, until the answer is complete or the client takes no more."""
        call = self.call
        assert call is not None
        try:
            while self._flush() and not call.complete:
                output = call.next_output()
                if output is None:
                    break
                if type(output) is bytes:
                    flags = socket.MSG_MORE if call.span is not None else 0
                    try:
                        sent = self._send(output, flags)
                    except BlockingIOError:
                        sent = 0
                    call.wire += sent
                    if sent != len(output):
                        self._pending = memoryview(output)[sent:]
                elif type(output) is FileSpan:
                    self._pending = output
            if self._pending is not None:
                self.phase = _ANSWER
                self._await_reader()
                return
        except CutShortError:
            self._abort()
            return
        except Exception as error:  # noqa: BLE001 - as in advance
            self._fail(error)
            return
        self._answered(call)

    def settle(self) -> bool:
        """Give the connection up after `perform` in a thread not the host's; False when it needs the host now."""
        if self.phase is not _IDLE or self._receiver.buffered or self.host.stopping:
            return False
        self.busy = False
        # From here on the host may go on with it. It sets `readable` before it looks at `busy`, so what arrives now is
        # seen by one side or by both; `again` is for both.
        if self.readable:
            self.host.again(self)
        return True

    def close(self) -> None:
        """Close at once, without a word."""
        if self.phase is not _CLOSED:
            self.phase = _CLOSED
            self.host.forget(self)
            self._pending = None
            self._shut()

    # Reading

    def _read_request(self) -> bool:
        """Return True when a request is ready to be called for."""
        receiver = self._receiver
        try:
            while True:
                event = receiver.next_event()
                if event is None:
                    if not self.readable:
                        self._await_more()
                        return False
                    data = self._receive()
                    if data is None:
                        self._await_more()
                        return False
                    if not data:
                        self.close()
                        return False
                    receiver.feed(data)
                elif type(event) is Request:
                    self._request = event
                    if not event.has_body:
                        return True
                    self._expect_body()
                    if event.expects_continue and self.host.may_upload():
                        return True
                elif self.phase is _DRAIN:
                    if not self._drain(event):
                        return False
                elif self._collect(event):
                    return True
        except ProtocolError as error:
            self._refuse(error)
            return False

    def _receive(self) -> bytes | None:
        """Return what has arrived, b"" at the end, None when there is nothing."""
        try:
            data = self.socket.recv(_READ_SIZE)
        except BlockingIOError:
            self.readable = False
            return None
        # A read that is not filled has emptied the socket; only the end of the stream may be behind it (epoll(7)).
        if len(data) < _READ_SIZE and not self.hung_up:
            self.readable = False
        return data

    def _await_more(self) -> None:
        host = self.host
        if self.phase in RESTING and self._receiver.buffered:
            # From the first byte on, the whole head has to come in time, however often a byte arrives.
            self.phase = _HEAD
            self.deadline = host.now + host.options.header_timeout

    def _expect_body(self) -> None:
        self.phase = _BODY
        self._body = deque()
        self._body_ended = False
        self._collected = 0
        self._continued = False
        self._body_since = self.host.now
        self.deadline = self._body_since + min(_PATIENCE, self.host.options.body_timeout)

    def _collect(self, event: object) -> bool:
        """Keep a piece of the body; True when the application may be called."""
        if event is END_OF_MESSAGE:
            self._body_ended = True
            return True
        assert isinstance(event, bytes)
        assert self._body is not None
        self._body.append(event)
        self._collected += len(event)
        self._body_since = self.host.now
        return self._collected >= _COLLECTED and self.host.may_upload()

    def _drain(self, event: object) -> bool:
        if event is END_OF_MESSAGE:
            self._body_ended = True
            self.phase = _IDLE
            self.deadline = self.host.now + self.host.options.keep_alive
            return True
        assert isinstance(event, bytes)
        self._collected += len(event)
        if self._collected <= _DRAINED:
            return True
        self._end()
        return False

    # Answering

    def _begin_call(self) -> bool:
        host, request = self.host, self._request
        assert request is not None
        self._request = None
        self.phase = _ANSWER
        if not self._body_ended:
            self._uploading = True
            host.uploading(1)
        environ = make_environ(self.base, request, self.address, self.port)
        self.call = Call(host.gateway, request, environ, self)
        if host.access_log is not None:
            self._started = monotonic()
        return host.run_call(self)

    def _resume_answer(self) -> bool:
        """Return True when the answer is complete and the connection can go on."""
        call = self.call
        assert call is not None
        before = call.wire
        try:
            flushed = self._flush()
        except CutShortError:
            self._abort()
            return False
        if call.wire != before:
            self._await_reader()
        if not flushed:
            return False
        if not call.complete:
            return self.host.run_call(self)
        self._answered(call)
        return True

    def _flush(self) -> bool:
        """Send what is pending; False when the client takes no more for now, or others should have their turn."""
        pending, call = self._pending, self.call
        if pending is None:
            return True
        assert call is not None
        try:
            if isinstance(pending, FileSpan):
                turn = call.wire + _TURN
                while pending.remaining:
                    sent = pending.send(self.descriptor)
                    if not sent:
                        raise CutShortError
                    call.wire += sent
                    if call.wire >= turn and pending.remaining:
                        self.host.again(self)
                        return False
            else:
                while pending:
                    sent = self._send(pending, socket.MSG_MORE if call.span is not None else 0)
                    call.wire += sent
                    pending = pending[sent:]
                    self._pending = pending
        except BlockingIOError:
            return False
        self._pending = None
        return True

    def _send(self, data: bytes | memoryview, flags: int) -> int:
        return self.socket.send(data, flags)

    def _answered(self, call: Call) -> None:
        """Go on to the next request, or close, after a complete answer."""
        if not call.close():
            # It may be the last word on what was sent, such as a file that has changed.
            self._abort()
            return
        if self._uploading:
            self._uploading = False
            self.host.uploading(-1)
        self._record(call, aborted=False)
        self.call = None
        # Also while the server stops: a client that was promised another answer may be asking for it already.
        if not call.keep_alive:
            if self._body_ended and not call.request.keep_alive and not self._receiver.buffered and not self.readable:
                self.close()  # the client has said that nothing more comes
            else:
                self._end()
        elif self._body_ended:
            self._body = None
            self.phase = _IDLE
            self.deadline = self.host.now + self.host.options.keep_alive
        else:
            self._body = None
            self._collected = 0
            self.phase = _DRAIN
            self.deadline = self.host.now + self.host.options.body_timeout

    def _record(self, call: Call, *, aborted: bool) -> None:
        access_log = self.host.access_log
        if access_log is None:
            return
        environ, request = call.environ, call.request
        duration = monotonic() - self._started
        access_log.write(
            Exchange(
                remote_addr=environ.get("REMOTE_ADDR", self.address),
                remote_user=environ.get("REMOTE_USER", ""),
                received=time() - duration,
                request_line=f"{request.method} {request.target} {request.version}",
                status=call.head.code if call.head is not None else 0,
                sent=call.body_sent,
                duration=duration,
                referer=environ.get("HTTP_REFERER", ""),
                user_agent=environ.get("HTTP_USER_AGENT", ""),
                aborted=aborted,
                host=environ.get("HTTP_HOST", ""),
            )
        )

    # Ending

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is not a request, and close."""
        answer = refusal(error)
        with suppress(OSError):
            self._send(answer, 0)  # into an empty send buffer: it fits
        access_log = self.host.access_log
        if access_log is not None:
            access_log.write(Exchange(self.address, "", time(), "", error.status, len(answer), 0.0, "", "", False, ""))
        self._end(_LINGER_PAUSE)

    def _end(self, patience: float = _LINGER_TIME) -> None:
        """Close after the last answer, so that it arrives even while the client is still sending."""
        if self.hung_up:
            self.close()
            return
        self.phase = _LINGER
        self._linger_until = self.host.now + patience
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self.readable = True
        self._linger()

    def _linger(self) -> None:
        self.deadline = min(self.host.now + _LINGER_PAUSE, self._linger_until)
        for _ in range(_LINGER_READS):
            if not self.readable:
                return
            try:
                data = self._receive()
            except OSError:
                data = b""
            if data is None:
                return
            if not data:
                self.close()
                return
        self.host.again(self)

    def _fail(self, error: Exception) -> None:
        if not (isinstance(error, OSError) and error.errno in _GONE):
            log.error("a connection of %s failed", self.address, exc_info=error)
        self._abort()

    def _abort(self) -> None:
        """Cut the connection in the middle of an answer."""
        call, self.call = self.call, None
        if self._uploading:
            self._uploading = False
            self.host.uploading(-1)
        if call is not None:
            call.close()
            self._record(call, aborted=True)
            if call.framing is Framing.UNTIL_CLOSE:
                # A clean close would be read as the end of the body.
                with suppress(OSError):
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _shut(self) -> None:
        self.socket.close()

    def _await_reader(self) -> None:
        self.deadline = self.host.now + self.host.options.write_timeout
        try:
            self._queued = struct.unpack("i", fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
        except OSError:
            self._queued = 0

    # What a call asks of its channel, in the application's thread

    def may_persist(self) -> bool:
        """Tell whether the connection can go on after the answer that is about to begin."""
        host, call = self.host, self.call
        if host.stopping or not host.options.keep_alive or call is None or not call.request.keep_alive:
            return False
        if self._body_ended:
            return True
        # A client that waits for 100 may send its body or not: what comes next is uncertain (RFC 9110 10.1.1).
        waits = call.request.expects_continue and not self._continued
        return not waits and call.request.content_length - self._collected <= _DRAINED

    def receive_body(self) -> bytes:
        """Return the next piece of the request's body, b"" at its end. Raises ClientError."""
        if self._body:
            return self._body.popleft()
        while not self._body_ended:
            try:
                event = self._receiver.next_event()
            except ProtocolError as error:
                raise ClientError(error.status, error.reason) from error
            if event is END_OF_MESSAGE:
                self._body_ended = True
            elif isinstance(event, bytes):
                self._collected += len(event)
                return event
            else:
                self._receiver.feed(self._await_body())
        return b""

    def transmit(self, data: bytes) -> None:
        """Send all of *data*, waiting as long as the client makes progress. Raises ClientError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._send(rest, 0) :]
            except BlockingIOError:
                self._wait(select.POLLOUT, self.host.options.write_timeout)
            except OSError as error:
                raise ClientError(0, "the client is gone") from error

    def _await_body(self) -> bytes:
        call = self.call
        assert call is not None
        if call.request.expects_continue and not self._continued and not self._receiver.buffered and not call.wire:
            self._continued = True
            self.transmit(CONTINUE)
        while True:
            try:
                data = self._receive()
            except OSError as error:
                raise ClientError(0, "the client is gone") from error
            if data:
                return data
            if data is not None:
                self.hung_up = True
                raise ClientError(400, "The request's body is shorter than it was declared to be.")
            self._wait(select.POLLIN, self.host.options.body_timeout)

    def _wait(self, events: int, timeout: float) -> None:
        poll = select.poll()
        poll.register(self.descriptor, events)
        with self.host.aside(self):
            ready = poll.poll(timeout * 1000)
        if not ready:
            raise ClientError(408, "The client took too long.")
