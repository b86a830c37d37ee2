"""Numbers of all files of a store of format 2, as columns in the order of the paths.

The files' rows are cut and joined some hundred at a time, so that numbers come out of them as
slices of an array and no row is unpacked: 100,000 files take a fiftieth of a second. A column is
added to another as one long integer.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, repeat, takewhile
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeAlias, overload

from ..history import Blocks, Terms, sums
from ..periods import Period
from ..tally import MASK, NAMES, WIDTH
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
    """The files' keys in their order, each read when it is asked for: a list shows few of them.

    With a *prefix*, those that begin with it, which then no path has that is too long for a key.
    """

    def __init__(self, table: Table, prefix: bytes = b"") -> None:
        self._table = table
        self._prefix = prefix
        #: Where each part of _ROWS_AT_ONCE rows begins: after this key.
        self._before = [b""]
        self._files = 0

    def rows(self) -> Iterator[list[bytes]]:
        """Yield the files' rows, _ROWS_AT_ONCE at a time. To be read to the end before all else."""
        for last, rows in self._table.values(self._prefix or DIGESTS, _ROWS_AT_ONCE):
            if not last.startswith(self._prefix):
                rows = rows[: sum(1 for _ in self._keys_of_part(-1))]
            self._before.append(last)
            self._files += len(rows)
            yield rows
            if not last.startswith(self._prefix):
                return

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
        return next(islice(self._keys_of_part(part), behind, None))

    def __iter__(self) -> Iterator[bytes]:
        return self._keys_of_part(0)

    def _keys_of_part(self, part: int) -> Iterator[bytes]:
        """Return an iterator over the keys of a part, and of those that follow."""
        # The digests of long paths come before the paths, and nothing comes after these.
        before = self._before[part]
        keys = self._table.keys(before or self._prefix or DIGESTS)
        if before:
            next(keys)
        return takewhile(self._has_prefix, keys) if self._prefix else keys

    def _has_prefix(self, key: bytes) -> bool:
        return key.startswith(self._prefix)


class Columns(NamedTuple):
    """Of all files: path, id, the word of id and day, first and last access. What was not asked for
    is empty.
    """

    paths: Sequence[bytes]
    ids: Column
    ids_and_days: Column
    firsts: Column
    lasts: Column
    #: What each of the terms comes to: in all, and on the row's day if that was asked for.
    totals: list[Column]
    todays: list[Column]


def columns(
    keys: Keys, wanted: Sequence[Terms], *, with_days: bool = False, with_times: bool = False
) -> Columns:
    """Return the columns of the files with *keys*, and the numbers that the terms of *wanted* come
    to.

    `todays` and ids are there *with_days*, the first and last accesses *with_times*.
    """
    places = {place: _PAIRS + 2 * place for terms in wanted for place, _ in terms}
    words = set(places.values())
    if with_days:
        words |= {_ID_AND_DAY, *(word + 1 for word in places.values())}
    if with_times:
        words |= {_FIRST, _LAST}
    found = _words(keys, words)
    empty = array("Q")
    its_totals = {place: found[word] for place, word in places.items()}
    its_todays = {place: found[word + 1] for place, word in places.items() if with_days}
    return Columns(
        keys,
        _ids(found.get(_ID_AND_DAY, empty)),
        found.get(_ID_AND_DAY, empty),
        found.get(_FIRST, empty),
        found.get(_LAST, empty),
        [_added(terms, its_totals) for terms in wanted],
        [_added(terms, its_todays) for terms in wanted if with_days],
    )


def ids_and_numbers(table: Table, place: int) -> tuple[Column, Column]:
    """Return the ids of all files and the number at *place* of each, in the order of their keys."""
    word = _PAIRS + 2 * place
    found = _words(Keys(table), {_ID_AND_DAY, word})
    return _ids(found[_ID_AND_DAY]), found[word]


def total_of(keys: Keys) -> tuple[int, int, int, int]:
    """Return what `total_of_rows` returns of the files with *keys*."""
    words = [_PAIRS + 2 * place for place in range(len(NAMES))]
    found = _words(keys, [_FIRST, _LAST, *words])
    total = sum(
        sum(found[word]) << WIDTH * place
        for place, word in enumerate(words)
        if _lanes(found[word])  # which is found out at once, unlike a sum
    )
    firsts = found[_FIRST]
    first = min(firsts, default=0) or min(filter(None, firsts), default=0)
    return len(keys), total, first, max(found[_LAST], default=0)


def _ids(ids_and_days: Column) -> Column:
    return array("I", ids_and_days.tobytes())[0::2]


def _words(keys: Keys, words: Collection[int]) -> dict[int, Column]:
    """Return *words* of the files' rows, a column of each."""
    begin, end = min(words), max(words) + 1
    columns = {word: array("Q") for word in words}
    cut = itemgetter(slice(8 * begin, 8 * end))
    for rows in keys.rows():
        parts = list(map(cut, rows))
        joined, width = b"".join(parts), end - begin
        if len(joined) != 8 * width * len(rows):  # pairs of zeros at the end are left out
            width = max(map(len, parts)) // 8
            joined = b"".join(map(bytes.ljust, parts, repeat(8 * width), repeat(b"\0")))
        cells = array("Q", joined)
        for word, column in columns.items():
            if word - begin < width:
                column += cells[word - begin :: width]
            else:
                column.frombytes(bytes(8 * len(rows)))
    return columns


class Past(NamedTuple):
    """What is over, beside the files' rows: the month blocks with the days up to the batch
    *folded*.
    """

    blocks: Blocks
    folded: int


def over(
    period: Period, wanted: Sequence[Terms], files: Columns, table: Table, past: Past
) -> list[Column]:
    """Return what each of *wanted*, the terms of *files*, comes to over a period, for each file."""
    if not files.ids:
        return files.totals
    found = sums(past.blocks, wanted, period.first, period.last, max(files.ids) + 1)
    _add_spilled(found, wanted, period, table, past.folded)
    in_order = itemgetter(*files.ids, 0)  # never of one alone, which would be no tuple
    within = _lanes_within(period, files.ids_and_days)
    return [
        _column(_lanes(array("Q", in_order(by_id)[:-1])) + (_lanes(today) & within), len(today))
        for by_id, today in zip(found, files.todays, strict=True)
    ]


def _lanes_within(period: Period, ids_and_days: Column) -> int:
    """Return ones in the lanes of the files whose rows are of a day of the period."""
    ones = _lanes(array("Q", [1]) * len(ids_and_days))
    days = _lanes(ids_and_days) >> 32 & ones * 0xFFFF_FFFF
    # The sum's bit 32 is set where a day is at least as late.
    begun = days + ones * (2**32 - period.first)
    ended = days + ones * (2**32 - period.last - 1)
    within = (begun & (begun ^ ended)) >> 32 & ones
    return (within << WIDTH) - within


def _lanes(column: Column) -> int:
    return int.from_bytes(column.tobytes(), "little")


def _column(lanes: int, files: int) -> Column:
    return array("Q", lanes.to_bytes(8 * files, "little"))


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
    added = sum(sign * _lanes(numbers[place]) for place, sign in terms)
    return _column(added, len(numbers[terms[0][0]]))


def with_long_paths(table: Table, files: Columns) -> Columns:
    """Return the columns of all files with the paths that are too long for a key, and in their
    order.
    """
    long = list(takewhile(lambda key: key[:1] == DIGESTS, files.paths))
    if not long:
        return files
    paths = [table.get(LONG_PATHS + key[1:]) or b"" for key in long]
    paths += islice(files.paths, len(long), None)
    order = sorted(range(len(paths)), key=paths.__getitem__)

    def ordered(column: Column) -> Column:
        return array(column.typecode, map(column.__getitem__, order)) if column else column

    return Columns(
        [paths[place] for place in order],
        ordered(files.ids),
        ordered(files.ids_and_days),
        ordered(files.firsts),
        ordered(files.lasts),
        list(map(ordered, files.totals)),
        list(map(ordered, files.todays)),
    )
