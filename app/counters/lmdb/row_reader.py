"""Reading a store of format 2 (`rows.py`): every answer, from its two environments as of one
moment.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, TypeAlias

from ..contract import STATUS_OF_KIND
from ..history import Blocks, curves_of, days_of, months_of, ranked_terms, terms_of
from ..missed import most_missed
from ..month_block import FILES
from ..path_search import matching, prefix
from ..periods import (
    HOURS_KEPT_DAYS,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    Period,
    Unit,
    by_unit,
    first_day_of,
    month_of,
    unit_of,
    units_of,
)
from ..ranking import Query, page, values_of
from ..reading import (
    ClientDays,
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
from .row_columns import (
    Keys,
    Past,
    Table,
    columns,
    ids_and_numbers,
    over,
    total_of,
    with_long_paths,
)
from .rows import (
    ANSWERS,
    DAYS,
    DETAILED_SINCE,
    DIGESTS,
    HOURS,
    LONG_PATHS,
    MISSED,
    NUMBER,
    SITE,
    SPILLED,
    SPILLED_KEY,
    STATUSES,
    FileRow,
    SiteRow,
    id_of_row,
    key_of,
    number_at,
    times_and_total,
    total_of_rows,
    unpack_tally,
)

#: To read so many keys in a row takes as long as to look one up by its place.
_KEYS_IN_A_ROW = 100
#: How many files' rows are in memory at once while all are read, in the order of their ids.
_IDS_AT_ONCE = 1 << 14


#: Reads tallies of files, by their ids and then by day or month, between two days.
Read: TypeAlias = Callable[[Blocks, list[int], int, int], dict[int, dict[int, int]]]


class RowReader:
    """What a store holds at one moment: *table* is data.mdb, *folded* the last batch that is in
    *blocks*.
    """

    def __init__(
        self, table: Table, blocks: Blocks, folded: int, now: int, keep_days: int | None = None
    ) -> None:
        self._table = table
        self._blocks = blocks
        self._folded = folded
        self._now = now
        self._today = now // SECONDS_PER_DAY
        value = table.get(SITE)
        self._site = SiteRow.of(value)
        newest = self._site.hour // 24
        self._oldest_day = 0 if keep_days is None else max(0, newest - keep_days + 1)
        self._oldest_hour = max(0, (newest - HOURS_KEPT_DAYS + 1) * 24)

    # The site

    def totals(self) -> Totals:
        """See `CountReader.totals`."""
        site, hour = self._site, self._now // SECONDS_PER_HOUR
        statuses = self._statuses()
        for kind, status in STATUS_OF_KIND.items():
            if times := Tally(site.total).kinds[kind]:
                statuses[status] = statuses.get(status, 0) + times
        return Totals(
            **self._standing(None),
            tally=Tally(site.total),
            today=Tally(self._site_days(Period(self._today, self._today)).get(self._today, 0)),
            hour=Tally(self._site_hours(hour, hour).get(hour, 0)),
            files=site.files,
            first=site.first,
            last=site.last,
            statuses={status: statuses[status] for status in sorted(statuses)},
        )

    def missed(self) -> Missed:
        """See `CountReader.missed`."""
        names = json.loads(bytes(self._table.get(MISSED) or b"{}"))
        return Missed(**self._standing(None), names=most_missed(names))

    def _site_days(self, period: Period) -> dict[int, int]:
        """Return the site's tallies by day. What the newest day has in its hours is not in its row
        yet.
        """
        days = self._numbered(DAYS, period.first, period.last)
        newest = self._site.hour // 24
        if period.first <= newest <= period.last:
            hours = self._site_hours(newest * 24, newest * 24 + 23)
            days[newest] = days.get(newest, 0) + sum(hours.values())
        return days

    def _site_hours(self, first: int, last: int) -> dict[int, int]:
        hours, site = self._numbered(HOURS, first, last), self._site
        if first <= site.hour <= last:
            hours[site.hour] = hours.get(site.hour, 0) + site.this_hour
        return hours

    def _numbered(self, mark: bytes, first: int, last: int) -> dict[int, int]:
        """Return the tallies of the rows from *first* to *last* below a mark."""
        found = {}
        for key, value in self._table.starting(mark + NUMBER.pack(first)):
            if key[:1] != mark or number_at(key[1:]) > last:
                break
            found[number_at(key[1:])] = unpack_tally(value)
        return found

    def _statuses(self) -> dict[int, int]:
        found = {}
        for key, value in self._table.starting(STATUSES):
            if key[:1] != STATUSES:
                break
            found[number_at(key[1:])] = int(ANSWERS.unpack(value)[0])
        return found

    def _standing(self, period: Period | None) -> dict[str, Any]:
        """Return what every answer says of itself."""
        meant = self._site.total if period is None else sum(self._site_days(period).values())
        since = number_at(self._table.get(DETAILED_SINCE))
        return {
            "as_of": self._now,
            "uncounted": number(meant, "uncounted"),
            "uncounted_sent": number(meant, "uncounted_sent"),
            "detailed_since": since if since and (period is None or period.first < since) else None,
        }

    def series(self, unit: Unit, period: Period, path: str | None) -> Series | None:
        """See `CountReader.series`."""
        if unit == "hour" and path is not None:
            raise ValueError("hours are kept of the site alone")
        oldest = (
            self._oldest_hour
            if unit == "hour"
            else unit_of(unit, self._oldest_day * SECONDS_PER_DAY)
        )
        asked = units_of(unit, period)
        units = range(max(asked[0], oldest), min(asked[-1], unit_of(unit, self._now)) + 1)
        kept = self._kept(period)
        if path is not None:
            file = self._file(path)
            if file is None:
                return None
            found = self._units_of([file], unit, kept)[file.id]
        elif unit == "hour":
            found = self._site_hours(asked[0], asked[-1])
        else:
            found = by_unit(unit, self._site_days(kept), kept)
        points = tuple((at, Tally(found.get(at, 0))) for at in units)
        return Series(**self._standing(period), unit=unit, path=path, points=points)

    def _kept(self, period: Period) -> Period:
        """Return the part of a period that is kept, which may be nothing."""
        return Period(max(period.first, self._oldest_day), period.last)

    def _in_months(self, period: Period) -> Period:
        """Return the part of a period that is kept, up to the end of a month if nothing was counted
        after it: then the whole month's sums will do.
        """
        kept, newest = self._kept(period), self._site.hour // 24
        if kept.last < newest:
            return kept
        return Period(kept.first, first_day_of(month_of(kept.last) + 1) - 1)

    # Files

    def file(self, path: str, period: Period | None) -> FileAnswer | None:
        """See `CountReader.file`."""
        file = self._file(path)
        if file is None:
            return None
        return FileAnswer(
            **self._standing(period),
            file=FileNumbers(**self._numbers(path, file, period)),
            today=Tally(self._days_at_hand(file).get(self._today, 0)),
            rank=self._rank(path.encode("utf-8", "surrogatepass"), file),
        )

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        """See `CountReader.tallies`."""
        get = self._table.get
        rows = (get(key_of(path.encode("utf-8", "surrogatepass"))) for path in paths)
        return [None if row is None else times_and_total(row) for row in rows]

    def _rank(self, path: bytes, file: FileRow) -> int:
        """Return a file's place among all files by accesses. Its equals stand by their paths."""
        ids, accesses = ids_and_numbers(self._table, PLACE["accesses"])
        own = Tally(file.total).accesses
        ahead = sum(map(own.__lt__, accesses))
        if self._has_long_paths():  # whose keys are not in the order of the paths
            files = columns(Keys(self._table), [terms_of("accesses")])
            files = with_long_paths(self._table, files)
            return ahead + files.totals[0][: bisect_left(files.paths, path)].count(own) + 1
        return ahead + accesses[: ids.index(file.id)].count(own) + 1

    def _has_long_paths(self) -> bool:
        return any(key[:1] == DIGESTS for key, _ in islice(self._table.starting(DIGESTS), 1))

    def _file(self, path: str) -> FileRow | None:
        value = self._table.get(key_of(path.encode("utf-8", "surrogatepass")))
        return None if value is None else FileRow.unpack(value)

    def _numbers(self, path: str, file: FileRow, period: Period | None) -> dict[str, Any]:
        """Return a file's numbers over a period."""
        numbers: dict[str, Any] = {"path": path, "first": file.first, "last": file.last}
        if period is None:
            return {**numbers, "tally": Tally(file.total)}
        days = self._units_of([file], "day", self._kept(period))[file.id]
        return {
            **numbers,
            "tally": Tally(sum(days.values())),
            "clients": self._clients(days, period),
        }

    def _clients(self, days: Mapping[int, int], period: Period) -> ClientDays | None:
        tallies = {day: Tally(lanes) for day, lanes in days.items()}
        return client_days(tallies, min(period.last, self._today))

    def _units_of(
        self, files: list[FileRow], unit: Unit, period: Period, read: Read | None = None
    ) -> dict[int, dict[int, int]]:
        """Return files' tallies in a period that is kept, by their ids and then by day or month.

        *read* reads the blocks.
        """
        read = read or (days_of if unit == "day" else months_of)
        found = read(self._blocks, [file.id for file in files], period.first, period.last)
        for file in files:
            its = found[file.id]
            for at, lanes in by_unit(unit, self._days_at_hand(file), period).items():
                its[at] = its.get(at, 0) + lanes
        return found

    def _days_at_hand(self, file: FileRow) -> dict[int, int]:
        """Return a file's days that are not in the month blocks."""
        days = {file.day: file.today} if file.today else {}
        mark = SPILLED + NUMBER.pack(file.id)
        for key, value in self._table.starting(mark):
            if not key.startswith(mark):
                break
            _, day, batch = SPILLED_KEY.unpack(key[1:])
            if batch > self._folded:
                days[day] = days.get(day, 0) + unpack_tally(value)
        return days

    def directory(self, path: str) -> DirectoryAnswer:
        """See `CountReader.directory`."""
        if not path.endswith("/"):
            raise ValueError("a directory's path ends with a slash")
        below = path.encode("utf-8", "surrogatepass")
        files, total, first, last = (
            total_of_rows(self._rows_below(below))
            if self._has_long_paths()
            else total_of(Keys(self._table, below))
        )
        return DirectoryAnswer(
            **self._standing(None),
            path=path,
            files=files,
            tally=Tally(total),
            first=first,
            last=last,
        )

    def _rows_below(self, prefix: bytes) -> Iterator[bytes]:
        for key, value in self._table.starting(DIGESTS):
            if key[:1] != DIGESTS:
                break
            if (self._table.get(LONG_PATHS + key[1:]) or b"").startswith(prefix):
                yield value
        for key, value in self._table.starting(prefix):
            if not key.startswith(prefix):
                break
            yield value

    # Lists

    def ranked(self, query: Query) -> Ranking:
        """See `CountReader.ranked`."""
        terms = ranked_terms(query.order, query.classes)
        has_long_paths = self._has_long_paths()
        files = columns(
            Keys(self._table, b"" if has_long_paths else prefix(query.match)),
            terms,
            with_days=query.period is not None,
            with_times=query.order in ("first", "last"),
        )
        if has_long_paths:
            files = with_long_paths(self._table, files)
        numbers = files.totals
        if query.period is not None:
            past = Past(self._blocks, self._folded)
            numbers = over(self._in_months(query.period), terms, files, self._table, past)
        values = values_of(query, numbers, lambda: files.firsts, lambda: files.lasts)
        values = matching(query, files.paths, values)
        chosen = page(files.paths, values, query)
        paths = files.paths
        if _KEYS_IN_A_ROW * len(chosen.places) > len(paths):
            paths = list(paths)
        rows = self._rows_of([paths[place] for place in chosen.places], chosen.ahead + 1, query)
        return Ranking(
            **self._standing(query.period),
            order=query.order,
            period=query.period,
            unit=query.unit,
            matched=chosen.matched,
            rows=tuple(rows),
            next=chosen.next(query, values, [row.path for row in rows]),
        )

    def _rows_of(self, paths: list[bytes], rank: int, query: Query) -> list[RankedFile]:
        """Return the rows of a page, the first of which has *rank*."""
        files = [FileRow.unpack(self._table.get(key_of(path)) or b"") for path in paths]
        texts = [path.decode("utf-8", "surrogatepass") for path in paths]
        period = query.period
        if period is None:
            return [
                RankedFile(
                    path=text, tally=Tally(file.total), first=file.first, last=file.last, rank=place
                )
                for place, (text, file) in enumerate(zip(texts, files, strict=True), rank)
            ]
        found = self._units_of(
            files,
            query.unit,
            self._in_months(period),
            curves_of if query.unit == "day" else months_of,
        )
        rows = []
        for place, (text, file) in enumerate(zip(texts, files, strict=True), rank):
            tally = Tally(sum(found[file.id].values()))
            clients = None
            if tally["clients"]:
                clients = self._clients(
                    self._units_of([file], "day", self._kept(period))[file.id], period
                )
            series = tuple(
                number(found[file.id].get(at, 0), "accesses") for at in units_of(query.unit, period)
            )
            rows.append(
                RankedFile(
                    path=text,
                    tally=tally,
                    first=file.first,
                    last=file.last,
                    clients=clients,
                    rank=place,
                    series=series,
                )
            )
        return rows

    # Moving

    def contents(self) -> tuple[SiteRecord, Iterator[tuple[str, FileRecord]]]:
        """See `Store.contents`. The files come in the order of their ids."""
        everything = Period(0, max(self._today, self._site.hour // 24) + 1)
        site = SiteRecord(
            _tallies(self._site_hours(self._oldest_hour, (everything.last + 1) * 24)),
            _tallies(self._site_days(self._kept(everything))),
            self._statuses(),
            number_at(self._table.get(DETAILED_SINCE)),
        )
        return site, self._records(self._kept(everything))

    def _records(self, period: Period) -> Iterator[tuple[str, FileRecord]]:
        months = self._blocks.months()
        first = max(period.first, first_day_of(min(months))) if months else period.last
        ids, _ = ids_and_numbers(self._table, PLACE["accesses"])
        for begin in range(0, max(ids, default=-1) + 1, _IDS_AT_ONCE):
            files = self._files_of(range(begin, begin + _IDS_AT_ONCE))
            for _, part in groupby(sorted(files), key=lambda file_id: file_id // FILES):
                past = days_of(self._blocks, part, first, period.last)
                for file_id, days in past.items():
                    path, file = files[file_id]
                    for day, lanes in self._days_at_hand(file).items():
                        if day >= period.first:
                            days[day] = days.get(day, 0) + lanes
                    yield path, FileRecord(Tally(file.total), file.first, file.last, _tallies(days))

    def _files_of(self, ids: range) -> dict[int, tuple[str, FileRow]]:
        """Return the paths and rows of the files with *ids*."""
        found = {}
        for key, value in self._table.starting(DIGESTS):
            file_id = id_of_row(value)
            if file_id in ids:
                path = self._table.get(LONG_PATHS + key[1:]) if key[:1] == DIGESTS else key
                text = (path or b"").decode("utf-8", "surrogatepass")
                found[file_id] = text, FileRow.unpack(value)
        return found


def _tallies(kept: Mapping[int, int]) -> dict[int, Tally]:
    return {unit: Tally(kept[unit]) for unit in sorted(kept) if kept[unit]}
