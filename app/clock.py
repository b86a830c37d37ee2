"""The current HTTP date, formatted once a second: the leaf that both programs share."""

from functools import lru_cache
from time import gmtime, time

#: Names as RFC 9110 section 5.6.7 has them, whatever the locale.
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Formatting a number takes ten times as long.
_TWO = [f"{number:02}" for number in range(60)]

_second = -1.0
_date = ""


def http_date(timestamp: float) -> str:
    """Return *timestamp* (seconds since the epoch) as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    minutes, second = divmod(int(timestamp // 1), 60)
    return f"{_minute(minutes)}{_TWO[second]} GMT"


@lru_cache(maxsize=1024)
def _minute(minutes: int) -> str:
    """Return a date's beginning. The files of a site were often written in few minutes."""
    # Not email.utils.formatdate: importing that takes a twentieth of a start.
    year, month, day, hour, minute, _, weekday, *_ = gmtime(minutes * 60)
    date = f"{_WEEKDAYS[weekday]}, {_TWO[day]} {MONTHS[month - 1]} {year:04}"
    return f"{date} {_TWO[hour]}:{_TWO[minute]}:"


def date_header() -> str:
    """Return the present moment as an IMF-fixdate. Safe from any thread."""
    global _second, _date
    now = time()
    # All are floats: a comparison with a whole number takes five times as long.
    if not 0.0 <= now - _second < 1.0:
        second = float(int(now))
        # The text is stored before the second: a thread that sees the new second sees the new text.
        _date = http_date(second)
        _second = second
    return _date
