"""Making what lists of many files are made of; `ready_lists.py` says what that is."""

import json
import zlib
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Any

from ..history import Terms
from ..periods import LAST_SECOND, SECONDS_PER_DAY
from ..tally import NAMES
from . import month_columns, scripts
from .columns import packed
from .days_at_hand import DaysAtHand
from .month_making import MonthMaking
from .records import Records
from .server import Server

#: Who makes lists says so again and again; when it has not for so long, it has died.
ALIVE_SECONDS = 30.0
#: Fields of the lists. *ids* has 0 for a file without one, else one more than its id.
PATHS, IDS, FIRSTS, LASTS = "paths", "ids", "first", "last"

#: So many fields are written at once; a millisecond of the server's time.
_FIELDS_AT_ONCE = 4
_ANY_DAY = LAST_SECOND // SECONDS_PER_DAY


class EndedError(Exception):
    """The making ends, as the process does, or somebody reset counts, or another makes them."""


class Making:
    """One reading of all that lists are made of: records, then texts, then blocks.

    See `file_list.py` for why in this order. *token* says who makes them.
    """

    def __init__(self, server: Server, token: str, end: Event) -> None:
        self._server = server
        self._token = token
        self._end = end
        self._months = MonthMaking(server, self)

    def fields(self, now: int) -> dict[str, bytes]:
        """Return what is to be kept of the lists; nothing when days were packed meanwhile.

        Keeps the columns of months. Raises CounterError, EndedError and TooManyDaysError.
        """
        state = self._months.state()
        records = Records(now, state.packs).read(self._server, self.go_on)
        fields = _of_records(records) | self._of_days(records)
        if self._months.state() != state:
            return {}
        kept = self._months.make(state)
        if self._months.state() != state:
            return {}
        about = {
            "format": scripts.LISTS_FORMAT,
            "as_of": now,
            "state": state,
            "months": kept,
        }
        return fields | {scripts.LISTS_ABOUT: json.dumps(about).encode()}

    def keep(self, key: str, fields: Iterable[tuple[str, bytes]], seconds: float) -> None:
        """Write a hash, a millisecond of the server's time at once. Raises EndedError."""
        patient, waiting = self._server.patient, list(fields)
        named = [self._token, key, str(len(waiting)), milliseconds(seconds)]
        while waiting:
            part, waiting = waiting[:_FIELDS_AT_ONCE], waiting[_FIELDS_AT_ONCE:]
            words = [word for field in part for word in field]
            self.go_on()
            if not self._server.run(patient, scripts.KEEP_LISTS, [*named, *words]):
                raise EndedError

    def end(self, again: float) -> None:
        """Leave it to whoever comes after *again* seconds, now that the lists are kept."""
        if self.stay(again):
            self._months.end()

    def go_on(self) -> None:
        """Stay the one who makes them. Raises EndedError when it is over."""
        if not self.stay(ALIVE_SECONDS) or self._end.is_set():
            raise EndedError

    def stay(self, seconds: float) -> bool:
        """Let nobody else begin for *seconds*; with 0 anybody may.

        Returns False when another has begun, or a reset took the token away: then nothing changes.
        """
        named = [self._token, milliseconds(seconds)]
        return bool(self._server.run(self._server.patient, scripts.STAY, named))

    def _of_days(self, records: Records) -> dict[str, bytes]:
        """Return the days in the records, and those in the texts that are in no record."""
        paths, record_days = records.paths, records.ordered(records.days)
        hand = DaysAtHand(len(paths), month_columns.PLACES)
        terms: dict[int, Terms] = {place: [(place, 1)] for place in month_columns.PLACES}
        hand.add(
            range(len(paths)),
            record_days,
            {place: records.todays(its, 0, _ANY_DAY) for place, its in terms.items()},
        )
        place_of = {path: place for place, path in enumerate(paths)}
        for month in self._server.ask(self._server.reading, "HKEYS", scripts.MONTHS):
            seen: set[int] = set()
            for part, texts in self._server.scan_joined(f"{scripts.MONTH}{int(month)}"):
                self.go_on()
                rows = [
                    (file, day, tally)
                    for file, days in _new(zip(part, texts, strict=True), place_of, seen)
                    for day, tally in days
                    if day != record_days[file]
                ]
                if rows:
                    files, of_days, tallies = zip(*rows, strict=True)
                    hand.add_tallies(files, of_days, tallies)
        return hand.fields()


def _of_records(records: Records) -> dict[str, bytes]:
    found = {
        PATHS: zlib.compress(b"\n".join(records.paths), 1),
        IDS: packed(its_id + 1 for its_id in records.ordered(records.ids)),
        FIRSTS: packed(records.ordered(records.firsts)),
        LASTS: packed(records.ordered(records.lasts)),
    }
    for place in range(len(NAMES)):
        column = records.totals([(place, 1)])
        if any(column):
            found[in_all(place)] = packed(column)
    return found


def _new(
    rows: Iterable[tuple[bytes, Any]], place_of: dict[bytes, int], seen: set[int]
) -> Iterator[tuple[int, Any]]:
    """Yield the files of *rows* that are known and were not seen before."""
    for path, value in rows:
        file = place_of.get(path, -1)
        if file >= 0 and file not in seen:
            seen.add(file)
            yield file, value


def in_all(place: int) -> str:
    return f"all {place}"


def milliseconds(seconds: float) -> str:
    return str(int(1000 * seconds))
