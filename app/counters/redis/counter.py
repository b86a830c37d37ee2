"""Counts in Redis, as servers count: nothing is lost while it is away, and no request waits long.

What is counted becomes an entry, which `sender.py` brings to the store or into the journal. What is
read comes from the store, and says how many accesses still wait on this host.

No client's address is in an entry, only a hash with the day's salt. When the salt is not known,
because Redis is away since the day began, the access is counted and its client is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from time import time
from typing import TypeVar

from ..client_rows import client_hash
from ..contract import ACCESSES, Announce, Class, Count, CounterError, Kind
from ..periods import SECONDS_PER_DAY, Period, Unit
from ..reading import (
    Answer,
    Contents,
    DirectoryAnswer,
    FileAnswer,
    FileRecord,
    Missed,
    Order,
    Ranking,
    Series,
    SiteRecord,
    Totals,
    waiting_text,
)
from ..tally import Tally
from .entries import count_entry, sent_entry, uncounted_entry
from .sender import RETRY_SECONDS, Sender
from .server import RemoteAwayError
from .store import RedisStore
from .waiting import WaitingAccesses
from .waiting_entry import WaitingEntry

_A = TypeVar("_A", bound=Answer)
_T = TypeVar("_T")


class JournaledCounter:
    """Counts in *remote*, with a journal below *directory*.

    Raises CounterError when one of them refuses.
    """

    #: A round trip takes longer than all else that a request costs.
    pays_together_from = 2

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
        self._sender = Sender(remote, directory, clock=clock, retry=retry)
        self._waiting = WaitingAccesses(self._sender.directory)

    # Counting

    def count(
        self,
        path: str,
        kind: Kind,
        announce: Announce | None = None,
        class_: Class = "unknown",
        sent: int = 0,
        complete: bool = False,
        client: bytes | None = None,
        enough: int = 0,
        at: int = 0,
    ) -> int | None:
        count = path, kind, announce, class_, sent, complete, client, enough
        entry = self._waiting_entry(count, at or int(self._clock()))
        return self._sender.submit_together([entry])[0]

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
        at = int(self._clock())
        return self._sender.submit_together([self._waiting_entry(each, at) for each in counts])

    def _waiting_entry(self, count: Count, at: int) -> WaitingEntry:
        path, kind, announce, class_, sent, complete, client, enough = count
        hashed = None if client is None else self._hash(client, at)
        entry = count_entry(path, kind, class_, sent, complete, hashed, enough, at)
        return WaitingEntry(entry, kind in ACCESSES, announce)

    def sent(
        self,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None = None,
        enough: int = 0,
    ) -> None:
        hashed = None if client is None else self._hash(client, at)
        self._sender.submit(sent_entry(path, kind, sent, complete, hashed, enough, at))

    def answered(self, status: int, answers: int = 1) -> None:
        self._sender.answered(status, answers)

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        self._sender.submit(uncounted_entry(accesses, transfers, at))

    def add_missed(self, names: Mapping[str, int]) -> None:
        if self._sender.is_away:
            raise CounterError("counts: Redis is away")
        self._remote.add_missed(names)

    def _hash(self, client: bytes, at: int) -> bytes | None:
        day, salts = at // SECONDS_PER_DAY, self._remote.salts
        salt = salts.known(day) if self._sender.is_away else salts.of(day)
        return client_hash(client, salt) if salt else None

    # Reading

    def pending(self) -> int:
        return self._waiting.count()

    def is_counting(self) -> bool:
        if self._sender.is_stuck:
            # Who hears that it fails sends no requests any more, by which it would be tried.
            self.uncounted(0, 0, int(self._clock()))
        return not self._sender.is_stuck

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        if self._sender.is_away:
            return {}
        try:
            return self._remote.accesses(paths)
        except CounterError:  # the next count finds out
            return {}

    def totals(self) -> Totals:
        return self._completed(self._asked(RedisStore.totals))

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        found = self._asked(lambda store: store.series(unit, period, path))
        return None if found is None else self._completed(found)

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        question = order, period, match, after, limit, classes
        return self._completed(self._asked(lambda store: store.ranked(*question)))

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        found = self._asked(lambda store: store.file(path, period))
        return None if found is None else self._completed(found)

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        return self._asked(lambda store: store.tallies(paths))

    def directory(self, path: str) -> DirectoryAnswer:
        return self._completed(self._asked(lambda store: store.directory(path)))

    def missed(self) -> Missed:
        return self._completed(self._asked(RedisStore.missed))

    def _asked(self, question: Callable[[RedisStore], _T]) -> _T:
        """Return the store's answer. When there is none, the error says what waits meanwhile."""
        store = self._up_to_date()
        try:
            return question(store)
        except RemoteAwayError as error:
            if waiting := self._waiting.count():
                raise RemoteAwayError(f"{error}; {waiting_text(waiting)}") from None
            raise

    def _up_to_date(self) -> RedisStore:
        self._sender.submit_held()
        return self._remote

    def _completed(self, answer: _A) -> _A:
        """Add to an answer what this process knows and the store does not."""
        accesses, transfers = self._sender.missed
        return replace(
            answer,
            pending=self.pending(),
            uncounted=answer.uncounted + accesses,
            uncounted_sent=answer.uncounted_sent + transfers,
        )

    # Moving

    def contents(self) -> Contents:
        """Return what the remote store has; what waits in journals is not in it."""
        return self._up_to_date().contents()

    def add(
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        self._up_to_date().add(records, site)

    def reset(self, paths: Iterable[str] | None = None) -> None:
        self._up_to_date().reset(paths)

    def close(self) -> None:
        """Deliver what can be delivered now.

        The rest waits in the journal for another process or the next start.
        """
        self._sender.close()
