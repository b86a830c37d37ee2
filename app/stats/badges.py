"""Badges: one number of a file, or of a directory, as a small picture or for shields.io.

Everybody sees them, for the paths that the operator named with `--badge` and no others.
"""

import json
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from html import escape
from typing import NamedTuple

from ..counters.contract import CounterError
from ..counters.periods import Period
from ..counters.reading import CountReader
from ..counters.tally import Tally
from . import wording
from .answers import Answer, Environ, RefusedError
from .kept import KeptAnswers
from .parameters import Parameters

NUMBERS = ("accesses", "completed", "downloads", "bytes")
_SECONDS = 300
_LONGEST_LABEL = 60
_COLOR, _ERROR_COLOR = "#c92f16", "#6b7680"
_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_FIELDS = [
    ("Cache-Control", f"public, max-age={_SECONDS}"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Access-Control-Allow-Origin", "*"),
    ("Content-Security-Policy", _POLICY),
]
#: Widths of Verdana at 11 pixels, by kind of character.
_NARROW, _WIDE, _USUAL = 4.2, 10.5, 7.0


class Badge(NamedTuple):
    """What is on a badge."""

    label: str
    message: str
    is_error: bool = False


class Badges:
    """Answers for the paths that match one of *patterns*. Safe from any thread."""

    def __init__(self, kept: KeptAnswers, patterns: Sequence[str]) -> None:
        self._kept = kept
        self._patterns = patterns

    def svg(self, parameters: Parameters, _environ: Environ) -> Answer:
        body = drawn(self._badge(parameters)).encode()
        return Answer(200, [("Content-Type", "image/svg+xml"), *_FIELDS], body)

    def json(self, parameters: Parameters, _environ: Environ) -> Answer:
        """Answer as shields.io wants it: unknown keys are refused there."""
        badge = self._badge(parameters)
        document = {
            "schemaVersion": 1,
            "label": badge.label,
            "message": badge.message,
            "color": _ERROR_COLOR if badge.is_error else _COLOR,
            "cacheSeconds": _SECONDS,
            **({"isError": True} if badge.is_error else {}),
        }
        body = json.dumps(document).encode()
        return Answer(200, [("Content-Type", "application/json"), *_FIELDS], body)

    def shows(self, path: str) -> bool:
        """Tell whether everybody may see the numbers of *path*."""
        return any(fnmatchcase(path, pattern) for pattern in self._patterns)

    def _badge(self, parameters: Parameters) -> Badge:
        path = parameters.path()
        if not self.shows(path):
            raise RefusedError(404, "There is nothing here.")
        number = parameters.choice("number", NUMBERS, NUMBERS[0])
        is_short = parameters.choice("short", ("0", "1"), "0") == "1"
        label = _shown(parameters.text("label") or number)
        try:
            tally = self._tally(path, parameters)
        except CounterError:
            return Badge(label, "not known now", is_error=True)
        if tally is None:
            return Badge(label, "no such file", is_error=True)
        if number == "bytes":
            return Badge(label, wording.size(tally.sent_bytes))
        value = tally[number]
        return Badge(label, short(value) if is_short else wording.number(value))

    def _tally(self, path: str, parameters: Parameters) -> Tally | None:
        period = parameters.period()
        if not path.endswith("/"):
            return self._shared(
                ("file", path, period), lambda reader: _of_file(reader, path, period)
            )
        if period is not None:
            raise RefusedError(400, "period: a directory has only the sum of all days")
        return self._shared(("directory", path), lambda reader: _below(reader, path))

    def _shared(self, key: object, question: Callable[[CountReader], Tally | None]) -> Tally | None:
        tally, away = self._kept.share(key, question)
        if away:
            raise CounterError(away)
        return tally


def _of_file(reader: CountReader, path: str, period: Period | None) -> Tally | None:
    """Return what was counted of a file, without its rank, for which all files are looked at."""
    if period is None:
        [found] = reader.tallies([path])
        return None if found is None else found[2]
    series = reader.series("day", period, path)
    return None if series is None else sum((tally for _, tally in series.points), Tally())


def _below(reader: CountReader, path: str) -> Tally | None:
    found = reader.directory(path)
    return found.tally if found.files else None


def short(value: int) -> str:
    """Return a number in few characters: 84.2k, 1.3M."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= limit:
            whole, tenth = divmod(value * 10 // limit, 10)
            return f"{whole}.{tenth}{unit}" if whole < 100 else f"{whole}{unit}"
    return str(value)


def drawn(badge: Badge) -> str:
    """Return a badge as SVG."""
    left, right = _width(badge.label), _width(badge.message)
    label, message = escape(badge.label), escape(badge.message)
    color = _ERROR_COLOR if badge.is_error else _COLOR
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{label}: {message}"><title>{label}: {message}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#30373d"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{color}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-size="11"'
        ' font-family="Verdana,DejaVu Sans,Geneva,sans-serif">'
        f'<text x="{left / 2}" y="14" textLength="{left - 12}">{label}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - 12}">{message}</text>'
        "</g></svg>\n"
    )


def _width(text: str) -> int:
    widths = (
        _NARROW
        if one in " .,:;ilIjtf1'|()"
        else _WIDE
        if one in "mwMW@%" or ord(one) > 0x2E80
        else _USUAL
        for one in text
    )
    return round(sum(widths)) + 12


def _shown(text: str) -> str:
    """Return a label without what no XML document may have, or what turns text around."""
    return "".join(one for one in text if one.isprintable())[:_LONGEST_LABEL] or NUMBERS[0]
