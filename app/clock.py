"""The current HTTP date, formatted once a second: the leaf that both programs share."""

from email.utils import formatdate
from time import time

_second = -1
_date = ""


def http_date(timestamp: float) -> str:
    """Return *timestamp* (seconds since the epoch) as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    return formatdate(timestamp, usegmt=True)


def date_header() -> str:
    """Return the present moment as an IMF-fixdate. Safe from any thread."""
    global _second, _date
    now = time()
    if not 0 <= now - _second < 1:
        second = int(now)
        # The text is stored before the second: a thread that sees the new second sees the new text.
        _date = http_date(second)
        _second = second
    return _date
