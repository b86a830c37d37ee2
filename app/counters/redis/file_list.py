"""A list of files in an order, for which every file must be looked at."""

import json
import re
from dataclasses import dataclass
from time import monotonic

from ..periods import LAST_SECOND, Period, month_of
from ..ranking import Query
from ..reading import NUMBER_OF_ORDER
from ..tally import Tally
from . import scripts
from .entries import lanes
from .server import Server


@dataclass(frozen=True, slots=True)
class FileList:
    """What `ranking.page` needs: all paths in order, and what they are ranked by."""

    query: Query
    begun: float
    as_of: int
    paths: list[bytes]
    values: list[int]

    def serves(self, query: Query, kept_seconds: float) -> bool:
        """Return whether it is still good for a page of *query*."""
        is_same = query._replace(after=None, limit=0) == self.query
        return is_same and monotonic() - self.begun < kept_seconds


def read_list(server: Server, query: Query, clipped: Query, now: int) -> FileList:
    """Read the list that *query* asks for; *clipped* has its period without days that are too old.

    Raises CounterError.
    """
    begun = monotonic()
    files = _Files(server, clipped)
    found = sorted((path, files.value(path)) for path in files.records)
    return FileList(
        query._replace(after=None, limit=0),
        begun,
        now,
        [path for path, _ in found],
        [value for _, value in found],
    )


class _Files:
    """All files that match: their first and last accesses, and tallies over the period."""

    def __init__(self, server: Server, query: Query) -> None:
        self._query = query
        self._server = server
        #: First and last access, day of the record, tally.
        self.records: dict[bytes, tuple[int, int, int, int]] = {}
        period = query.period
        pattern = query.pattern()
        # Paths are ASCII, and so is the pattern.
        search = None if pattern is None else re.compile(pattern.pattern.encode()).search
        for part in server.scan(scripts.RECORDS):
            for path, text in part:
                if search is None or search(path):
                    first, last, day, total, today = json.loads(text)
                    if period is not None:
                        total = today if period.first <= day <= period.last else []
                    self.records[path] = first, last, day, lanes(total)
        if period is not None:
            self._add_months(period)

    def _add_months(self, period: Period) -> None:
        # The months come after the records. So nothing is missed; what went from a record to its
        # month in between is there twice, and known by its day.
        months = [int(month) for part in self._server.scan(scripts.MONTHS) for month, _ in part]
        for month in months:
            if month_of(period.first) <= month <= month_of(period.last):
                self._add_month(month, period)

    def _add_month(self, month: int, period: Period) -> None:
        seen: set[bytes] = set()
        # What does not have this in it need not be taken apart.
        mark = b"[%d," % period.first if period.days == 1 else b""
        for part in self._server.scan(f"{scripts.MONTH}{month}"):
            for path, text in part:
                if path in seen or mark not in text or path not in self.records:
                    continue
                seen.add(path)
                first, last, today, total = self.records[path]
                total += sum(
                    lanes(tally)
                    for day, tally in json.loads(text)
                    if period.first <= day <= period.last and day != today
                )
                self.records[path] = first, last, today, total

    def value(self, path: bytes) -> int:
        """Return what a file is ranked by, -1 when it is not in the list."""
        query = self._query
        first, last, _, total = self.records[path]
        tally = Tally(total)
        accesses = tally.accesses_of(query.classes)
        if not accesses and (query.period is not None or query.classes is not None):
            return -1
        if query.order == "accesses":
            return accesses
        if query.order in NUMBER_OF_ORDER:
            return tally[NUMBER_OF_ORDER[query.order]]
        if query.order == "first":
            return LAST_SECOND - first
        return last if query.order == "last" else 0
