"""Content codings (RFC 9110 sections 8.4.1 and 12.5.3): which of a file's precompressed siblings a client prefers."""

import re
from functools import lru_cache

IDENTITY = "identity"

#: Content codings with the suffix of the sibling that holds them; the first is preferred among equals.
SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}

_MEMBER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?")
_REMEMBERED_LENGTH = 128


def acceptable_codings(accept_encoding: str) -> tuple[str, ...]:
    """Return the codings worth trying, best first, up to and without identity, which is always there."""
    remember = len(accept_encoding) <= _REMEMBERED_LENGTH
    return _remembered(accept_encoding) if remember else _acceptable(accept_encoding)


def _acceptable(accept_encoding: str) -> tuple[str, ...]:
    weights = _weights(accept_encoding)
    others = weights.get("*", 0.0)
    identity = weights.get(IDENTITY, 0.0)
    offered = [(weights.get(coding, others), coding) for coding in SUFFIXES]
    wanted = [(weight, coding) for weight, coding in offered if weight > 0 and weight >= identity]
    return tuple(coding for _, coding in sorted(wanted, key=lambda pair: -pair[0]))


_remembered = lru_cache(maxsize=256)(_acceptable)


def _weights(accept_encoding: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for member in accept_encoding.split(","):
        found = _MEMBER.fullmatch(member.strip(" \t"))
        if found:
            coding = found[1].lower()
            weights[{"x-gzip": "gzip"}.get(coding, coding)] = float(found[2] or 1)
    return weights
