"""Who runs when: one epoll for all connections, and one thread at a time that leads it.

    epoll ─► connection.ready ─► run_call: the application's call, in the same thread ─► epoll ...

So the quick call, nearly every one, costs no hand-over at all; a slow one is taken off the leader,
and another thread leads (pool.py). Then, for a second, calls are given to other threads from the
start.

Rules: only the leader touches connections that are not `busy`, the epoll and the listeners; the
others tell it through `_returned`, `_unfinished` and an eventfd. Descriptors are reused: new
connections are accepted only when no event of the time before is left.
"""

import errno
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic

from .. import after_fork
from .access_log import AccessLog
from .admission import admit, idle_first
from .channel import LOOKS
from .connection import UNASKED, Connection
from .gateway import Environ, Gateway
from .listeners import Listener
from .options import ServerOptions
from .pool import LeadingPool
from .stream import end_connection

#: Seconds between two looks at the deadlines; less where the shortest time limit is a matter of a
#: few seconds.
_TICK = 0.5
_TICK_HURRIED = 0.05
_MOST_EVENTS = 256
#: How many connections are accepted in a row; with several processes one, so that they share a
#: burst.
_ACCEPTED_IN_A_ROW = 64
#: How long the applications' close() of answers that were cut short may hold up the end.
_LAST_CLOSES = 1.0
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Poller(LeadingPool):
    """The host of every connection of a process. `run` serves until `stop`; both may be called
    once.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        gateway: Gateway,
        options: ServerOptions,
        access_log: AccessLog | None,
        max_connections: int,
    ) -> None:
        super().__init__(options.threads)
        self.gateway = gateway
        self.options = options
        self.access_log = access_log
        self.stopping = False
        self.crowded = False
        self._max_connections = max_connections
        # The leader's
        self._epoll = select.epoll()
        self._listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._bases = {
            descriptor: gateway.base_environ(
                listener.server_name, listener.server_port, tls=listener.tls is not None
            )
            for descriptor, listener in self._listeners.items()
        }
        self._accepting = False
        self._connections: dict[int, Connection] = {}
        self._events: deque[tuple[int, int]] = deque()
        self._knocking: list[int] = []  # listeners at which clients wait
        self._unfinished: deque[Connection] = deque()  # had their turn, and have more to do
        self._tick_seconds = min(_TICK, options.shortest_limit / LOOKS)
        self._next_tick = 0.0
        self._all_closed = threading.Event()
        # Told to the leader from elsewhere
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._returned: deque[Connection] = deque()
        self._stop_asked = False
        self._stop_now_asked = False
        self._linger = 0.0
        self._stop_at = 0.0
        self._close_at = 0.0  # when stopping: connections without a request

    def run(self) -> None:
        """Serve until stopped. The calling thread only waits: if it is the main one, signal
        handlers run at once.
        """
        self._epoll.register(self._wake, select.EPOLLIN)
        self._accept_again()
        self.start_threads()
        self._finished.wait()
        self._all_closed.wait(_LAST_CLOSES)

    def stop(self, linger: float) -> None:
        """Stop accepting, and end when the connections have ended. Safe in a signal handler."""
        self._linger = linger
        self._stop_asked = True
        os.eventfd_write(self._wake, 1)

    def stop_now(self) -> None:
        """Close everything. Safe in a signal handler."""
        self._stop_now_asked = True
        os.eventfd_write(self._wake, 1)

    # What connections ask (connection.Host), beside what the threads do for them

    def again(self, connection: Connection) -> None:
        if connection.due:
            return
        connection.due = True
        self._unfinished.append(connection)
        # Only a leader that is asleep needs it, but another thread cannot tell whether it is.
        os.eventfd_write(self._wake, 1)

    def forget(self, connection: Connection) -> None:
        descriptor = connection.stream.descriptor
        self._connections.pop(descriptor, None)
        # A forked child that has the socket too would keep it in the epoll, under a number that is
        # given away.
        if after_fork.has_forked():
            with suppress(OSError, ValueError):  # not registered yet, or the loop has ended
                self._epoll.unregister(descriptor)

    def _give_back(self, connection: Connection) -> None:
        self._returned.append(connection)
        os.eventfd_write(self._wake, 1)
        if self._finished.is_set():
            self._close_all(self._returned)

    # The leader

    def _lead(self, term: list[object]) -> None:
        events, connections = self._events, self._connections
        while True:
            while events:
                descriptor, flags = events.popleft()
                connection = connections.get(descriptor)
                if connection is not None:
                    connection.ready(flags)
                    if self._term is not term:
                        return
                elif descriptor in self._listeners:
                    self._knocking.append(descriptor)
                elif descriptor == self._wake:
                    with suppress(BlockingIOError):
                        os.eventfd_read(self._wake)
            while self._knocking:
                self._accept(self._knocking.pop())
            if (self._returned or self._unfinished) and self._go_on(term):
                return
            if self._stop_asked or self._stop_now_asked:
                self._begin_stop()
            if self.now >= self._next_tick and self._tick(term):
                return
            if (
                self.crowded
                and len(self._connections) < self._max_connections
                and not self.stopping
            ):
                self._accept_again()
            if self.stopping and not self._connections:
                self._finish()
                return
            if self._returned or self._unfinished:
                timeout = 0.0
            elif self._connections or self.stopping or not self._accepting:
                timeout = max(self._next_tick - self.now, 0.001)
            else:
                timeout = -1
            events.extend(self._epoll.poll(timeout, _MOST_EVENTS))
            self.now = monotonic()

    def _go_on(self, term: list[object]) -> bool:
        """Let connections continue that no event will call for; True when another leads now."""
        for _ in range(len(self._returned)):
            connection = self._returned.popleft()
            connection.busy = False
            connection.advance()
            if self._term is not term:
                return True
        for _ in range(len(self._unfinished)):
            connection = self._unfinished.popleft()
            # Before the look at `busy`: who gives the connection up afterwards asks once more.
            connection.due = False
            if not connection.busy:
                connection.advance()
            if self._term is not term:
                return True
        return False

    def _tick(self, term: list[object]) -> bool:
        """Look at the deadlines; True when another leads now."""
        now = self.now
        # Until all was done: when a call takes the lead away from here, the next leader goes on
        # with the rest at once.
        self._next_tick = 0.0
        if self.stopping and now >= self._stop_at:
            self._finish()
            return True
        if self.stopping and now >= self._close_at:
            for connection in [
                c for c in list(self._connections.values()) if c.phase in UNASKED and not c.busy
            ]:
                connection.close()
        for connection in [
            c for c in list(self._connections.values()) if c.deadline <= now and not c.busy
        ]:
            connection.expire()
            if self._term is not term:
                return True
        if not self._accepting and not self.stopping:
            self._accept_again()
        self._next_tick = now + (
            _TICK_HURRIED if self.stopping or self.crowded else self._tick_seconds
        )
        return False

    # Accepting

    def _accept(self, descriptor: int) -> None:
        listener = self._listeners[descriptor]
        in_a_row = 1 if self.options.multiprocess else _ACCEPTED_IN_A_ROW
        for _ in range(self._max_connections if self.stopping else in_a_row):
            if len(self._connections) >= self._max_connections:
                if not listener.has_client():
                    return
                if not self._make_room():
                    self._pause_accepting()
                    self.crowded = True
                    self._next_tick = min(self._next_tick, self.now + _TICK_HURRIED)
                    return
            try:
                sock, address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._make_room():
                    self._pause_accepting()
                    return
                if error.errno == errno.EINVAL:
                    return  # another process has ended the socket for all
                continue  # a client that was gone before it was accepted
            self._admit(sock, address, listener, self._bases[descriptor])

    def _admit(
        self, sock: socket.socket, address: object, listener: Listener, base: Environ
    ) -> None:
        try:
            connection = admit(self, sock, address, listener, base)
        except OSError:
            end_connection(sock)
            sock.close()
            return
        self._connections[connection.stream.descriptor] = connection
        self._epoll.register(connection.stream.descriptor, _EVENTS)

    def _make_room(self) -> bool:
        """Close a few connections that are idle; False: there are none."""
        # Of a copy, which is made in one step: the pool's threads take out what they close.
        connections = list(self._connections.values())
        few = (
            1 + len(connections) // 64
        )  # so that a full server does not look through all of them for each newcomer
        room = False
        for connection in islice(idle_first(connections, self.now), few):
            connection.close()
            room = True
        return room

    def _pause_accepting(self) -> None:
        """Leave clients in the backlog until the next tick: listeners that stay ready would make
        the loop spin.
        """
        for descriptor in self._listeners:
            with suppress(OSError):
                self._epoll.unregister(descriptor)
        self._accepting = False

    def _accept_again(self) -> None:
        self.crowded = False
        flags = select.EPOLLIN | (select.EPOLLEXCLUSIVE if self.options.multiprocess else 0)
        for descriptor in self._listeners:
            self._epoll.register(descriptor, flags)
        self._accepting = True

    # The end

    def _begin_stop(self) -> None:
        if self._stop_asked and self.stopping:
            # Asked again, perhaps in more of a hurry: a server that was retired is told to end.
            self._stop_asked = False
            self._close_at = min(self._close_at, self.now + self._linger)
            self._next_tick = 0.0
        if self._stop_asked:
            self._stop_asked = False
            self.stopping = True
            self._stop_at = self.now + self.options.graceful_timeout
            self._next_tick = 0.0
            for descriptor, listener in self._listeners.items():
                # Who waits in the backlog was told that the connection stands: with the socket it
                # would be reset.
                if self._accepting:
                    self._accept(descriptor)
                with suppress(OSError):
                    self._epoll.unregister(descriptor)
                listener.close()
            self._listeners.clear()
            self._close_at = self.now + self._linger
        if self._stop_now_asked:
            self.stopping = True
            self._stop_at = 0.0
            self._next_tick = 0.0

    def _finish(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self.end_threads()
        for connection in list(self._connections.values()):
            if connection.busy:
                connection.cut()
            else:
                connection.close()
        self._close_all(self._queue)
        self._close_all(self._returned)
        self._all_closed.set()

    def _close_all(self, connections: deque[Connection]) -> None:
        """Close what nobody leads any more; also called by the threads whose calls end after the
        server.
        """
        with suppress(IndexError):
            while True:
                connections.popleft().close()
