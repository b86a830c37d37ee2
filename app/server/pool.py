"""The threads of a process: one leads the loop, and the others run the calls that took long, or
wait.

    leader:     the loop ─► run_call ─► the application's call, in the same thread ─► the loop ...
    watchdog:   looks every few milliseconds; a call that it sees twice is taken off the leader: another thread of the
                pool leads from there on, and the first returns to the pool when its call ends.

`_term` is the leader's token and at once the cell that holds the call it is inside of; whoever
takes the entry out (the leader when the call ends, or, under the lock, the watchdog) decides who
goes on leading. Locks are taken only where a hand-over happens, never in signal handlers. At most
`threads` calls run at a time, not counting those that wait for their client's bytes (and, for as
long as the leader's call takes, one that has just got them). What the loop does is not known here.
"""

import logging
import sys
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from .connection import Connection
from .gateway import Call

log = logging.getLogger("tally.server")

#: How long a thread that computes may keep the interpreter lock from the leader, which asks for it
#: again after every system call. With the usual 5 ms, a request beside such a call took 15 ms; with
#: this 2 ms, and nothing is lost.
_SWITCH_INTERVAL = 0.0005
_WATCH = 0.004
#: How many looks without a call make the watchdog sleep until the next one.
_WATCH_IDLE = 100
_SLOW_FOR = 1.0
#: How many calls may wait for their clients' bodies; each holds a thread, but none of the pool's.
_UPLOADS = 64


class LeadingPool(ABC):
    """Threads that take turns in leading what a subclass does in `_lead`."""

    def __init__(self, threads: int) -> None:
        self.now = monotonic()  # as of the last readiness
        self._most_running = threads
        self._slow_until = 0.0
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
        self._watchdog_parked = False
        self._watchdog_call = threading.Semaphore(0)

    @abstractmethod
    def _lead(self, term: list[object]) -> None:
        """Run the loop for as long as `_term` is *term*, or until the end."""

    @abstractmethod
    def _give_back(self, connection: Connection) -> None:
        """Let the loop go on with *connection*, whose call ran outside of it."""

    def start_threads(self) -> None:
        sys.setswitchinterval(min(_SWITCH_INTERVAL, sys.getswitchinterval()))
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        with self._lock:
            # All of them from the start, so that the number of threads says nothing about the
            # traffic so far.
            for _ in range(self._most_running + 1):
                self._add_thread()

    def end_threads(self) -> None:
        """Have each thread end once it is outside of a call."""
        with self._lock:
            self._finished.set()
            self._work.notify_all()
        self._watchdog_call.release()

    # What connections ask (connection.Host)

    def run_call(self, connection: Connection) -> bool:
        connection.busy = True
        if self.now < self._slow_until or self._running >= self._most_running:
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
                while self._running >= self._most_running:
                    self._permit.wait()
                self._resuming -= 1
                self._aside -= 1
                self._running += 1

    def may_upload(self) -> bool:
        return self._uploads < _UPLOADS

    def uploading(self, change: int) -> None:
        with self._lock:
            self._uploads += change

    # The life of a thread

    def _call_a_thread(self) -> None:
        """With the lock held: have a thread look at the queue or lead."""
        if self._idle:
            self._idle -= 1
            self._work.notify()
        elif self._threads < self._threads_wanted():
            self._add_thread()

    def _threads_wanted(self) -> int:
        """With the lock held: how many threads there must be for one to be left to lead, whatever
        the others do.
        """
        return max(self._most_running, self._running) + 1 + self._aside

    def _may_run(self) -> bool:
        """With the lock held: tell whether the first of the queue may run."""
        # Calls that were begun come first: they hold a thread and what the client has sent.
        return bool(self._queue) and self._running + self._resuming < self._most_running

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
            # No more threads to be had: those that there are go on, and the next return looks at
            # the queue.
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
            # Nothing is known that comes here. Should it, then one connection may be lost, but not
            # the server.
            log.critical("the loop failed, and goes on", exc_info=True)
            with self._lock:
                if self._term is term:
                    self._term = None

    def _return(self, connection: Connection) -> None:
        """After a call outside of the leader: its place is free, and the connection is the leader's
        again.
        """
        with self._lock:
            self._running -= 1
            if self._resuming:
                self._permit.notify()
        # The queue is looked at by this thread itself, next.
        if not connection.settle():
            self._give_back(connection)

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
                    # Either the leader sees the flag after it entered its call, or this sees the
                    # call.
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
                # should the call have just ended and another begun, then that one is taken off: no
                # harm
                term.pop()
            except IndexError:
                return
            self._running += 1
            self._slow_until = monotonic() + _SLOW_FOR
            self._new_leader()
