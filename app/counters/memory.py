"""Counts of one process, in a dict under a lock: the readable definition of the contract."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from threading import Lock
from time import time

from .. import after_fork
from .contract import SECONDS_PER_DAY, Announce, Counts, FileRecord, Kind

FULL, PARTIAL, NOT_MODIFIED, RESUMED = Kind.FULL, Kind.PARTIAL, Kind.NOT_MODIFIED, Kind.RESUMED


class MemoryCounter:
    """Counts that begin at 0 with the process and end with it."""

    def __init__(self, *, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._counts = Counts()
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._lock = Lock()

    def count(self, path: str, kind: Kind, announce: Announce | None = None) -> int | None:
        with self._lock:
            record = self._counts.files.get(path)
            if record is None:
                record = self._counts.files[path] = FileRecord()
            if kind is FULL:
                record.full += 1
            elif kind is NOT_MODIFIED:
                record.not_modified += 1
            elif kind is PARTIAL:
                record.partial += 1
            elif kind is RESUMED:
                record.resumed += 1
                return None
            else:
                record.head += 1
                return None
            now = int(self._clock())
            if now > record.last:
                record.last = now
                record.first = record.first or now
            day = now // SECONDS_PER_DAY
            days = record.days
            days[day] = days.get(day, 0) + 1
            number = record.full + record.partial + record.not_modified
            if announce is not None:
                announce(number)
            return number

    def answered(self, status: int) -> None:
        with self._lock:
            statuses = self._counts.other_statuses
            statuses[status] = statuses.get(status, 0) + 1

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        with self._lock:
            files = self._counts.files
            return {path: files[path].accesses if path in files else 0 for path in paths}

    def counts(self) -> Counts:
        with self._lock:
            return deepcopy(self._counts)

    def add(self, counts: Counts) -> None:
        with self._lock:
            self._counts.add(counts)

    def reset(self, paths: Iterable[str] | None = None) -> None:
        with self._lock:
            if paths is None:
                self._counts = Counts()
            else:
                for path in paths:
                    self._counts.files.pop(path, None)

    def close(self) -> None:
        """Nothing is held."""
