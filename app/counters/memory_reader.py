"""Every answer from counts in memory, as of one moment: the readable definition of reading."""

from collections.abc import Mapping, Sequence
from typing import Any

from .contract import STATUS_OF_KIND
from .memory_tallies import File, Site
from .missed import most_missed
from .periods import (
    HOURS_KEPT_DAYS,
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
from .ranking import Query, page
from .reading import (
    NUMBER_OF_ORDER,
    DirectoryAnswer,
    FileAnswer,
    FileNumbers,
    Missed,
    RankedFile,
    Ranking,
    Series,
    Totals,
    client_days,
)
from .tally import Tally, number


class MemoryReader:
    """Answers from *files* by path and *site*, which must not change meanwhile.

    *newest_day* is the last one that was counted on, *oldest_day* the first one that is kept.
    """

    def __init__(
        self, files: Mapping[str, File], site: Site, now: int, newest_day: int, oldest_day: int
    ) -> None:
        self._files = files
        self._site = site
        self._now = now
        self._oldest_day = oldest_day
        self._oldest_hour = max(0, (newest_day - HOURS_KEPT_DAYS + 1) * 24)

    def totals(self) -> Totals:
        now, site = self._now, self._site
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

    def series(self, unit: Unit, period: Period, path: str | None) -> Series | None:
        if unit == "hour" and path is not None:
            raise ValueError("hours are kept of the site alone")
        file = None if path is None else self._files.get(path)
        if path is not None and file is None:
            return None
        days = self._site.days if file is None else file.days
        found = self._site.hours if unit == "hour" else by_unit(unit, days, period)
        now = unit_of(unit, self._now)
        oldest = (
            self._oldest_hour
            if unit == "hour"
            else unit_of(unit, self._oldest_day * SECONDS_PER_DAY)
        )
        units = range(
            max(units_of(unit, period)[0], oldest), min(units_of(unit, period)[-1], now) + 1
        )
        points = tuple((at, Tally(found.get(at, 0))) for at in units)
        return Series(**self._standing(period), unit=unit, path=path, points=points)

    def ranked(self, query: Query) -> Ranking:
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
        return Ranking(
            **self._standing(query.period),
            order=query.order,
            period=query.period,
            unit=query.unit,
            matched=chosen.matched,
            rows=rows,
            next=chosen.next(query, values, [row.path for row in rows]),
        )

    def file(self, path: str, period: Period | None) -> FileAnswer | None:
        file = self._files.get(path)
        if file is None:
            return None
        place = (-number(file.total, "accesses"), path)
        ahead = sum(
            (-number(other.total, "accesses"), name) < place for name, other in self._files.items()
        )
        return FileAnswer(
            **self._standing(period),
            file=FileNumbers(**self._numbers(path, file, period)),
            today=Tally(file.days.get(self._now // SECONDS_PER_DAY, 0)),
            rank=ahead + 1,
        )

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        found = map(self._files.get, paths)
        return [
            None if file is None else (file.first, file.last, Tally(file.total)) for file in found
        ]

    def directory(self, path: str) -> DirectoryAnswer:
        if not path.endswith("/"):
            raise ValueError("a directory's path ends with a slash")
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
        return Missed(**self._standing(None), names=most_missed(self._site.missed))

    def _standing(self, period: Period | None) -> dict[str, Any]:
        """Return what every answer says of itself."""
        site = self._site
        meant = site.total if period is None else sum(within(site.days, period).values())
        since = site.detailed_since
        return {
            "as_of": self._now,
            "uncounted": number(meant, "uncounted"),
            "uncounted_sent": number(meant, "uncounted_sent"),
            "detailed_since": since if since and (period is None or period.first < since) else None,
        }

    def _numbers(self, path: str, file: File, period: Period | None) -> dict[str, Any]:
        numbers: dict[str, Any] = {"path": path, "first": file.first, "last": file.last}
        if period is None:
            return {**numbers, "tally": Tally(file.total)}
        days = within(file.days, period)
        last = min(period.last, self._now // SECONDS_PER_DAY)
        clients = client_days({day: Tally(lanes) for day, lanes in days.items()}, last)
        return {**numbers, "tally": Tally(sum(days.values())), "clients": clients}

    def _row(self, path: str, file: File, query: Query, rank: int) -> RankedFile:
        series: tuple[int, ...] = ()
        if query.period is not None:
            found = by_unit(query.unit, file.days, query.period)
            series = tuple(
                number(found.get(unit, 0), "accesses")
                for unit in units_of(query.unit, query.period)
            )
        return RankedFile(**self._numbers(path, file, query.period), rank=rank, series=series)

    def _value(self, file: File, query: Query) -> int:
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
