"""The threads of a process: one leads the loop; the others run calls that take long, or wait.

    leader:     the loop ─► run_call ─► the application's call, in the same thread ─► the loop ...
    watchdog:   looks every few milliseconds; a call that it sees twice is taken off the leader:
                another thread of the crew leads from there on, and the first returns to the crew
                when its call ends. Where that costs too much of the time (`HeldUp`), calls go
                to other threads from the start for a while.
    gathering:  answers may go out together, after work that is done for several at once
                (before_answer.py). The leader holds them until it has seen to the other connections
                that are ready.

A `Term` is one thread's turn as leader, and at once the place that holds the call it is inside of.
The thread that takes the call out (the leader when the call ends or, under the lock, the watchdog)
decides who goes on leading. Locks are taken only for a hand-over, never in signal handlers. At most
`threads` calls run at a time, not counting those that wait for their client's bytes (and, for as
long as the leader's call takes, one that has just got them). What the loop does is not known here.
"""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from ..before_answer import Work, do_together
from .call import Call
from .connection import Connection

log = logging.getLogger("tally.server")

#: How long a thread that computes may keep the interpreter lock from the leader, which asks for it
#: again after every system call. With the usual 5 ms, a request beside such a call took 15 ms; with
#: this 2 ms, and nothing is lost.
_SWITCH_INTERVAL = 0.0005
#: The watchdog looks twice in a row, and then pauses: each look takes the interpreter lock from the
#: leader. For a second after a slow call it looks all the time, so that the next is seen sooner.
_WATCH, _WATCH_PAUSE = 0.004, 0.016
_WATCH_CLOSELY_FOR = 1.0
#: After so many seconds without a call the watchdog sleeps until the next one.
_WATCH_IDLE = 0.4
#: Slow calls may hold up the leader for this share of the time. When it is more, then for
#: `_SLOW_FOR` seconds calls go to other threads from the start: each costs a third more, and holds
#: up nobody.
_MOST_HELD_UP = 0.05
_SLOW_FOR = 1.0
#: So many answers wait for each other at most, of so many bytes (they should still be in the
#: processor's cache when they are sent), for so long and until the call that goes on then ends, or
#: is taken off the leader.
_MOST_GATHERED = 64
_MOST_BYTES = 1 << 18
_GATHER_SECONDS = 0.001
#: How many calls may wait for their clients' bodies; each holds a thread, but none of the crew's.
_UPLOADS = 64


class Term:
    """One thread's turn as leader, and the call that it is inside of.

    Taking the call out is one step for all threads, so just one of them gets it.
    """

    __slots__ = ("_inside", "enter")

    def __init__(self) -> None:
        self._inside: list[Call | None] = []
        #: `enter(call)`: the leader begins a call.
        self.enter = self._inside.append

    @property
    def call(self) -> Call | None:
        """The call that the leader is inside of."""
        try:
            return self._inside[-1]
        except IndexError:
            return None

    def leave(self) -> bool:
        """Take the call out. Returns False if another thread has done so."""
        try:
            self._inside.pop()
        except IndexError:
            return False
        return True


class HeldUp:
    """Tells whether slow calls hold up the leader for more than `_MOST_HELD_UP` of the time.

    What a second allows may come at once; it drains away as time goes by.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = 0.0

    def add(self, seconds: float, now: float) -> bool:
        """Add a time that was lost until *now*; return whether it is too much by now."""
        left = max(0.0, self._seconds - _MOST_HELD_UP * (now - self._at))
        self._seconds, self._at = left + seconds, now
        return self._seconds > _MOST_HELD_UP


class Watchdog:
    """A thread that has *take_off* called with each term whose call it sees twice in a row, and
    with the longest time in seconds that the call can have taken by then.
    """

    def __init__(
        self, term: Callable[[], Term | None], take_off: Callable[[Term, float], None]
    ) -> None:
        self._term = term
        self._take_off = take_off
        self._ended = threading.Event()
        #: Whether the thread sleeps until `wake`. Looked at before each call.
        self.is_parked = False
        self._call = threading.Semaphore(0)

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def wake(self) -> None:
        self.is_parked = False
        self._call.release()

    def end(self) -> None:
        self._ended.set()
        self._call.release()

    def _watch(self) -> None:
        seen: Call | None = None
        former, pause = _WATCH, _WATCH_PAUSE
        closely = quiet = 0.0  # for how many seconds
        while not self._ended.wait(pause):
            term = self._term()
            call = term.call if term is not None else None
            closely -= pause
            quiet = 0.0 if call is not None else quiet + pause
            if call is not None and call is seen and term is not None:
                self._take_off(term, former + pause)
                closely = _WATCH_CLOSELY_FOR
            is_second = pause == _WATCH
            former, pause = pause, _WATCH_PAUSE if is_second and closely <= 0 else _WATCH
            seen = call
            if quiet > _WATCH_IDLE:
                self._park()
                quiet = 0.0

    def _park(self) -> None:
        self.is_parked = True
        # Either the leader sees the flag after it entered its call, or this sees the call.
        term = self._term()
        if term is None or term.call is None:
            self._call.acquire()
        self.is_parked = False


class Crew:
    """Threads that take turns in *lead*, which runs the loop until its term or the server ends.

    *give_back* lets the loop go on with a connection whose call ran outside of it.
    """

    def __init__(
        self,
        threads: int,
        lead: Callable[[Term], None],
        give_back: Callable[[Connection], None],
    ) -> None:
        self._lead = lead
        self._give_back = give_back
        self._most_running = threads
        self._slow_until = 0.0
        self._held_up = HeldUp()
        # Shared by the threads, under the lock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._permit = threading.Condition(self._lock)
        self._queue: deque[Connection] = deque()
        self._running = 0  # calls that run outside of the leader
        self._aside = 0
        self._resuming = 0  # calls that have waited for their clients, and now wait for a place
        self._uploads = 0
        self._threads = 0
        self._idle = 0  # threads that wait for work, less those that were woken for it
        #: The leader's: answers that are ready, and wait for each other.
        self.gathered: list[tuple[Connection, bytes]] = []
        self._gathered_bytes = 0
        self._send_at = 0.0
        #: The leader's; None while nobody leads.
        self.term: Term | None = None
        self.finished = threading.Event()
        self._watchdog = Watchdog(lambda: self.term, self._take_off)

    def start(self) -> None:
        sys.setswitchinterval(min(_SWITCH_INTERVAL, sys.getswitchinterval()))
        self._watchdog.start()
        with self._lock:
            # All of them from the start, so that the number of threads says nothing about the
            # traffic so far.
            for _ in range(self._most_running + 1):
                self._add_thread()

    def end(self) -> deque[Connection]:
        """Have each thread end once it is outside of a call; return what waits for one."""
        with self._lock:
            self.finished.set()
            self._work.notify_all()
        self._watchdog.end()
        return self._queue

    # What connections ask (runner.Runner)

    def run_call(self, connection: Connection) -> bool:
        connection.busy = True
        if self._running >= self._most_running or (
            self._slow_until and monotonic() < self._slow_until
        ):
            # Another thread must not end it before its beginning is seen.
            connection.runner.place.lane.publish()
            with self._lock:
                self._queue.append(connection)
                if self._may_run():  # else the thread that ends a call looks at the queue
                    self._call_a_thread()
            return False
        term = self.term
        assert term is not None
        call = connection.channel.call
        assert call is not None
        term.enter(call)
        if self._watchdog.is_parked:
            self._watchdog.wake()
        lane = connection.runner.lane
        waiting: bytes | None = None
        if call.work is None:  # the answer is not to wait for others
            connection.perform(lane)
        else:
            waiting = connection.prepare(lane)
        if not term.leave():
            if waiting is not None:
                connection.perform(lane, waiting)
            self._return(connection)
            return False
        if waiting is not None:
            self._gather(connection, waiting)
            return False
        connection.busy = False
        return True

    def _gather(self, connection: Connection, answer: bytes) -> None:
        if not self.gathered:
            self._send_at = monotonic() + _GATHER_SECONDS
            self._gathered_bytes = 0
        self.gathered.append((connection, answer))
        self._gathered_bytes += len(answer)

    def goes_on(self, term: Term) -> bool:
        """Send what is gathered if it should wait for no more; return whether *term* still leads.

        For the leader, between two connections.
        """
        if self.term is not term:
            return False
        is_enough = self.gathered and (
            self._gathered_bytes >= _MOST_BYTES
            or len(self.gathered) >= _MOST_GATHERED
            or monotonic() >= self._send_at
        )
        return self.send_gathered() if is_enough else True

    def send_gathered(self) -> bool:
        """Do at once what gathered answers wait for, and send them, if there are any.

        For the leader. Returns False if another thread leads now.
        """
        if not self.gathered:
            return True
        gathered, self.gathered = self.gathered, []
        term = self.term
        assert term is not None
        connections = [connection for connection, _ in gathered]
        calls = [call for connection in connections if (call := connection.channel.call)]
        lane = connections[0].runner.lane
        leads = self._do_work_of(calls, term)
        for call, (connection, answer) in zip(calls, gathered, strict=True):
            # One by one: the watchdog would take all of them for one slow call, beside a thread
            # that computes and lets each wait for the interpreter lock.
            if leads:
                term.enter(call)
            connection.perform(lane, answer)
            leads = leads and term.leave()
        if not leads:
            self._return(*connections)
            return False
        for connection in connections:
            connection.go_on()
        return True

    def _do_work_of(self, calls: list[Call], term: Term) -> bool:
        """Do what several calls have left to be done. Returns False if another thread leads now."""
        work: list[Work] = []
        for call in calls:
            work += call.take_work()
        term.enter(calls[0])
        if self._watchdog.is_parked:
            self._watchdog.wake()
        try:
            do_together(work)
        except BaseException as error:
            log.error("what answers waited for failed", exc_info=error)
        return term.leave()

    @contextmanager
    def aside(self, call: Call | None) -> Iterator[None]:
        with self._lock:
            self._aside += 1
            term = self.term
            # Only this thread takes this call out but for the watchdog, who needs the lock.
            if term is not None and call is not None and term.call is call:
                term.leave()
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
        """Return how many threads there must be for one to lead, whatever the others do.

        Call it with the lock held.
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
        self.term = None
        self._call_a_thread()

    def _serve(self) -> None:
        """The life of a pool thread: lead, or run a queued call, or wait for either."""
        while True:
            with self._lock:
                while not (self.term is None or self._may_run()):
                    if self.finished.is_set() or self._threads > self._threads_wanted():
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._work.wait()
                if self.finished.is_set():
                    self._threads -= 1
                    return
                term: Term | None = None
                if self.term is None:
                    self.term = term = Term()
                    if self._may_run():
                        self._call_a_thread()  # the one that was called for the queue may be this
                else:
                    connection = self._queue.popleft()
                    self._running += 1
            if term is not None:
                self._lead_safely(term)
            else:
                try:
                    connection.perform(connection.runner.place.lane)
                finally:
                    self._return(connection)

    def _lead_safely(self, term: Term) -> None:
        try:
            self._lead(term)
        except BaseException:
            # Nothing is known that comes here. Should it, then one connection may be lost, but not
            # the server.
            log.critical("the loop failed, and goes on", exc_info=True)
            with self._lock:
                if self.term is term:
                    self.term = None

    def _return(self, *connections: Connection) -> None:
        """Free the place of a call that ran outside of the leader, and give back its connection,
        or those whose answers it sent.
        """
        with self._lock:
            self._running -= 1
            if self._resuming:
                self._permit.notify()
        # The queue is looked at by this thread itself, next.
        for connection in connections:
            if not connection.settle():
                self._give_back(connection)

    def _take_off(self, term: Term, at_most: float) -> None:
        """Have another thread lead in place of the one whose call takes long: *at_most* so many
        seconds by now.
        """
        with self._lock:
            # Should the call have just ended and another begun, then that one is taken off: no harm
            if self.term is term and term.leave():
                self._running += 1
                now = monotonic()
                if self._held_up.add(at_most, now):
                    self._slow_until = now + _SLOW_FOR
                self._new_leader()
