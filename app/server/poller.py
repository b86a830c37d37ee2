"""Who runs when: one epoll for all connections, and one thread at a time that leads it.

    leader:     epoll ─► connection.ready ─► the application's call, in the same thread ─► epoll ...
    watchdog:   looks every few milliseconds; a call that it sees twice is taken off the leader: another thread of the
                pool leads from there on, and the first returns to the pool when its call ends.

So the quick call, nearly every one, costs no hand-over at all, and the slow one delays the others by a few
milliseconds at most. Once a call was slow, calls are given to the pool from the start, for a second.

Rules: only the leader touches connections that are not `busy`, the epoll and the listeners. `_term` is the leader's
token and at once the cell that holds the call it is inside of; whoever takes the entry out (the leader when the call
ends, or, under the lock, the watchdog) decides who goes on leading. Locks are taken only where a hand-over happens,
never in signal handlers. At most `threads` calls run at a time, not counting those that wait for their client's bytes
(and, for as long as the leader's call takes, one that has just got them). Descriptors are reused: new connections are
accepted only when no event of the time before is left.
"""

import errno
import logging
import os
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import nsmallest
from time import monotonic

from app.server.access_log import AccessLog
from app.server.admission import admit
from app.server.connection import RESTING, UNASKED, Connection, Phase
from app.server.gateway import Call, Environ, Gateway
from app.server.listeners import Listener
from app.server.options import ServerOptions

log = logging.getLogger("tally.server")

#: How long a thread that computes may keep the interpreter lock from the leader, which asks for it again after every
#: system call. With the usual 5 ms, a request beside such a call took 15 ms; with this 2 ms, and nothing is lost.
_SWITCH_INTERVAL = 0.0005
_WATCH = 0.004
#: How many looks without a call make the watchdog sleep until the next one.
_WATCH_IDLE = 100
_SLOW_FOR = 1.0
_TICK = 0.5
_TICK_STOPPING = 0.05
_MOST_EVENTS = 256
#: How many connections are accepted in a row; with several processes one, so that they share a burst.
_ACCEPTED_IN_A_ROW = 64
#: How many calls may wait for their clients' bodies; each holds a thread, but none of the pool's.
_UPLOADS = 64
#: How long the applications' close() of answers that were cut short may hold up the end.
_LAST_CLOSES = 1.0
_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Poller:
    """The host of every connection of a process. `run` serves until `stop`; both may be called once."""

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
        self.now = monotonic()
        self.stopping = False
        self._max_connections = max_connections
        # The leader's
        self._epoll = select.epoll()
        self._listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._bases = {
            descriptor: gateway.base_environ(listener.server_name, listener.server_port, tls=listener.tls is not None)
            for descriptor, listener in self._listeners.items()
        }
        self._accepting = False
        self._connections: dict[int, Connection] = {}
        self._events: deque[tuple[int, int]] = deque()
        self._knocking: list[int] = []  # listeners at which clients wait
        self._unfinished: deque[Connection] = deque()  # had their turn, and have more to do
        self._next_tick = 0.0
        self._slow_until = 0.0
        # Told to the leader from elsewhere
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._returned: deque[Connection] = deque()
        self._stop_asked = False
        self._stop_now_asked = False
        self._linger = 0.0
        self._stop_at = 0.0
        self._close_at = 0.0  # when stopping: connections without a request
        # Shared by the threads, under the lock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._permit = threading.Condition(self._lock)
        self._term: list[object] | None = None  # None: nobody leads
        self._queue: deque[Connection] = deque()
        self._running = 0  # calls that run outside of the leader
        self._aside = 0
        self._resuming = 0  # calls that have waited for their clients, and now wait for a place
        self._uploads = 0
        self._threads = 0
        self._idle = 0  # threads that wait for work, less those that were woken for it
        # For the end
        self._finished = threading.Event()
        self._all_closed = threading.Event()
        self._watchdog_parked = False
        self._watchdog_call = threading.Semaphore(0)

    def run(self) -> None:
        """Serve until stopped. The calling thread only waits: if it is the main one, signal handlers run at once."""
        sys.setswitchinterval(min(_SWITCH_INTERVAL, sys.getswitchinterval()))
        self._epoll.register(self._wake, select.EPOLLIN)
        self._accept_again()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        with self._lock:
            # All of them from the start, so that the number of threads says nothing about the traffic so far.
            for _ in range(self.options.threads + 1):
                self._add_thread()
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

    # What connections ask (connection.Host)

    def run_call(self, connection: Connection) -> bool:
        connection.busy = True
        if self.now < self._slow_until or self._running >= self.options.threads:
            with self._lock:
                self._queue.append(connection)
                if self._may_run():  # else whoever ends a call looks at the queue
                    self._call_a_thread()
            return False
        term = self._term
        assert term is not None
        term.append(connection.call)
        if self._watchdog_parked:
            self._watchdog_parked = False
            self._watchdog_call.release()
        connection.perform()
        try:
            term.pop()
        except IndexError:
            self._return(connection)
            return False
        connection.busy = False
        return True

    @contextmanager
    def aside(self, call: Call | None) -> Iterator[None]:
        with self._lock:
            self._aside += 1
            term = self._term
            # In one step: another thread may lead, and end its call at this very moment.
            if term is not None and term[-1:] == [call]:
                term.pop()
                self._new_leader()
            else:
                self._running -= 1
                self._give_place()
        try:
            yield
        finally:
            with self._lock:
                self._resuming += 1
                while self._running >= self.options.threads:
                    self._permit.wait()
                self._resuming -= 1
                self._aside -= 1
                self._running += 1

    def may_upload(self) -> bool:
        return self._uploads < _UPLOADS

    def uploading(self, change: int) -> None:
        with self._lock:
            self._uploads += change

    def again(self, connection: Connection) -> None:
        if connection.due:
            return
        connection.due = True
        self._unfinished.append(connection)
        # Only a leader that is asleep needs it, but another thread cannot tell whether it is.
        os.eventfd_write(self._wake, 1)

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection.stream.descriptor, None)

    # Threads

    def _call_a_thread(self) -> None:
        """With the lock held: have a thread look at the queue or lead."""
        if self._idle:
            self._idle -= 1
            self._work.notify()
        elif self._threads < self._threads_wanted():
            self._add_thread()

    def _threads_wanted(self) -> int:
        """With the lock held: how many threads there must be for one to be left to lead, whatever the others do."""
        return max(self.options.threads, self._running) + 1 + self._aside

    def _may_run(self) -> bool:
        """With the lock held: tell whether the first of the queue may run."""
        # Calls that were begun come first: they hold a thread and what the client has sent.
        return bool(self._queue) and self._running + self._resuming < self.options.threads

    def _give_place(self) -> None:
        """With the lock held: a call less is running."""
        if self._resuming:
            self._permit.notify()
        elif self._queue:
            self._call_a_thread()

    def _add_thread(self) -> None:
        self._threads += 1
        try:
            threading.Thread(target=self._serve, name=f"pool-{self._threads}", daemon=True).start()
        except RuntimeError:
            # No more threads to be had: those that there are go on, and the next return looks at the queue.
            self._threads -= 1

    def _new_leader(self) -> None:
        """With the lock held: the present leader stays inside its call."""
        self._term = None
        self._call_a_thread()

    def _serve(self) -> None:
        """The life of a pool thread: lead, or run a queued call, or wait for either."""
        while True:
            with self._lock:
                while not (self._term is None or self._may_run()):
                    if self._finished.is_set() or self._threads > self._threads_wanted():
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._work.wait()
                if self._finished.is_set():
                    self._threads -= 1
                    return
                term: list[object] | None = None
                if self._term is None:
                    self._term = term = []
                    if self._may_run():
                        self._call_a_thread()  # the one that was called for the queue may be this
                else:
                    connection = self._queue.popleft()
                    self._running += 1
            if term is not None:
                self._lead_safely(term)
            else:
                try:
                    connection.perform()
                finally:
                    self._return(connection)

    def _lead_safely(self, term: list[object]) -> None:
        try:
            self._lead(term)
        except BaseException:
            # Nothing is known that comes here. Should it, then one connection may be lost, but not the server.
            log.critical("the loop failed, and goes on", exc_info=True)
            with self._lock:
                if self._term is term:
                    self._term = None

    def _return(self, connection: Connection) -> None:
        """After a call outside of the leader: its place is free, and the connection is the leader's again."""
        with self._lock:
            self._running -= 1
            if self._resuming:
                self._permit.notify()
        # The queue is looked at by this thread itself, next.
        if not connection.settle():
            self._returned.append(connection)
            os.eventfd_write(self._wake, 1)
        if self._finished.is_set():
            self._close_all(self._returned)

    def _watch(self) -> None:
        seen: object = None
        quiet = 0
        pause = threading.Lock()
        pause.acquire()
        while not self._finished.is_set():
            pause.acquire(timeout=_WATCH)
            term = self._term
            try:
                call = term[-1] if term else None
            except IndexError:
                call = None
            if call is None:
                seen = None
                quiet += 1
                if quiet > _WATCH_IDLE:
                    self._watchdog_parked = True
                    # Either the leader sees the flag after it entered its call, or this sees the call.
                    if not self._term:
                        self._watchdog_call.acquire()
                    self._watchdog_parked = False
                    quiet = 0
                continue
            quiet = 0
            if call is seen:
                self._take_over(term)
            seen = call

    def _take_over(self, term: list[object] | None) -> None:
        with self._lock:
            if term is None or self._term is not term:
                return
            try:
                term.pop()  # should the call have just ended and another begun, then that one is taken off: no harm
            except IndexError:
                return
            self._running += 1
            self._slow_until = monotonic() + _SLOW_FOR
            self._new_leader()

    # The leader

    def _lead(self, term: list[object]) -> None:
        """Run the loop until a call takes so long that another leads, or until the end."""
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
        self._next_tick = now + (_TICK_STOPPING if self.stopping else _TICK)
        if self.stopping and now >= self._stop_at:
            self._finish()
            return True
        if self.stopping and now >= self._close_at:
            for connection in [c for c in list(self._connections.values()) if c.phase in UNASKED and not c.busy]:
                connection.close()
        for connection in [c for c in list(self._connections.values()) if c.deadline <= now and not c.busy]:
            connection.expire()
            if self._term is not term:
                return True
        if not self._accepting and not self.stopping:
            self._accept_again()
        return False

    # Accepting

    def _accept(self, descriptor: int) -> None:
        listener = self._listeners[descriptor]
        in_a_row = 1 if self.options.multiprocess else _ACCEPTED_IN_A_ROW
        for _ in range(self._max_connections if self.stopping else in_a_row):
            try:
                sock, address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED and not self._make_room():
                    self._pause_accepting()
                    return
                continue  # a client that was gone before it was accepted
            if len(self._connections) >= self._max_connections and not self._make_room():
                self._pause_accepting()
                self._admit(sock, address, listener, self._bases[descriptor])
                return
            self._admit(sock, address, listener, self._bases[descriptor])

    def _admit(self, sock: socket.socket, address: object, listener: Listener, base: Environ) -> None:
        try:
            connection = admit(self, sock, address, listener, base)
        except OSError:
            sock.close()
            return
        self._connections[connection.stream.descriptor] = connection
        self._epoll.register(connection.stream.descriptor, _EVENTS)

    def _make_room(self) -> bool:
        """Close the connections that have been idle longest, then those that have sent nothing yet; False: none."""
        # Of a copy, which is made in one step: the pool's threads take out what they close.
        resting = [c for c in list(self._connections.values()) if c.phase in RESTING and not c.busy]
        few = 1 + len(resting) // 64  # so that a full server does not look through all of them for each newcomer
        for connection in nsmallest(few, resting, key=lambda c: (c.phase is Phase.FIRST, c.deadline)):
            connection.close()
        return bool(resting)

    def _pause_accepting(self) -> None:
        """Leave clients in the backlog until the next tick: listeners that stay ready would make the loop spin."""
        for descriptor in self._listeners:
            with suppress(OSError):
                self._epoll.unregister(descriptor)
        self._accepting = False

    def _accept_again(self) -> None:
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
                # Who waits in the backlog was told that the connection stands: with the socket it would be reset.
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
        with self._lock:
            self._finished.set()
            self._work.notify_all()
        self._watchdog_call.release()
        for connection in list(self._connections.values()):
            if not connection.busy:
                connection.close()
        self._close_all(self._queue)
        self._close_all(self._returned)
        self._all_closed.set()

    def _close_all(self, connections: deque[Connection]) -> None:
        """Close what nobody leads any more; also called by the threads whose calls end after the server."""
        with suppress(IndexError):
            while True:
                connections.popleft().close()
