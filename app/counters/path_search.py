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


def matching(query: Query, paths: Iterable[bytes], values: list[int]) -> list[int]:
    """Return *values*, -1 for each of *paths* that does not match, as `Query.pattern` says."""
    pattern = query.pattern()
    if pattern is None:
        return values
    search = re.compile(pattern.pattern.encode()).search
    part, is_all, has_case = _needed(query.match)
    found: list[int] = []
    rest = iter(paths)
    while some := list(islice(rest, _PATHS_AT_ONCE)):
        its = values[len(found) : len(found) + len(some)]
        text = b"\n".join(some).decode("latin-1")
        if not has_case:
            text = text.lower()
        if part not in text:
            found += repeat(-1, len(some))
        elif is_all and len(lines := text.split("\n")) == len(some):
            # Quicker than a pattern, most of all one without regard to case.
            found += [value if part in line else -1 for value, line in zip(its, lines, strict=True)]
        else:
            found += [value if search(path) else -1 for value, path in zip(its, some, strict=True)]
    return found


def _needed(match: str) -> tuple[str, bool, bool]:
    """Return what each path that matches has in it, whether that is all that is asked for, and
    whether capital letters differ from small ones; if not, it is in small ones.
    """
    text = quote(match, safe=punctuation)
    if not any(mark in text for mark in "*?["):
        return text.lower(), True, False
    part = max(re.split(r"[*?]", text.partition("[")[0]), key=len)
    return part, text == f"*{part}*", True
