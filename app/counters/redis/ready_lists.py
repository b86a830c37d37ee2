"""Lists of many files, made ahead: whoever looks first finds what they are made of ready in Redis.

To read 100,000 records takes half a second, and a year of month blocks another two. So one of the
processes that count does that now and then, and keeps what it read as columns of all files:

 - what each has in all, and the days that are in no month block (`days_at_hand.py`), in the order
   of the paths. Each making reads them anew, and they are seen all at once;
 - the days that are in month blocks, by month (`month_columns.py`). They are made when the blocks
   have changed: once a day those of one month.

Any period is a sum of some of these; orders and classes of clients follow. A list says as of when
it is; who goes on looking gets one that was just read (`kept_answers.py`).

Nothing that is counted is in here alone. What nobody makes anew is forgotten.
"""

import json
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from operator import add
from secrets import token_hex
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

from ..history import Terms, ranked_terms, spans
from ..periods import SECONDS_PER_DAY, Period, first_day_of
from ..ranking import Query
from ..tally import NAMES
from . import days_at_hand, scripts
from .columns import Sum, numbers_of, unpacked
from .days_at_hand import TooManyDaysError
from .file_list import FileList
from .list_making import (
    ALIVE_SECONDS,
    FIRSTS,
    IDS,
    LASTS,
    PATHS,
    EndedError,
    Making,
    in_all,
    milliseconds,
)
from .month_columns import Kept, add_part
from .month_making import State
from .packing import with_whole_month
from .records import Records
from .server import Server

#: Fewer files are read as quickly as anybody waits.
MANY_FILES = 20_000
#: Lists are made anew after so many times as long as making them takes, and no sooner than this.
_SPARED = 50
_SOONEST_SECONDS = 60.0


class _Found(NamedTuple):
    about: dict[str, Any]
    fields: Mapping[str, bytes]

    @property
    def state(self) -> State:
        return State(*self.about["state"])


class ReadyLists:
    """The lists on *server*. Finding is safe from any thread, making is for one at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server

    # Finding

    def list_of(self, query: Query) -> tuple[FileList, float] | None:
        """Return the list that *query* asks for, if it is ready, and how long making it takes."""
        terms = ranked_terms(query.order, query.classes)
        places = {place for its in terms for place, _ in its}
        times = {"first": [FIRSTS], "last": [LASTS]}.get(query.order, [])
        if query.period is None:
            found = self._read([PATHS, *times, *map(in_all, places)])
        else:
            found = self._read([PATHS, *times, IDS, *days_at_hand.names(places)])
        if found is None:
            return None
        records = _records(found, places)
        if query.period is None:
            numbers = [records.totals(its) for its in terms]
        else:
            over = self._over(found, terms, query.period, len(records.paths))
            if over is None:
                return None
            numbers = over
        return FileList.of(query, records, numbers), found.about["took"]

    def records(self) -> tuple[Records, float] | None:
        """Return all files with what they have in all, for directories."""
        places = range(len(NAMES))
        found = self._read([PATHS, FIRSTS, LASTS, *map(in_all, places)])
        return None if found is None else (_records(found, places), found.about["took"])

    def _read(self, names: Sequence[str]) -> _Found | None:
        about, *texts = self._server.ask(
            self._server.reading, "HMGET", scripts.LISTS, scripts.LISTS_ABOUT, *names
        )
        known = json.loads(about or "{}")
        if known.get("format") != scripts.LISTS_FORMAT:
            return None
        return _Found(known, {name: text for name, text in zip(names, texts, strict=True) if text})

    def _over(
        self, found: _Found, terms: list[Terms], period: Period, files: int
    ) -> list[list[int]] | None:
        """Return for each of *terms* what it comes to over a period, in the order of the paths.

        None when columns of a month are not there.
        """
        by_id = self._over_months(found, terms, period)
        if by_id is None:
            return None
        numbers = days_at_hand.sums(found.fields, terms, period, files)
        ids = unpacked(found.fields[IDS]).tolist()
        highest = max(ids, default=0)
        for nth, lanes in enumerate(by_id):
            if lanes:
                # The first one is what those without an id have.
                column = [0, *numbers_of(lanes, highest)]
                numbers[nth] = list(map(add, numbers[nth], map(column.__getitem__, ids)))
        return numbers

    def _over_months(self, found: _Found, terms: list[Terms], period: Period) -> list[int] | None:
        wanted = [(its, Sum()) for its in terms]
        months = {int(month): Kept(*its) for month, its in found.about["months"].items()}
        period = with_whole_month(period, found.state.packed_before)
        if not months:
            return [0] * len(terms)
        first = max(period.first, first_day_of(min(months)))
        last = min(period.last, first_day_of(max(months) + 1) - 1)
        for span in spans(first, last):
            if kept := months.get(span.month):
                key = kept.key(span.month)
                if not kept.is_kept or not add_part(self._server, key, wanted, span):
                    return None
        return [its.lanes() for _, its in wanted]

    # Making

    def go_on(self, now: int, end: Event) -> None:
        """Make the lists anew, if there are many files and it is time to. Returns early at *end*.

        Raises CounterError, and TooManyDaysError when days have to be packed before.
        """
        ask, patient = self._server.ask, self._server.patient
        if ask(patient, "ZCARD", scripts.TOP) < MANY_FILES:
            return
        token = token_hex(8)
        alive = milliseconds(ALIVE_SECONDS)
        if not ask(patient, "SET", scripts.MAKING, token, "NX", "PX", alive):
            return
        begun = monotonic()
        making = Making(self._server, token, end)
        try:
            self._make(making, now)
        except EndedError:
            if end.is_set():
                making.stay(0)
        except TooManyDaysError:
            making.stay(max(_SOONEST_SECONDS, _SPARED * (monotonic() - begun)))
            raise

    def _make(self, making: Making, now: int) -> None:
        begun = monotonic()
        fields = making.fields(now)
        if not fields:
            return  # to be tried again when nobody says any more that it is being made
        took = monotonic() - begun
        about = json.loads(fields[scripts.LISTS_ABOUT]) | {"took": took}
        fields[scripts.LISTS_ABOUT] = json.dumps(about).encode()
        again = max(_SOONEST_SECONDS, _SPARED * took)
        making.keep(scripts.LISTS, fields.items(), 2 * (again + took))
        # Not beyond the day: what came on another one is wanted soon.
        rest_of_day = SECONDS_PER_DAY - now % SECONDS_PER_DAY
        making.end(min(again, rest_of_day))

    def forget(self) -> None:
        self._server.ask(self._server.patient, "DEL", scripts.LISTS, scripts.MAKING)


def _records(found: _Found, places: Iterable[int]) -> Records:
    """Return the files with what was found of them: without a column, nobody has any."""
    records = Records(found.about["as_of"], found.state.packs)
    paths = zlib.decompress(found.fields[PATHS]).split(b"\n")
    firsts, lasts = (
        unpacked(found.fields[name]) if name in found.fields else array("q")
        for name in (FIRSTS, LASTS)
    )
    totals = {
        place: unpacked(found.fields[in_all(place)])
        for place in places
        if in_all(place) in found.fields
    }
    records.take(paths, firsts, lasts, totals)
    return records
