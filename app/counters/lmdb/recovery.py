"""After a power failure: what the snapshot has more than the live file is taken from the snapshot.

The live file is never waited for, so its pages may be of different ages then, each as it was at
some moment. No number ever falls, so of two states of a number the larger one is the later.
"""

from collections.abc import Iterable, Mapping

from ..tally import Tally
from .adapters import TransactionRows
from .opening import FORMAT_KEY, Transaction
from .row_writing import add_spilled
from .rows import (
    ANSWERS,
    BATCH,
    CLIENTS,
    DAYS,
    DETAILED_SINCE,
    DIGESTS,
    FIRST_BATCH,
    HOURS,
    LONG_PATHS,
    NUMBER,
    PATHS,
    SITE,
    SPILLED,
    STATUSES,
    FileRow,
    SiteRow,
    number_at,
    pack_tally,
    total_of_rows,
    unpack_tally,
)

_TALLIES = (HOURS, DAYS, SPILLED)
_FILES = (PATHS, DIGESTS)
#: Numbers that are the site's alone.
_OF_SITE = ("uncounted", "uncounted_sent")


def raise_to(transaction: Transaction, snapshot: Mapping[bytes, bytes]) -> None:
    """Raise the numbers of the live file that are lower than in *snapshot*, of the same format."""
    rows = TransactionRows(transaction)
    for key, before in snapshot.items():
        mark, value = key[:1], transaction.get(key)
        if key in (SITE, FORMAT_KEY) or value == before:
            continue
        if value is None:
            if mark in (*_TALLIES, *_FILES, STATUSES, CLIENTS, LONG_PATHS, BATCH, DETAILED_SINCE):
                transaction.put(key, before)
        elif mark in _TALLIES:
            transaction.put(key, pack_tally(_larger(unpack_tally(value), unpack_tally(before))))
        elif mark in _FILES:
            transaction.put(key, _raised_file(rows, FileRow.unpack(value), FileRow.unpack(before)))
        elif mark == STATUSES:
            transaction.put(key, max(value, before, key=lambda packed: ANSWERS.unpack(packed)))
        elif key == BATCH:
            transaction.put(key, NUMBER.pack(max(number_at(value), number_at(before, FIRST_BATCH))))
    _raise_site(rows, SiteRow.of(transaction.get(SITE)), SiteRow.of(snapshot.get(SITE)))


def _raised_file(rows: TransactionRows, live: FileRow, before: FileRow) -> bytes:
    """Return the later state of a file's row; what it has on an earlier day becomes a row."""
    if live.id != before.id:  # it was reset between the two, and counted anew
        return max(live, before, key=lambda row: row.id).pack()
    later, earlier = (live, before) if live.day >= before.day else (before, live)
    today = later.today
    if later.day == earlier.day:
        today = _larger(today, earlier.today)
    elif later is live and earlier.today:
        _raise_spilled(rows, earlier)
    return later._replace(
        first=min(filter(None, (live.first, before.first)), default=0),
        last=max(live.last, before.last),
        total=_larger(live.total, before.total),
        today=today,
    ).pack()


def _raise_spilled(rows: TransactionRows, file: FileRow) -> None:
    """See that the day of *file*, which is over, has a row with at least its numbers.

    If the days were moved to the blocks already, the snapshot's batch was closed before, and a row
    of it is not looked at.
    """
    mark = SPILLED + NUMBER.pack(file.id) + NUMBER.pack(file.day)
    for key, _ in rows.starting(mark):
        if key.startswith(mark):
            return
        break
    add_spilled(rows, file.id, file.day, file.today)


def _raise_site(rows: TransactionRows, live: SiteRow, before: SiteRow) -> None:
    later, earlier = (live, before) if live.hour >= before.hour else (before, live)
    this_hour = later.this_hour
    if later.hour == earlier.hour:
        this_hour = _larger(this_hour, earlier.this_hour)
    elif earlier.this_hour:
        key = HOURS + NUMBER.pack(earlier.hour)
        kept = unpack_tally(rows.get(key))
        rows.put(key, pack_tally(_larger(kept, earlier.this_hour)))
    files, total, first, last = total_of_rows(_files(rows))
    own = Tally(live.total).at_least(Tally(before.total))
    total += Tally.of(**{name: own[name] for name in _OF_SITE}).lanes
    site = SiteRow(
        first, later.hour, last, files, max(live.next_id, before.next_id), total, this_hour
    )
    rows.put(SITE, site.pack())


def _files(rows: TransactionRows) -> Iterable[bytes]:
    return (value for _, value in rows.starting(DIGESTS))


def _larger(one: int, other: int) -> int:
    return Tally(one).at_least(Tally(other)).lanes
