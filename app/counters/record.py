"""What is kept of each file, and what a store tells about itself when it is read."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .counter import Kind

SECONDS_PER_DAY = 86400

#: The status that goes without saying when `Counter.count` is called with a kind. HEAD may be 200
#: or 304.
STATUS_OF_KIND = {Kind.FULL: 200, Kind.PARTIAL: 206, Kind.NOT_MODIFIED: 304, Kind.RESUMED: 206}


class CounterError(Exception):
    """A store that cannot be used; the text is one line, fit to be shown, and holds no credentials."""


@dataclass(slots=True)
class FileRecord:
    """The counts of one file. Times are whole seconds since the epoch, 0 before the first access."""

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

    def add(self, other: "FileRecord") -> None:
        """Add what *other* counted, as if both had been one file all along."""
        self.full += other.full
        self.partial += other.partial
        self.not_modified += other.not_modified
        self.resumed += other.resumed
        self.head += other.head
        self.first = min(self.first or other.first, other.first or self.first)
        self.last = max(self.last, other.last)
        for day, accesses in other.days.items():
            self.days[day] = self.days.get(day, 0) + accesses

    def raise_to(self, other: "FileRecord") -> bool:
        """Raise what is lower than in *other*, an earlier state of the same file. Returns True if
        anything was.
        """
        before = (
            self.full,
            self.partial,
            self.not_modified,
            self.resumed,
            self.head,
            dict(self.days),
        )
        self.full = max(self.full, other.full)
        self.partial = max(self.partial, other.partial)
        self.not_modified = max(self.not_modified, other.not_modified)
        self.resumed = max(self.resumed, other.resumed)
        self.head = max(self.head, other.head)
        self.first = min(self.first or other.first, other.first or self.first)
        self.last = max(self.last, other.last)
        for day, accesses in other.days.items():
            self.days[day] = max(self.days.get(day, 0), accesses)
        return before != (
            self.full,
            self.partial,
            self.not_modified,
            self.resumed,
            self.head,
            self.days,
        )


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
