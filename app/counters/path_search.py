"""Which of many paths a list is about, for stores that have all paths at hand.

Most searches are for what few paths have. So some hundred paths at a time are looked through as one
text, for a part that a path must have to match.
"""

import re
from collections.abc import Iterable
from itertools import islice, repeat
from string import punctuation
from typing import NamedTuple
from urllib.parse import quote

from .ranking import Query

_PATHS_AT_ONCE = 512


class Part(NamedTuple):
    """What each path that matches has, in lower case if case does not matter."""

    text: bytes
    #: Nothing else is asked of a path.
    is_enough: bool
    has_case: bool

    @classmethod
    def of(cls, match: str) -> "Part":
        text = quote(match, safe=punctuation)
        if not any(mark in text for mark in "*?["):
            return cls(text.lower().encode(), is_enough=True, has_case=False)
        longest = max(re.split(r"[*?]", text.partition("[")[0]), key=len)
        is_enough = text[0] == text[-1] == "*" and text.strip("*") == longest
        return cls(longest.encode(), is_enough, has_case=True)


def prefix(match: str) -> bytes:
    """Return what each path that matches begins with."""
    beginning, *others = re.split(r"[*?[]", quote(match, safe=punctuation), maxsplit=1)
    return beginning.encode() if others else b""


def matches(query: Query, paths: Iterable[bytes]) -> list[bool]:
    """Return of each path whether it matches, as `Query.pattern` says."""
    pattern = query.pattern()
    assert pattern is not None
    part = Part.of(query.match)
    search = re.compile(pattern.pattern.encode(), pattern.flags & re.IGNORECASE).search
    found: list[bool] = []
    rest = iter(paths)
    while some := list(islice(rest, _PATHS_AT_ONCE)):
        joined = b"\n".join(some)
        text = joined if part.has_case else joined.lower()
        if part.text not in text:
            found += repeat(False, len(some))
        elif part.is_enough and len(lines := text.split(b"\n")) == len(some):
            found += [part.text in line for line in lines]
        else:
            found += map(bool, map(search, some))
    return found
