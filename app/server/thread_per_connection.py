"""The server in its simplest form (`--threads 0`): each connection has a thread that waits for it.

    accept ─► a thread: read a request ─► call the application ─► send ─► the next request

Read it before the loop (loop.py), whose connections wait without a thread. One thing is left out
here: a body is not collected before the call, so applications do not learn the length of chunks.
"""

import logging
import math
import os
import select
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from time import monotonic

from .. import host_figures
from ..http11 import ProtocolError, Request
from ..http11.response import Framing
from . import channel as channels
from . import error_page
from .accept import EXHAUSTED, SETTLED, base_environs, name_and_port, open_stream
from .access_line import refused
from .access_log import AccessLog
from .call import Call, ClientError, CutShortError
from .channel import DRAINED, CallChannel, Upload
from .gateway import Environ, Gateway, client_environ
from .listeners import Listener
from .options import ServerOptions
from .stream import GONE, PlainTextError, Stream, StreamChangedError

log = logging.getLogger("tally.server")

_TICK = 0.25
#: How long the applications' close() of answers that were cut short may hold up the end.
_LAST_CLOSES = 1.0


class ThreadPerConnection:
    """Accepts in the thread that calls `run`, and starts a thread for each connection."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        gateway: Gateway,
        options: ServerOptions,
        access_log: AccessLog | None,
        max_connections: int,
    ) -> None:
        self.gateway = gateway
        self.options = options
        self.access_log = access_log
        self.figures = _Figures()
        self.crowded = False
        self.stopping = False
        self._linger = 0.0
        self._is_stopped_now = False
        self._listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._bases = base_environs(listeners, gateway)
        self._max_connections = max_connections
        self._connections: set[BlockingConnection] = set()
        self._one_ended = threading.Condition()  # its lock guards the set
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def run(self) -> None:
        """Accept until stopped, then wait for the connections."""
        poll = select.poll()
        for descriptor in (self._wake, *self._listeners):
            poll.register(descriptor, select.POLLIN)
        while not self.stopping:
            for descriptor, _ in poll.poll():
                if descriptor in self._listeners and self._make_room():
                    self._accept(descriptor)
        for listener in self._listeners.values():
            listener.close()
        stopped = monotonic()
        with self._one_ended:
            self._wait_until(stopped + self._linger)
            for connection in self._connections:
                if connection.channel.call is None:
                    connection.stream.end_input()
            self._wait_until(stopped + self.options.graceful_timeout)
            for connection in self._connections:
                connection.interrupt()
            self._one_ended.wait_for(lambda: not self._connections, _LAST_CLOSES)

    def stop(self, linger: float) -> None:
        """Stop accepting, and end when the connections have ended. Safe in a signal handler."""
        self._linger = linger
        self.stopping = True
        os.eventfd_write(self._wake, 1)

    def stop_now(self) -> None:
        """Close everything. Safe in a signal handler."""
        self._is_stopped_now = True
        self.stop(0.0)

    def _wait_until(self, moment: float) -> None:
        while self._connections and not self._is_stopped_now and monotonic() < moment:
            self._one_ended.wait(min(_TICK, max(0.0, moment - monotonic())))

    def _make_room(self) -> bool:
        """Return whether one more connection may come; at the limit, wait a moment for an end."""
        with self._one_ended:
            self.crowded = len(self._connections) >= self._max_connections
            if self.crowded:
                oldest = min(self._connections, key=lambda connection: connection.idle_since)
                if oldest.idle_since <= monotonic() - SETTLED:
                    oldest.stream.end_input()
                self._one_ended.wait(SETTLED)
            return len(self._connections) < self._max_connections

    def _accept(self, descriptor: int) -> None:
        listener = self._listeners[descriptor]
        try:
            sock, address = listener.socket.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                # The listener stays ready: without a wait this would spin.
                select.select([self._wake], [], [], _TICK)
            return
        try:
            stream = open_stream(sock, listener)
        except OSError:
            sock.close()
            return
        base = self._bases[descriptor]
        connection = BlockingConnection(self, stream, *name_and_port(address), base)
        self._connections.add(connection)
        self.figures.note_connection(opened=True)
        try:
            threading.Thread(target=connection.run, daemon=True).start()
        except RuntimeError:  # the system has no thread left: this client is turned away
            connection.close()

    def forget(self, connection: "BlockingConnection") -> None:
        """Drop a connection that is about to be closed."""
        self.figures.note_connection(opened=False)
        with self._one_ended:
            self._connections.discard(connection)
            self._one_ended.notify()

    # What channels ask (channel.CallRunner)

    @property
    def now(self) -> float:
        return monotonic()

    def aside(self, call: Call | None) -> AbstractContextManager[None]:  # noqa: ARG002 - the thread is the call's own
        return nullcontext()

    def may_upload(self) -> bool:
        return True


class _Figures:
    """Where the threads write what this host does: one place for all, as there may be any number
    of them.
    """

    def __init__(self) -> None:
        self._lane = host_figures.present().lane
        self._lock = threading.Lock()

    def note_connection(self, *, opened: bool) -> None:
        with self._lock:
            self._lane.opened += opened
            self._lane.closed += not opened
            self._lane.publish()

    def note_request(self) -> None:
        with self._lock:
            self._lane.begun += 1
            self._lane.publish()

    def note_end(self, call: Call, log: AccessLog | None, began: float, is_aborted: bool) -> None:
        with self._lock:
            call.record(self._lane, log, began, aborted=is_aborted)
            self._lane.publish()


class BlockingConnection:
    """One client's connection. `run` is for its own thread; `interrupt` is for any other."""

    def __init__(
        self, server: ThreadPerConnection, stream: Stream, address: str, port: str, base: Environ
    ) -> None:
        self.idle_since = monotonic()  # infinite from the first byte of a request on
        self._server = server
        self.stream = stream
        self.channel = CallChannel(server, stream, client_environ(base, address, port))
        self._receiver = self.channel.receiver
        self._address = address

    def interrupt(self) -> None:
        """End the connection under its thread."""
        self.stream.interrupt(reset=self._is_until_close())

    def run(self) -> None:
        """Serve the client until one of the two ends the connection."""
        try:
            self._serve()
        except (CutShortError, StreamChangedError):
            pass  # the access log shows it
        except OSError as error:
            # Those of this file have no number: the client ends the connection, or is too slow.
            if error.errno is not None and error.errno not in GONE:
                log.error("a connection of %s failed", self._address, exc_info=error)
        finally:
            self.close()

    def close(self) -> None:
        self._server.forget(self)
        self.stream.shut(reset=self._is_until_close())

    def _is_until_close(self) -> bool:
        """Return whether a clean end would be read as that of the body under way."""
        call = self.channel.call
        return call is not None and call.framing is Framing.UNTIL_CLOSE

    def _serve(self) -> None:
        options = self._server.options
        try:
            self._shake_hands()
            request = self._next_request(options.header_timeout)
            while self._answer(request) and not self._server.stopping:
                request = self._next_request(options.keep_alive)
        except ProtocolError as error:
            self._refuse(error)
        else:
            if request.keep_alive or request.body or self._receiver.buffered:
                self._linger(channels.LINGER_TIME)

    def _shake_hands(self) -> None:
        deadline = monotonic() + self._server.options.header_timeout
        try:
            while not self.stream.handshake():
                self._wait_for_input(deadline)
        except PlainTextError as error:
            self.stream = self.channel.stream = error.stream
            raise error_page.without_tls(self._address) from None
        except OSError:
            # A scanner, a client that trusts nobody: nothing that the operator could mend.
            raise ConnectionError from None

    def _next_request(self, patience: float) -> Request:
        """Wait *patience* seconds for the first byte, and then for the whole head."""
        receiver = self._receiver
        try:
            if not receiver.buffered:
                self.idle_since = monotonic()
                receiver.feed(self._receive(self.idle_since + patience))
            self.idle_since = math.inf
            deadline = monotonic() + self._server.options.header_timeout
            while (event := receiver.next_event()) is None:
                receiver.feed(self._receive(deadline))
        except TimeoutError:
            if not receiver.buffered:
                raise
            raise ProtocolError(408, "The request's head took too long.") from None
        assert isinstance(event, Request)
        return event

    def _receive(self, deadline: float) -> bytes:
        """Return what arrives. Raises TimeoutError, ConnectionError at the end, other OSErrors."""
        data = self.stream.receive() if self.stream.readable else None
        while data is None:
            self._wait_for_input(deadline)
            data = self.stream.receive()
        if not data:
            raise ConnectionError
        return data

    def _wait_for_input(self, deadline: float) -> None:
        if not self.stream.wait(select.POLLIN, max(0.0, deadline - monotonic())):
            raise TimeoutError

    def _answer(self, request: Request) -> bool:
        """Run the application and send its answer; return whether another request may follow.

        Raises CutShortError, StreamChangedError and OSError for an answer that is not complete.
        """
        upload = self.channel.upload = Upload(monotonic()) if request.body else None
        call = self.channel.call = Call(self._server.gateway.application, request, self.channel)
        began = monotonic()
        self._server.figures.note_request()
        is_complete = False
        try:
            while not call.complete and (output := call.next_output()) is not None:
                self.channel.send(output)
            is_complete = call.close()
        finally:
            call.close()
            self._server.figures.note_end(call, self._server.access_log, began, not is_complete)
        if not is_complete:
            raise CutShortError
        goes_on = call.keep_alive and (upload is None or self._drain(upload))
        self.channel.call = None
        return goes_on

    def _drain(self, upload: Upload) -> bool:
        """Read what the application left of a body; return whether its end came."""
        upload.size = 0
        with suppress(ClientError):
            while upload.size <= DRAINED and self.channel.receive_body():
                pass
        return upload.ended

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is not a request, and close."""
        head, page = error_page.refusal(error, to_head=self._receiver.refused_head)
        with suppress(OSError):
            self.stream.send(head + page)  # into an empty send buffer: it fits
        if self._server.access_log is not None:
            self._server.access_log.write(refused(self._address, error.status, len(page)))
        self._linger(channels.LINGER_PAUSE)

    def _linger(self, seconds: float) -> None:
        """Read on until the client closes: what it still sends could destroy the last answer."""
        self.stream.end_output()
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            self._receive(min(deadline, monotonic() + channels.LINGER_PAUSE))
