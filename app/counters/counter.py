"""What a counter promises: the protocol that the application counts with, and that every backend
keeps.

1. Numbers handed out for a path are 1, 2, 3, ...: distinct and without gaps, whichever thread,
process or host asks. 2. An access that was answered is counted once: not lost and not doubled when
a thread, worker or host dies or a call
   is retried.
3. A value read after `count` returned includes it. 4. Values never fall.

`tests/counters/test_contract.py` runs against every backend.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol


class Kind(Enum):
    """What became of a request for a file, as the store keeps it apart.

    The first three are accesses and get a number; the others are only kept.
    """

    FULL = "full"
    PARTIAL = "partial"  # 206 with the first byte in it
    NOT_MODIFIED = "not_modified"
    RESUMED = "resumed"  # 206 that begins later in the file
    HEAD = "head"


#: The kinds that are an access, and so get a number.
ACCESSES = frozenset({Kind.FULL, Kind.PARTIAL, Kind.NOT_MODIFIED})

#: Called with the access's number, or None when the number is not known yet (a remote store that is
#: away).
Announce = Callable[[int | None], None]


class Counter(Protocol):
    """Exact counts. Safe from any thread; opened anew after a fork by itself."""

    def count(self, path: str, kind: Kind, announce: Announce | None = None) -> int | None:
        """Record one answer of *kind* for *path*, and return the access's number.

        *path* is the file's own URL path, percent-encoded (ASCII). Returns None for a kind that is
        no access, and for an access whose number is not known yet. For an access, *announce* is
        called exactly once with the same value before the call returns; for one path the calls come
        in the order of the numbers within a process. *announce* must be quick and must not raise.
        Never raises: a store that fails is the store's own affair (the answer goes out, the access
        is told as uncounted).
        """

    def answered(self, status: int) -> None:
        """Record one answer by its status code. Never raises.

        For every answer but those whose kind tells it to `count`: 200 (FULL), 206 (PARTIAL,
        RESUMED) and 304 (NOT_MODIFIED). A HEAD's status is told here too.
        """

    def close(self) -> None:
        """Write down what is still held and release the store. Calls after the first do nothing."""
