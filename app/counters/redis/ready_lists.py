"""Lists of many files, made ahead: whoever looks first finds what they are made of ready in Redis.

To read 100,000 records takes half a second, and a year of month blocks another two. So one of the
processes that count does that now and then, for the periods that the statistics offer, and keeps
the sums: for each period and each number of a tally a column of all files, in the order of their
paths. Orders and classes of clients follow from these. All columns come from one reading, and are
seen all at once. A list says as of when it is; who goes on looking gets one that was just read
(`kept_answers.py`).

Nothing that is counted is in here alone. What nobody makes anew is forgotten.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import add
from secrets import token_hex
from threading import Event
from time import monotonic

from ..history import Terms, spans, sums
from ..periods import LAST_SECOND, SECONDS_PER_DAY, Period, first_day_of, month_of
from ..ranking import Query
from ..tally import NAMES
from . import scripts
from .file_list import FileList, RemoteBlocks, values_of, wanted_terms
from .records import Records
from .server import Server

#: Fewer files are read as quickly as anybody waits.
MANY_FILES = 20_000
#: So many days up to today, and all.
_DAYS = (1, 7, 30, 90, 365)
_ALWAYS = Period(0, LAST_SECOND // SECONDS_PER_DAY)
#: A list is made anew after so many times as long as making it takes, and no sooner than this.
_SPARED = 50
_SOONEST_SECONDS = 60.0
#: Who makes them says so again and again; when it has not for so long, it has died.
_ALIVE_SECONDS = 30.0
_FIELDS_AT_ONCE = 4
_ABOUT, _PATHS, _FIRSTS, _LASTS = "about", "paths", "first", "last"
#: By number of a tally.
Columns = dict[int, "array[int]"]


class _EndedError(Exception):
    """The process ends, and so does the making."""


class ReadyLists:
    """The lists on *server*. Finding is safe from any thread, making is for one at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server

    # Finding

    def list_of(self, query: Query) -> tuple[FileList, float] | None:
        """Return the list that *query* asks for, if it is ready, and how long making it takes."""
        terms = wanted_terms(query)
        places = {place for its in terms for place, _ in its}
        found = self._found(query.period or _ALWAYS, sorted(places))
        if found is None:
            return None
        records, took = found
        numbers = [records.totals(its) for its in terms]
        values = values_of(query, records, numbers)
        return FileList(records.as_of, records.packs, records.paths, values), took

    def records(self) -> tuple[Records, float] | None:
        """Return all files with what they have in all, for directories."""
        return self._found(_ALWAYS, range(len(NAMES)))

    def _found(self, period: Period, places: Sequence[int]) -> tuple[Records, float] | None:
        fields = [_ABOUT, _PATHS, _FIRSTS, _LASTS, *(_field(period, place) for place in places)]
        about, paths, firsts, lasts, *texts = self._server.ask(
            self._server.reading, "HMGET", scripts.LISTS, *fields
        )
        known = json.loads(about or "{}")
        if [*period] not in known.get("periods", ()):
            return None
        records = Records(known["as_of"], known["packs"])
        # A number of which nobody has any has no column.
        columns = {place: unpacked(text) for place, text in zip(places, texts, strict=True) if text}
        paths = zlib.decompress(paths).split(b"\n")
        records.take(paths, unpacked(firsts), unpacked(lasts), columns)
        return records, known["took"]

    # Making

    def go_on(self, now: int, oldest_day: int, end: Event) -> None:
        """Make the lists anew, if there are many files and it is time to. Returns early at *end*.

        Raises CounterError.
        """
        ask, patient = self._server.ask, self._server.patient
        if ask(patient, "ZCARD", scripts.TOP) < MANY_FILES:
            return
        token = token_hex(8)
        if not ask(
            patient, "SET", scripts.MAKING, token, "NX", "PX", _milliseconds(_ALIVE_SECONDS)
        ):
            return
        today = now // SECONDS_PER_DAY
        periods = [Period(max(0, today - days + 1, oldest_day), today) for days in _DAYS]
        begun = monotonic()
        try:
            fields = _Making(self._server, now, end).fields(periods)
        except _EndedError:
            if end.is_set():
                ask(patient, "DEL", scripts.MAKING)
            return
        if not fields:
            return
        took = monotonic() - begun
        about = json.loads(fields[_ABOUT]) | {"took": took}
        fields[_ABOUT] = json.dumps(about).encode()
        # Not beyond the day: another one begins with other periods.
        rest_of_day = SECONDS_PER_DAY - now % SECONDS_PER_DAY
        again = min(max(_SOONEST_SECONDS, _SPARED * took), rest_of_day)
        self._keep(token, fields, again, 2 * (again + took))

    def _keep(self, token: str, fields: dict[str, bytes], again: float, forgotten: float) -> None:
        """Write all fields, a millisecond of the server's time at once."""
        ask, patient = self._server.ask, self._server.patient
        ask(patient, "UNLINK", scripts.LISTS_PARTS)
        waiting = list(fields.items())
        while waiting:
            part, waiting = waiting[:_FIELDS_AT_ONCE], waiting[_FIELDS_AT_ONCE:]
            times = [_milliseconds(forgotten), "" if waiting else _milliseconds(again)]
            words = [word for field in part for word in field]
            self._server.run(patient, scripts.KEEP_LISTS, [token, *times, *words])

    def forget(self) -> None:
        self._server.ask(self._server.patient, "DEL", scripts.LISTS, scripts.MAKING)


class _Making:
    """One reading of all that lists are made of: records, then texts, then blocks.

    See `file_list.py` for why in this order.
    """

    def __init__(self, server: Server, now: int, end: Event) -> None:
        self._server = server
        self._end = end
        packs = self._packs()
        self._records = Records(now, packs).read(server, self._go_on)
        totals = ((place, self._records.totals([(place, 1)])) for place in range(len(NAMES)))
        self._totals = {place: array("Q", column) for place, column in totals if any(column)}
        self._ids = self._records.ordered(self._records.ids)

    def fields(self, periods: list[Period]) -> dict[str, bytes]:
        """Return what is kept of the lists; nothing when days were packed meanwhile."""
        records = self._records
        sums_of = {period: self._of_records(period) for period in periods}
        self._add_texts(sums_of)
        about = {
            "as_of": records.as_of,
            "packs": records.packs,
            "periods": [_ALWAYS, *periods],
        }
        fields = {
            _ABOUT: json.dumps(about).encode(),
            _PATHS: zlib.compress(b"\n".join(records.paths), 1),
            _FIRSTS: packed(records.ordered(records.firsts)),
            _LASTS: packed(records.ordered(records.lasts)),
        }
        for place, column in self._totals.items():
            fields[_field(_ALWAYS, place)] = packed(column)
        for period, columns in sums_of.items():
            self._add_blocks(period, columns)
            for place, column in columns.items():
                if any(column):
                    fields[_field(period, place)] = packed(column)
            columns.clear()
        return fields if self._packs() == records.packs else {}

    def _go_on(self) -> None:
        """Stay the one who makes them; not after a reset, which takes the token away."""
        stays = self._server.ask(
            self._server.patient, "PEXPIRE", scripts.MAKING, _milliseconds(_ALIVE_SECONDS)
        )
        if not stays or self._end.is_set():
            raise _EndedError

    def _packs(self) -> int:
        return int(self._server.ask(self._server.reading, "HGET", scripts.SITE, "packs") or 0)

    def _of_records(self, period: Period) -> Columns:
        """Return the days that are in the records, as far as they are in *period*."""
        return {
            place: array("Q", self._records.todays([(place, 1)], *period)) for place in self._totals
        }

    def _add_texts(self, sums_of: dict[Period, Columns]) -> None:
        """Add the days that are in the texts of months, and not in the records."""
        place_of = {path: place for place, path in enumerate(self._records.paths)}
        record_days = self._records.ordered(self._records.days)
        first, last = min(sums_of).first, max(period.last for period in sums_of)
        months = map(int, self._server.ask(self._server.reading, "HKEYS", scripts.MONTHS))
        for month in months:
            if not month_of(first) <= month <= month_of(last):
                continue
            seen: set[int] = set()
            for paths, texts in self._server.scan_joined(f"{scripts.MONTH}{month}"):
                self._go_on()
                by_day: dict[int, tuple[list[int], list[list[int]]]] = {}
                for path, days in zip(paths, texts, strict=True):
                    file = place_of.get(path, -1)
                    if file < 0 or file in seen:
                        continue
                    seen.add(file)
                    for day, tally in days:
                        if day != record_days[file]:
                            files, tallies = by_day.setdefault(day, ([], []))
                            files.append(file)
                            tallies.append(tally)
                for day, (files, tallies) in by_day.items():
                    of_day = [
                        sums
                        for period, sums in sums_of.items()
                        if period.first <= day <= period.last
                    ]
                    _add(of_day, files, tallies)

    def _add_blocks(self, period: Period, columns: Columns) -> None:
        """Add the days that are in month blocks, one month after the other."""
        files = max(self._ids, default=-1) + 1
        terms: list[Terms] = [[(place, 1)] for place in columns]
        for span in spans(*period):
            self._go_on()
            days = Period(
                max(period.first, first_day_of(span.month)),
                min(period.last, first_day_of(span.month + 1) - 1),
            )
            blocks = RemoteBlocks(self._server, days, terms, files)
            for place, found in zip(columns, sums(blocks, terms, *days, files), strict=True):
                if any(found):
                    by_id = [*found, 0]  # the last one is what those without an id have
                    column = map(add, columns[place], map(by_id.__getitem__, self._ids))
                    columns[place] = array("Q", column)


def _add(columns_of: Sequence[Columns], files: Sequence[int], tallies: list[list[int]]) -> None:
    """Add to each of *columns_of* a day of some files."""
    for place, numbers in enumerate(zip_longest(*tallies, fillvalue=0)):
        for columns in columns_of:
            column = columns.get(place)
            if column is not None:
                for file, number in zip(files, numbers, strict=True):
                    column[file] += number


def _field(period: Period, place: int) -> str:
    return f"{period.first} {period.last} {place}"


def _milliseconds(seconds: float) -> str:
    return str(int(1000 * seconds))


def packed(numbers: Iterable[int]) -> bytes:
    """Return numbers from 0 on as byte planes, up to the highest that is not zero."""
    raw = array("Q", numbers).tobytes()
    planes = 8
    while planes > 1 and not any(raw[planes - 1 :: 8]):
        planes -= 1
    body = zlib.compress(b"".join(raw[plane::8] for plane in range(planes)), 1)
    return bytes([planes]) + body


def unpacked(text: bytes) -> "array[int]":
    """Return what `packed` was given."""
    planes, body = text[0], zlib.decompress(text[1:])
    size = len(body) // planes
    numbers = bytearray(8 * size)
    for plane in range(planes):
        numbers[plane::8] = body[plane * size : (plane + 1) * size]
    found = array("q")
    found.frombytes(numbers)
    return found
