"""Which files of a list are on a page: the same rule for every store, over values that the store
has ready.
"""

import base64
import binascii
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from heapq import nlargest
from string import punctuation
from typing import NamedTuple, Self
from urllib.parse import quote

from .contract import CLASSES, Class
from .periods import LAST_SECOND, Period, Unit
from .reading import MOST_DAYS_BY_DAY, MOST_LISTED, ORDERS, Order

_LONGEST_MATCH = 1000
#: Of so many values the largest is found before they are looked at one by one.
_PART = 128


class Cursor(NamedTuple):
    """The last row of a page: its value, and its path."""

    value: int
    path: str


class Query(NamedTuple):
    """The arguments of `CountReader.ranked`, checked."""

    order: Order
    period: Period | None
    match: str
    classes: frozenset[Class] | None
    limit: int
    after: Cursor | None

    @classmethod
    def of(
        cls,
        order: Order,
        period: Period | None,
        match: str,
        after: str,
        limit: int,
        classes: frozenset[Class] | None,
    ) -> Self:
        """Raises ValueError, with a line fit to be shown."""
        if order not in ORDERS:
            raise ValueError(f"order: {order!r} is none of {', '.join(ORDERS)}")
        if not 1 <= limit <= MOST_LISTED:
            raise ValueError(f"limit: {limit} is not between 1 and {MOST_LISTED}")
        if classes is not None and (not classes or not classes <= set(CLASSES)):
            raise ValueError(f"class: not one or more of {', '.join(CLASSES)}")
        if len(match) > _LONGEST_MATCH:
            raise ValueError(f"match: longer than {_LONGEST_MATCH} characters")
        query = cls(order, period, match, classes, limit, None)
        return query._replace(after=query._read_cursor(after)) if after else query

    def cursor_text(self, row: Cursor) -> str:
        """Return the text that asks for what follows *row*."""
        text = json.dumps([*self._identity(), *row], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _read_cursor(self, text: str) -> Cursor:
        try:
            *identity, value, path = json.loads(
                base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            )
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise ValueError("after: not a place in a list") from None
        if identity != self._identity() or type(value) is not int or type(path) is not str:
            raise ValueError("after: a place in another list")
        return Cursor(value, path)

    def _identity(self) -> list[object]:
        """Return what must be the same from page to page."""
        period = list(self.period) if self.period else None
        return [self.order, period, self.match, sorted(self.classes) if self.classes else None]

    def pattern(self) -> re.Pattern[str] | None:
        """Return what to search for in each path; None when all paths are meant.

        It is ASCII, as paths are percent-encoded, so that a store may search in bytes with its
        encoded `pattern`.
        """
        if not self.match:
            return None
        text = quote(self.match, safe=punctuation)
        if any(mark in text for mark in "*?["):
            # Stars at the ends match what lies outside of the rest, so the rest is searched for.
            begin, end = r"\A" * (text[0] != "*"), r"\Z" * (text[-1] != "*")
            return re.compile(begin + translate(text.strip("*"))[: -len(r"\Z")] + end)
        return re.compile(f"(?i:{re.escape(text)})")

    @property
    def unit(self) -> Unit:
        """What the rows' series are drawn by."""
        return "day" if self.period is None or self.period.days <= MOST_DAYS_BY_DAY else "month"


class Page(NamedTuple):
    """The places of a page's rows, in the sequences that were looked at."""

    places: list[int]
    #: Rows before the page, and in the whole list.
    ahead: int
    matched: int

    def next(self, query: Query, values: Sequence[int], paths: Sequence[str]) -> str:
        """Return the cursor to what follows the rows of *paths*, "" when nothing does.

        *values* are those that `page` was given.
        """
        if not paths or self.ahead + len(paths) >= self.matched:
            return ""
        return query.cursor_text(Cursor(values[self.places[-1]], paths[-1]))


def values_of(
    query: Query,
    numbers: Sequence[Sequence[int]],
    firsts: Callable[[], Iterable[int]],
    lasts: Callable[[], Iterable[int]],
) -> list[int]:
    """Return what each file is ranked by, whatever its path is; -1 for one that is not in the list.

    *numbers* are those of `history.ranked_terms`, of each file. Its first and last access are asked
    for if the order is by them.
    """
    accesses = numbers[0]
    if query.order == "last":
        values = list(lasts())
    elif query.order == "first":
        values = [LAST_SECOND - first for first in firsts()]
    elif query.order == "path":
        values = [0] * len(accesses)
    else:
        values = list(numbers[-1])
    if (query.period is not None or query.classes is not None) and 0 in accesses:
        values = [value if times else -1 for value, times in zip(values, accesses, strict=True)]
    return values


def page(paths: Sequence[str] | Sequence[bytes], values: Sequence[int], query: Query) -> Page:
    """Return what is on the page.

    *paths* are all files' in order, and *values* what they are ranked by: the larger first, -1 for
    a file that is not in the list. In the order of the paths the values are 0.
    """
    matched = len(values) - values.count(-1)
    ahead = 0
    if query.after is None:
        places = largest(query.limit, values)
    else:
        last = query.after.value
        path = (
            query.after.path
            if not paths or isinstance(paths[0], str)
            else query.after.path.encode()
        )
        behind = bisect_right(paths, path)
        allowed = [
            place
            for place, value in enumerate(values)
            if -1 < value < last or (value == last and place >= behind)
        ]
        # Equals stay in the order of their paths.
        places = nlargest(query.limit, allowed, key=values.__getitem__)
        ahead = matched - len(allowed)
    return Page([place for place in places if values[place] >= 0], ahead, matched)


def largest(count: int, values: Sequence[int]) -> list[int]:
    """Return the places of the *count* largest values, the larger first, equals in their order.

    Of many values most need not be looked at: *count* parts have one that is as large as `least`,
    so nothing smaller is among the largest.
    """
    begins = range(0, len(values), _PART)
    if len(begins) <= count:
        return nlargest(count, range(len(values)), key=values.__getitem__)
    highest = [max(values[begin : begin + _PART]) for begin in begins]
    least = sorted(highest)[-count]
    larger = [
        place
        for begin, most in zip(begins, highest, strict=True)
        if most > least
        for place, value in enumerate(values[begin : begin + _PART], begin)
        if value > least
    ]
    places = nlargest(count, larger, key=values.__getitem__)
    at = -1
    while len(places) < count:
        at = values.index(least, at + 1)
        places.append(at)
    return places
