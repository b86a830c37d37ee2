"""Packing the days that are over: from a text for each file to month blocks.

Whoever counts packs some now and then, one process of all hosts at a time, for a second of five. So
readers of long lists, who begin again when something was packed in between, find time.
"""

import json
from collections.abc import Callable, Iterator
from hashlib import sha1
from time import monotonic
from typing import NamedTuple

from ..month_block import FILES, MonthBlock
from ..periods import SECONDS_PER_DAY, Period, first_day_of, month_of
from . import scripts
from .entries import lanes
from .server import Server

#: Days are packed when they are over for so many: late counts have come by then, and rows of
#: clients have expired.
DAYS_AT_HAND = 3
_SECONDS = 1.0
_PAUSE_MS = 5000
_SCANNED, _NUMBERED = 1000, 200


def with_whole_month(period: Period, packed_before: int) -> Period:
    """Return a period that has the same days of month blocks, and its last month as a whole if that
    can be: of a whole month the sums are ready.

    No day from *packed_before* on is in a block; 0 is not known.
    """
    if 0 < packed_before <= period.last + 1:
        return period._replace(last=first_day_of(month_of(period.last) + 1) - 1)
    return period


class _Part(NamedTuple):
    """Files of one block that have days of a month to be packed."""

    month: int
    number: int
    #: With their ids.
    paths: list[tuple[bytes, int]]


class Packing:
    """Packs what is kept on *server*. For one thread at a time."""

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._parts: Iterator[_Part] | None = None
        self._before = 0

    def go_on(self) -> None:
        """Pack for a second, if there is something to pack and nobody else does."""
        before = max(0, int(self._clock()) // SECONDS_PER_DAY - DAYS_AT_HAND + 1)
        ask, patient = self._server.ask, self._server.patient
        if int(ask(patient, "HGET", scripts.SITE, "packed_until") or 0) >= before:
            self._parts = None
        elif ask(patient, "SET", scripts.PACKING, "1", "NX", "PX", str(_PAUSE_MS)):
            self.pack(before, monotonic() + _SECONDS)

    def pack(self, before: int, until: float = float("inf")) -> bool:
        """Pack the days before *before*, until it is so late; return whether all are packed."""
        if self._parts is None or before != self._before:
            self._parts, self._before = self._found(before), before
        for part in self._parts:
            self._pack(part, before)
            if monotonic() >= until:
                return False
        self._server.ask(self._server.patient, "HSET", scripts.SITE, "packed_until", str(before))
        self._parts = None
        return True

    def begin_again(self) -> None:
        """Let days be packed that came late, after all were; else they wait for the next day."""
        self._server.ask(self._server.patient, "HDEL", scripts.SITE, "packed_until")

    def _found(self, before: int) -> Iterator[_Part]:
        """Yield what there is to be packed, by month and block."""
        months = self._server.ask(self._server.patient, "HKEYS", scripts.MONTHS)
        for month in sorted(map(int, months)):
            if first_day_of(month) < before:
                by_block: dict[int, list[tuple[bytes, int]]] = {}
                for path, its_id in self._files(month, before).items():
                    by_block.setdefault(its_id // FILES, []).append((path, its_id))
                for number, paths in by_block.items():
                    yield _Part(month, number, paths)

    def _files(self, month: int, before: int) -> dict[bytes, int]:
        """Return the files with days to be packed, with their ids; those without get one."""
        found: dict[bytes, int] = {}
        cursor = "0"
        while True:
            asked = [str(month), cursor, str(_SCANNED), str(before)]
            following, paths, ids = self._server.run(self._server.patient, scripts.PACKABLE, asked)
            found.update(zip(paths.split(b"\n"), ids, strict=False))
            cursor = following.decode()
            if cursor == "0":
                break
        # Neighbours in the order of the paths share a block.
        new = sorted(path for path, its_id in found.items() if its_id < 0)
        for begin in range(0, len(new), _NUMBERED):
            part = new[begin : begin + _NUMBERED]
            ids = self._server.run(self._server.patient, scripts.NUMBER, part)
            found.update(zip(part, ids, strict=True))
        return {path: its_id for path, its_id in found.items() if its_id >= 0}

    def _pack(self, part: _Part, before: int) -> None:
        """Move the days of some files, if nobody changes them meanwhile; else another time."""
        ask, patient = self._server.ask, self._server.patient
        paths = [path for path, _ in part.paths]
        texts = ask(patient, "HMGET", f"{scripts.MONTH}{part.month}", *paths)
        kept = ask(patient, "HGET", f"{scripts.PACKED}{part.month}", str(part.number))
        block, begins = MonthBlock(kept or b""), first_day_of(part.month)
        moved: list[bytes] = []
        for (path, its_id), text in zip(part.paths, texts, strict=True):
            if text is None:
                continue
            days = json.loads(text)
            for day, tally in days:
                if day < before:
                    block.add(day - begins, its_id % FILES, lanes(tally))
            rest = [pair for pair in days if pair[0] >= before]
            moved += path, text, json.dumps(rest).encode() if rest else b""
        if moved:
            digest = sha1(kept, usedforsecurity=False).hexdigest() if kept else ""
            numbers = [str(part.month), str(part.number), digest]
            self._server.run(patient, scripts.PACK, [*numbers, block.pack(), str(before), *moved])
