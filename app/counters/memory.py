"""Counts of one process, in dicts under a lock: the readable definition of the contract.

What reading and moving need is imported when somebody does: a start has no time for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any

from .. import after_fork
from .client_rows import client_hash, counted, sent_more
from .contract import ACCESSES, Announce, Class, Count, CounterError, Kind
from .memory_tallies import File, Site
from .missed import add_names
from .periods import HOURS_KEPT_DAYS, SECONDS_PER_DAY, SECONDS_PER_HOUR, Period, Unit
from .salts import MemorySalts
from .tally import COMPLETED, DELTAS, LIMIT, MASK, SENT_BYTE, Tally, lanes_of, number

if TYPE_CHECKING:
    from .memory_reader import MemoryReader
    from .reading import (
        DirectoryAnswer,
        FileAnswer,
        FileRecord,
        Missed,
        Order,
        Ranking,
        Series,
        SiteRecord,
        Totals,
    )


@lru_cache(4096)
def _lanes(kind: Kind, class_: Class, complete: bool, sent: int) -> int:
    """Return what an answer adds. Most files are sent whole again and again."""
    return DELTAS[kind][class_][complete] + sent * SENT_BYTE


class MemoryCounter:
    """Counts that begin at 0 with the process and end with it.

    Only the last *keep_days* UTC days are kept, today among them; None: all.
    """

    #: One lock is no dearer than another.
    pays_together_from = 0

    def __init__(self, *, keep_days: int | None = None, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._keep_days = keep_days
        self._files: dict[str, File] = {}
        self._site = Site()
        self._salts = MemorySalts()
        self._newest_day = 0
        #: The hour to which all waiting numbers belong; see `_settle`.
        self._hour = 0
        self._waiting: list[File] = []
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        # A lock that another thread held during the fork would stay locked in the child for good.
        self._lock = Lock()

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
        lanes = _lanes(kind, class_, complete, sent)
        at = at or int(self._clock())
        with self._lock:
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = File()
            if client is not None:
                lanes += self._count_client(file, client, kind, at, sent, enough)
            self._book(file, lanes, at)
            if kind not in ACCESSES:
                return None
            if at > file.last:
                file.last = at
            if at < file.first or not file.first:
                file.first = at
            its_number = file.total & MASK  # the accesses, which are the first
            if announce is not None:
                announce(its_number)
            return its_number

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
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
        day = at // SECONDS_PER_DAY
        with self._lock:
            if at // SECONDS_PER_HOUR != self._hour:
                self._settle()
            file = self._files.get(path)
            if file is None or not _was_begun(file.days.get(day, 0) + file.waiting, kind):
                return  # nothing to add it to: the file was reset, or its day is not kept
            lanes = sent * SENT_BYTE + (COMPLETED[kind] if complete else 0)
            if client is not None and (salt := self._salts.of(day)):
                rows, key = file.clients.get(day, {}), client_hash(client, salt)
                row, grown = sent_more(rows.get(key), sent, enough)
                if row is not None:
                    rows[key] = row
                lanes += grown
            self._book(file, lanes, at)

    def answered(self, status: int, answers: int = 1) -> None:
        with self._lock:
            self._site.statuses[status] = self._site.statuses.get(status, 0) + answers

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        with self._lock:
            self._book(File(), lanes_of(uncounted=accesses, uncounted_sent=transfers), at)

    def add_missed(self, names: Mapping[str, int]) -> None:
        with self._lock:
            self._site.missed = add_names(self._site.missed, names)

    def _count_client(
        self, file: File, client: bytes, kind: Kind, at: int, sent: int, enough: int
    ) -> int:
        """Note the client of an answer; return what the file's tally grows by."""
        day = at // SECONDS_PER_DAY
        salt = self._salts.of(day)
        if salt is None:
            return 0
        rows = file.clients.setdefault(day, {})
        key = client_hash(client, salt)
        row, grown = counted(
            rows.get(key),
            kind,
            at,
            sent,
            enough,
            number(file.days.get(day, 0) + file.waiting, "clients"),
        )
        if row is not None:
            rows[key] = row
        return grown

    def _book(self, file: File, lanes: int, at: int) -> None:
        """Add to a file. Its day and the site follow when somebody reads, or the hour changes."""
        if at // SECONDS_PER_HOUR != self._hour:
            self._settle()
            self._hour = at // SECONDS_PER_HOUR
        if not file.waiting:
            self._waiting.append(file)
        file.waiting += lanes
        file.total += lanes

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """Hold the lock, with everything added to its day and hour."""
        with self._lock:
            self._settle()
            yield

    def _settle(self) -> None:
        hour, day = self._hour, self._hour // 24
        grown = 0
        for file in self._waiting:
            file.days[day] = file.days.get(day, 0) + file.waiting
            grown += file.waiting
            file.waiting = 0
        self._waiting.clear()
        site = self._site
        if grown:
            site.total += grown
            site.days[day] = site.days.get(day, 0) + grown
            site.hours[hour] = site.hours.get(hour, 0) + grown
        if day > self._newest_day:
            self._newest_day = day
            self._forget_old()

    def _forget_old(self) -> None:
        oldest_hour = (self._newest_day - HOURS_KEPT_DAYS + 1) * 24
        oldest_day = self._oldest_day()
        _drop_before(self._site.hours, oldest_hour)
        _drop_before(self._site.days, oldest_day)
        for file in self._files.values():
            _drop_before(file.days, oldest_day)
            _drop_before(file.clients, self._newest_day)

    def _oldest_day(self) -> int:
        return 0 if self._keep_days is None else max(0, self._newest_day - self._keep_days + 1)

    # Reading

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        with self._settled():
            files = self._files
            return {
                path: number(files[path].total, "accesses") if path in files else 0
                for path in paths
            }

    def pending(self) -> int:
        return 0

    def is_counting(self) -> bool:
        return True

    def totals(self) -> "Totals":
        with self._reading() as reader:
            return reader.totals()

    def series(self, unit: Unit, period: Period, path: str | None = None) -> "Series | None":
        with self._reading() as reader:
            return reader.series(unit, period, path)

    def ranked(
        self,
        order: "Order" = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> "Ranking":
        from .ranking import Query

        query = Query.of(order, period, match, after, limit, classes)
        with self._reading() as reader:
            return reader.ranked(query)

    def file(self, path: str, period: Period | None = None) -> "FileAnswer | None":
        with self._reading() as reader:
            return reader.file(path, period)

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        with self._reading() as reader:
            return reader.tallies(paths)

    def directory(self, path: str) -> "DirectoryAnswer":
        with self._reading() as reader:
            return reader.directory(path)

    def missed(self) -> "Missed":
        with self._reading() as reader:
            return reader.missed()

    @contextmanager
    def _reading(self) -> "Iterator[MemoryReader]":
        from .memory_reader import MemoryReader

        with self._settled():
            yield MemoryReader(
                self._files, self._site, int(self._clock()), self._newest_day, self._oldest_day()
            )

    # Moving

    def contents(self) -> "tuple[SiteRecord, Iterator[tuple[str, FileRecord]]]":
        from .reading import FileRecord, SiteRecord

        with self._settled():
            own = self._site
            site = SiteRecord(
                _tallies(own.hours), _tallies(own.days), dict(own.statuses), own.detailed_since
            )
            records = [
                (path, FileRecord(Tally(file.total), file.first, file.last, _tallies(file.days)))
                for path, file in sorted(self._files.items())
            ]
        return site, iter(records)

    def add(
        self, records: "Iterable[tuple[str, FileRecord]]", site: "SiteRecord | None" = None
    ) -> None:
        from .reading import FileRecord

        added = dict(records)
        with self._settled():
            own = self._site
            total = sum((record.total.lanes for record in added.values()), own.total)
            if max(Tally(total)) >= LIMIT:
                raise CounterError("counts: these are too many to be added")
            own.total = total
            for path, record in added.items():
                file = self._files.setdefault(path, File())
                whole = FileRecord(Tally(file.total), file.first, file.last)
                whole.add(record)
                file.total, file.first, file.last = whole.total.lanes, whole.first, whole.last
                _add(file.days, record.days)
                if site is None:
                    _add(own.days, record.days)
            if site is not None:
                _add(own.days, site.days)
                _add(own.hours, site.hours)
                own.total += sum(lanes_of(**_uncounted(day)) for day in site.days.values())
                own.detailed_since = max(own.detailed_since, site.detailed_since)
                for status, answers in site.statuses.items():
                    own.statuses[status] = own.statuses.get(status, 0) + answers

    def reset(self, paths: Iterable[str] | None = None) -> None:
        with self._settled():
            if paths is None:
                self._files, self._site = {}, Site()
                return
            for path in paths:
                file = self._files.pop(path, None)
                self._site.total -= 0 if file is None else file.total

    def close(self) -> None:
        """Nothing is held."""


def _was_begun(day: int, kind: Kind) -> bool:
    """Return whether an answer of *kind* can still be under way: more were begun on its day than
    were completed. A probe completes nothing, so one that was counted may be under way.
    """
    if kind == "probe":
        return number(day, "probe") > 0
    if kind == "resumed":
        return number(day, "resumed") > number(day, "resumed_completed")
    return number(day, "accesses") - number(day, "not_modified") > number(day, "completed")


def _uncounted(day: Tally) -> dict[str, int]:
    """Return the numbers that are the site's alone."""
    return {name: day[name] for name in ("uncounted", "uncounted_sent")}


def _drop_before(kept: dict[int, Any], oldest: int) -> None:
    for unit in [unit for unit in kept if unit < oldest]:
        del kept[unit]


def _tallies(kept: Mapping[int, int]) -> dict[int, Tally]:
    return {unit: Tally(kept[unit]) for unit in sorted(kept)}


def _add(kept: dict[int, int], others: Mapping[int, Tally]) -> None:
    for unit, tally in others.items():
        kept[unit] = kept.get(unit, 0) + tally.lanes
