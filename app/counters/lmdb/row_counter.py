"""A count in the rows of format 2 (`rows.py`): what one answer changes in one transaction.

A row is read as one integer, and what an answer adds is one addition of a constant, as long as the
row's day, hour and last access are those of the answer. One comparison of bytes shows whether they
are. Everything else goes the long way: a new file, a new second, hour or day, a clock that is
behind another process's.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol, TypeAlias, final

from ..client_rows import client_hash, counted, sent_more
from ..contract import ACCESSES, Class, Count, Kind
from ..missed import add_names
from ..outage import tell
from ..periods import SECONDS_PER_DAY, SECONDS_PER_HOUR
from ..salts import Salts
from ..tally import COMPLETED, MASK, PLACE, WIDTH, lanes_of
from .breaks import Breaks
from .row_writing import (
    Rows,
    add_answers,
    add_spilled,
    add_tally,
    add_up_day,
    long_key,
    set_aside,
)
from .rows import (
    CLIENTS,
    DAYS,
    DELTAS_OF_ROWS,
    FILE_DAY,
    FILE_ID,
    FILE_PAIRS,
    FILE_SENT,
    FILE_STAMP,
    FILE_TODAY,
    HOURS,
    LAST,
    MISSED,
    NUMBER,
    SITE,
    SITE_FILES,
    SITE_HOUR,
    SITE_NEXT_ID,
    SITE_SENT,
    SITE_STAMP,
    SITE_THIS_HOUR,
    FileRow,
    SiteRow,
    file_size,
    file_stamp,
    growth,
    is_file_row,
    is_site_row,
    key_of,
    site_size,
    site_stamp,
)

_from_bytes = int.from_bytes
_MASK32 = (1 << 32) - 1
_MOST_HASHES = _MOST_GROWTHS = _MOST_KEPT = 4096
#: What tells how much an answer adds: kind, class, bytes, and whether these complete the file.
What: TypeAlias = tuple[Kind, Class, int, bool]
#: What it adds to the file's row and to the site's, and whether it is an access.
Growth: TypeAlias = tuple[int, int, bool]
#: Beside that the client, the bytes of a download, and the time of the answer, which is not 0: see
#: `contract.Counter.count`.
AnswerToCount: TypeAlias = tuple[What, bytes | None, int, int]
#: Where the clients of the file's day stand in its row.
_FILE_CLIENTS = FILE_PAIRS + WIDTH * (2 * PLACE["clients"] + 1)
_NEW_FILE = (1 << SITE_FILES) + (1 << SITE_NEXT_ID)
_growth = cache(growth)  # of the few tallies that clients and ends of transfers add


class NumberedRows(Rows, Protocol):
    """A write transaction that knows its number: one more than that of the last one, in whichever
    process, that was not given up.
    """

    def id(self) -> int: ...


@final
class _KeptRow:
    """A file's row as it was written last."""

    __slots__ = ("accesses", "key", "row", "size")

    def __init__(self, key: bytes, row: int, size: int, accesses: int) -> None:
        self.key = key
        self.row = row
        self.size = size  # in bytes
        self.accesses = accesses


class RowCounter:
    """Counts in a transaction that the caller begins and commits. For one thread at a time.

    Between calls it keeps only what can be found again (the second, the day's salt, caches), so a
    transaction may be given up and its work repeated; *breaks* tells of it.

    The rows that it wrote are kept as integers. They are used by the next count if nobody wrote in
    between: if its transaction has the next number, in the same second. So the process that counts
    alone reads each row once a second.
    """

    def __init__(self, salts: Salts | None = None, breaks: Breaks | None = None) -> None:
        self._salts = salts
        self._salt: bytes | None = None
        self._salt_day = -1
        #: Of the day's clients, with its salt: most ask for several files.
        self._hashes: dict[bytes, bytes] = {}
        self._growths: dict[What, Growth] = {}
        self._breaks = breaks or Breaks()
        #: Of the last transaction: its number, and how many breaks there had been.
        self._number, self._known_breaks = -1, 0
        #: Rows of this second. Of a file, by its path.
        self._kept: dict[str, _KeptRow] = {}
        #: Of the site; its size is 0 when it is not kept.
        self._site = self._site_size = 0
        self._set_time(0)

    def _set_time(self, at: int) -> None:
        self._at = at
        self._day, self._hour = at // SECONDS_PER_DAY, at // SECONDS_PER_HOUR
        self._file_stamp = file_stamp(self._day, at)
        self._site_stamp = site_stamp(self._hour, at)
        self._site_hour = self._site_stamp[:8]
        self._client_mark = CLIENTS + NUMBER.pack(self._day)
        self._keep_nothing()

    def _keep_nothing(self) -> None:
        self._kept.clear()
        self._site_size = 0

    def _begin(self, rows: NumberedRows, at: int) -> None:
        """Begin a transaction of the second *at*."""
        if at != self._at:
            self._set_time(at)
        number, breaks = rows.id(), self._breaks.number
        if number != self._number + 1 or breaks != self._known_breaks:
            self._keep_nothing()
        self._number, self._known_breaks = number, breaks

    def count(self, rows: NumberedRows, path: str, answer: AnswerToCount) -> int | None:
        """Count one answer for the file at *path*, and return an access's number."""
        what, client, enough, at = answer
        # As `_begin`, which most counts need not call.
        if (
            at == self._at
            and rows.id() == self._number + 1
            and self._breaks.number == self._known_breaks
        ):
            self._number += 1
        else:
            self._begin(rows, at)
        number = self._count_one(rows, path, what, client, enough)
        self._put_site(rows)
        return number

    def count_together(
        self, rows: NumberedRows, counts: Sequence[Count], at: int
    ) -> list[int | None]:
        """Do as `count` for each of *counts*, in order, in one transaction."""
        self._begin(rows, at)
        numbers = [
            self._count_one(rows, path, (kind, class_, sent, complete), client, enough)
            for path, kind, _, class_, sent, complete, client, enough in counts
        ]
        self._put_site(rows)
        return numbers

    def _count_one(
        self, rows: Rows, path: str, what: What, client: bytes | None, enough: int
    ) -> int | None:
        """Count one answer; what is kept of the site's row is for `_put_site` to put."""
        kept = self._kept.get(path)
        growth = self._growths.get(what) or self._growth_by(*what)
        if kept is None or not self._site_size:
            return self._count_the_long_way(rows, path, what, growth, client, enough)
        in_file, in_site, is_access = growth
        if client is not None and (
            grown := self._count_client(rows, kept.row, client, what[0], what[2], enough)
        ):
            more_in_file, more_in_site = _growth(grown)
            in_file, in_site = in_file + more_in_file, in_site + more_in_site
        row = kept.row + in_file
        try:
            rows.put(kept.key, row.to_bytes(kept.size, "little"))
        except OverflowError:
            # The client has been counted.
            growth = in_file, in_site, is_access
            return self._count_the_long_way(rows, path, what, growth, None, 0)
        kept.row = row
        self._site += in_site
        if not is_access:
            return None
        kept.accesses = accesses = kept.accesses + 1
        return accesses

    def _put_site(self, rows: Rows) -> None:
        """Put the site's row as it is kept, if it is; whoever keeps it not has put it."""
        if self._site_size:
            try:
                rows.put(SITE, self._site.to_bytes(self._site_size, "little"))
            except OverflowError:
                self._add_to_site(rows, 0, is_access=False)

    def _count_the_long_way(
        self,
        rows: Rows,
        path: str,
        what: What,
        growth: Growth,
        client: bytes | None,
        enough: int,
    ) -> int | None:
        """Do as `_count_one`, whatever is kept of the rows; *growth* is what the answer adds."""
        in_file, in_site, is_access = growth
        kept, value = self._kept.get(path), b""
        if kept is not None:
            key, row, size = kept.key, kept.row, kept.size
        else:
            key = long_key(rows, path.encode("utf-8", "surrogatepass"))
            value = rows.get(key) or b""
            row, size = _from_bytes(value, "little"), len(value)
        if client is not None:
            more = _growth(self._count_client(rows, row, client, what[0], what[2], enough))
            in_file, in_site = in_file + more[0], in_site + more[1]
        if not size:
            row = self._new_file(rows, is_access, in_site)
        else:
            self._add_to_site(rows, in_site, is_access)
            if value and value[FILE_STAMP] != self._file_stamp:
                row = self._brought_up(rows, key, value, is_access, in_file)
        row += in_file
        if row >> 8 * size:
            size = file_size(row)
        packed = row.to_bytes(size, "little")
        rows.put(key, packed)
        accesses = (row >> FILE_PAIRS) & MASK
        if packed[FILE_STAMP] == self._file_stamp:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[path] = _KeptRow(key, row, size, accesses)
        return accesses if is_access else None

    def _growth_by(self, kind: Kind, class_: Class, sent: int, complete: bool) -> Growth:
        """Return what an answer adds to the two rows. Most files are sent whole again and again."""
        if len(self._growths) >= _MOST_GROWTHS:
            self._growths.clear()
        in_file, in_site = DELTAS_OF_ROWS[kind][class_][complete]
        found = in_file + sent * FILE_SENT, in_site + sent * SITE_SENT, kind in ACCESSES
        self._growths[kind, class_, sent, complete] = found
        return found

    def sent(
        self,
        rows: NumberedRows,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None,
        enough: int,
    ) -> None:
        """Add the end of a transfer; see `contract.Counter.sent`."""
        self._begin(rows, at)
        key = key_of(path.encode("utf-8", "surrogatepass"))
        self._kept.pop(path, None)
        value = rows.get(key)
        if value is None or not is_file_row(value):
            return  # nothing to add it to: the file was reset, or its row cannot be read
        file = FileRow.unpack(value)
        if not was_begun(file.today if file.day == self._day else file.total, kind):
            return
        in_file, in_site = _growth(COMPLETED[kind] if complete else 0)
        in_file += sent * FILE_SENT
        in_site += sent * SITE_SENT
        if client is not None and file.day == self._day and self._day_salt() is not None:
            row_key = self._client_key(file.id, client)
            client_row, grown = sent_more(rows.get(row_key), sent, enough)
            if client_row is not None:
                rows.put(row_key, client_row)
            more_in_file, more_in_site = _growth(grown)
            in_file += more_in_file
            in_site += more_in_site
        self._add_to_site(rows, in_site, is_access=False)
        row = self._brought_up(rows, key, value, False, in_file) + in_file
        rows.put(key, row.to_bytes(file_size(row), "little"))

    def uncounted(self, rows: NumberedRows, accesses: int, transfers: int, at: int) -> None:
        """Note what a failing store did not count; see `reading.Store.uncounted`."""
        self._begin(rows, at)
        self._add_to_site(
            rows, growth(lanes_of(uncounted=accesses, uncounted_sent=transfers))[1], is_access=False
        )

    def answered(self, rows: Rows, status: int, answers: int) -> None:
        """Count *answers* by their status."""
        add_answers(rows, status, answers)

    def add_missed(self, rows: Rows, names: Mapping[str, int]) -> None:
        """See `reading.Store.add_missed`."""
        kept = json.loads(rows.get(MISSED) or b"{}")
        rows.put(MISSED, json.dumps(add_names(kept, names)).encode())

    # Files

    def _new_file(self, rows: Rows, is_access: bool, in_site: int) -> int:
        new_id = _next_id(rows)
        self._add_to_site(rows, in_site + _NEW_FILE, is_access)
        at = self._at if is_access else 0
        return _from_bytes(FileRow(at, new_id, self._day, at, 0, 0).pack(), "little")

    def _brought_up(
        self, rows: Rows, key: bytes, value: bytes, is_access: bool, in_file: int
    ) -> int:
        """Return a file's row to which *in_file* may be added, whatever its day and last access."""
        if not is_file_row(value):
            set_aside(rows, key, value)
            return self._new_file(rows, is_access, 0)
        row = _from_bytes(value, "little")
        last = (row >> LAST) & MASK
        if (row >> FILE_DAY) & _MASK32 == self._day and (not is_access or 0 < last <= self._at):
            return row + (self._at - last << LAST) if is_access else row
        file = FileRow.unpack(value)
        if is_access:
            file = file._replace(
                first=min(file.first or self._at, self._at), last=max(file.last, self._at)
            )
        taken_off = 0
        if file.day < self._day:
            if file.today:
                add_spilled(rows, file.id, file.day, file.today)
            file = file._replace(day=self._day, today=0)
        elif file.day > self._day:
            # The file was counted on a later day already. What this answer adds to its day is put
            # beside.
            add_spilled(rows, file.id, self._day, _plain(in_file))
            taken_off = in_file & FILE_TODAY
        return _from_bytes(file.pack(), "little") - taken_off

    # Clients

    def _count_client(
        self, rows: Rows, row: int, client: bytes, kind: Kind, sent: int, enough: int
    ) -> int:
        """Note the client of an answer; return what the tally grows by. *row* is the file's, 0 for
        a new file.
        """
        day = (row >> FILE_DAY) & _MASK32
        if self._day_salt() is None or day > self._day:
            return 0  # the salt has gone or cannot be had, or this process's clock is behind
        clients = (row >> _FILE_CLIENTS) & MASK if day == self._day else 0
        key = self._client_key((row >> FILE_ID) & _MASK32 if row else _next_id(rows), client)
        before = rows.get(key)
        after, grown = counted(before, kind, self._at, sent, enough, clients)
        if after is not None and after != before:
            rows.put(key, after)
        return grown

    def _day_salt(self) -> bytes | None:
        """Return the salt of the day that is counted on; None when it cannot be had.

        A later day's salt may have replaced it. That answer is kept until the day changes.
        """
        if self._salt_day != self._day:
            try:
                salt = None if self._salts is None else self._salts.of(self._day)
            except OSError as error:
                tell(
                    f"counts: distinct clients are not counted: {error.filename}: {error.strerror}"
                )
                salt = None
            self._salt, self._salt_day = salt, self._day
            self._hashes.clear()
        return self._salt

    def _client_key(self, file_id: int, client: bytes) -> bytes:
        hashed = self._hashes.get(client)
        if hashed is None:
            if len(self._hashes) >= _MOST_HASHES:
                self._hashes.clear()
            hashed = self._hashes[client] = client_hash(client, self._salt or b"")
        return self._client_mark + NUMBER.pack(file_id) + hashed

    # The site

    def _add_to_site(self, rows: Rows, in_site: int, is_access: bool) -> None:
        if self._site_size:
            row, size = self._site, self._site_size
        else:
            value = rows.get(SITE)
            if value is not None and value[SITE_STAMP] == self._site_stamp:
                row, size = _from_bytes(value, "little"), len(value)
            else:
                row, size = self._site_brought_up(rows, value, is_access, in_site), 0
        row += in_site
        if row >> 8 * size:
            size = site_size(row)
        packed = row.to_bytes(size, "little")
        rows.put(SITE, packed)
        self._site, self._site_size = row, size if packed[SITE_STAMP] == self._site_stamp else 0

    def _site_brought_up(
        self, rows: Rows, value: bytes | None, is_access: bool, in_site: int
    ) -> int:
        """Return the site's row to which *in_site* may be added, whatever its hour."""
        if value is not None and not is_site_row(value):
            set_aside(rows, SITE, value)
            value = None
        if value is None:
            at = self._at if is_access else 0
            return _from_bytes(SiteRow(at, self._hour, at, 0, 0, 0, 0).pack(), "little")
        row = _from_bytes(value, "little")
        last = (row >> LAST) & MASK
        if value[SITE_HOUR] == self._site_hour and (not is_access or 0 < last <= self._at):
            return row + (self._at - last << LAST) if is_access else row
        site = SiteRow.unpack(value)
        if is_access:
            site = site._replace(
                first=min(site.first or self._at, self._at), last=max(site.last, self._at)
            )
        if site.hour == self._hour:
            return _from_bytes(site.pack(), "little")
        if site.hour < self._hour:
            add_tally(rows, HOURS + NUMBER.pack(site.hour), site.this_hour)
            if site.hour // 24 < self._day:
                add_up_day(rows, site.hour // 24)
            return _from_bytes(site._replace(hour=self._hour, this_hour=0).pack(), "little")
        # The site was counted in a later hour already. What this answer adds to its hour is put
        # beside.
        lanes = SiteRow.unpack(in_site.to_bytes(site_size(in_site), "little")).total
        add_tally(rows, HOURS + NUMBER.pack(self._hour), lanes)
        if self._day < site.hour // 24:
            add_tally(rows, DAYS + NUMBER.pack(self._day), lanes)
        return _from_bytes(site.pack(), "little") - (in_site & SITE_THIS_HOUR)


def _next_id(rows: Rows) -> int:
    value = rows.get(SITE)
    return 0 if value is None else SiteRow.unpack(value).next_id


def was_begun(tally: int, kind: Kind) -> bool:
    """Return whether an answer of *kind* can still be under way: more were begun than completed.

    A probe completes nothing, so one that was counted may be under way.
    """
    if kind == "probe":
        return _number(tally, "probe") > 0
    if kind == "resumed":
        return _number(tally, "resumed") > _number(tally, "resumed_completed")
    return _number(tally, "accesses") - _number(tally, "not_modified") > _number(tally, "completed")


def _number(tally: int, name: str) -> int:
    return (tally >> WIDTH * PLACE[name]) & MASK


def _plain(in_file: int) -> int:
    """Return the tally that *in_file* spreads over a file's row."""
    return FileRow.unpack(in_file.to_bytes(file_size(in_file), "little")).total
