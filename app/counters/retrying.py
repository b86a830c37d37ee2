"""A store that did not open while the server runs: files are served, and counting begins as soon as
it opens.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from time import time
from typing import TYPE_CHECKING

from .contract import ACCESSES, Announce, Class, Count, CounterError, Kind
from .outage import Outage

if TYPE_CHECKING:
    from .reading import CountingStore


class DeferredCounter:
    """Counts in what *open_store* returns, once that raises no CounterError any more; it is tried
    once a second.

    *error* is why it did not open so far. One line says so, and another, later, how many accesses
    were not counted. The store learns of these, too, so that its numbers do not seem exact.
    """

    #: As of the stores that may fail to open.
    pays_together_from = 24

    def __init__(self, open_store: "Callable[[], CountingStore]", error: CounterError) -> None:
        self._open_store = open_store
        self._lock = Lock()
        self._store: CountingStore | None = None
        self._error = error
        self._closed = False
        self._outage = Outage()
        self._outage.failed(error)

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
        store = self._store or self._opened()
        if store is not None:
            return store.count(path, kind, announce, class_, sent, complete, client, enough, at)
        if kind in ACCESSES:
            self._outage.uncounted()
            if announce is not None:
                announce(None)
        return None

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
        store = self._store or self._opened()
        if store is not None:
            return store.count_together(counts)
        return [self.count(*each) for each in counts]

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
        store = self._store or self._opened()
        if store is not None:
            store.sent(path, kind, sent, complete, at, client, enough)

    def answered(self, status: int, answers: int = 1) -> None:
        store = self._store or self._opened()
        if store is not None:
            store.answered(status, answers)

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        store = self._store or self._opened()
        return {} if store is None else store.accesses(paths)

    def pending(self) -> int:
        store = self._store or self._opened()
        return 0 if store is None else store.pending()

    def is_counting(self) -> bool:
        store = self._store or self._opened()
        return store is not None and store.is_counting()

    def opened(self) -> "CountingStore":
        """Return the store. Raises CounterError as long as it does not open."""
        store = self._store or self._opened()
        if store is None:
            raise self._error
        return store

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._store is not None:
                self._store.close()
        self._outage.close()

    def _opened(self) -> "CountingStore | None":
        if self._outage.is_waiting():
            return None
        with self._lock:
            # Whoever waited for the lock finds it open, or the next attempt not due yet.
            if self._store is None and not self._closed and not self._outage.is_waiting():
                try:
                    self._store = self._open_store()
                except CounterError as error:
                    self._error = error
                    self._outage.failed(error)
                else:
                    self._record(self._store, *self._outage.ended())
            return self._store

    def _record(self, store: "CountingStore", accesses: int, transfers: int) -> None:
        try:
            if accesses or transfers:
                store.uncounted(accesses, transfers, int(time()))
        except CounterError as error:
            self._outage.failed(error)
            self._outage.uncounted_still(accesses, transfers)
