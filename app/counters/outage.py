"""Lines on standard error, and how a failing store is reported without filling the log."""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from .. import after_fork, host_figures, line_log
from .contract import CounterError

RETRY_SECONDS = 1.0


def tell(message: str) -> None:
    """Write one line on standard error, without waiting for anybody who reads it."""
    line_log.tell(f"tally: {message}")


class Outage:
    """A store that fails. One line says so; the store is tried again now and then; when it works,
    another line says how many accesses were not counted.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._uncounted = self._uncounted_transfers = 0
        #: No attempt is due before this moment; 0.0 while the store works.
        self.retry_at = 0.0
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._lock = Lock()
        self._uncounted = self._uncounted_transfers = 0
        self.retry_at = 0.0

    def is_waiting(self) -> bool:
        """Return True when the store failed a moment ago and is better left alone."""
        return self._clock() < self.retry_at

    def failed(self, error: CounterError) -> None:
        with self._lock:
            first = not self.retry_at
            self.retry_at = self._clock() + RETRY_SECONDS
        if first:
            tell(f"{error}; files are served, accesses are not counted until it works again")

    def uncounted(self, accesses: int = 1, transfers: int = 0) -> None:
        """Note accesses, or ends of transfers, that could not be counted."""
        if accesses:
            host_figures.present().lane.uncounted(accesses)
        self.uncounted_still(accesses, transfers)

    def uncounted_still(self, accesses: int, transfers: int) -> None:
        """Note again what `ended` returned: the store has not taken it."""
        with self._lock:
            self._uncounted += accesses
            self._uncounted_transfers += transfers

    def ended(self) -> tuple[int, int]:
        """Note that the store works. To be called when `retry_at` is set.

        Return how many accesses and ends of transfers were not counted.
        """
        with self._lock:
            missed, self._uncounted = self._uncounted, 0
            transfers, self._uncounted_transfers = self._uncounted_transfers, 0
            told, self.retry_at = bool(self.retry_at), 0.0
        if told:
            tell(f"counts: the store works again; {missed} accesses were not counted")
        return missed, transfers

    def close(self) -> None:
        """Say what went uncounted: the store does not work again before the end."""
        with self._lock:
            missed, self._uncounted = self._uncounted, 0
        if missed:
            tell(f"counts: {missed} accesses were not counted")
