"""Counts of one process, in dicts under a lock: the readable definition of the contract."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from time import time
from typing import Any

from .. import after_fork
from .client_rows import client_hash, counted, sent_more
from .contract import ACCESSES, STATUS_OF_KIND, Announce, Class, CounterError, Kind
from .missed import add_names, most_missed
from .periods import (
    LAST_SECOND,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    Period,
    Unit,
    by_unit,
    unit_of,
    units_of,
    within,
)
from .ranking import Cursor, Query, page
from .reading import (
    HOURS_KEPT_DAYS,
    NUMBER_OF_ORDER,
    DirectoryAnswer,
    FileAnswer,
    FileNumbers,
    FileRecord,
    Missed,
    Order,
    RankedFile,
    Ranking,
    Series,
    SiteRecord,
    Totals,
    client_days,
)
from .salts import MemorySalts
from .tally import COMPLETED, DELTAS, LIMIT, MASK, SENT_BYTE, Tally, lanes_of, number


@dataclass(slots=True)
class _File:
    """Tallies as integers; see `tally.py`."""

    total: int = 0
    #: Counted, but not yet added to `days`.
    waiting: int = 0
    first: int = 0
    last: int = 0
    days: dict[int, int] = field(default_factory=dict)
    #: By day, and by the client's hash.
    clients: dict[int, dict[bytes, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class _Site:
    total: int = 0
    days: dict[int, int] = field(default_factory=dict)
    hours: dict[int, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    detailed_since: int = 0


@lru_cache(4096)
def _lanes(kind: Kind, class_: Class, complete: bool, sent: int) -> int:
    """Return what an answer adds. Most files are sent whole again and again."""
    return DELTAS[kind][class_][complete] + sent * SENT_BYTE


class MemoryCounter:
    """Counts that begin at 0 with the process and end with it.

    Only the last *keep_days* UTC days are kept, today among them; None: all.
    """

    def __init__(self, *, keep_days: int | None = None, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._keep_days = keep_days
        self._files: dict[str, _File] = {}
        self._site = _Site()
        self._salts = MemorySalts()
        self._newest_day = 0
        #: The hour to which all waiting numbers belong; see `_settle`.
        self._hour = 0
        self._waiting: list[_File] = []
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
                file = self._files[path] = _File()
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
        with self._settled():
            file = self._files.get(path)
            if file is None or not _was_begun(Tally(file.days.get(day, 0)), kind):
                return  # nothing to add it to: the file was reset, or its day is not kept
            lanes = sent * SENT_BYTE + (COMPLETED[kind] if complete else 0)
            if client is not None and (salt := self._salts.of(day)):
                rows, key = file.clients.get(day, {}), client_hash(client, salt)
                row, grown = sent_more(rows.get(key), sent, enough)
                if row is not None:
                    rows[key] = row
                lanes += grown
            self._book(file, lanes, at)

    def answered(self, status: int) -> None:
        with self._lock:
            self._site.statuses[status] = self._site.statuses.get(status, 0) + 1

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        with self._lock:
            self._book(_File(), lanes_of(uncounted=accesses, uncounted_sent=transfers), at)

    def add_missed(self, names: Mapping[str, int]) -> None:
        with self._lock:
            self._site.missed = add_names(self._site.missed, names)

    def _count_client(
        self, file: _File, client: bytes, kind: Kind, at: int, sent: int, enough: int
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

    def _book(self, file: _File, lanes: int, at: int) -> None:
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

    def totals(self) -> Totals:
        with self._settled():
            now, site = int(self._clock()), self._site
            files = self._files.values()
            statuses = dict(site.statuses)
            for kind, status in STATUS_OF_KIND.items():
                if times := Tally(site.total).kinds[kind]:
                    statuses[status] = statuses.get(status, 0) + times
            return Totals(
                **self._standing(None),
                tally=Tally(site.total),
                today=Tally(site.days.get(now // SECONDS_PER_DAY, 0)),
                hour=Tally(site.hours.get(now // SECONDS_PER_HOUR, 0)),
                files=len(files),
                first=min((file.first for file in files if file.first), default=0),
                last=max((file.last for file in files), default=0),
                statuses={status: statuses[status] for status in sorted(statuses)},
            )

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        if unit == "hour" and path is not None:
            raise ValueError("hours are kept of the site alone")
        with self._settled():
            file = None if path is None else self._files.get(path)
            if path is not None and file is None:
                return None
            days = self._site.days if file is None else file.days
            found = self._site.hours if unit == "hour" else by_unit(unit, days, period)
            now = unit_of(unit, int(self._clock()))
            oldest = (
                self._oldest_hour()
                if unit == "hour"
                else unit_of(unit, self._oldest_day() * SECONDS_PER_DAY)
            )
            units = range(
                max(units_of(unit, period)[0], oldest), min(units_of(unit, period)[-1], now) + 1
            )
            points = tuple((at, Tally(found.get(at, 0))) for at in units)
            return Series(**self._standing(period), unit=unit, path=path, points=points)

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        query = Query.of(order, period, match, after, limit, classes)
        with self._settled():
            paths = sorted(self._files)
            files = [self._files[path] for path in paths]
            wanted = query.pattern()
            values = [
                self._value(file, query) if wanted is None or wanted.search(path) else -1
                for path, file in zip(paths, files, strict=True)
            ]
            chosen = page(paths, values, query)
            rows = tuple(
                self._row(paths[place], files[place], query, rank)
                for rank, place in enumerate(chosen.places, chosen.ahead + 1)
            )
            follows = chosen.ahead + len(rows) < chosen.matched
            last = Cursor(values[chosen.places[-1]], rows[-1].path) if rows else Cursor(0, "")
            return Ranking(
                **self._standing(period),
                order=order,
                period=period,
                unit=query.unit,
                matched=chosen.matched,
                rows=rows,
                next=query.cursor_text(last) if follows else "",
            )

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        with self._settled():
            file = self._files.get(path)
            if file is None:
                return None
            place = (-number(file.total, "accesses"), path)
            ahead = sum(
                (-number(other.total, "accesses"), name) < place
                for name, other in self._files.items()
            )
            return FileAnswer(
                **self._standing(period),
                file=FileNumbers(**self._numbers(path, file, period)),
                today=Tally(file.days.get(int(self._clock()) // SECONDS_PER_DAY, 0)),
                rank=ahead + 1,
            )

    def directory(self, path: str) -> DirectoryAnswer:
        if not path.endswith("/"):
            raise ValueError("a directory's path ends with a slash")
        with self._settled():
            files = [file for name, file in self._files.items() if name.startswith(path)]
            return DirectoryAnswer(
                **self._standing(None),
                path=path,
                files=len(files),
                tally=Tally(sum(file.total for file in files)),
                first=min((file.first for file in files if file.first), default=0),
                last=max((file.last for file in files), default=0),
            )

    def missed(self) -> Missed:
        with self._settled():
            return Missed(**self._standing(None), names=most_missed(self._site.missed))

    def _standing(self, period: Period | None) -> dict[str, Any]:
        """Return what every answer says of itself."""
        site = self._site
        meant = site.total if period is None else sum(within(site.days, period).values())
        since = site.detailed_since
        return {
            "as_of": int(self._clock()),
            "uncounted": number(meant, "uncounted"),
            "uncounted_sent": number(meant, "uncounted_sent"),
            "detailed_since": since if since and (period is None or period.first < since) else None,
        }

    def _numbers(self, path: str, file: _File, period: Period | None) -> dict[str, Any]:
        numbers: dict[str, Any] = {"path": path, "first": file.first, "last": file.last}
        if period is None:
            return {**numbers, "tally": Tally(file.total)}
        days = within(file.days, period)
        last = min(period.last, int(self._clock()) // SECONDS_PER_DAY)
        clients = client_days({day: Tally(lanes) for day, lanes in days.items()}, last)
        return {**numbers, "tally": Tally(sum(days.values())), "clients": clients}

    def _row(self, path: str, file: _File, query: Query, rank: int) -> RankedFile:
        series: tuple[int, ...] = ()
        if query.period is not None:
            found = by_unit(query.unit, file.days, query.period)
            series = tuple(
                number(found.get(unit, 0), "accesses")
                for unit in units_of(query.unit, query.period)
            )
        return RankedFile(**self._numbers(path, file, query.period), rank=rank, series=series)

    def _value(self, file: _File, query: Query) -> int:
        """Return what a file is ranked by, -1 when it is not in the list."""
        tally = Tally(
            file.total if query.period is None else sum(within(file.days, query.period).values())
        )
        accesses = tally.accesses_of(query.classes)
        if not accesses and (query.period is not None or query.classes is not None):
            return -1
        if query.order == "accesses":
            return accesses
        if query.order in NUMBER_OF_ORDER:
            return tally[NUMBER_OF_ORDER[query.order]]
        if query.order == "first":
            return LAST_SECOND - file.first
        return file.last if query.order == "last" else 0

    def _oldest_hour(self) -> int:
        return max(0, (self._newest_day - HOURS_KEPT_DAYS + 1) * 24)

    # Moving

    def contents(self) -> tuple[SiteRecord, Iterator[tuple[str, FileRecord]]]:
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
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        added = dict(records)
        with self._settled():
            own = self._site
            total = sum((record.total.lanes for record in added.values()), own.total)
            if max(Tally(total)) >= LIMIT:
                raise CounterError("counts: these are too many to be added")
            own.total = total
            for path, record in added.items():
                file = self._files.setdefault(path, _File())
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
                self._files, self._site = {}, _Site()
                return
            for path in paths:
                file = self._files.pop(path, None)
                self._site.total -= 0 if file is None else file.total

    def close(self) -> None:
        """Nothing is held."""


def _was_begun(day: Tally, kind: Kind) -> bool:
    """Return whether an answer of *kind* can still be under way: more were begun on its day than
    were completed. A probe completes nothing, so one that was counted may be under way.
    """
    if kind == "probe":
        return day["probe"] > 0
    if kind == "resumed":
        return day["resumed"] > day["resumed_completed"]
    kinds = day.kinds
    return kinds["full"] + kinds["partial"] > day.completed


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
