"""A month's days of 128 files, packed: how a store keeps what files counted on days that are over.

A file has a number of its own (its id) as long as it is counted. Files whose ids share all but the
last seven bits share their blocks, one a month: for each number of `tally.NAMES` a table of 31 days
by 128 files, and the month's sums. To rank all files over a period a store reads one number of each
block, and of whole months the sums alone; to draw one file's curve it reads one block a month.

A table is written as byte planes (all lowest bytes, then all second bytes, ... up to the highest
that is not zero), compressed where that is much shorter. `sent_bytes` is mostly the file's size
times `completed`, so the block keeps the smallest quotient of the month for each file, its unit,
and in the table only what goes beyond.

Measured with 100,000 files, each accessed on each of 365 days by a mix of clients: 3.2 bytes a file
and day on the disk. Without units 4.2; a row for each file and month took 8, for each file and day
147.

Numbers are little-endian in a block, and native in memory, as in LMDB's own pages.
"""

import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from operator import add, mul, sub
from typing import Final, Literal, TypeAlias

from .tally import MASK, PLACE, WIDTH

FILES: Final = 128
DAYS: Final = 31
_CELLS: Final = FILES * DAYS
_SENT, _COMPLETED = PLACE["sent_bytes"], PLACE["completed"]
#: The place of the units, in which nothing is counted.
UNITS: Final = 255

#: Place, and for the sums and for the days: byte planes and length.
_ENTRY: Final = struct.Struct("<BBHBI")
_FASTEST: Final = 1
#: Runs and the frequencies of bytes are all that there is to be found: a sixth less room, in less
#: time, than with a search for what comes again.
_STRATEGY: Final = zlib.Z_RLE
#: By the number of byte planes: the bytes of a lane in which up to 31 such numbers are added
#: without an overflow.
_LANE: Final = (1, 2, 4, 4, 8, 8, 8, 8, 8)
_TYPE: Final[dict[int, Literal["B", "H", "I", "Q"]]] = {1: "B", 2: "H", 4: "I", 8: "Q"}

#: As a store has it.
Packed: TypeAlias = bytes | memoryview
#: Numbers of 64 bits: of the files on one day after the other, or of the files alone.
Table: TypeAlias = "array[int]"


class MonthBlock:
    """The days of 128 files in one month. For one thread at a time."""

    def __init__(self, packed: Packed = b"") -> None:
        """Read what `pack` returned. Tables are unpacked when they are asked for."""
        #: By place: byte planes and bytes of the sums, and of the days.
        self._packed: dict[int, tuple[int, memoryview, int, memoryview]] = {}
        #: By place and whether of days: the byte planes.
        self._planes: dict[tuple[int, bool], memoryview] = {}
        #: By place: the days, as `add` changes them.
        self._tables: dict[int, Table] = {}
        if packed:
            view = memoryview(packed)
            at = 1 + view[0] * _ENTRY.size
            for place, sum_planes, sum_length, planes, length in _ENTRY.iter_unpack(view[1:at]):
                middle, end = at + sum_length, at + sum_length + length
                self._packed[place] = sum_planes, view[at:middle], planes, view[middle:end]
                at = end

    def add(self, day: int, file: int, lanes: int) -> None:
        """Add a tally's integer to day 0 to 30 of file 0 to 127. Only `pack` shows it."""
        cell, place = day * FILES + file, 0
        while lanes:
            if value := lanes & MASK:
                self._table(place)[cell] += value
            lanes >>= WIDTH
            place += 1

    def sums(self, place: int, first: int = 0, last: int = DAYS - 1) -> int:
        """Return the number at *place* of each file from day *first* to *last*, file *i* at bit
        64·i.
        """
        found = self._sums(place, first, last)
        if place == _SENT and UNITS in self._packed:
            found += _lanes(
                map(mul, self._numbers(UNITS), _array(self._sums(_COMPLETED, first, last)))
            )
        return found

    def file_days(self, file: int, first: int = 0, last: int = DAYS - 1) -> list[int]:
        """Return a file's tallies, as integers, from day *first* to *last*."""
        tallies = [0] * (last + 1 - first)
        unit = self._sum(UNITS, file)
        for place in self._packed:
            scale = 1 << WIDTH * place
            if place == _COMPLETED:
                scale += unit << WIDTH * _SENT
            for index, value in enumerate(self._file_numbers(place, file, first, last)):
                if value:
                    tallies[index] += value * scale
        return tallies

    def file_accesses(self, file: int) -> list[int]:
        """Return a file's accesses on each day."""
        return self._file_numbers(PLACE["accesses"], file, 0, DAYS - 1)

    def _file_numbers(self, place: int, file: int, first: int, last: int) -> list[int]:
        """Return what is written at *place* of a file, from day *first* to *last*."""
        body = self._body(place, of_days=True)
        begin, end = first * FILES + file, (last + 1) * FILES
        planes = [body[at + begin : at + end : FILES] for at in range(0, len(body), _CELLS)]
        if len(planes) == 1:
            return planes[0].tolist()
        columns = zip(*planes, strict=True) if planes else repeat((), last + 1 - first)
        return [int.from_bytes(column, "little") for column in columns]

    def file_sum(self, file: int) -> int:
        """Return a file's tally of the whole month, as an integer."""
        tally = 0
        for place in self._packed:
            if place != UNITS:
                tally += self._sum(place, file) << WIDTH * place
        return tally + (self._sum(UNITS, file) * self._sum(_COMPLETED, file) << WIDTH * _SENT)

    def day_planes(self, place: int) -> memoryview:
        """Return the byte planes of the days as they are written: of all files on one day after
        the other, of `sent_bytes` what goes beyond the units.
        """
        return self._body(place, of_days=True)

    def pack(self) -> bytes:
        """Return the block's bytes; b"" when nothing was counted."""
        for place in self._packed:
            if place != UNITS:
                self._table(place)
        bodies: list[tuple[int, Table, Table]] = []
        for place, table in sorted(self._tables.items()):
            if place == _SENT and (units := _units(table, self._tables.get(_COMPLETED))):
                bodies.append((UNITS, units, array("Q")))
                table = array("Q", map(sub, table, _times(units, self._tables[_COMPLETED])))
            bodies.append((place, _summed(table), table))
        return _written(bodies)

    def _table(self, place: int) -> Table:
        """Return the number at *place* on each day of each file, to be added to."""
        table = self._tables.get(place)
        if table is None:
            table = self._numbers(place, of_days=True)
            if place == _SENT and UNITS in self._packed:
                completed = self._numbers(_COMPLETED, of_days=True)
                table = array("Q", map(add, table, _times(self._numbers(UNITS), completed)))
            self._tables[place] = table
        return table

    def _sums(self, place: int, first: int, last: int) -> int:
        """Return the sums of what is written at *place*, which for `sent_bytes` is what goes beyond
        the units.
        """
        if place not in self._packed:
            return 0
        if (first, last) == (0, DAYS - 1):
            body = self._body(place, of_days=False)
            return int.from_bytes(_interleaved(body, len(body) // FILES, FILES, 8), "little")
        body = self._body(place, of_days=True)
        planes = len(body) // _CELLS
        lane, days, row = _LANE[planes], last - first + 1, FILES * _LANE[planes]
        chosen = body
        if days < DAYS:
            begin, end = first * FILES, (last + 1) * FILES
            parts = (body[at + begin : at + end] for at in range(0, len(body), _CELLS))
            chosen = memoryview(b"".join(parts))
        table = _interleaved(chosen, planes, days * FILES, lane)
        added = sum(
            [int.from_bytes(table[at : at + row], "little") for at in range(0, len(table), row)]
        )
        return int.from_bytes(_widened(added.to_bytes(row, "little"), lane), "little")

    def _sum(self, place: int, file: int) -> int:
        """Return a file's sum that is written at *place*."""
        return int.from_bytes(self._body(place, of_days=False)[file::FILES], "little")

    def _numbers(self, place: int, *, of_days: bool = False) -> Table:
        """Return a copy of what is written at *place*, zeros when nothing is."""
        size, body = _CELLS if of_days else FILES, self._body(place, of_days=of_days)
        return array("Q", _interleaved(body, len(body) // size, size, 8))

    def _body(self, place: int, *, of_days: bool) -> memoryview:
        """Return the byte planes written at *place*, one after the other."""
        body = self._planes.get((place, of_days))
        if body is None:
            sum_planes, sums, day_planes, days = self._packed.get(
                place, (0, memoryview(b""), 0, memoryview(b""))
            )
            planes, size, body = (
                (day_planes, _CELLS, days) if of_days else (sum_planes, FILES, sums)
            )
            if len(body) != planes * size:
                body = memoryview(zlib.decompress(body))
            self._planes[place, of_days] = body
        return body


def _written(bodies: Iterable[tuple[int, Table, Table]]) -> bytes:
    entries: list[bytes] = []
    parts: list[bytes] = []
    for place, sums, table in bodies:
        sum_planes, sum_body = packed_planes(sums.tobytes())
        planes, body = packed_planes(table.tobytes())
        entries.append(_ENTRY.pack(place, sum_planes, len(sum_body), planes, len(body)))
        parts += (sum_body, body)
    return b"".join((bytes([len(entries)]), *entries, *parts)) if entries else b""


def packed_planes(numbers: bytes, least: int = 0) -> tuple[int, bytes]:
    """Return how many byte planes numbers of 64 bits have up to the highest that is not zero, or
    *least*, and these, compressed if they are much shorter then.
    """
    planes = 8
    while planes > least and not any(numbers[planes - 1 :: 8]):
        planes -= 1
    body = b"".join(numbers[plane::8] for plane in range(planes))
    packing = zlib.compressobj(_FASTEST, strategy=_STRATEGY)
    compressed = packing.compress(body) + packing.flush()
    # For less it is not worth the reader's time.
    return planes, compressed if len(compressed) < len(body) * 3 // 4 else body


def _interleaved(body: memoryview, planes: int, size: int, lane: int) -> bytearray:
    """Return *size* numbers of *lane* bytes each, from their byte planes."""
    if lane == 1:
        return bytearray(body)
    numbers = bytearray(lane * size)
    for plane in range(planes):
        numbers[plane::lane] = body[plane * size : (plane + 1) * size]
    return numbers


def _widened(numbers: bytes, lane: int) -> bytes:
    """Return numbers of *lane* bytes each as numbers of 8 bytes."""
    return numbers if lane == 8 else array("Q", memoryview(numbers).cast(_TYPE[lane])).tobytes()


def _units(sent: Table, completed: "Table | None") -> "Table | None":
    """Return each file's smallest quotient of bytes sent and completed on a day; None when all are
    0.
    """
    if completed is None:
        return None
    none = max(sent) + 1
    quotients = [
        sent_of // done if done else none for sent_of, done in zip(sent, completed, strict=True)
    ]
    smallest = map(min, *(quotients[day * FILES : (day + 1) * FILES] for day in range(DAYS)))
    units = array("Q", (0 if unit == none else unit for unit in smallest))
    return units if any(units) else None


def _times(units: Table, completed: Table) -> Iterator[int]:
    """Yield what the completed accesses of each day and file come to in bytes."""
    return map(mul, chain.from_iterable(repeat(units, DAYS)), completed)


def _summed(table: Table) -> Table:
    return array(
        "Q",
        map(
            sum, zip(*(table[day * FILES : (day + 1) * FILES] for day in range(DAYS)), strict=True)
        ),
    )


def _lanes(numbers: Iterable[int]) -> int:
    return int.from_bytes(array("Q", numbers).tobytes(), "little")


def _array(lanes: int) -> Table:
    return array("Q", lanes.to_bytes(8 * FILES, "little"))
