"""What an application's call asks of its connection: the request's body, and `write()`.

It runs in the application's thread. Only here does a thread wait for a client, and meanwhile it
does not count among those that run calls (`CallRunner.aside`).
"""

import select
from collections import deque
from contextlib import AbstractContextManager
from socket import MSG_MORE
from time import monotonic
from typing import Protocol

from ..http11 import EndOfMessage, ProtocolError, Receiver, Request
from ..http11.response import CONTINUE
from .call import Call, ClientError
from .gateway import Environ
from .options import ServerOptions
from .sendfile import FileSpan
from .stream import Stream

#: A body is collected up to this size before the application is called: a slow upload needs no
#: thread.
COLLECTED = 65536
#: An unread body is read and thrown away up to this size, so that the connection can go on.
DRAINED = 65536
#: A client that sends for this many seconds at fewer bytes a second gives way when others wait.
_GRACE = 5.0
_LEAST_RATE = 500
#: How often, within the time that a client has for taking more of its answer, it is looked whether
#: it did.
LOOKS = 20
#: What an application has not asked for, while its answer waits for the client, is kept up to this
#: size.
_KEPT = 1 << 18
_TAKEN_IN_A_ROW = 16
#: After an answer that closes, what the client still sends is read and thrown away, since a reset
#: could destroy the answer: until it pauses this long, and this long at most.
LINGER_PAUSE = 2.0
LINGER_TIME = 30.0
#: Smaller pieces are put together: chunks of a byte each would take fifty times as much memory as
#: their bytes.
_SMALL = 4096


class CallRunner(Protocol):
    """What a channel asks of the server that runs its calls."""

    options: ServerOptions

    @property
    def now(self) -> float:
        """Monotonic seconds, as of the last readiness."""

    @property
    def stopping(self) -> bool: ...

    @property
    def crowded(self) -> bool:
        """Whether clients wait for a connection to end: none is kept for another request then."""

    def aside(self, call: Call | None) -> AbstractContextManager[None]:
        """Enclose a wait of *call* for its client: meanwhile it does not count as running."""

    def may_upload(self) -> bool:
        """Return whether one more call may begin whose body has not arrived in full."""


class Upload:
    """The body of one request: collected before the call, read by it, drained after it."""

    __slots__ = (
        "asked",
        "began",
        "continued",
        "counted",
        "dropped",
        "ended",
        "pieces",
        "progress",
        "size",
    )

    def __init__(self, now: float) -> None:
        self.pieces: deque[bytes] = deque()  # arrived, and not yet asked for
        self.size = 0  # bytes that arrived
        self.ended = False
        self.began = now
        self.progress = now  # when the last of it arrived
        self.continued = False  # 100 (Continue) was sent
        self.counted = False  # its call began before it had arrived
        self.asked = False  # the application has read some of it
        self.dropped = False  # some of it was thrown away

    @property
    def kept(self) -> int:
        """How many bytes have arrived that nobody has asked for."""
        return sum(map(len, self.pieces))

    def take(self, event: bytes | EndOfMessage, now: float) -> None:
        if isinstance(event, EndOfMessage):
            self.ended = True
            return
        pieces = self.pieces
        if pieces and len(event) < _SMALL and len(pieces[-1]) < _SMALL:
            pieces[-1] += event
        else:
            pieces.append(event)
        self.size += len(event)
        self.progress = now

    def is_slow(self, now: float) -> bool:
        return now - self.began > _GRACE and self.size < _LEAST_RATE * (now - self.began)


class CallChannel:
    """What a call knows of its connection (call.Channel), and the state that both change.

    For the connection's thread, or during a call for the thread that runs it.
    """

    __slots__ = ("_runner", "call", "receiver", "sends_files", "stream", "upload")

    def __init__(self, runner: CallRunner, stream: Stream, base: Environ) -> None:
        """*base* is the part of the environ that all requests have in common."""
        self._runner = runner
        self.stream = stream
        self.sends_files = stream.sends_files
        self.receiver = Receiver(runner.options.limits, base)
        self.upload: Upload | None = None  # of the present request
        self.call: Call | None = None

    def may_persist(self) -> bool:
        """Tell whether the connection can go on after the answer that is about to begin.

        The client's wish is not asked here.
        """
        runner, upload = self._runner, self.upload
        if runner.stopping or runner.crowded or not runner.options.keep_alive:
            return False
        if upload is None or upload.ended:
            return True
        call = self.call
        assert call is not None
        body = call.request.body
        assert body is not None
        # A client that waits for 100 may send its body or not: what comes next is uncertain (RFC
        # 9110 10.1.1).
        waits = body.expects_continue and not upload.continued
        return not waits and body.length - upload.size <= DRAINED

    def receive_body(self) -> bytes:
        """Return the next piece of the request's body, b"" at its end. Raises ClientError."""
        upload = self.upload
        assert upload is not None
        upload.asked = True
        if upload.dropped:
            raise ClientError(
                0, "the body was thrown away, since the client did not take its answer meanwhile"
            )
        while not upload.pieces and not upload.ended:
            try:
                event = self.receiver.next_event()
            except ProtocolError as error:
                raise ClientError(error.status, error.reason) from error
            if event is None:
                self.receiver.feed(self._await_body(upload))
            elif not isinstance(event, Request):
                upload.take(event, self._runner.now)
        return upload.pieces.popleft() if upload.pieces else b""

    def transmit(self, data: bytes) -> None:
        """Send all of *data*, as `send` does, for the application. Raises ClientError."""
        try:
            self.send(data)
        except ClientError:
            raise
        except OSError as error:
            raise ClientError(0, "the client is gone") from error

    def send(self, output: bytes | FileSpan) -> None:
        """Send all of *output*, waiting as long as the client makes progress, and count it.

        Raises ClientError for a client that makes none, StreamChangedError, and other OSErrors.
        """
        call, stream = self.call, self.stream
        assert call is not None
        flags = MSG_MORE if call.span is not None else 0
        call.wire += stream.begin(output, flags)
        while stream.pending is not None:
            try:
                call.wire += stream.flush(flags)
            except BlockingIOError:
                self._await_room()

    @property
    def takes_unread(self) -> bool:
        """Whether more of the body is taken while nobody asks for it."""
        upload = self.upload
        if upload is None or upload.ended:
            return False
        return not upload.asked or upload.kept < _KEPT

    def take_unread(self) -> bool:
        """Take what comes from a client that does not take its answer, or each waits for the other.

        Some of it is kept. Beyond that it is thrown away if the application has not begun to read.
        Returns whether something came.
        """
        upload = self.upload
        taken = False
        for _ in range(_TAKEN_IN_A_ROW):
            if upload is None or not self.takes_unread:
                break
            try:
                event = self.receiver.next_event()
                if event is None:
                    data = self.stream.receive()
                    if not data:
                        break
                    self.receiver.feed(data)
                    taken = True
                elif not isinstance(event, Request):
                    upload.take(event, self._runner.now)
            except (ProtocolError, OSError):
                break  # who reads on finds it again
            if not upload.asked and upload.kept >= _KEPT:
                upload.dropped = True
                upload.pieces.clear()
        return taken

    def _await_room(self) -> None:
        """Wait until the client takes more. Raises ClientError."""
        self.stream.taken_since()
        patience = self._runner.options.write_timeout
        since = monotonic()
        while True:
            taken = self.take_unread()
            events = select.POLLOUT | (select.POLLIN if self.takes_unread else 0)
            if self._wait(events, patience / LOOKS) and not self.take_unread():
                return
            # The kernel reports room only after much of it has gone: a slow reader is not one that
            # stopped.
            if taken or self.stream.taken_since():
                since = monotonic()
            elif monotonic() - since >= patience:
                raise ClientError(408, "The client took too long.")

    def _await_body(self, upload: Upload) -> bytes:
        call = self.call
        assert call is not None
        body = call.request.body
        if (
            body is not None
            and body.expects_continue
            and not upload.continued
            and not upload.size
            and not call.wire
        ):
            upload.continued = True
            self.transmit(CONTINUE)
            call.overhead += len(CONTINUE)
        while True:
            try:
                data = self.stream.receive()
            except OSError as error:
                raise ClientError(0, "the client is gone") from error
            if data:
                return data
            if data is not None:
                self.stream.hung_up = True
                raise ClientError(400, "The request's body is shorter than it was declared to be.")
            if not self._runner.may_upload() and upload.is_slow(self._runner.now):
                raise ClientError(408, "The request's body came too slowly, while others waited.")
            if not self._wait(select.POLLIN, self._runner.options.body_timeout):
                raise ClientError(408, "The client took too long.")

    def _wait(self, events: int, seconds: float) -> bool:
        with self._runner.aside(self.call):
            return self.stream.wait(events, seconds)
