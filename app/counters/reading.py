"""Reading counts: what can be asked of a store, and the answers.

No question needs the whole store. Each answer belongs to one moment and says which (`as_of`), and
whether anything is missing from it: accesses that a failing store did not count (`uncounted`), and
accesses that wait on this host for a remote store (`pending`).

Days are UTC days since 1970-01-01, times are seconds since the epoch, and 0 stands for never.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, get_args

from .client_rows import MOST_CLIENTS
from .contract import Class, Counter
from .periods import Period, Unit, day_text
from .tally import Tally

#: What files may be ranked by: the largest first, but `first` from the earliest first access on,
#: and `path` in the order of the names.
Order: TypeAlias = Literal["accesses", "completed", "bytes", "clients", "last", "first", "path"]
ORDERS: tuple[Order, ...] = get_args(Order)

#: The number by which an order ranks; the other orders rank by no sum.
NUMBER_OF_ORDER: dict[Order, str] = {
    "accesses": "accesses",
    "completed": "completed",
    "bytes": "sent_bytes",
    "clients": "clients",
}

#: A period of more days is drawn by months.
MOST_DAYS_BY_DAY = 92
#: Of a page that is shown, and of one that a program of ours reads.
MOST_ROWS = 1000
MOST_LISTED = 100_000


def waiting_text(accesses: int) -> str:
    """Say how many accesses wait on this host for the remote store."""
    wait = "access waits" if accesses == 1 else "accesses wait"
    return f"{accesses} {wait} on this host and will be counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answer says of itself."""

    as_of: int
    #: Accesses that were answered and not counted, within the answer's time.
    uncounted: int = 0
    #: Ends of transfers that were not counted: at most this many are missing from `completed`, and
    #: their bytes from the sent ones.
    uncounted_sent: int = 0
    #: Accesses that wait on this host for the remote store, and will be counted.
    pending: int = 0
    #: Class, completed and bytes are kept from this day on; None: from the first access on.
    detailed_since: int | None = None

    @property
    def exact(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Say in a line each why the answer is not exact."""
        reasons = []
        if self.uncounted:
            were = "access was" if self.uncounted == 1 else "accesses were"
            reasons.append(f"{self.uncounted} {were} not counted, because the store failed")
        if self.uncounted_sent:
            were = "transfer was" if self.uncounted_sent == 1 else "transfers were"
            reasons.append(
                f"the end of {self.uncounted_sent} {were} not counted, because the store failed"
            )
        if self.pending:
            reasons.append(waiting_text(self.pending))
        if self.detailed_since is not None:
            since = day_text(self.detailed_since)
            reasons.append(f"classes, completed downloads and bytes are kept since {since}")
        return reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals(Answer):
    """The site: the sum of its files, and what was counted on the current UTC day and in the
    current hour.
    """

    tally: Tally
    today: Tally
    hour: Tally
    files: int
    #: First and last access.
    first: int
    last: int
    #: Every answer by its status code.
    statuses: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series(Answer):
    """A curve: of the site, or of the file at *path*."""

    unit: Unit
    path: str | None
    #: The number of each hour, day or month (see `periods`) with its tally, none left out.
    points: tuple[tuple[int, Tally], ...]


@dataclass(frozen=True, slots=True)
class ClientDays:
    """Distinct clients of a file by UTC day. A sum over days would count a client once for each."""

    mean_per_day: int
    highest: int
    highest_day: int

    @property
    def is_more(self) -> bool:
        """There were more than were told apart."""
        return self.highest > MOST_CLIENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNumbers:
    """A file, over the period that was asked for. *first* and *last* are of all its accesses."""

    path: str
    tally: Tally
    first: int
    last: int
    #: Over the period; None when there is no period, or no clients were counted.
    clients: ClientDays | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedFile(FileNumbers):
    """A row of a ranking. Files that are equal by its order are ranked by their paths."""

    rank: int
    #: Accesses by day or month of the period; empty when there is no period.
    series: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking(Answer):
    """A page of a list of files."""

    order: Order
    period: Period | None
    #: Of the rows' series.
    unit: Unit
    #: Files in the whole list.
    matched: int
    rows: tuple[RankedFile, ...]
    #: Asks for the rows that follow; "" when there are none.
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer(Answer):
    """One file in full."""

    file: FileNumbers
    today: Tally
    #: Among all files, by accesses.
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryAnswer(Answer):
    """Everything below a directory, added up."""

    path: str
    files: int
    tally: Tally
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Answer):
    """What was asked for and is not there, and at least how often: the most first."""

    names: Mapping[str, int]


class CountReader(Protocol):
    """Every method may raise CounterError when the store cannot be read. Safe from any thread."""

    def totals(self) -> Totals:
        """Return the site's numbers, in constant time."""

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        """Return the curve of the site, or of the file at *path*; None when no such file was
        counted.

        Hours are kept of the site alone, and for 90 days. Raises ValueError for the hours of a
        file.
        """

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        """Return files in an *order*: all that were counted or, with a *period*, those with
        accesses in it.

        *match* keeps the paths that it is a part of or, if it has one of `*?[`, that it matches as
        a whole, in which `*` stands for slashes too. With *classes*, only their accesses are looked
        at, also for the order. At most *limit* rows (1 to 100,000); *after* is the `next` of the
        page before, with the same other arguments.

        Pages hold together while others count: a file is never on two of them. One that overtakes
        the page boundary in between is on neither, as its place is on a page that was read already.
        Raises ValueError, with a line fit to be shown, for arguments that cannot be.
        """

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        """Return the file's numbers, over a *period* or in all; None when it was never counted."""

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        """Return the first and last access and all numbers of each of *paths*, None for one that
        was never counted. It takes no look at other files.
        """

    def directory(self, path: str) -> DirectoryAnswer:
        """Return the sum of all files whose paths begin with *path*, which ends with a slash."""

    def missed(self) -> Missed:
        """Return the names that are not there and were asked for most; see `missed.py`."""


@dataclass(slots=True)
class FileRecord:
    """Everything that is kept of one file."""

    total: Tally = field(default_factory=Tally)
    first: int = 0
    last: int = 0
    #: By day; with `--keep-days` they are fewer than the total.
    days: dict[int, Tally] = field(default_factory=dict)

    def add(self, other: "FileRecord") -> None:
        """Add what *other* counted, as if both had been one file all along."""
        self.total += other.total
        self.first = min(self.first or other.first, other.first or self.first)
        self.last = max(self.last, other.last)
        add_to(self.days, other.days)


@dataclass(slots=True)
class SiteRecord:
    """What is kept of the site and does not follow from its files."""

    #: By hour and by day.
    hours: dict[int, Tally] = field(default_factory=dict)
    days: dict[int, Tally] = field(default_factory=dict)
    #: The answers that `Counter.answered` recorded.
    statuses: dict[int, int] = field(default_factory=dict)
    #: The day from which on class, completed and bytes are kept; 0: from the first access on.
    detailed_since: int = 0


#: What is kept of the site beside its files, and the files.
Contents: TypeAlias = tuple[SiteRecord, Iterator[tuple[str, FileRecord]]]


class Store(CountReader, Protocol):
    """Counts that can be read and moved while servers count.

    Every method but `close` raises CounterError when the store cannot be used.
    """

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        """Record what a failing store did not count at the time *at*, once it works again."""

    def add_missed(self, names: Mapping[str, int]) -> None:
        """Add how often names that are not there were asked for. They are not moved elsewhere."""

    def contents(self) -> Contents:
        """Return what is kept of the site, and every file once, in any order.

        All of it is as of one moment where the store can do that; else each file is. A store
        outside this process reads the files while they are asked for, so that only a few of them
        are in memory.
        """

    def add(
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        """Add files and, with *site*, what is kept of the site beside them. Each path comes once.

        Without *site*, the site's days are the sums of the files' days, and it has no hours.
        When *records* raises, nothing was added.
        """

    def reset(self, paths: Iterable[str] | None = None) -> None:
        """Forget *paths*, or everything; their next access is number 1 again.

        The site's totals fall by what the files had. Its curves stay: what was counted by day and
        hour did happen.
        """

    def close(self) -> None:
        """Release the store. Calls after the first do nothing."""


class CountingStore(Counter, Store, Protocol):
    """A counter whose counts can be read. The methods here never raise."""

    def pending(self) -> int:
        """Return how many accesses wait on this host, also while the store is away."""

    def is_counting(self) -> bool:
        """Return False while accesses go uncounted, as nothing takes them. May try the store."""


def add_to(tallies: dict[int, Tally], others: Mapping[int, Tally]) -> None:
    """Add *others* to *tallies*, each to the one of its unit."""
    for unit, tally in others.items():
        tallies[unit] = tallies.get(unit, Tally()) + tally


def client_days(days: Mapping[int, Tally], last_day: int) -> ClientDays | None:
    """Return the clients by day, from the first of *days* that has any to *last_day*; None when
    none has.
    """
    counted = {day: tally["clients"] for day, tally in days.items() if tally["clients"]}
    if not counted:
        return None
    highest_day = max(counted, key=lambda day: (counted[day], -day))
    mean = round(sum(counted.values()) / (last_day - min(counted) + 1))
    return ClientDays(mean, counted[highest_day], highest_day)
