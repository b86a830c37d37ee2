"""Content codings (RFC 9110 sections 8.4.1 and 12.5.3): which form of a file a client prefers."""

import re
from collections.abc import Mapping
from functools import lru_cache

IDENTITY = "identity"

#: The codings that files are sent in, each with the suffix of a sibling that holds it.
SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}

_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_REFUSED, _ACCEPTABLE = -1, 0
_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_MEMBER = re.compile(rf"({_TCHAR}+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?")
_LONGEST_REMEMBERED = 128


def choose(accept_encoding: str, order: tuple[str, ...]) -> str | None:
    """Return the coding to send, or None when the client refuses all that there is (406).

    *order* has the codings of the forms that there are, the shortest form first, IDENTITY among
    them. The client's weights decide; among equal ones the shorter form is sent.
    """
    short = len(accept_encoding) <= _LONGEST_REMEMBERED
    return _remembered(accept_encoding, order) if short else _choose(accept_encoding, order)


def _choose(accept_encoding: str, order: tuple[str, ...]) -> str | None:
    weights = _weights_of(accept_encoding)
    weight, best = max(
        ((_weight(coding, weights), -place) for place, coding in enumerate(order)),
        default=(_REFUSED, 0),
    )
    return None if weight == _REFUSED else order[-best]


_remembered = lru_cache(maxsize=512)(_choose)


def _weight(coding: str, weights: Mapping[str, int]) -> int:
    """Return the weight in thousandths; identity, if nothing is said of it, is the last resort."""
    weight = weights.get(coding, weights.get("*"))
    if weight is None:
        return _ACCEPTABLE if coding == IDENTITY else _REFUSED
    return weight or _REFUSED


def _weights_of(accept_encoding: str) -> dict[str, int]:
    """Return the weight of each coding that is named. A malformed member names none."""
    weights: dict[str, int] = {}
    for member in accept_encoding.split(","):
        if found := _MEMBER.fullmatch(member.strip(" \t")):
            coding = found[1].lower()
            weights[_ALIASES.get(coding, coding)] = round(float(found[2] or 1) * 1000)
    return weights
