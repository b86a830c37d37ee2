"""The days of a month that are over, as columns of all files, so that any part of it is a few sums.

Month blocks hold these days already, of 128 files each. To add up ten days of 100,000 files from
them takes 60 ms of Redis and of the reader, and with more numbers of a tally more. So the numbers
that lists are made of are kept a second time, in columns by file id. *Node* n (1 to 31) has the
days after n & (n - 1), up to day n of the month: the tree of Fenwick (1994). The days up to any one
are the sum of five nodes at most, and all nodes together take little more than a column for each
day would. Node 32 has the whole month.

`sent_bytes` is split as in the blocks: a unit for each file, and in the nodes of days only what
goes beyond the units of the completed accesses. Node 32 has all bytes.

Columns follow from the blocks alone, and their key has the blocks' digest. So whichever process
made them, and whatever happened to Redis since, they are right for blocks with that digest.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha1
from operator import mul
from typing import NamedTuple

from ..contract import CLASSES
from ..history import Span, Terms
from ..month_block import DAYS, FILES, UNITS, MonthBlock
from ..reading import NUMBER_OF_ORDER
from ..tally import PLACE
from . import scripts
from .columns import Sum, numbers_of, packed_lanes, unpacked
from .server import Server

#: The numbers that files are ranked by; `people` is no number of its own.
PLACES = tuple(
    sorted(PLACE[name] for name in (*NUMBER_OF_ORDER.values(), *CLASSES) if name in PLACE)
)
WHOLE = 32
_SENT, _COMPLETED = PLACE["sent_bytes"], PLACE["completed"]
#: Fields beside the columns: how many files these have, and how many bytes they take.
_FILES, SIZE = "files", "size"
_NO_FILES = bytes(FILES)


class Kept(NamedTuple):
    """What is known of a month's columns, as lists say it."""

    #: Of the blocks that they are made of.
    digest: str
    #: In bytes; 0: not known.
    size: int
    is_kept: bool

    def key(self, month: int) -> str:
        return f"{scripts.COLUMNS}{month}:{self.digest}"


def digest_of(parts: Iterable[str]) -> str:
    """Return the digest of a month's blocks, "" for none. *parts* are those of `digest_part`."""
    joined = " ".join(parts)
    return sha1(joined.encode(), usedforsecurity=False).hexdigest() if joined.strip() else ""


def digest_part(first: int, blocks: Sequence[bytes]) -> str:
    """Return the digest of blocks from number *first* on, as `digest.lua` does; "" for none."""
    each = [
        f"{number}:{sha1(block, usedforsecurity=False).hexdigest()}"
        for number, block in enumerate(blocks, first)
        if block
    ]
    return sha1(" ".join(each).encode(), usedforsecurity=False).hexdigest() if each else ""


# Making


def month_columns(blocks: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield the fields and columns of a month. *blocks* are numbered from 0 on, b"" for none."""
    files = FILES * len(blocks)
    for place in (*PLACES, UNITS):
        # Not kept from place to place, with all that they have unpacked.
        read = [MonthBlock(block) for block in blocks]
        whole = int.from_bytes(
            b"".join([block.sums(place).to_bytes(8 * FILES, "little") for block in read]), "little"
        )
        if not whole:
            continue
        yield _field(WHOLE, place), packed_lanes(whole, files)
        if place != UNITS:
            for node, lanes in _nodes(_by_day(read, place)):
                if lanes:
                    yield _field(node, place), packed_lanes(lanes, files)
    yield _FILES, str(files).encode()


def _by_day(blocks: Sequence[MonthBlock], place: int) -> Iterator[int]:
    """Yield the lanes of each day."""
    bodies = [block.day_planes(place) for block in blocks]
    planes = max(map(len, bodies)) // (DAYS * FILES)
    for day in range(DAYS):
        numbers = bytearray(8 * FILES * len(bodies))
        for plane in range(planes):
            at = (plane * DAYS + day) * FILES
            numbers[plane::8] = b"".join([body[at : at + FILES] or _NO_FILES for body in bodies])
        yield int.from_bytes(numbers, "little")


def _nodes(days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield each node with its lanes."""
    #: Those that no later node has taken in.
    loose: dict[int, int] = {}
    for node, lanes in enumerate(days, 1):
        for before in _up_to(node - 1):
            if before > node & node - 1:
                lanes += loose.pop(before)
        loose[node] = lanes
        yield node, lanes


def _up_to(day: int) -> Iterator[int]:
    """Yield the nodes that together have the days 1 to *day*."""
    while day:
        yield day
        day &= day - 1


# Reading


def signs_of(span: Span) -> dict[int, int]:
    """Return the nodes that together have the days of *span*, each added (1) or taken off (-1)."""
    if span.is_whole:
        return {WHOLE: 1}
    until, before = set(_up_to(span.last + 1)), set(_up_to(span.first))
    return dict.fromkeys(until - before, 1) | dict.fromkeys(before - until, -1)


def add_part(server: Server, key: str, wanted: Sequence[tuple[Terms, Sum]], span: Span) -> bool:
    """Add what each of *wanted* comes to in a part of a month to its sum, by file id.

    Returns False when the columns are gone. Raises CounterError.
    """
    signs = signs_of(span)
    places = {place for terms, _ in wanted for place, _ in terms}
    has_units = _SENT in places and not span.is_whole
    fields = [_field(node, place) for place in places for node in signs]
    if has_units:
        fields += [_field(node, _COMPLETED) for node in signs] + [_field(WHOLE, UNITS)]
    files, *texts = server.ask(server.reading, "HMGET", key, _FILES, *fields)
    if files is None:
        return False
    # A number of which nobody has any has no column.
    columns = {field: text for field, text in zip(fields, texts, strict=True) if text}

    def add(place: int, its_sign: int, to: Sum) -> None:
        for node, sign in signs.items():
            if column := columns.get(_field(node, place)):
                to.add(column, its_sign * sign)

    for terms, to in wanted:
        for place, sign in terms:
            add(place, sign, to)
            if place == _SENT and has_units and (units := columns.get(_field(WHOLE, UNITS))):
                completed = Sum()
                add(_COMPLETED, sign, completed)
                to.add_lanes(_times(units, completed.lanes(), int(files)))
    return True


def _times(units: bytes, completed: int, files: int) -> int:
    products = map(mul, unpacked(units), numbers_of(completed, files))
    return int.from_bytes(array("q", products).tobytes(), "little")


def _field(node: int, place: int) -> str:
    return f"{node} {place}"
