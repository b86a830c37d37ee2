"""Sends what is counted to a remote store that may be away.

Each entry arrives exactly once, and none is waited for longer than the store's time limit.

The threads that count at the same time share a round trip: the first to come leads, and sends a
batch for all that wait; whoever comes meanwhile waits for the next. An access is answered only when
the remote store has it, with its number, or when the journal has it, without. So a batch without a
reply goes into the journal under the numbers that it was sent with, by which the remote store knows
it again.

Once the remote store has failed, everything goes into the journal alone, until the process's
courier, a thread, finds the store again. Then counting begins with a new writer at once, and the
courier delivers beside it what the old one has waiting, and what dead processes of this host left
behind. A store that answers too slowly for a request to wait is not away: all goes through the
journal then, from which the courier, who has time, delivers again and again.

What is sent, and how, is the affair of `entries.py` and `store.py`.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic, time

from ... import after_fork
from ..contract import CounterError
from ..outage import Outage, tell
from .delivery import Delivery
from .entries import Entry
from .held import Held
from .journal import Journal, Writer
from .number_watch import NumberWatch
from .server import RemoteAwayError, RemoteRefusedError
from .store import RedisStore
from .waiting_entry import WaitingEntry, release

_MOST_IN_BATCH = 128
_STATUS_SECONDS = 0.1
RETRY_SECONDS = 0.5
_BEGIN_SECONDS = 0.2
_ADOPT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
#: A store that takes a larger part of the time that a request waits is slow.
_QUICK = 0.5


class Sender:
    """Sends entries to *remote*, with a journal below *directory*.

    Raises CounterError when one of them refuses.
    """

    def __init__(
        self,
        remote: RedisStore,
        directory: str,
        *,
        clock: Callable[[], float] = time,
        retry: float = RETRY_SECONDS,
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
        self._delivery = Delivery(remote, self._journal)
        self._begin()
        try:
            remote.check(quick=True)
        except RemoteRefusedError:
            self._journal.close()
            remote.close()
            raise
        except CounterError as error:
            self._away = True
            tell(f"{error}; accesses wait in {directory} until it is there")
        after_fork.register(self)
        # What dead processes left is delivered without waiting for the first request.
        with self._lock:
            self._start_courier()

    def _begin(self) -> None:
        """Set what belongs to one process."""
        self._lock = Lock()
        self._away = False
        self._leading = False
        self._pending: deque[WaitingEntry] = deque()
        self._held = Held()
        # The entry numbers of this process.
        self._writer: Writer | None = None
        self._next = 1
        self._numbers = NumberWatch(self._remote.name)
        # The courier.
        self._courier: Thread | None = None
        self._is_slow = False
        self._told = ""
        self._wake = Event()
        self._end = Event()

    def begin_in_child(self) -> None:
        self._begin()

    # Counting

    @property
    def is_away(self) -> bool:
        """Whether entries go into the journal alone."""
        return self._away

    @property
    def is_stuck(self) -> bool:
        """Whether entries were lost at last, as neither the store nor the journal took them."""
        return bool(self._outage.retry_at)

    @property
    def missed(self) -> tuple[int, int]:
        """Accesses and ends of transfers that went uncounted, which the store does not know yet."""
        return self._held.missed

    @property
    def directory(self) -> str:
        """Where the journal is."""
        return self._journal.directory

    def submit(self, entry: Entry) -> None:
        """Bring *entry*, which is no access, to the store or into the journal. Never raises."""
        self._submit([WaitingEntry(entry, False, None)])

    def answered(self, status: int, answers: int) -> None:
        """Note *answers*, which are submitted soon."""
        self._held.answered(status, answers)
        with self._lock:
            refusal = self._begin_writing()
        if not refusal and not self._wake.is_set():
            self._wake.set()

    def submit_together(self, entries: Sequence[WaitingEntry]) -> list[int | None]:
        """Do as `submit` for each, in order, and about as fast as for one.

        Return the accesses' numbers, None for what is none, and for one that is not known yet.
        """
        for begin in range(0, len(entries), _MOST_IN_BATCH):
            self._submit(entries[begin : begin + _MOST_IN_BATCH])
        return [waiting.number for waiting in entries]

    def _submit(self, entries: Sequence[WaitingEntry]) -> None:
        """Bring entries that fit into a batch to the store or into the journal."""
        locks: list[Lock] = []
        with self._lock:
            if self._begin_writing() or self._away:
                self._keep(entries)
                return
            self._pending.extend(entries)
            leads, self._leading = not self._leading, True
            if not leads:
                # Each its own: another's batch may end among them, and the first of the rest leads.
                for waiting in entries:
                    done = waiting.done = Lock()
                    done.acquire()
                    locks.append(done)
        if leads:
            self._lead()  # nothing was pending, so all of them are in this batch
        for waiting, done in zip(entries, locks, strict=False):
            done.acquire()
            if waiting.leads:
                self._lead()

    def _lead(self) -> None:
        """Send one batch for all who wait, and pass the lead on."""
        with self._lock:
            batch = [
                self._pending.popleft() for _ in range(min(len(self._pending), _MOST_IN_BATCH))
            ]
            token, first = self._writer.token if self._writer else "", self._next
            self._next += len(batch)
        try:
            numbers = self._remote.apply(token, first, [waiting.entry for waiting in batch])
        except BaseException as error:
            with self._lock:
                self._leave(error)
                batch += self._pending
                self._pending.clear()
                # The remote store may have what was sent. If the journal has not, these numbers are
                # not used again.
                unused, self._next = self._next, first
                self._keep(batch)
                self._next = max(self._next, unused)
                self._leading = False
            release(batch)
            if not isinstance(error, Exception):
                raise
            return
        for waiting, number in zip(batch, numbers, strict=True):
            waiting.settle(number or None if waiting.is_access else None)
            if number:
                self._numbers.note(waiting.entry[1], number, self._clock())
        with self._lock:
            if self._outage.retry_at:
                self._outage.ended()
            if self._pending:
                leader = self._pending[0]
                leader.leads = True
                release([leader])
            else:
                self._leading = False
        release(batch)

    def _leave(self, error: BaseException) -> None:
        self._away = True
        self._wake.set()
        reason = (
            error
            if isinstance(error, CounterError)
            else f"counts: {self._remote.name}: {type(error).__name__}"
        )
        self._told = f"{reason}; accesses wait in {self._journal.directory} until it works again"
        tell(self._told)

    def _keep(self, batch: Sequence[WaitingEntry]) -> None:
        """Write *batch* into the journal and settle it; with the lock held."""
        accesses = sum(waiting.is_access for waiting in batch)
        try:
            if self._outage.retry_at and self._outage.is_waiting():
                raise CounterError("")
            refusal = self._begin_writing()
            if refusal or self._writer is None:
                raise CounterError(f"counts: journal {self._journal.directory}: {refusal}")
            entries = [waiting.entry for waiting in batch]
            self._journal.append(self._writer, self._next, entries)
            self._next += len(entries)
        except CounterError as error:
            if not self._outage.is_waiting():
                self._outage.failed(error)
            self._outage.uncounted(accesses)
            self._held.miss([waiting.entry for waiting in batch], accesses)
        else:
            if self._outage.retry_at:
                self._outage.ended()
        for waiting in batch:
            waiting.settle(None)

    def _begin_writing(self) -> str:
        """With the lock held: register with the journal and start the courier, once.

        Return why the journal refuses, "" when it does not.
        """
        if self._writer is None:
            try:
                self._writer, self._next = self._journal.register(), 1
            except (OSError, CounterError) as error:
                return getattr(error, "strerror", None) or str(error)
        self._start_courier()
        return ""

    def _start_courier(self) -> None:
        """Start this process's courier, once; with the lock held."""
        if self._courier is None and not self._end.is_set():
            self._courier = Thread(target=self._run, name="count-courier", daemon=True)
            try:
                self._courier.start()
            except RuntimeError:  # the interpreter is ending: close() delivers
                self._courier = None

    # The courier

    def _run(self) -> None:
        # A start check closes at once what it opens, and may fork then: this thread is to be gone,
        # not in a call.
        self._end.wait(_BEGIN_SECONDS)
        adopt_at = 0.0
        while not self._end.is_set():
            if self._away:
                reached, adopt_at = self._return(), 0.0
            else:
                reached = True
            if reached and monotonic() >= adopt_at:
                self._tidy()
                self._delivery.deliver_all(self._end)
                with suppress(CounterError):
                    self._remote.pack()
                    self._remote.make_lists(self._end)
                adopt_at = monotonic() + _ADOPT_SECONDS
            self.submit_held()
            if self._away:
                self._end.wait(self._retry)
            else:
                self._wake.wait(_ADOPT_SECONDS)
                self._end.wait(_STATUS_SECONDS)
            self._wake.clear()

    def _tidy(self) -> None:
        with suppress(CounterError):  # the next count finds out
            self._remote.convert()
            self._remote.forget_old_days()

    def _return(self) -> bool:
        """See whether the remote store is back; if it is, what waits is up for delivery.

        A request waits for it again only if it answers well within the time that a request may
        wait.
        """
        try:
            is_quick = self._remote.check() < self._remote.timeout * _QUICK and self._is_at_hand()
        except RemoteRefusedError as error:
            self._tell_anew(
                f"{error}; accesses wait in {self._journal.directory} until it works again"
            )
            return False
        except CounterError:
            return False
        self._begin_writer(is_away=not is_quick)
        if is_quick:
            tell(f"counts: {self._remote.name} works again; what waited is delivered now")
        elif self._is_slow:  # and not only the answer that it owed from before
            self._tell_anew(f"counts: {self._remote.name}: answers take longer than a request may"
                            " wait; accesses go "
                            f"through {self._journal.directory}, and have no numbers")  # fmt: skip
        self._is_slow = not is_quick
        return True

    def _is_at_hand(self) -> bool:
        """Make the connection that the next request finds; False when that takes too long, as with
        sentinels that are farther away than the store.
        """
        try:
            self._remote.check(quick=True)
        except RemoteAwayError:
            return False
        return True

    def _tell_anew(self, line: str) -> None:
        if line != self._told:
            self._told = line
            tell(line)

    def _begin_writer(self, *, is_away: bool) -> None:
        """Count with a new writer from now on, if this one has entries waiting.

        That one is left to whoever delivers.
        """
        with self._lock:
            used = self._writer
            if used is None or not used.has_waiting:  # and none will come, once it is not away
                self._end_outage(is_away)
                return
        try:
            writer = self._journal.register()
        except (
            CounterError,
            OSError,
        ):  # no room; delivering makes some, and the next count tries again
            writer = None
        with self._lock:
            self._writer, self._next = writer, 1
            self._end_outage(is_away)
        self._journal.abandon(used)

    def _end_outage(self, is_away: bool) -> None:
        self._away = is_away
        if self._outage.retry_at and not is_away and self._writer:
            self._outage.ended()

    def submit_held(self) -> None:
        """Submit what waits for company: answers, and what went uncounted."""
        # As long as the journal refuses, what went uncounted would come back.
        for entry in self._held.take(int(self._clock()), missed=not self._outage.retry_at):
            self.submit(entry)

    def close(self) -> None:
        """Deliver what can be delivered now.

        The rest waits in the journal for another process or the next start.
        """
        if self._closed:
            return
        self._closed = True
        self._end.set()
        self._wake.set()
        courier = self._courier
        if courier is not None:
            courier.join(_CLOSE_SECONDS)
        self.submit_held()
        with self._lock:
            writer, self._writer = self._writer, None
        self._outage.close()
        if courier is not None and courier.is_alive():
            # it still delivers, by a connection that hangs; the process's end frees the writer for
            # others
            return
        if writer is not None:
            try:
                if self._away:
                    self._journal.abandon(writer)
                else:
                    self._delivery.finish(writer)
            except (CounterError, OSError):
                pass  # left to others
        self._remote.close()
        self._journal.close()
