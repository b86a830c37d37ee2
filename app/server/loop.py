"""Who runs when: one epoll for all connections, and one thread at a time that leads it.

    epoll ─► connection.ready ─► run_call: the application's call, in the same thread ─► epoll ...

So the quick call, nearly every one, costs no hand-over at all; a slow one is taken off the leader,
and another thread leads. While slow ones come often, calls are given to other threads from the
start (crew.py).

Rules: only the leader touches connections that are not `busy`, the epoll and the listeners; the
others tell it through `_returned`, `_unfinished` and an eventfd. Descriptors are reused: new
connections are accepted only after the current batch of events is drained.
"""

import errno
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic

from .. import after_fork, host_figures
from .accept import EXHAUSTED, Doors, idle_first
from .access_log import AccessLog
from .channel import LOOKS
from .connection import Connection
from .crew import Crew, Term
from .gateway import Gateway
from .listeners import Listener
from .options import ServerOptions
from .phase import UNASKED
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


class _Stop:
    """What was asked about the end, and from when on it holds."""

    def __init__(self) -> None:
        # Asked from elsewhere, also in a signal handler
        self.is_asked = False
        self.is_asked_now = False
        self.linger = 0.0
        # The leader's, in monotonic seconds
        self.at = 0.0
        self.close_at = 0.0  # connections without a request


class Loop:
    """Runs all connections of a process. `run` serves until `stop`; both may be called once."""

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
        self.place = host_figures.present()
        self.lane = self.place.lane  # the leader's
        self.now = monotonic()  # as of the last readiness
        self.stopping = False
        self.crowded = False
        self.gathers = False
        self._max_connections = max_connections
        self._crew = crew = Crew(options.threads, self._lead, self._give_back)
        # What connections ask of the threads, for every call
        self.run_call, self.aside = crew.run_call, crew.aside
        # The leader's
        self._epoll = select.epoll()
        self._doors = Doors(listeners, gateway, self._epoll, shared=options.multiprocess)
        self._connections: dict[int, Connection] = {}
        #: What is left of a batch: the next leader goes on with it.
        self._events: Iterator[tuple[int, int]] = iter(())
        self._unfinished: deque[Connection] = deque()  # had their turn, and have more to do
        self._next_tick = 0.0
        self._all_closed = threading.Event()
        # Told to the leader from elsewhere
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._returned: deque[Connection] = deque()
        self._stop = _Stop()

    def run(self) -> None:
        """Serve until stopped.

        The calling thread only waits: if it is the main one, signal handlers run at once.
        """
        self._epoll.register(self._wake, select.EPOLLIN)
        self._accept_again()
        self._crew.start()
        self._crew.finished.wait()
        self._all_closed.wait(_LAST_CLOSES)

    def stop(self, linger: float) -> None:
        """Stop accepting, and end when the connections have ended. Safe in a signal handler."""
        self._stop.linger = linger
        self._stop.is_asked = True
        os.eventfd_write(self._wake, 1)

    def stop_now(self) -> None:
        """Close everything. Safe in a signal handler."""
        self._stop.is_asked_now = True
        os.eventfd_write(self._wake, 1)

    # What connections ask (runner.Runner), beside what the threads do for them

    def may_upload(self) -> bool:
        return self._crew.may_upload()

    def uploading(self, change: int) -> None:
        self._crew.uploading(change)

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
        if self._crew.finished.is_set():
            self._close_all(self._returned)

    # The leader

    def _lead(self, term: Term) -> None:
        connections = self._connections
        knocking: list[int] = []  # listeners at which clients wait
        self.lane = self.place.lane
        while True:
            if self._handle_events(term, knocking):
                return
            while knocking:
                self._accept(knocking.pop())
            if (self._returned or self._unfinished) and self._go_on(term):
                return
            if self._stop.is_asked or self._stop.is_asked_now:
                self._begin_stop()
            if self.now >= self._next_tick and self._tick(term):
                return
            if self.crowded and not self.stopping and len(connections) < self._max_connections:
                self._accept_again()
            if self.stopping and not connections:
                self._finish()
                return
            self._wait()

    def _handle_events(self, term: Term, knocking: list[int]) -> bool:
        """Let connections go on as epoll said, and add listeners to *knocking*; True when another
        leads now.
        """
        crew = self._crew
        for descriptor, flags in self._events:
            connection = self._connections.get(descriptor)
            if connection is not None:
                connection.ready(flags)
                if not crew.goes_on(term):
                    return True
            elif descriptor in self._doors:
                knocking.append(descriptor)
            elif descriptor == self._wake:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
        return not crew.send_gathered()

    def _wait(self) -> None:
        """Wait for events."""
        events = self._epoll.poll(self._timeout(), _MOST_EVENTS)
        self.now = monotonic()
        fewest = self.gateway.answers_together_from
        self.gathers = 0 < fewest <= len(events)
        self._events = iter(events)

    def _timeout(self) -> float:
        """Return for how many seconds nothing is to be done without an event; -1: for ever."""
        if self._returned or self._unfinished or self._crew.gathered:
            return 0.0
        if self._connections or self.stopping or not self._doors.are_open:
            return max(self._next_tick - self.now, 0.001)
        self.lane.publish()
        return -1

    def _go_on(self, term: Term) -> bool:
        """Let connections continue that no event will call for; True when another leads now."""
        crew = self._crew
        for _ in range(len(self._returned)):
            connection = self._returned.popleft()
            connection.busy = False
            connection.advance()
            if not crew.goes_on(term):
                return True
        for _ in range(len(self._unfinished)):
            connection = self._unfinished.popleft()
            # Before the look at `busy`: who gives the connection up afterwards asks once more.
            connection.due = False
            if not connection.busy:
                connection.advance()
            if not crew.goes_on(term):
                return True
        return not crew.send_gathered()

    def _tick(self, term: Term) -> bool:
        """Look at the deadlines; True when another leads now."""
        now = self.now
        self.lane.publish()
        # No answer waits over the end of the loop, which may come here.
        self.gathers = False
        # Until all was done: when a call takes the lead away from here, the next leader goes on
        # with the rest at once.
        self._next_tick = 0.0
        if self.stopping and now >= self._stop.at:
            self._finish()
            return True
        if self.stopping and now >= self._stop.close_at:
            for connection in [
                c for c in list(self._connections.values()) if c.phase in UNASKED and not c.busy
            ]:
                connection.close()
        for connection in [
            c for c in list(self._connections.values()) if c.deadline <= now and not c.busy
        ]:
            connection.expire()
            if self._crew.term is not term:
                return True
        if not self._doors.are_open and not self.stopping:
            self._accept_again()
        self._next_tick = now + (
            _TICK_HURRIED
            if self.stopping or self.crowded
            else min(_TICK, self.options.shortest_limit / LOOKS)
        )
        return False

    # Accepting

    def _accept(self, descriptor: int) -> None:
        in_a_row = 1 if self.options.multiprocess else _ACCEPTED_IN_A_ROW
        for _ in range(self._max_connections if self.stopping else in_a_row):
            if len(self._connections) >= self._max_connections:
                if not self._doors.is_waited_at(descriptor):
                    return
                if not self._make_room():
                    self._doors.shut()
                    self.crowded = True
                    self._next_tick = min(self._next_tick, self.now + _TICK_HURRIED)
                    return
            try:
                sock, address = self._doors.accept(descriptor)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED and not self._make_room():
                    self._doors.shut()  # until the next tick
                    return
                if error.errno == errno.EINVAL:
                    return  # another process has ended the socket for all
                continue  # a client that was gone before it was accepted
            self._admit(descriptor, sock, address)

    def _admit(self, descriptor: int, sock: socket.SocketType, address: object) -> None:
        try:
            connection = self._doors.admit(self, descriptor, sock, address)
        except OSError:
            end_connection(sock)
            sock.close()
            return
        self.lane.opened += 1
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

    def _accept_again(self) -> None:
        self.crowded = False
        self._doors.open()

    # The end

    def _begin_stop(self) -> None:
        if self._stop.is_asked and self.stopping:
            # Asked again, perhaps to end sooner: first to retire, and then to stop.
            self._stop.is_asked = False
            self._stop.close_at = min(self._stop.close_at, self.now + self._stop.linger)
            self._next_tick = 0.0
        if self._stop.is_asked:
            self._stop.is_asked = False
            self.stopping = True
            self._stop.at = self.now + self.options.graceful_timeout
            self._next_tick = 0.0
            # For a client in the backlog the connection stands already: closing would reset it.
            if self._doors.are_open:
                for descriptor in self._doors:
                    self._accept(descriptor)
            self._doors.close()
            self._stop.close_at = self.now + self._stop.linger
        if self._stop.is_asked_now:
            self.stopping = True
            self._stop.at = 0.0
            self._next_tick = 0.0

    def _finish(self) -> None:
        self._doors.close()
        queue = self._crew.end()
        for connection in list(self._connections.values()):
            if connection.busy:
                connection.cut()
            else:
                connection.close()
        self._close_all(queue)
        self._close_all(self._returned)
        self.lane.publish()
        self._all_closed.set()

    def _close_all(self, connections: deque[Connection]) -> None:
        """Close what nobody leads any more. Also for threads whose calls end after the server."""
        with suppress(IndexError):
            while True:
                connections.popleft().close()
