"""Sums from a day of a month to its end, made ahead for the periods that the statistics offer.

Most of these begin within a month. To add up the rest of it, the days of every block have to be
unpacked: with 100,000 files that takes as long, for each number, as to read all files. So a process
makes these sums when it has moved days, and on a new day: a rest for each day on which a period
begins.

They follow from the blocks, and are there for speed alone. Whoever changes blocks drops the rests
of their months. A program that knows none of this does not; so with the names of the rests stands
how much history there is, and where it is another amount, no rest is used.
"""

import struct
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, TypeAlias

from ..history import Blocks
from ..month_block import MonthBlock
from ..month_sums import BLOCKS, packed_sums
from ..periods import OFFERED_DAYS, first_day_of, month_of
from .environment import Transaction
from .rows import FOLDED, REST_KEY, RESTS, RESTS_READY, STORE_ID, number_at

#: After the store's id: the last batch that is in the blocks, and the rows of history.
_AMOUNT: Final = struct.Struct(">IQ")
_NAME: Final = struct.Struct(">HB")


class Rest(NamedTuple):
    """The days of *month* from *first* (0 to 30) on."""

    month: int
    first: int


#: Packed sums by rest and group of blocks.
Sums: TypeAlias = Mapping[tuple[Rest, int], bytes]


def wanted(today: int) -> set[Rest]:
    """Return the rests with which the periods begin that the statistics offer on the day *today*.

    A month that is meant from its first day on has sums anyway.
    """
    days = (max(0, today - days + 1) for days in OFFERED_DAYS)
    rests = (Rest(month_of(day), day - first_day_of(month_of(day))) for day in days)
    return {rest for rest in rests if rest.first}


def ready(transaction: Transaction) -> set[Rest]:
    """Return the rests that may be read."""
    value, amount = transaction.get(RESTS_READY) or b"", _amount(transaction)
    if not value.startswith(amount):
        return set()
    return {Rest(*name) for name in _NAME.iter_unpack(value[len(amount) :])}


def replace(transaction: Transaction, names: Collection[Rest], made: Sums) -> None:
    """Write what was *made*, and leave no rests but those of *names*.

    To be called at the end of each transaction that changes history.
    """
    with transaction.cursor() as cursor:
        found = cursor.set_range(RESTS)
        while found and cursor.key()[:1] == RESTS:
            found = cursor.next() if _rest_of(cursor.key()) in names else cursor.delete()
    for (rest, group), sums in made.items():
        transaction.put(RESTS + REST_KEY.pack(*rest, group), sums)
    transaction.put(RESTS_READY, b"")  # which is a row as well
    listed = b"".join(_NAME.pack(*rest) for rest in sorted(names))
    transaction.put(RESTS_READY, _amount(transaction) + listed)


def packed(blocks: Blocks, rest: Rest, group: int) -> bytes:
    """Return the sums of a group of blocks; b"" when nothing was counted."""
    numbers = range(group * BLOCKS, (group + 1) * BLOCKS)
    its = [MonthBlock(blocks.block(rest.month, number) or b"") for number in numbers]
    return packed_sums(its, rest.first)


def _rest_of(key: bytes) -> Rest:
    month, first, _ = REST_KEY.unpack(key[1:])
    return Rest(month, first)


def _amount(transaction: Transaction) -> bytes:
    rows = transaction.stat(None)["entries"]
    folded = number_at(transaction.get(FOLDED))
    return (transaction.get(STORE_ID) or b"") + _AMOUNT.pack(folded, rows)
