"""What a counter promises: the protocol, the kinds of answer, and what is kept of each file.

1. Numbers handed out for a path are 1, 2, 3, ...: distinct and without gaps, whichever thread,
   process or host asks.
2. An access that was answered is counted once: not lost and not doubled when a thread, worker or
   host dies or a call is retried.
3. A value read after `count` returned includes it.
4. Values never fall.

`tests/counters/test_contract.py` runs against every backend.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from operator import add
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

#: The names of the kinds, in the order in which every store keeps them.
KINDS = tuple(kind.value for kind in Kind)

#: Called with the access's number, or None when the number is not known yet (a remote store that is
#: away).
Announce = Callable[[int | None], None]


SECONDS_PER_DAY = 86400

#: The status that goes without saying when `Counter.count` is called with a kind. HEAD may be 200
#: or 304.
STATUS_OF_KIND = {Kind.FULL: 200, Kind.PARTIAL: 206, Kind.NOT_MODIFIED: 304, Kind.RESUMED: 206}


class CounterError(Exception):
    """A store that cannot be used. The text is one line, fit to be shown, without credentials."""


@dataclass(slots=True)
class FileRecord:
    """The counts of one file: of each of KINDS, then times, then accesses by day.

    Times are whole seconds since the epoch, 0 before the first access.
    """

    full: int = 0
    partial: int = 0
    not_modified: int = 0
    resumed: int = 0
    head: int = 0
    first: int = 0
    last: int = 0
    #: Accesses by day, counted in days since 1970-01-01 UTC.
    days: dict[int, int] = field(default_factory=dict)

    @property
    def accesses(self) -> int:
        return self.full + self.partial + self.not_modified

    @classmethod
    def of(cls, numbers: Iterable[int], days: dict[int, int]) -> "FileRecord":
        """Return the record with what `numbers` returned for it."""
        *kinds, first, last = numbers
        record = cls(first=first, last=last, days=days)
        for kind, answers in zip(KINDS, kinds, strict=True):
            setattr(record, kind, answers)
        return record

    def numbers(self) -> tuple[int, ...]:
        """Return all but the days: the answers of each kind, in the order of KINDS, first, last."""
        return (*(getattr(self, kind) for kind in KINDS), self.first, self.last)

    def add(self, other: "FileRecord") -> None:
        """Add what *other* counted, as if both had been one file all along."""
        self._merge(other, add)

    def raise_to(self, other: "FileRecord") -> bool:
        """Raise what is lower than in *other*, an earlier state of the same file.

        Returns True if anything was.
        """
        before = self.numbers(), dict(self.days)
        self._merge(other, max)
        return before != (self.numbers(), self.days)

    def _merge(self, other: "FileRecord", merged: Callable[[int, int], int]) -> None:
        for kind in KINDS:
            setattr(self, kind, merged(getattr(self, kind), getattr(other, kind)))
        self.first = min(self.first or other.first, other.first or self.first)
        self.last = max(self.last, other.last)
        for day, accesses in other.days.items():
            self.days[day] = merged(self.days.get(day, 0), accesses)


@dataclass(slots=True)
class Counts:
    """Everything a store holds: the files by path, and the answers by status code that no kind
    stands for.
    """

    files: dict[str, FileRecord] = field(default_factory=dict)
    #: What `Counter.answered` recorded. `all_statuses` has the files' answers too.
    other_statuses: dict[int, int] = field(default_factory=dict)

    def all_statuses(self) -> dict[int, int]:
        """Return every answer by its status code, in the order of the codes."""
        statuses = dict(self.other_statuses)
        for record in self.files.values():
            for kind, status in STATUS_OF_KIND.items():
                statuses[status] = statuses.get(status, 0) + int(getattr(record, kind.value))
        return {status: statuses[status] for status in sorted(statuses) if statuses[status]}

    def add(self, other: "Counts") -> None:
        for path, record in other.files.items():
            self.files.setdefault(path, FileRecord()).add(record)
        for status, answers in other.other_statuses.items():
            self.other_statuses[status] = self.other_statuses.get(status, 0) + answers

    def only(self, paths: Iterable[str]) -> "Counts":
        """Return the part that belongs to *paths*, without the statuses."""
        return Counts({path: self.files[path] for path in paths if path in self.files})


def day_text(day: int) -> str:
    """Return a day as 2026-11-22."""
    return datetime.fromtimestamp(day * SECONDS_PER_DAY, UTC).date().isoformat()


def day_number(text: str) -> int:
    """Return the day that *text* (2026-11-22) names. Raises ValueError."""
    return int(datetime.fromisoformat(text + "T00:00:00+00:00").timestamp()) // SECONDS_PER_DAY


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

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how many accesses each of *paths* has had by now, 0 for one that had none.

        What is not known at the moment, because the store is away, is left out. Never raises.
        """

    def close(self) -> None:
        """Write down what is still held and release the store. Calls after the first do nothing."""


class Store(Protocol):
    """Counts that can be read and moved.

    Every method but `close` raises CounterError when the store cannot be used.
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
