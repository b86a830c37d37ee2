"""A counter over a remote store that may be away: exact, and never slower than the remote store's time limit.

The threads that count at the same time share a round trip: the first to come leads, and sends a batch for all that
wait; whoever comes meanwhile waits for the next. An access is answered only when the remote store has it, with its
number, or when the journal has it, without. So a batch without a reply goes into the journal under the numbers that it
was sent with, by which the remote store knows it again.

Once the remote store has failed, everything goes into the journal alone, until the process's courier, a thread, finds
the store again. Then counting begins a new stream at once, and the courier delivers the old ones beside it, and those
that dead processes of this host left behind.

What is sent to the remote store, and how, is `redis.py`'s affair.
"""

import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from threading import Event, Lock, Thread
from time import monotonic, time

from .counter import ACCESSES, Announce, Kind
from .journal import Entry, Journal, Writer
from .record import CounterError, Counts
from .redis import RedisStore, RemoteRefusedError
from .telling import Outage, tell

_MOST_IN_BATCH = 128
_MOST_IN_DELIVERY = 500
_STATUS_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_BEGIN_SECONDS = 0.2
_ADOPT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0

_counters: "weakref.WeakSet[JournaledCounter]" = weakref.WeakSet()


class _Waiting:
    """An entry on its way, and the thread that waits for it."""

    __slots__ = ("announce", "done", "entry", "is_access", "leads", "number")

    def __init__(self, entry: Entry, is_access: bool, announce: Announce | None) -> None:
        self.entry = entry
        self.is_access = is_access
        self.announce = announce if is_access else None
        self.number: int | None = None
        self.done: Lock | None = None  # held until the entry is settled, once somebody waits for it
        self.leads = False

    def settle(self, number: int | None) -> None:
        self.number = number
        if self.announce is not None:
            self.announce(number)


class JournaledCounter:
    """Counts in *remote*, with a journal below *directory*. Raises CounterError when one of them refuses."""

    def __init__(
        self, remote: RedisStore, directory: str, *, clock: Callable[[], float] = time, retry: float = _RETRY_SECONDS
    ) -> None:
        self._remote = remote
        self._clock = clock
        self._retry = retry
        self._outage = Outage()
        self._closed = False
        try:
            self._journal = Journal(os.path.join(directory, remote.identity))
        except OSError as error:
            raise CounterError(f"counts: {directory}: {error.strerror}") from None
        self._begin()
        try:
            remote.check(quick=True)
        except RemoteRefusedError:
            self._journal.close()
            raise
        except CounterError as error:
            self._away = True
            tell(f"{error}; accesses wait in {directory} until it is there")
        _counters.add(self)
        # What dead processes left is delivered without waiting for the first request.
        with self._lock:
            self._start_courier()

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._lock = Lock()
        self._away = False
        self._leading = False
        self._pending: deque[_Waiting] = deque()
        self._statuses: dict[int, int] = {}
        # The entry numbers of this process.
        self._writer: Writer | None = None
        self._stream = 0
        self._next = 1
        # The courier.
        self._courier: Thread | None = None
        self._wake = Event()
        self._end = Event()

    def _begin_in_child(self) -> None:
        writer = self._writer
        self._begin()
        self._outage.begin_in_child()
        self._remote.begin_in_child()
        if writer is not None:
            os.close(writer.descriptor)  # the parent's; held here too, it would outlive the parent

    # ------------------------------------------------------------------ counting

    def count(self, path: str, kind: Kind, announce: Announce | None = None) -> int | None:
        entry = (kind._value_, path, "1", str(int(self._clock())))
        return self._submit(_Waiting(entry, kind in ACCESSES, announce))

    def answered(self, status: int) -> None:
        with self._lock:
            self._statuses[status] = self._statuses.get(status, 0) + 1
            begun = self._begun()
        if begun and not self._wake.is_set():
            self._wake.set()

    def _submit(self, waiting: _Waiting) -> int | None:
        with self._lock:
            if not self._begun() or self._away:
                self._keep([waiting])
                return None
            self._pending.append(waiting)
            if self._leading:
                done = waiting.done = Lock()
                done.acquire()
            else:
                self._leading = True
                done = None
        if done is not None:
            done.acquire()
            if not waiting.leads:
                return waiting.number
        self._lead()
        return waiting.number

    def _lead(self) -> None:
        """Send one batch for all who wait, and pass the lead on."""
        with self._lock:
            batch = [self._pending.popleft() for _ in range(min(len(self._pending), _MOST_IN_BATCH))]
            stream, first = self._writer.stream(self._stream) if self._writer else "", self._next
            self._next += len(batch)
        try:
            numbers = self._remote.apply(stream, first, [waiting.entry for waiting in batch])
        except BaseException as error:
            with self._lock:
                self._leave(error)
                batch += self._pending
                self._pending.clear()
                # The remote store may have what was sent. If the journal has not, these numbers are not used again.
                unused, self._next = self._next, first
                self._keep(batch)
                self._next = max(self._next, unused)
                self._leading = False
            _release(batch)
            if not isinstance(error, Exception):
                raise
            return
        for waiting, number in zip(batch, numbers, strict=True):
            waiting.settle(number or None if waiting.is_access else None)
        with self._lock:
            if self._outage.retry_at:
                self._outage.ended()
            if self._pending:
                leader = self._pending[0]
                leader.leads = True
                _release([leader])
            else:
                self._leading = False
        _release(batch)

    def _leave(self, error: BaseException) -> None:
        self._away = True
        self._wake.set()
        reason = error if isinstance(error, CounterError) else f"counts: {self._remote.name}: {type(error).__name__}"
        tell(f"{reason}; accesses wait in {self._journal.directory} until it works again")

    def _keep(self, batch: list[_Waiting]) -> None:
        """Write *batch* into the journal and settle it; with the lock held."""
        accesses = [waiting for waiting in batch if waiting.is_access]
        try:
            if self._outage.retry_at and self._outage.is_waiting():
                raise CounterError("")
            if not self._begun() or self._writer is None:
                raise CounterError(f"counts: {self._journal.directory}: no writer could be registered")
            entries = [waiting.entry for waiting in batch]
            self._journal.append(self._writer, self._stream, self._next, entries)
            self._next += len(entries)
        except CounterError as error:
            if not self._outage.is_waiting():
                self._outage.failed(error)
            for _ in accesses:
                self._outage.uncounted()
        else:
            if self._outage.retry_at:
                self._outage.ended()
        for waiting in batch:
            waiting.settle(None)

    def _begun(self) -> bool:
        """Register this process with the journal and start its courier, once; with the lock held."""
        if self._writer is None:
            try:
                writer = self._journal.register()
                writer.begin_stream(1)
            except (OSError, CounterError):
                return False
            self._writer, self._stream, self._next = writer, 1, 1
        self._start_courier()
        return True

    def _start_courier(self) -> None:
        """Start this process's courier, once; with the lock held."""
        if self._courier is None and not self._end.is_set():
            self._courier = Thread(target=self._run, name="count-courier", daemon=True)
            try:
                self._courier.start()
            except RuntimeError:  # the interpreter is ending: close() delivers
                self._courier = None

    # ------------------------------------------------------------------ the courier

    def _run(self) -> None:
        # A start check closes at once what it opens, and may fork then: this thread is to be gone, not in a call.
        self._end.wait(_BEGIN_SECONDS)
        adopt_at = 0.0
        while not self._end.is_set():
            if self._away:
                self._return()
                adopt_at = 0.0
            if not self._away:
                self._deliver_own()
                if monotonic() >= adopt_at:
                    self._deliver_adopted()
                    adopt_at = monotonic() + _ADOPT_SECONDS
            self._submit_statuses()
            if self._away:
                self._end.wait(self._retry)
            else:
                self._wake.wait(_ADOPT_SECONDS)
                self._end.wait(_STATUS_SECONDS)
            self._wake.clear()

    def _return(self) -> None:
        """See whether the remote store is back, and begin a new stream if it is."""
        try:
            self._remote.check(quick=True)
            with self._lock:
                if self._writer is not None:
                    self._writer.begin_stream(self._stream + 1)
                    self._stream += 1
                    self._next = 1
                    if self._outage.retry_at:
                        self._outage.ended()
                self._away = False
        except (CounterError, OSError):
            return
        tell(f"counts: {self._remote.name} works again; what waited is delivered now")

    def _deliver_own(self) -> None:
        if self._writer is not None:
            self._deliver(self._writer)

    def _deliver(self, writer: Writer) -> bool:
        """Deliver what *writer* has waiting. Returns False when the remote store or the journal failed."""
        try:
            while True:
                stream, first, entries = self._journal.waiting(writer, _MOST_IN_DELIVERY)
                if not entries:
                    return True
                self._remote.apply(writer.stream(stream), first, entries, patient=True)
                self._journal.delivered(writer, stream, first, len(entries))
        except CounterError:
            return False

    def _deliver_adopted(self) -> None:
        try:
            for writer in self._journal.adopt():
                if not self._finish(writer):
                    return
        except (CounterError, OSError):
            return

    def _finish(self, writer: Writer) -> bool:
        """Deliver all that a writer left, and give it up. Returns False when it has to be left to others."""
        delivered = False
        try:
            if self._deliver(writer):
                self._remote.finish([writer.stream(stream) for stream in range(1, writer.last_stream + 1)])
                delivered = True
        finally:
            (self._journal.retire if delivered else self._journal.abandon)(writer)
        return delivered

    def _submit_statuses(self) -> None:
        with self._lock:
            statuses, self._statuses = self._statuses, {}
        now = str(int(self._clock()))
        for status, answers in statuses.items():
            self._submit(_Waiting(("status", str(status), str(answers), now), False, None))

    # ------------------------------------------------------------------ reading and moving

    def counts(self) -> Counts:
        """Return what the remote store has; what waits in journals is not in it."""
        self._submit_statuses()
        return self._remote.counts()

    def add(self, counts: Counts) -> None:
        self._submit_statuses()
        self._remote.add(counts)

    def reset(self, paths: Iterable[str] | None = None) -> None:
        self._submit_statuses()
        self._remote.reset(paths)

    def close(self) -> None:
        """Deliver what can be delivered now; the rest waits in the journal for another process or the next start."""
        if self._closed:
            return
        self._closed = True
        self._end.set()
        self._wake.set()
        courier = self._courier
        if courier is not None:
            courier.join(_CLOSE_SECONDS)
        self._submit_statuses()
        with self._lock:
            writer, self._writer = self._writer, None
        self._outage.close()
        if courier is not None and courier.is_alive():
            return  # it still delivers, by a connection that hangs; the process's end frees the writer for others
        if writer is not None:
            try:
                if self._away:
                    self._journal.abandon(writer)
                else:
                    self._finish(writer)
            except (CounterError, OSError):
                pass  # left to others
        self._remote.close()
        self._journal.close()


def _release(settled: Iterable[_Waiting]) -> None:
    for waiting in settled:
        done, waiting.done = waiting.done, None  # the next leader is released twice: to lead, and with its batch
        if done is not None:
            done.release()


def _begin_all_in_child() -> None:
    for counter in _counters:
        counter._begin_in_child()


os.register_at_fork(after_in_child=_begin_all_in_child)
