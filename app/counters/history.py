"""The days that are over, of all files: read from month blocks, wherever a store keeps these.

A store gives a `Blocks`: the packed blocks by month and number. Block *n* holds the files with ids
128·n to 128·n + 127. Everything here is by file id; the store knows which path has which id.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from .contract import CLASSES, Class
from .month_block import DAYS, FILES, MonthBlock, Packed
from .month_sums import BLOCKS, MonthSums, PlaneSums
from .periods import first_day_of, month_of
from .reading import NUMBER_OF_ORDER, Order
from .tally import PLACE, WIDTH

#: In bits.
_ACCESSES: Final = WIDTH * PLACE["accesses"]
#: Numbers of a tally, each added or taken off: what files are ranked by.
Terms: TypeAlias = Sequence[tuple[int, int]]


class Blocks(Protocol):
    """The packed blocks as of one moment."""

    def block(self, month: int, number: int) -> Packed | None:
        """Return the block, None when nothing was counted in it."""

    def months(self) -> list[int]:
        """Return the months in which something was counted."""

    def of_month(self, month: int) -> Iterable[tuple[int, Packed]]:
        """Return the numbers and blocks of a month, in any order."""

    def sums_of(self, span: "Span") -> Iterable[tuple[int, Packed]] | None:
        """Return the groups of a month, in any order, with their sums (`month_sums.py`); None where
        these are not kept.
        """


class Span(NamedTuple):
    """The days *first* to *last* (0 to 30) of a month."""

    month: int
    first: int
    last: int

    @property
    def is_whole(self) -> bool:
        return self.first == 0 and self.ends_month

    @property
    def ends_month(self) -> bool:
        return self.last == DAYS - 1


def spans(first: int, last: int) -> Iterator[Span]:
    """Yield the months of the days from *first* to *last*, each with the part that is meant."""
    if last < first:
        return
    for month in range(month_of(first), month_of(last) + 1):
        begin, end = first_day_of(month), first_day_of(month + 1) - 1
        yield Span(month, max(first - begin, 0), last - begin if last < end else DAYS - 1)


def terms_of(name: str, classes: frozenset[Class] | None = None) -> Terms:
    """Return what adds up to the number *name*, or to the accesses of *classes*."""
    if name != "accesses" or classes is None:
        return [(PLACE[name], 1)]
    if "people" in classes:  # which is what remains of the accesses
        others = [class_ for class_ in CLASSES if class_ not in classes]
        return [(PLACE["accesses"], 1), *((PLACE[class_], -1) for class_ in others)]
    return [(PLACE[class_], 1) for class_ in CLASSES if class_ in classes]


def ranked_terms(order: Order, classes: frozenset[Class] | None) -> list[Terms]:
    """Return what a list is made of: each file's accesses, and last the number that it is ranked
    by, if it is by one.
    """
    terms = [terms_of("accesses", classes)]
    if order in NUMBER_OF_ORDER and order != "accesses":
        terms.append(terms_of(NUMBER_OF_ORDER[order]))
    return terms


def sums(
    blocks: Blocks, wanted: Sequence[Terms], first: int, last: int, files: int
) -> "list[array[int]]":
    """Return what each of *wanted* comes to from day *first* to day *last*, for each id below
    *files*.
    """
    found = [_Sums(terms, files) for terms in wanted]
    for span in spans(first, last):
        groups = blocks.sums_of(span)
        if groups is not None:
            for group, packed in groups:
                month = MonthSums(packed)
                for its in found:
                    its.add_group(group, month)
        else:
            for number, packed in blocks.of_month(span.month):
                block = MonthBlock(packed)
                for its in found:
                    its.add_block(number, block, span)
    return [its.numbers() for its in found]


class _Sums:
    """What terms come to, of each file: of groups of blocks, by what is added and what is taken
    off, and of single blocks, as integers with a lane for each.
    """

    def __init__(self, terms: Terms, files: int) -> None:
        self._terms = terms
        self._files = files
        count = -(-files // (BLOCKS * FILES))
        self._groups = [{1: PlaneSums(), -1: PlaneSums()} for _ in range(count)]
        self._blocks: list[int] = [0] * (BLOCKS * len(self._groups))

    def add_group(self, group: int, month: MonthSums) -> None:
        if group < len(self._groups):  # else its files were reset
            for place, sign in self._terms:
                self._groups[group][sign].add(month.planes(place))

    def add_block(self, number: int, block: MonthBlock, span: Span) -> None:
        if number < len(self._blocks):
            self._blocks[number] += sum(
                sign * block.sums(place, span.first, span.last) for place, sign in self._terms
            )

    def numbers(self) -> "array[int]":
        """Return the number of each file, by its id."""
        numbers = array("Q")
        for group, sums in enumerate(self._groups):
            lanes = sums[1].total() - sums[-1].total()
            blocks = self._blocks[group * BLOCKS : (group + 1) * BLOCKS]
            if any(blocks):
                beside = b"".join(block.to_bytes(8 * FILES, "little") for block in blocks)
                lanes += int.from_bytes(beside, "little")
            numbers.frombytes(lanes.to_bytes(8 * FILES * BLOCKS, "little"))
        return numbers[: self._files]


def days_of(blocks: Blocks, ids: Iterable[int], first: int, last: int) -> dict[int, dict[int, int]]:
    """Return for each of *ids* its tallies, as integers, by day; days without any are left out."""
    return _tallies(blocks, ids, first, last, _each_day)


def curves_of(
    blocks: Blocks, ids: Iterable[int], first: int, last: int
) -> dict[int, dict[int, int]]:
    """Do as `days_of` does, but by day with the accesses alone: what else was counted in a month
    that is whole is all on its first day. A list needs no more, and it unpacks much less.
    """
    return _tallies(blocks, ids, first, last, _each_day_of_curve)


def months_of(
    blocks: Blocks, ids: Iterable[int], first: int, last: int
) -> dict[int, dict[int, int]]:
    """Return for each of *ids* its tallies by month, with what lies between the days *first* and
    *last*.
    """
    return _tallies(blocks, ids, first, last, _whole_month)


def _each_day(block: MonthBlock, file: int, span: Span) -> Iterator[tuple[int, int]]:
    begin = first_day_of(span.month) + span.first
    return enumerate(block.file_days(file, span.first, span.last), begin)


def _each_day_of_curve(block: MonthBlock, file: int, span: Span) -> Iterator[tuple[int, int]]:
    if not span.is_whole:
        yield from _each_day(block, file, span)
        return
    begin, accesses = first_day_of(span.month), block.file_accesses(file)
    others = block.file_sum(file) - (sum(accesses) << _ACCESSES)
    yield from enumerate((day << _ACCESSES for day in accesses), begin)
    if others:
        yield begin, (accesses[0] << _ACCESSES) + others


def _whole_month(block: MonthBlock, file: int, span: Span) -> Iterator[tuple[int, int]]:
    whole = (
        block.file_sum(file) if span.is_whole else sum(block.file_days(file, span.first, span.last))
    )
    yield span.month, whole


def _tallies(
    blocks: Blocks,
    ids: Iterable[int],
    first: int,
    last: int,
    read: Callable[[MonthBlock, int, Span], Iterable[tuple[int, int]]],
) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = {file: {} for file in ids}
    by_block: dict[int, list[int]] = {}
    for file in found:
        by_block.setdefault(file // FILES, []).append(file)
    for span in spans(first, last):
        for number, files in by_block.items():
            if packed := blocks.block(span.month, number):
                block = MonthBlock(packed)
                for file in files:
                    found[file].update(
                        (unit, lanes) for unit, lanes in read(block, file % FILES, span) if lanes
                    )
    return found
