"""Reading the counts in Redis: every answer of `reading.CountReader`.

What one script reads is of one moment. A list that needs every file, or a directory, is read in
parts, which are not of one moment together; each file's numbers are. It is kept, so that pages and
many readers cost one reading, and made anew in the background while somebody looks
(`kept_answers.py`).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any, NamedTuple

from ..contract import STATUS_OF_KIND, CounterError
from ..missed import most_missed
from ..month_block import FILES, MonthBlock
from ..periods import (
    HOURS_KEPT_DAYS,
    LAST_SECOND,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    Period,
    Unit,
    by_unit,
    first_day_of,
    month_of,
    unit_of,
    units_of,
    within,
)
from ..ranking import Cursor, Query, page
from ..reading import (
    Contents,
    DirectoryAnswer,
    FileAnswer,
    FileNumbers,
    FileRecord,
    Missed,
    RankedFile,
    Ranking,
    Series,
    SiteRecord,
    Totals,
    client_days,
)
from ..tally import PLACE, Tally, number
from . import scripts
from .entries import read_tally
from .file_list import FileList, read_list
from .kept_answers import KEPT_SECONDS, KeptAnswers
from .kept_file import KeptFile, ReadBlocks
from .packing import with_whole_month
from .ready_lists import ReadyLists
from .records import Records
from .server import Server

_SITE = (
    *("HMGET", scripts.SITE, "total", "first", "last", "newest", "detailed_since"),
    *("packs", "packed_before"),
)
_SITE_DAYS = ("HGETALL", scripts.SITE_DAYS)
_ALWAYS = Period(0, LAST_SECOND // SECONDS_PER_DAY)
#: A list is read so many times while days are packed, which pauses between some and the next.
_TRIES = 6
#: A script reads so many rows of a page, and their month blocks.
_ROWS_AT_ONCE = 10
#: And without their days.
_RECORDS_AT_ONCE = 100


class _Site(NamedTuple):
    total: int
    first: int
    last: int
    newest_hour: int
    detailed_since: int
    packs: int
    packed_before: int

    @classmethod
    def read(cls, reply: Sequence[bytes | None]) -> "_Site":
        total, *numbers = reply
        return cls(read_tally(total), *(int(text or 0) for text in numbers))


class Moment(NamedTuple):
    """What a reading of the server found: the site, replies to further commands, files."""

    site: _Site
    replies: list[Any]
    files: list[KeptFile | None]


class RedisReader:
    """Reads what *server* keeps. Safe from any thread.

    With *keep_days*, days before that are not shown. Lists are kept for *kept_seconds*.
    """

    def __init__(
        self,
        server: Server,
        clock: Callable[[], float],
        keep_days: int | None,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._server = server
        self._clock = clock
        self._keep_days = keep_days
        self._kept = KeptAnswers(kept_seconds)
        self._ready = ReadyLists(server)

    def forget(self) -> None:
        """Forget the lists that are kept."""
        self._ready.forget()
        self._kept.forget()

    def close(self) -> None:
        self._kept.close()

    # The site

    def totals(self) -> Totals:
        now = self._now()
        site, (hour, today, files, kept), _ = self.read(
            ("HGET", scripts.HOURS, str(now // SECONDS_PER_HOUR)),
            ("HGET", scripts.SITE_DAYS, str(now // SECONDS_PER_DAY)),
            ("ZCARD", scripts.TOP),
            ("HGETALL", scripts.STATUSES),
        )
        statuses = {int(status): int(answers) for status, answers in _pairs(kept)}
        for kind, status in STATUS_OF_KIND.items():
            if times := Tally(site.total).kinds[kind]:
                statuses[status] = statuses.get(status, 0) + times
        return Totals(
            **_standing(site, now),
            tally=Tally(site.total),
            today=Tally(read_tally(today)),
            hour=Tally(read_tally(hour)),
            files=files,
            first=site.first,
            last=site.last,
            statuses={status: statuses[status] for status in sorted(statuses)},
        )

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        if unit == "hour" and path is not None:
            raise ValueError("hours are kept of the site alone")
        now = self._now()
        commands = [_SITE_DAYS, ("HGETALL", scripts.HOURS)] if unit == "hour" else [_SITE_DAYS]
        site, replies, files = self.read(*commands, paths=[path] if path else [], period=period)
        days = _tallies(replies[0])
        if path is not None and files[0] is None:
            return None
        of_days = days if path is None or files[0] is None else files[0].days
        found = _tallies(replies[1]) if unit == "hour" else by_unit(unit, of_days, period)
        oldest_day = self._oldest_day(site)
        if unit == "hour":
            oldest = max(0, (site.newest_hour // 24 - HOURS_KEPT_DAYS + 1) * 24)
        else:
            oldest = unit_of(unit, oldest_day * SECONDS_PER_DAY)
            found = by_unit(unit, of_days, period._replace(first=max(period.first, oldest_day)))
        asked = units_of(unit, period)
        units = range(max(asked[0], oldest), min(asked[-1], unit_of(unit, now)) + 1)
        return Series(
            **_standing(site, now, period, days),
            unit=unit,
            path=path,
            points=tuple((at, Tally(found.get(at, 0))) for at in units),
        )

    # Files

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        now = self._now()
        today = now // SECONDS_PER_DAY
        site, (place, days), (file,) = self.read(
            ("ZRANK", scripts.TOP, path), _SITE_DAYS, paths=[path], period=period
        )
        if file is None:
            return None
        return FileAnswer(
            **_standing(site, now, period, _tallies(days)),
            file=FileNumbers(**self._numbers(file, self._clipped(period, site))),
            today=Tally(file.days.get(today, 0)),
            rank=(place or 0) + 1,
        )

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        return [
            None if file is None else (file.first, file.last, Tally(file.total))
            for begin in range(0, len(paths), _RECORDS_AT_ONCE)
            for file in self.read(paths=paths[begin : begin + _RECORDS_AT_ONCE]).files
        ]

    def directory(self, path: str) -> DirectoryAnswer:
        if not path.endswith("/"):
            raise ValueError("a directory's path ends with a slash")
        records = self._kept.get("directories", self._records, self._ready.records)
        files, tally, first, last = records.below(path)
        return DirectoryAnswer(
            **_standing(self.read().site, records.as_of),
            path=path,
            files=files,
            tally=tally,
            first=first,
            last=last,
        )

    def _records(self) -> Records:
        return self._kept.get("records", self._read_records)

    def _read_records(self) -> Records:
        return Records(self._now(), self.read().site.packs).read(self._server)

    # Lists

    def ranked(self, query: Query) -> Ranking:
        if (query.order, query.period, query.match, query.classes) == ("accesses", None, "", None):
            return self._top(query)
        site, (days,), _ = self.read(_SITE_DAYS)
        clipped = query._replace(period=self._clipped(query.period, site))
        wanted = clipped._replace(match="", limit=0, after=None)
        found = self._kept.get(
            wanted, lambda: self._read_list(wanted), lambda: self._ready.list_of(wanted)
        )
        values = found.matching(query)
        chosen = page(found.paths, values, query)
        paths = [found.paths[place].decode("utf-8", "surrogatepass") for place in chosen.places]
        files = self._files_of_rows(paths, clipped.period, query.unit, site)
        rows = tuple(
            self._row(file, clipped, query, rank)
            for rank, file in enumerate(files, chosen.ahead + 1)
            if file is not None  # else it was reset in between
        )
        return Ranking(
            **_standing(site, found.as_of, query.period, _tallies(days)),
            order=query.order,
            period=query.period,
            unit=query.unit,
            matched=chosen.matched,
            rows=rows,
            next=chosen.next(query, values, paths),
        )

    def _files_of_rows(
        self, paths: list[str], period: Period | None, unit: Unit, site: _Site
    ) -> list[KeptFile | None]:
        of_days = ("accesses", "clients") if unit == "day" else ("clients",)
        found: list[KeptFile | None] = []
        while len(found) < len(paths):
            part = paths[len(found) : len(found) + _ROWS_AT_ONCE]
            moment = self.read(
                paths=part, period=period, of_days=of_days, packed_before=site.packed_before
            )
            if moment.site.packed_before == site.packed_before:
                found += moment.files
            site = moment.site  # else it is read again: what its whole months were has changed
        return found

    def _read_list(self, query: Query) -> FileList:
        """Read a list, again while days are packed in between."""
        records = self._records()
        for _ in range(_TRIES):
            found = read_list(self._server, records, query)
            if query.period is None or self.read().site.packs == found.packs:
                return found
            records = self._read_records()
        raise CounterError("counts: days are being packed, and lists wait for it; ask again")

    def make_lists(self, end: Event) -> None:
        """Make ready what others look at first, if it is time to. Returns early at *end*."""
        self._ready.go_on(self._now(), end)

    def _top(self, query: Query) -> Ranking:
        """Return a page of the files by all their accesses, without a look at the others."""
        now = self._now()
        arguments = [str(query.limit)]
        if query.after is not None:
            arguments += [str(query.after.value), query.after.path]
        ahead, matched, paths, records, (total, since) = self._server.run(
            self._server.reading, scripts.TOP_PAGE, arguments
        )
        rows = tuple(
            self._row(file, query, query, rank)
            for rank, (path, record) in enumerate(zip(paths, records, strict=True), ahead + 1)
            if (file := KeptFile.read(path.decode(), [record]))
        )
        follows = rows and ahead + len(rows) < matched
        site = _Site.read((total, None, None, None, since, None, None))
        return Ranking(
            **_standing(site, now),
            order=query.order,
            period=None,
            unit=query.unit,
            matched=matched,
            rows=rows,
            next=query.cursor_text(Cursor(rows[-1].tally.accesses, rows[-1].path))
            if follows
            else "",
        )

    def _row(self, file: KeptFile, clipped: Query, query: Query, rank: int) -> RankedFile:
        series: tuple[int, ...] = ()
        if query.period is not None and clipped.period is not None:
            by = file.by_month if query.unit == "month" else file.by_day
            found = by(clipped.period)
            series = tuple(
                number(found.get(unit, 0), "accesses")
                for unit in units_of(query.unit, query.period)
            )
        return RankedFile(**self._numbers(file, clipped.period), rank=rank, series=series)

    def _numbers(self, file: KeptFile, period: Period | None) -> dict[str, Any]:
        numbers: dict[str, Any] = {"path": file.path, "first": file.first, "last": file.last}
        if period is None:
            return {**numbers, "tally": Tally(file.total)}
        last = min(period.last, self._now() // SECONDS_PER_DAY)
        days = {day: Tally(tally) for day, tally in file.by_day(period).items()}
        clients = client_days(days, last)
        return {**numbers, "tally": Tally(file.over(period)), "clients": clients}

    def missed(self) -> Missed:
        site, (kept,), _ = self.read(("HGETALL", scripts.MISSED))
        names = {name.decode(): int(times) for name, times in _pairs(kept)}
        return Missed(**_standing(site, self._now()), names=most_missed(names))

    # Moving

    def contents(self) -> Contents:
        _, (hours, days, statuses), _ = moment = self.read(
            ("HGETALL", scripts.HOURS), _SITE_DAYS, ("HGETALL", scripts.STATUSES)
        )
        oldest = self._oldest_day(moment.site)
        record = SiteRecord(
            {hour: Tally(tally) for hour, tally in sorted(_tallies(hours).items())},
            {day: Tally(kept) for day, kept in sorted(_tallies(days).items()) if day >= oldest},
            {int(status): int(answers) for status, answers in sorted(_pairs(statuses))},
            moment.site.detailed_since,
        )
        return record, self._each_file(oldest)

    def _each_file(self, oldest_day: int) -> Iterator[tuple[str, FileRecord]]:
        """Yield each file as of one moment: together those that share their month blocks."""
        by_block: dict[int, list[str]] = {}
        records = self._read_records()
        for path, its_id in zip(records.paths, records.ordered(records.ids), strict=True):
            by_block.setdefault(its_id // FILES, []).append(path.decode("utf-8", "surrogatepass"))
        for paths in by_block.values():
            for begin in range(0, len(paths), FILES):
                part = paths[begin : begin + FILES]
                for file in self.read(paths=part, period=_ALWAYS).files:
                    if file is not None:  # else it was reset in between
                        yield file.path, file.record(oldest_day)

    def oldest_day(self) -> int:
        """Return the first day that is shown."""
        return self._oldest_day(self.read().site)

    # Asking

    def read(
        self,
        *commands: tuple[str, ...],
        paths: Sequence[str] = (),
        period: Period | None = None,
        of_days: Sequence[str] = (),
        packed_before: int = 0,
    ) -> Moment:
        """Return the site, the replies to *commands*, and the files, as of one moment.

        The files come with their days in the months of *period*. With *of_days*, whole months come
        as sums, and of their days these numbers; so does the last month if no day from
        *packed_before* on is packed, which the caller has to see in the answer.
        """
        months: list[int] = [] if period is None else [*map(month_of, period)]
        sums = range(0)
        if period is not None and of_days:
            sums = _whole_months(with_whole_month(period, packed_before))
        asked = {
            "commands": [_SITE, *commands],
            "paths": list(paths),
            "months": months,
            "sums": [sums[0], sums[-1]] if sums else [],
            "numbers": [PLACE[name] for name in of_days],
        }
        (site, *replies), files, flat = self._server.run(
            self._server.reading, scripts.READ, [json.dumps(asked)]
        )
        blocks = {
            (month, number): MonthBlock(block)
            for month, number, block in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        }
        found = [
            KeptFile.read(path, values, ReadBlocks(blocks, sums))
            for path, values in zip(paths, files, strict=True)
        ]
        return Moment(_Site.read(site), replies, found)

    def _oldest_day(self, site: _Site) -> int:
        if self._keep_days is None:
            return 0
        return max(0, site.newest_hour // 24 - self._keep_days + 1)

    def _clipped(self, period: Period | None, site: _Site) -> Period | None:
        if period is None:
            return None
        return Period(max(period.first, self._oldest_day(site)), period.last)

    def _now(self) -> int:
        return int(self._clock())


def _standing(
    site: _Site, now: int, period: Period | None = None, days: Mapping[int, int] | None = None
) -> dict[str, Any]:
    """Return what every answer says of itself; *days* are the site's, and needed with a period."""
    meant = site.total if period is None else sum(within(days or {}, period).values())
    since = site.detailed_since
    return {
        "as_of": now,
        "uncounted": number(meant, "uncounted"),
        "uncounted_sent": number(meant, "uncounted_sent"),
        "detailed_since": since if since and (period is None or period.first < since) else None,
    }


def _pairs(reply: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield fields and values of a whole hash, as a script returns it."""
    return zip(reply[::2], reply[1::2], strict=True)


def _tallies(reply: Sequence[bytes]) -> dict[int, int]:
    return {int(unit): read_tally(text) for unit, text in _pairs(reply)}


def _whole_months(period: Period) -> range:
    """Return the months that lie in a period as a whole."""
    first, last = map(month_of, period)
    return range(
        first if period.first == first_day_of(first) else first + 1,
        last + 1 if period.last >= first_day_of(last + 1) - 1 else last,
    )
