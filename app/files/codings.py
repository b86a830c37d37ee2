"""Content codings (RFC 9110 sections 8.4.1 and 12.5.3): which form of a file a client prefers."""

import re
from collections.abc import Mapping
from functools import lru_cache

IDENTITY = "identity"

#: The codings that files are sent in, each with the suffix of a sibling that holds it.
SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}

_PREFERRED = (*SUFFIXES, IDENTITY)  # among forms of equal weight and equal length
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_REFUSED, _ACCEPTABLE = -1, 0
_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_MEMBER = re.compile(rf"({_TCHAR}+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?")
_LONGEST_REMEMBERED = 128


def choose(accept_encoding: str | None, lengths: Mapping[str, int]) -> str | None:
    """Return the coding to send, or None when the client refuses all that there is (406).

    *lengths* has the number of bytes of each form that the file has, IDENTITY among them. The
    client's weights decide; among equal ones the shorter form is sent.
    """
    weights = _weights_of(accept_encoding)
    weighed = [
        (-_weight(coding, weights), lengths[coding], order, coding)
        for order, coding in enumerate(_PREFERRED)
        if coding in lengths
    ]
    refusal, _, _, best = min(weighed)
    return None if refusal == -_REFUSED else best


def accepts_any(accept_encoding: str | None) -> bool:
    """Tell whether the client prefers some coding of ours to the file as it is."""
    weights = _weights_of(accept_encoding)
    as_it_is = max(_weight(IDENTITY, weights), _ACCEPTABLE + 1)
    return any(_weight(coding, weights) >= as_it_is for coding in SUFFIXES)


def _weights_of(accept_encoding: str | None) -> Mapping[str, int]:
    # Without the field any coding would do, but what does not send it may not know any.
    if not accept_encoding:
        return {}
    short = len(accept_encoding) <= _LONGEST_REMEMBERED
    return _remembered(accept_encoding) if short else _parse(accept_encoding)


def _weight(coding: str, weights: Mapping[str, int]) -> int:
    """Return the weight in thousandths; identity, if nothing is said of it, is the last resort."""
    weight = weights.get(coding, weights.get("*"))
    if weight is None:
        return _ACCEPTABLE if coding == IDENTITY else _REFUSED
    return weight or _REFUSED


def _parse(accept_encoding: str) -> dict[str, int]:
    """Return the weight of each coding that is named. A malformed member names none."""
    weights: dict[str, int] = {}
    for member in accept_encoding.split(","):
        if found := _MEMBER.fullmatch(member.strip(" \t")):
            coding = found[1].lower()
            weights[_ALIASES.get(coding, coding)] = round(float(found[2] or 1) * 1000)
    return weights


_remembered = lru_cache(maxsize=256)(_parse)
