"""What a query may ask for, checked: each name known and given once, each value one that can be."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import time
from typing import get_args
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from ..counters.contract import CLASSES, Class
from ..counters.periods import HOURS_KEPT_DAYS, SECONDS_PER_DAY, UNITS, Period, Unit
from ..counters.reading import (
    MOST_DAYS_BY_DAY,
    MOST_ROWS,
    ORDERS,
    Order,
    Series,
)
from ..files.names import canonical_path
from .answers import RefusedError

_MOST_FIELDS = 20
_LONGEST_VALUE = 8000
_ROWS = 100
#: Of the site alone a period so short has hours.
_MOST_DAYS_BY_HOUR = 2
#: The hour that is under way and those before it. Files have days alone, so for them it is the two
#: days in which these hours lie.
LAST_HOURS = "24h"
_HOURS = 24


class Parameters:
    """The fields of one query. Every method raises RefusedError (400) for a senseless value."""

    def __init__(self, query: str, allowed: Iterable[str]) -> None:
        self.values = read_query(query)
        known = frozenset(allowed)
        for name in self.values:
            if name not in known:
                names = ", ".join(sorted(known)) or "none"
                raise RefusedError(400, f"{_shown(name)}: no such parameter; there are: {names}")

    def link(self, **changes: str) -> str:
        """Return the query of the same address with *changes*; an empty value leaves one out."""
        merged = {**self.values, **changes}
        return "?" + urlencode({name: value for name, value in merged.items() if value})

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        known = tuple(choices)
        value = self.values.get(name) or default
        if value not in known:
            raise RefusedError(400, f"{name}: {_shown(value)} is none of {', '.join(known)}")
        return value

    def period_text(self, default: str) -> str:
        return self.values.get("period") or default

    def period(self, default: str = "all") -> Period | None:
        text, today = self.period_text(default), int(time()) // SECONDS_PER_DAY
        if text == LAST_HOURS:
            return Period(today - 1, today)
        try:
            return Period.parse(text, today)
        except ValueError as error:
            raise RefusedError(400, f"period: {error}") from None

    def order(self) -> Order:
        found = self.choice("order", ORDERS, "accesses")
        return next(order for order in ORDERS if order == found)

    def classes(self) -> frozenset[Class] | None:
        """Return the classes that are asked for, None for all."""
        text = self.values.get("class", "")
        if not text:
            return None
        names = [name.strip() for name in text.split(",")]
        found = frozenset(class_ for class_ in get_args(Class) if class_ in names)
        if len(found) != len(set(names)):
            raise RefusedError(400, f"class: not one or more of {', '.join(CLASSES)}")
        return None if len(found) == len(CLASSES) else found

    def limit(self, default: int = _ROWS) -> int:
        text = self.values.get("limit") or str(default)
        if not (text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= MOST_ROWS):
            raise RefusedError(400, f"limit: {_shown(text)} is not a number from 1 to {MOST_ROWS}")
        return int(text)

    def unit(
        self, period: Period | None, *, of_site: bool, by_hour: int = _MOST_DAYS_BY_HOUR
    ) -> Unit:
        """Return the unit that is asked for, or else the one that suits *period*.

        The site's hours suit up to *by_hour* days.
        """
        days = period.days if period else MOST_DAYS_BY_DAY + 1
        suited = "day" if days <= MOST_DAYS_BY_DAY else "month"
        oldest = int(time()) // SECONDS_PER_DAY - HOURS_KEPT_DAYS
        if of_site and period and days <= by_hour and period.first > oldest:
            suited = "hour"
        found = self.choice("unit", UNITS, suited)
        if found == "hour" and not of_site:
            raise RefusedError(400, "unit: hours are kept only for the site")
        if found == "hour" and days > HOURS_KEPT_DAYS:
            raise RefusedError(
                400, f"unit: hours are kept for {HOURS_KEPT_DAYS} days; give a period"
            )
        return next(unit for unit in UNITS if unit == found)

    def within_hours(self, series: Series) -> Series:
        """Return *series*, or its last 24 hours when the request is for these."""
        if series.unit != "hour" or self.values.get("period") != LAST_HOURS:
            return series
        return replace(series, points=series.points[-_HOURS:])

    def path(self, *, of_directory: bool = False) -> str:
        """Return a file's path as the counters have it, from either of its forms."""
        text = self.values.get("path", "")
        if not text.startswith("/"):
            raise RefusedError(400, "path: it must begin with a slash")
        path = canonical_path(unquote_to_bytes(text).removeprefix(b"/"))
        if of_directory and not path.endswith("/"):
            path += "/"
        return path


def read_query(query: str) -> Mapping[str, str]:
    """Return the fields of QUERY_STRING, or of a form's body. Raises RefusedError (400)."""
    try:
        text = query.encode("latin-1").decode("utf-8")
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise RefusedError(400, "The query cannot be read.") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError(400, "A parameter is given twice.")
    if any(len(value) > _LONGEST_VALUE for value in found.values()):
        raise RefusedError(400, "A parameter is too long.")
    return found


def _shown(text: str) -> str:
    """Return what was given, as it can stand in a line."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")
