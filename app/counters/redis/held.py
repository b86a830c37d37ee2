"""What is not an entry of its own yet: answers, added up by status, and what went uncounted."""

from collections.abc import Iterable
from threading import Lock

from .entries import SENT, UNCOUNTED, Entry, status_entry, uncounted_entry


class Held:
    """Safe from any thread. Begins anew in a forked child with its owner."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._statuses: dict[int, int] = {}
        self._missed = (0, 0)

    @property
    def missed(self) -> tuple[int, int]:
        """Accesses and ends of transfers that went uncounted, unknown to the store so far."""
        return self._missed

    def answered(self, status: int, answers: int) -> None:
        with self._lock:
            self._statuses[status] = self._statuses.get(status, 0) + answers

    def miss(self, entries: Iterable[Entry], accesses: int) -> None:
        """Note *entries*, so many *accesses* among them, that neither store nor journal took."""
        with self._lock:
            before, transfers = self._missed
            accesses += before
            for operation, _, amount, _ in entries:
                if operation == UNCOUNTED:  # it comes back
                    again = amount.split()
                    accesses, transfers = accesses + int(again[0]), transfers + int(again[1])
                transfers += operation == SENT
            self._missed = accesses, transfers

    def take(self, now: int, *, missed: bool) -> list[Entry]:
        """Return it as entries, and hold it no more; without *missed*, that stays."""
        with self._lock:
            statuses, self._statuses = self._statuses, {}
            entries = [status_entry(status, answers) for status, answers in statuses.items()]
            if missed and any(self._missed):
                entries.append(uncounted_entry(*self._missed, now))
                self._missed = (0, 0)
        return entries
