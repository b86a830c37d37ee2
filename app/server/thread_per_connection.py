"""The simple model, for comparison (`--threads 0`): each accepted connection gets a thread, which
waits for it alone.

The connections are the same as the loop's; only who waits is different.
"""

import os
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic

from .accept import EXHAUSTED, SETTLED, admit, base_environs, idle_first
from .access_log import AccessLog
from .call import Call
from .connection import UNASKED, Connection, Phase
from .gateway import Environ, Gateway
from .listeners import Listener
from .options import ServerOptions
from .stream import end_connection

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
        self._listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._bases = base_environs(listeners, gateway)
        self._places = threading.Semaphore(max_connections)
        self._lock = threading.Lock()
        self._owners: set[OwnThread] = set()
        self._wake = os.eventfd(
            0, os.EFD_NONBLOCK | os.EFD_CLOEXEC
        )  # never read: all that poll it see the stop
        self.stopping = False
        self.cut = False
        self.crowded = False
        self.close_at = 0.0

    def run(self) -> None:
        """Accept until stopped, then wait for the connections."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for descriptor in self._listeners:
            poll.register(descriptor, select.POLLIN)
        while not self.stopping:
            for descriptor, _ in poll.poll():
                if descriptor in self._listeners:
                    self._accept(descriptor)
        for listener in self._listeners.values():
            listener.close()
        deadline = monotonic() + self.options.graceful_timeout
        while self._owners and monotonic() < deadline and not self.cut:
            self._wait_for_an_owner()
        self.cut = True
        deadline = monotonic() + _LAST_CLOSES
        while self._owners and monotonic() < deadline:
            self._wait_for_an_owner()
        for owner in self._owners.copy():
            if owner.connection is not None:
                owner.connection.cut()

    def _wait_for_an_owner(self) -> None:
        owner = next(iter(self._owners.copy()), None)
        if owner is not None:
            owner.thread.join(_TICK)

    def stop(self, linger: float) -> None:
        self.close_at = monotonic() + linger
        self.stopping = True
        os.eventfd_write(self._wake, 1)

    def stop_now(self) -> None:
        self.cut = True
        self.stop(0.0)

    def _accept(self, descriptor: int) -> None:
        listener = self._listeners[descriptor]
        if not self._places.acquire(blocking=False):
            self.crowded = True
            self._make_room()
            if not self._places.acquire(timeout=SETTLED):
                return
        self.crowded = False
        try:
            sock, address = listener.socket.accept()
        except OSError as error:
            self._places.release()
            if error.errno in EXHAUSTED:
                # Until a connection has ended; the listener stays ready, so only a wait keeps this
                # from spinning.
                select.select([self._wake], [], [], _TICK)
            return
        owner = OwnThread(self, sock, address, listener, self._bases[descriptor])
        with self._lock:
            self._owners.add(owner)
        try:
            owner.thread.start()
        except RuntimeError:
            # The system has no thread left: this client is turned away, the server lives on.
            end_connection(sock)
            sock.close()
            self.ended(owner)

    def _make_room(self) -> None:
        """Have a connection end that is idle, if there is one."""
        with self._lock:
            connections = [owner.connection for owner in self._owners]
        for connection in idle_first(filter(None, connections), monotonic()):
            connection.stream.end_input()
            return

    @property
    def stop_descriptor(self) -> int:
        """Readable from `stop` on."""
        return self._wake

    def ended(self, owner: "OwnThread") -> None:
        with self._lock:
            self._owners.discard(owner)
        self._places.release()


class OwnThread:
    """The runner of one connection: the thread that waits for it."""

    def __init__(
        self,
        server: ThreadPerConnection,
        sock: socket.socket,
        address: object,
        listener: Listener,
        base: Environ,
    ) -> None:
        self.gateway = server.gateway
        self.options = server.options
        self.access_log = server.access_log
        self.thread = threading.Thread(
            target=self._serve, args=(sock, address, listener, base), daemon=True
        )
        self.connection: Connection | None = None
        self._server = server

    @property
    def now(self) -> float:
        return monotonic()

    @property
    def stopping(self) -> bool:
        return self._server.stopping

    @property
    def crowded(self) -> bool:
        return self._server.crowded

    def _serve(
        self, sock: socket.socket, address: object, listener: Listener, base: Environ
    ) -> None:
        try:
            self.connection = connection = admit(self, sock, address, listener, base)
            connection.stream.readable = True
            poll = select.poll()
            poll.register(connection.stream.descriptor, select.POLLIN)
            while True:
                connection.advance()
                if connection.phase is Phase.CLOSED or not self._wait(connection, poll):
                    break
        except OSError:
            end_connection(sock)  # gone before it was admitted
        finally:
            sock.close()
            self._server.ended(self)

    def _wait(self, connection: Connection, poll: select.poll) -> bool:
        """Wait until the connection can go on; False when the server ends."""
        events = select.POLLOUT if connection.phase is Phase.ANSWER else select.POLLIN
        if connection.phase is Phase.ANSWER and connection.channel.takes_unread:
            events |= select.POLLIN
        poll.modify(connection.stream.descriptor, events)
        due, connection.due = connection.due, False
        descriptor, stopped = connection.stream.descriptor, self._server.stop_descriptor
        if not self.stopping:
            poll.register(stopped, select.POLLIN)
        while True:
            seconds = 0.0 if due else max(0.0, connection.deadline - self.now)
            if self.stopping:
                seconds = min(seconds, _TICK)
            ready = any(number == descriptor for number, _ in poll.poll(seconds * 1000))
            if self.stopping:
                with suppress(KeyError):
                    poll.unregister(stopped)
            over = self.stopping and self.now >= self._server.close_at
            if self._server.cut or (over and connection.phase in UNASKED):
                connection.close()
                return False
            if ready:
                connection.stream.readable = True
            if ready or due:
                return True
            if connection.deadline <= self.now:
                connection.expire()
                return True  # what it waits for may be another thing now

    # What connections ask (runner.Runner)

    def run_call(self, connection: Connection) -> bool:
        connection.perform()
        return True

    @contextmanager
    def aside(self, call: Call | None) -> Iterator[None]:  # noqa: ARG002 - the thread is the connection's own
        yield

    def may_upload(self) -> bool:
        return True

    def uploading(self, change: int) -> None:
        pass

    def again(self, connection: Connection) -> None:
        connection.due = True

    def forget(self, connection: Connection) -> None:
        pass
