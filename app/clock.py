"""The current HTTP date, formatted once a second: the leaf that both programs share."""

from time import gmtime, time

#: Names as RFC 9110 section 5.6.7 has them, whatever the locale.
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_second = -1.0
_date = ""


def http_date(timestamp: float) -> str:
    """Return *timestamp* (seconds since the epoch) as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    # Not email.utils.formatdate: importing that takes a twentieth of a start.
    year, month, day, hour, minute, second, weekday, *_ = gmtime(timestamp)
    return (
        f"{_WEEKDAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year:04}"
        f" {hour:02}:{minute:02}:{second:02} GMT"
    )


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
