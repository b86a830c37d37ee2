"""What a backend offers beside counting: its counts can be read, added to and reset while others
count.
"""

from collections.abc import Iterable
from typing import Protocol

from .counter import Counter
from .record import Counts


class Store(Protocol):
    """Counts that can be read and moved. Every method but `close` raises CounterError when the
    store cannot be used.
    """

    def counts(self) -> Counts:
        """Return everything that is kept, each file as of one moment, without holding up those who
        count.
        """

    def add(self, counts: Counts) -> None:
        """Add *counts* to what is kept."""

    def reset(self, paths: Iterable[str] | None = None) -> None:
        """Forget *paths*, or everything; their next access is number 1 again."""

    def close(self) -> None:
        """Release the store. Calls after the first do nothing."""


class CountingStore(Counter, Store, Protocol):
    """A counter whose counts can be read."""
