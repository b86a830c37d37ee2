"""Numbers, times and names as people read them.

Counts have all their digits. Bytes are rounded, and their exact number stands beside them.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from ..counters.periods import time_text

_MAY_BREAK = re.compile(r"(?<=.[/_-])(?=.)")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def number(value: int) -> str:
    return f"{value:,}"


def size(value: int) -> str:
    amount = float(value)
    for unit in _UNITS:
        if amount < 999.5 or unit == _UNITS[-1]:
            break
        amount /= 1000
    digits = 0 if unit == "B" or amount >= 99.95 else 1
    return f"{amount:,.{digits}f} {unit}"


def share(part: int, whole: int) -> str:
    """Return how much *part* is of *whole*, in percent. Not 100 % and not 0 % unless it is so."""
    if not whole or part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if 0.05 <= percent < 99.95:
        return f"{percent:.1f} %"
    return "under 0.1 %" if percent < 1 else "over 99.9 %"


def name(path: str) -> str:
    """Return a path to be read; what cannot be seen, or turns text around, is an escape."""
    text = unquote_to_bytes(path).decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def moment(seconds: int) -> str:
    """Return a time as 2026-11-25 14:03:22 UTC."""
    return time_text(seconds).replace("T", " ").replace("Z", " UTC") or "never"


def machine_time(seconds: int) -> str:
    """Return a time as the attribute `datetime` has it."""
    return time_text(seconds)


def clock_time(seconds: int) -> str:
    return f"{time_text(seconds)[11:19]} UTC"


def age(seconds: int, now: int) -> str:
    """Return how long ago a time was."""
    if not seconds:
        return "never"
    past = max(0, now - seconds)
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if past >= length:
            count = past // length
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "now"


def unit_label(text: str) -> str:
    """Return 25 November for 2026-11-25, 25 November, 14:00 for 2026-11-25T14Z, November 2026 for
    2026-11.
    """
    return _labelled(text, 20)


def short_label(text: str) -> str:
    """Return 25 Nov for 2026-11-25, and so on."""
    return _labelled(text, 3)


def _labelled(text: str, letters: int) -> str:
    if text.endswith("Z"):
        return f"{_labelled(text[:10], letters)}, {text[11:13]}:00"
    year, month, *day = text.split("-")
    named = _MONTHS[int(month) - 1][:letters]
    return f"{int(day[0])} {named}" if day else f"{named} {year}"


def pieces(path: str) -> list[str]:
    """Return a path's name in pieces, between which a narrow column may break it."""
    return _MAY_BREAK.split(name(path))


def plural(count: int, singular: str, more: str = "") -> str:
    return f"{number(count)} {singular if count == 1 else more or singular + 's'}"


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "size": size,
    "share": share,
    "name": name,
    "pieces": pieces,
    "moment": moment,
    "machine_time": machine_time,
    "clock_time": clock_time,
    "age": age,
    "plural": plural,
    "short_label": short_label,
}
