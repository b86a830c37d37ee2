"""Which of many paths a list is about, for stores that have all paths at hand.

Most searches are for what few paths have. So some hundred paths at a time are looked through as one
text, for a part that a path must have to match.
"""

import re
from collections.abc import Iterable
from itertools import islice, repeat
from string import punctuation
from urllib.parse import quote

from .ranking import Query

_PATHS_AT_ONCE = 512


def prefix(match: str) -> bytes:
    """Return what each path that matches begins with."""
    beginning, *others = re.split(r"[*?[]", quote(match, safe=punctuation), maxsplit=1)
    return beginning.encode() if others else b""


def matches(query: Query, paths: Iterable[bytes]) -> list[bool]:
    """Return of each path whether it matches, as `Query.pattern` says."""
    pattern = query.pattern()
    assert pattern is not None
    search = re.compile(pattern.pattern.encode()).search
    part, is_all, has_case = _needed(query.match)
    found: list[bool] = []
    rest = iter(paths)
    while some := list(islice(rest, _PATHS_AT_ONCE)):
        text = b"\n".join(some).decode("latin-1")
        if not has_case:
            text = text.lower()
        if part not in text:
            found += repeat(False, len(some))
        elif is_all and len(lines := text.split("\n")) == len(some):
            # Quicker than a pattern, most of all one without regard to case.
            found += [part in line for line in lines]
        else:
            found += map(bool, map(search, some))
    return found


def matching(query: Query, paths: Iterable[bytes], values: list[int]) -> list[int]:
    """Return *values*, -1 for each of *paths* that *query* does not match."""
    if not query.match:
        return values
    found = matches(query, paths)
    return [value if is_meant else -1 for value, is_meant in zip(values, found, strict=True)]


def _needed(match: str) -> tuple[str, bool, bool]:
    """Return what each path that matches has in it, whether that is all that is asked for, and
    whether capital letters differ from small ones; if not, it is in small ones.
    """
    text = quote(match, safe=punctuation)
    if not any(mark in text for mark in "*?["):
        return text.lower(), True, False
    part = max(re.split(r"[*?]", text.partition("[")[0]), key=len)
    return part, text == f"*{part}*", True
