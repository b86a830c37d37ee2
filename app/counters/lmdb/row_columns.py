"""Numbers of all files of a store of format 2, as columns in the order of the paths.

The files' rows are cut and joined some hundred at a time, so that numbers come out of them as
slices of an array and no row is unpacked: 100,000 files take a thirtieth of a second. A column is
added to another as one long integer.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat, takewhile
from operator import add, itemgetter
from typing import NamedTuple, Protocol, TypeAlias, overload

from ..history import Blocks, Terms, sums
from ..periods import Period, first_day_of, month_of
from ..tally import MASK, WIDTH
from .rows import DIGESTS, LONG_PATHS, SPILLED, SPILLED_KEY, unpack_tally

#: Few enough that what is made of them stays in the processor's cache.
_ROWS_AT_ONCE = 512
#: In words of 8 bytes: first access, id and day, last access, then the pairs.
_FIRST, _ID_AND_DAY, _LAST, _PAIRS = 0, 1, 2, 3

#: A number of each file.
Column: TypeAlias = "array[int]"


class Table(Protocol):
    """A read transaction on data.mdb."""

    def get(self, key: bytes) -> bytes | None: ...

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over the rows from *key* on, in the order of the keys."""

    def keys(self, key: bytes) -> Iterator[bytes]:
        """Return an iterator over the keys from *key* on."""

    def values(self, key: bytes, size: int) -> Iterator[tuple[bytes, list[bytes]]]:
        """Return an iterator over what the rows from *key* on hold, *size* of them at a time, with
        the last one's key.
        """


class Keys(Sequence[bytes]):
    """The files' keys in their order, each read when it is asked for: a list shows few of them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        #: Where each part of _ROWS_AT_ONCE rows begins: after this key.
        self._before = [b""]
        self._files = 0

    def add(self, last: bytes, rows: int) -> None:
        """Note a part, of which all but the last have _ROWS_AT_ONCE rows."""
        self._before.append(last)
        self._files += rows

    def __len__(self) -> int:
        return self._files

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> list[bytes]: ...
    def __getitem__(self, place: int | slice) -> bytes | list[bytes]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(self._files))]
        if not 0 <= place < self._files:
            raise IndexError(place)
        part, behind = divmod(place, _ROWS_AT_ONCE)
        before = self._before[part]
        keys = self._table.keys(before or DIGESTS)
        return next(islice(keys, behind + bool(before), None))

    def __iter__(self) -> Iterator[bytes]:
        # The digests of long paths come before the paths, and nothing comes after these.
        return self._table.keys(DIGESTS)


class Columns(NamedTuple):
    """Of all files: path, id, the day of the row, first and last access."""

    paths: Sequence[bytes]
    ids: Column
    days: Column
    firsts: Column
    lasts: Column
    #: What each of the terms comes to: in all, and on the row's day if that was asked for.
    totals: list[Column]
    todays: list[Column]


def columns(table: Table, wanted: Sequence[Terms], *, with_days: bool = False) -> Columns:
    """Return the columns of all files, with the numbers that the terms of *wanted* come to.

    Without *with_days* there are no `todays`.
    """
    places = {place for terms in wanted for place, _ in terms}
    firsts, ids_and_days, lasts = array("Q"), array("Q"), array("Q")
    totals, todays = ({place: array("Q") for place in places} for _ in range(2))
    keys = Keys(table)
    for words, cells in _cells(table, keys, _FIRST, _PAIRS + 2 * (max(places, default=-1) + 1)):
        firsts += cells[_FIRST::words]
        ids_and_days += cells[_ID_AND_DAY::words]
        lasts += cells[_LAST::words]
        for place in places:
            at = _PAIRS + 2 * place
            if at < words:
                totals[place] += cells[at::words]
                if with_days:
                    todays[place] += cells[at + 1 :: words]
            else:
                missing = bytes(8 * (len(cells) // words))
                totals[place].frombytes(missing)
                todays[place].frombytes(missing)
    halves = array("I", ids_and_days.tobytes())
    found = Columns(
        keys,
        halves[0::2],
        halves[1::2],
        firsts,
        lasts,
        [_added(terms, totals) for terms in wanted],
        [_added(terms, todays) for terms in wanted if with_days],
    )
    return _with_long_paths(table, found)


def ids_and_numbers(table: Table, place: int) -> tuple[Column, Column]:
    """Return the ids of all files and the number at *place* of each, in the order of their keys."""
    ids_and_days, numbers = array("Q"), array("Q")
    at = _PAIRS + 2 * place - _ID_AND_DAY
    for words, cells in _cells(table, Keys(table), _ID_AND_DAY, _PAIRS + 2 * place + 1):
        ids_and_days += cells[0::words]
        numbers += cells[at::words] if at < words else array("Q", bytes(8 * (len(cells) // words)))
    return array("I", ids_and_days.tobytes())[0::2], numbers


def _cells(table: Table, keys: Keys, begin: int, end: int) -> Iterator[tuple[int, Column]]:
    """Yield the words from *begin* to *end* of the files' rows, one row after the other, and how
    many there are of each.

    They are fewer where all rows are shorter, as pairs of zeros at the end are left out. Each part
    is noted in *keys*.
    """
    for last, rows in table.values(DIGESTS, _ROWS_AT_ONCE):
        keys.add(last, len(rows))
        longest = max(map(len, rows)) // 8
        words = min(end, longest) - begin
        size = 8 * words
        cut: Iterable[bytes] = rows
        if begin or longest > end:
            cut = list(map(itemgetter(slice(8 * begin, 8 * begin + size)), rows))
        joined = b"".join(cut)
        if len(joined) != size * len(rows):
            joined = b"".join(map(bytes.ljust, cut, repeat(size), repeat(b"\0")))
        yield words, array("Q", joined)


class Past(NamedTuple):
    """What is over, beside the files' rows: the month blocks with the days up to the batch
    *folded*, and the last day that anything was counted on.
    """

    blocks: Blocks
    folded: int
    newest_day: int


def over(
    period: Period, wanted: Sequence[Terms], files: Columns, table: Table, past: Past
) -> list[list[int]]:
    """Return what each of *wanted*, the terms of *files*, comes to over a period, for each file."""
    last = period.last
    if last >= past.newest_day:  # nothing was counted after it, so the whole month's sums will do
        last = first_day_of(month_of(last) + 1) - 1
    found = sums(past.blocks, wanted, period.first, last, max(files.ids, default=-1) + 1)
    _add_spilled(found, wanted, period, table, past.folded)
    todays: list[Iterable[int]] = list(files.todays)
    meant = range(period.first, period.last + 1)
    if not all(map(meant.__contains__, set(files.days))):
        todays = [
            (today if day in meant else 0 for today, day in zip(column, files.days, strict=True))
            for column in files.todays
        ]
    by_path = itemgetter(*files.ids, 0)  # never of one alone, which would be no tuple
    return [
        list(map(add, by_path(by_id or (0,)), today))
        for by_id, today in zip(found, todays, strict=True)
    ]


def _add_spilled(
    found: list[Column], wanted: Sequence[Terms], period: Period, table: Table, folded: int
) -> None:
    """Add the days that are over and not in the month blocks yet."""
    for key, value in table.starting(SPILLED):
        if key[:1] != SPILLED:
            break
        file_id, day, batch = SPILLED_KEY.unpack(key[1:])
        if batch > folded and period.first <= day <= period.last:
            lanes = unpack_tally(value)
            for by_id, terms in zip(found, wanted, strict=True):
                if file_id < len(by_id):
                    by_id[file_id] += sum(
                        sign * ((lanes >> WIDTH * place) & MASK) for place, sign in terms
                    )


def _added(terms: Terms, numbers: "dict[int, Column]") -> Column:
    """Return what terms come to of each file. No lane of the sum is less than nothing."""
    if len(terms) == 1:
        return numbers[terms[0][0]]
    columns = {place: int.from_bytes(numbers[place].tobytes(), "little") for place, _ in terms}
    size = 8 * len(numbers[terms[0][0]])
    added = sum(sign * columns[place] for place, sign in terms)
    return array("Q", added.to_bytes(size, "little"))


def _with_long_paths(table: Table, files: Columns) -> Columns:
    """Return the columns with the paths that are too long for a key, and in their order."""
    long = list(takewhile(lambda key: key[:1] == DIGESTS, files.paths))
    if not long:
        return files
    paths = [table.get(LONG_PATHS + key[1:]) or b"" for key in long]
    paths += islice(files.paths, len(long), None)
    order = sorted(range(len(paths)), key=paths.__getitem__)

    def ordered(column: Column) -> Column:
        return array(column.typecode, map(column.__getitem__, order))

    return Columns(
        [paths[place] for place in order],
        ordered(files.ids),
        ordered(files.days),
        ordered(files.firsts),
        ordered(files.lasts),
        list(map(ordered, files.totals)),
        list(map(ordered, files.todays)),
    )
