"""Numbers of all files of a store of format 2, as columns in the order of the paths.

The files' rows are cut and joined some thousand at a time, so that numbers come out of them as
slices of an array and no row is unpacked: 100,000 files take a twentieth of a second.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import add, sub
from typing import NamedTuple, Protocol

from ..history import Blocks, Terms, sums
from ..periods import Period
from ..tally import MASK, WIDTH
from .rows import DIGESTS, LONG_PATHS, SPILLED, SPILLED_KEY, unpack_tally

_ROWS_AT_ONCE = 2048
#: In words of 8 bytes: first access, id and day, last access, then the pairs.
_FIRST, _ID_AND_DAY, _LAST, _PAIRS = 0, 1, 2, 3


class Table(Protocol):
    """A read transaction on data.mdb."""

    def get(self, key: bytes) -> bytes | None: ...

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over the rows from *key* on, in the order of the keys."""


class Columns(NamedTuple):
    """Of all files: path, id, the day of the row, first and last access."""

    paths: list[bytes]
    ids: Sequence[int]
    days: Sequence[int]
    firsts: Sequence[int]
    lasts: Sequence[int]
    #: What each of the terms comes to: in all, and on the row's day.
    totals: list[Sequence[int]]
    todays: list[Sequence[int]]


def columns(table: Table, wanted: Sequence[Terms]) -> Columns:
    """Return the columns of all files, with the numbers that the terms of *wanted* come to."""
    places = {place for terms in wanted for place, _ in terms}
    length = 24 + 16 * (max(places, default=0) + 1)
    words = length // 8
    keys: list[bytes] = []
    firsts, ids_and_days, lasts = array("Q"), array("Q"), array("Q")
    totals = {place: array("Q") for place in places}
    todays = {place: array("Q") for place in places}
    # The digests of long paths come before the paths, and nothing comes after these.
    rows = table.starting(DIGESTS)
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        keys += [key for key, _ in part]
        cells = array("Q", b"".join([row[:length].ljust(length, b"\0") for _, row in part]))
        firsts += cells[_FIRST::words]
        ids_and_days += cells[_ID_AND_DAY::words]
        lasts += cells[_LAST::words]
        for place in places:
            totals[place] += cells[_PAIRS + 2 * place :: words]
            todays[place] += cells[_PAIRS + 2 * place + 1 :: words]
    halves = array("I", ids_and_days.tobytes())
    found = Columns(
        keys,
        halves[0::2],
        halves[1::2],
        firsts,
        lasts,
        [_come_to(terms, totals) for terms in wanted],
        [_come_to(terms, todays) for terms in wanted],
    )
    return _with_long_paths(table, found)


def over(
    period: Period,
    terms: Terms,
    files: Columns,
    nth: int,
    table: Table,
    blocks: Blocks,
    folded: int,
) -> list[int]:
    """Return for each file what *terms*, the *nth* of those in *files*, come to over a period."""
    by_id = sums(blocks, terms, period.first, period.last, max(files.ids, default=-1) + 1)
    for key, value in table.starting(SPILLED):
        if key[:1] != SPILLED:
            break
        file_id, day, batch = SPILLED_KEY.unpack(key[1:])
        if batch > folded and period.first <= day <= period.last and file_id < len(by_id):
            lanes = unpack_tally(value)
            by_id[file_id] += sum(sign * ((lanes >> WIDTH * place) & MASK) for place, sign in terms)
    todays = files.todays[nth]
    if files.days and not (period.first <= min(files.days) and max(files.days) <= period.last):
        meant = range(period.first, period.last + 1)
        todays = [
            today if day in meant else 0 for today, day in zip(todays, files.days, strict=True)
        ]
    return list(map(add, map(by_id.__getitem__, files.ids), todays))


def _come_to(terms: Terms, numbers: "dict[int, array[int]]") -> Sequence[int]:
    (place, _), *others = terms
    found: Sequence[int] = numbers[place]
    for place, sign in others:
        found = list(map(add if sign > 0 else sub, found, numbers[place]))
    return found


def _with_long_paths(table: Table, files: Columns) -> Columns:
    """Return the columns with the paths that are too long for a key, and in their order."""
    paths = files.paths
    long = (
        [place for place, key in enumerate(paths) if key[:1] == DIGESTS]
        if paths and paths[0][:1] == DIGESTS
        else []
    )
    if not long:
        return files
    for place in long:
        paths[place] = table.get(LONG_PATHS + paths[place][1:]) or b""
    order = sorted(range(len(paths)), key=paths.__getitem__)

    def ordered(column: Sequence[int]) -> list[int]:
        return [column[place] for place in order]

    return Columns(
        [paths[place] for place in order],
        ordered(files.ids),
        ordered(files.days),
        ordered(files.firsts),
        ordered(files.lasts),
        list(map(ordered, files.totals)),
        list(map(ordered, files.todays)),
    )
