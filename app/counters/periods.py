"""Hours, days and months in UTC, as the numbers that they are kept by, and as text.

An hour and a day are numbered from 1970-01-01T00:00Z, a month from January of the year 0.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final, Literal, NamedTuple, Self, TypeAlias, get_args

SECONDS_PER_HOUR: Final = 3600
SECONDS_PER_DAY: Final = 86400
#: For how many days hours are kept.
HOURS_KEPT_DAYS: Final = 90
#: The periods that the statistics offer, in days up to today: stores have their sums ready.
OFFERED_DAYS: Final = (1, 2, 7, 30, 90, 365)
#: The end of the year 9999, after which no time can be written.
LAST_SECOND: Final = 253_402_300_799

Unit: TypeAlias = Literal["hour", "day", "month"]
UNITS: tuple[Unit, ...] = get_args(Unit)

_DAY_ZERO = date(1970, 1, 1).toordinal()
_LAST_DAY, _LAST_MONTH = LAST_SECOND // SECONDS_PER_DAY, 9999 * 12 + 11
_NAMED_DAYS = {"today": 1, "year": 365}
_DAYS = re.compile(r"([1-9][0-9]{0,4})d")
_SPAN = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.\.([0-9]{4}-[0-9]{2}-[0-9]{2})")


class Period(NamedTuple):
    """The UTC days from *first* to *last*, both included."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str, today: int) -> Self | None:
        """Return the period that *text* names, None for `all`. Raises ValueError, with a line fit
        to be shown.

        `today`, `7d` (seven days, today among them), `year` (365 days), `2026-11-01..2026-11-25`, a
        single day.
        """
        if text == "all":
            return None
        if found := _DAYS.fullmatch(text):
            return cls(max(0, today - int(found[1]) + 1), today)
        if text in _NAMED_DAYS:
            return cls(max(0, today - _NAMED_DAYS[text] + 1), today)
        found = _SPAN.fullmatch(text)
        first, last = (found[1], found[2]) if found else (text, text)
        try:
            period = cls(day_number(first), day_number(last))
        except ValueError:
            period = cls(1, 0)
        if not 0 <= period.first <= period.last <= _LAST_DAY:
            raise ValueError(
                f"{text!r} is no period: today, 7d, year, all, 2026-11-25 or 2026-11-01..2026-11-25"
            )
        return period

    @property
    def days(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{day_text(self.first)}..{day_text(self.last)}"


def day_text(day: int) -> str:
    """Return a day as 2026-11-25."""
    return date.fromordinal(_DAY_ZERO + day).isoformat()


def day_number(text: str) -> int:
    """Return the day that *text* (2026-11-25) names. Raises ValueError."""
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(text)
    return found.toordinal() - _DAY_ZERO


def time_text(seconds: int) -> str:
    """Return a time as 2026-11-25T14:03:22Z, and "" for 0, which stands for never."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def month_of(day: int) -> int:
    """Return the month that a day lies in."""
    found = date.fromordinal(_DAY_ZERO + day)
    return found.year * 12 + found.month - 1


def first_day_of(month: int) -> int:
    """Return the day with which a month begins."""
    if month == _LAST_MONTH + 1:
        return _LAST_DAY + 1
    return date(month // 12, month % 12 + 1, 1).toordinal() - _DAY_ZERO


def unit_text(unit: Unit, number: int) -> str:
    """Return 2026-11-25T14Z for an hour, 2026-11-25 for a day, 2026-11 for a month."""
    if unit == "hour":
        return f"{day_text(number // 24)}T{number % 24:02d}Z"
    return day_text(number) if unit == "day" else f"{number // 12:04d}-{number % 12 + 1:02d}"


def unit_of(unit: Unit, seconds: int) -> int:
    """Return the number of the hour, day or month that a time lies in."""
    if unit == "hour":
        return seconds // SECONDS_PER_HOUR
    day = seconds // SECONDS_PER_DAY
    return day if unit == "day" else month_of(day)


def units_of(unit: Unit, period: Period) -> range:
    """Return the numbers of the hours, days or months that a period of days touches."""
    if unit == "hour":
        return range(period.first * 24, (period.last + 1) * 24)
    if unit == "day":
        return range(period.first, period.last + 1)
    return range(month_of(period.first), month_of(period.last) + 1)


def within(days: Mapping[int, int], period: Period) -> dict[int, int]:
    """Return the days of a period."""
    return {day: value for day, value in days.items() if period.first <= day <= period.last}


def by_unit(unit: Unit, days: Mapping[int, int], period: Period) -> dict[int, int]:
    """Return what the days of a period add up to by *unit*, which is `day` or `month`."""
    found: dict[int, int] = {}
    for day, value in within(days, period).items():
        at = day if unit == "day" else month_of(day)
        found[at] = found.get(at, 0) + value
    return found
