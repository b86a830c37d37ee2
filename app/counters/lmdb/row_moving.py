"""Moving in a store of format 2 (`rows.py`): days to the month blocks, files in, files out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from ..contract import CounterError
from ..month_block import FILES, MonthBlock
from ..periods import first_day_of, month_of
from ..reading import FileRecord, SiteRecord
from ..tally import LIMIT, Tally, lanes_of
from .row_writing import Rows, add_answers, add_spilled, add_tally, add_up_day, long_key
from .rows import (
    DAYS,
    DETAILED_SINCE,
    HOURS,
    LONG_PATHS,
    NUMBER,
    SITE,
    SPILLED,
    SPILLED_KEY,
    FileRow,
    SiteRow,
    key_of,
    number_at,
    unpack_tally,
)


class MovableRows(Rows, Protocol):
    """A write transaction that also deletes, and reads in the order of the keys."""

    def delete(self, key: bytes) -> bool: ...

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over the rows from *key* on, in the order of the keys."""


def fold(
    spilled: Iterable[tuple[bytes, bytes]],
    after: int,
    upto: int,
    get: Callable[[int, int], bytes | None],
    put: Callable[[int, int, bytes], None],
) -> int:
    """Add files' days that are over to their month blocks; return how many they were.

    *spilled* are the rows in the order of their keys; those of the batches beyond *after* and up to
    *upto* are added. *get* and *put* read and write a packed block by its month and number. Takes
    some milliseconds for each block.
    """
    number, blocks, added = -1, dict[int, MonthBlock](), 0

    def write() -> None:
        for month, block in blocks.items():
            put(month, number, block.pack())
        blocks.clear()

    for key, value in spilled:
        file_id, day, batch = SPILLED_KEY.unpack(key[1:])
        if not after < batch <= upto:
            continue
        if file_id // FILES != number:
            write()
            number = file_id // FILES
        month = month_of(day)
        if month not in blocks:
            blocks[month] = MonthBlock(get(month, number) or b"")
        blocks[month].add(day - first_day_of(month), file_id % FILES, unpack_tally(value))
        added += 1
    write()
    return added


class Placed(NamedTuple):
    """A file to be added. With an *id*, its days before the latest are in month blocks already,
    under this id.
    """

    record: FileRecord
    id: int | None = None


def add(
    rows: MovableRows,
    files: Iterable[tuple[str, Placed]],
    days: Mapping[int, int],
    site: SiteRecord | None,
    days_of: Callable[[int], Mapping[int, int]],
) -> None:
    """Add to the store; see `reading.Store.add`. Raises CounterError, and then the transaction is
    to be given up.

    *days* are the files' days added up. *days_of* returns what the blocks have of an id: it is
    asked for a file that was counted for the first time after it had got its place, and keeps the
    id that it has since.
    """
    total = 0
    kept = SiteRow.of(rows.get(SITE))
    for path, placed in files:
        record = placed.record
        is_new = _add_file(rows, path, placed, kept.next_id, days_of)
        kept = kept._replace(
            first=min(kept.first or record.first, record.first or kept.first),
            last=max(kept.last, record.last),
            files=kept.files + is_new,
            next_id=kept.next_id + (is_new and placed.id is None),
        )
        total += record.total.lanes
    hours: dict[int, int] = {}
    if site is not None:
        hours = {hour: tally.lanes for hour, tally in site.hours.items()}
        days = {day: tally.lanes for day, tally in site.days.items()}
        total += sum(lanes_of(uncounted=day["uncounted"], uncounted_sent=day["uncounted_sent"])
                     for day in site.days.values())  # fmt: skip
        _add_site(rows, site)
    if max(Tally(kept.total + total)) >= LIMIT:
        raise CounterError("counts: these are too many to be added")
    kept = _brought_up(rows, kept, max([*hours, *(day * 24 for day in days)], default=0))
    rows.put(SITE, kept._replace(total=kept.total + total).pack())
    _add_curves(rows, days, hours, kept.hour // 24)


def _add_file(
    rows: Rows,
    path: str,
    placed: Placed,
    new_id: int,
    days_of: Callable[[int], Mapping[int, int]],
) -> bool:
    """Add to a file's row; return whether it is new."""
    key = long_key(rows, path.encode("utf-8", "surrogatepass"))
    value, record = rows.get(key), placed.record
    days = {day: tally.lanes for day, tally in record.days.items()}
    if value is None:
        file = FileRow(0, new_id if placed.id is None else placed.id, 0, 0, 0, 0)
    else:
        file = FileRow.unpack(value)
        if placed.id is not None:
            days |= days_of(placed.id)
    latest = max(days, default=0)
    if latest > file.day:
        if file.today:
            add_spilled(rows, file.id, file.day, file.today)
        file = file._replace(day=latest, today=0)
    for day, lanes in days.items():
        if day != file.day:
            add_spilled(rows, file.id, day, lanes)
    file = file._replace(
        first=min(file.first or record.first, record.first or file.first),
        last=max(file.last, record.last),
        total=file.total + record.total.lanes,
        today=file.today + days.get(file.day, 0),
    )
    rows.put(key, file.pack())
    return value is None


def _add_site(rows: Rows, site: SiteRecord) -> None:
    for status, answers in site.statuses.items():
        add_answers(rows, status, answers)
    if site.detailed_since > number_at(rows.get(DETAILED_SINCE)):
        rows.put(DETAILED_SINCE, NUMBER.pack(site.detailed_since))


def _brought_up(rows: Rows, site: SiteRow, hour: int) -> SiteRow:
    """Return the site's row in *hour*, if that is later than its own."""
    if hour <= site.hour:
        return site
    add_tally(rows, HOURS + NUMBER.pack(site.hour), site.this_hour)
    if site.hour // 24 < hour // 24:
        add_up_day(rows, site.hour // 24)
    return site._replace(hour=hour, this_hour=0)


def _add_curves(rows: Rows, days: Mapping[int, int], hours: dict[int, int], newest: int) -> None:
    """Add to the site's hours and days. The *newest* day's row leaves out what its hours have."""
    for hour, lanes in hours.items():
        add_tally(rows, HOURS + NUMBER.pack(hour), lanes)
    for day, lanes in days.items():
        in_hours = (
            sum(its for hour, its in hours.items() if hour // 24 == newest) if day == newest else 0
        )
        add_tally(rows, DAYS + NUMBER.pack(day), lanes - in_hours)


def reset(rows: MovableRows, paths: Iterable[str]) -> None:
    """Forget files; see `reading.Store.reset`."""
    value = rows.get(SITE)
    site = SiteRow.of(value)
    for path in paths:
        key = key_of(path.encode("utf-8", "surrogatepass"))
        row = rows.get(key)
        if row is None:
            continue
        file = FileRow.unpack(row)
        mark = SPILLED + NUMBER.pack(file.id)
        for spilled in [spilled for spilled, _ in _below(rows, mark)]:
            rows.delete(spilled)
        rows.delete(key)
        rows.delete(LONG_PATHS + key[1:])
        site = site._replace(total=site.total - file.total, files=site.files - 1)
    rows.put(SITE, site.pack())


def _below(rows: MovableRows, mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in rows.starting(mark):
        if not key.startswith(mark):
            return
        yield key, value
