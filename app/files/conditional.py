"""Preconditions (RFC 9110 section 13): request fields and a representation's validators in, a
decision out.
"""

import re
from collections.abc import Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from time import gmtime

from ..clock import MONTHS


class Outcome(Enum):
    PERFORM = "perform the method"
    NOT_MODIFIED = "304"
    FAILED = "412"


# Looked up for every answer; a member of an enumeration is ten times as far away.
_PERFORM, _NOT_MODIFIED, _FAILED = Outcome.PERFORM, Outcome.NOT_MODIFIED, Outcome.FAILED

_DAY_ZERO = date(1970, 1, 1).toordinal()
_MONTH = "|".join(MONTHS)
_DAY = "(?P<day>[0-9]{2})"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_SHORT_WEEKDAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_WEEKDAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
#: IMF-fixdate, the obsolete RFC 850 form and asctime's (RFC 9110 section 5.6.7). They are compiled
#: when they are first used, and `re` remembers them.
_DATES = (
    f"{_SHORT_WEEKDAY}, {_DAY} (?P<month>{_MONTH}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
    f"{_LONG_WEEKDAY}, {_DAY}-(?P<month>{_MONTH})-(?P<year>[0-9]{{2}}) {_TIME} GMT",
    f"{_SHORT_WEEKDAY} (?P<month>{_MONTH}) (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
)

#: No other form is as long as an IMF-fixdate, so *now* means nothing to what is.
_FIXDATE_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")

# Each member is tried once, at its first byte: what is between members is skipped by the possessive
# run before it.
_LIST_MEMBER = re.compile(
    r'[ \t,]*+(?:((?:W/)?"[\x21\x23-\x7e\x80-\xff]*+")[ \t]*+(?=,|$)|[^,]++|$)'
)


def parse_http_date(text: str, now: float) -> int | None:
    """Return the seconds since the epoch of an HTTP-date in any of its three forms, or None when it
    is none.

    *now* decides the century of a two-digit year (RFC 9110 section 5.6.7).
    """
    text = text.strip(" \t")
    if len(text) == _FIXDATE_LENGTH:
        return _fixdate(text)
    return _date_in_any_form(text, now)


@lru_cache(512)
def _fixdate(text: str) -> int | None:
    """What clients send back: the dates of the files that they ask for."""
    return _date_in_any_form(text, 0)


def _date_in_any_form(text: str, now: float) -> int | None:
    for pattern in _DATES:
        if found := re.fullmatch(pattern, text):
            return _timestamp(found.groupdict(), now)
    return None


def _timestamp(parts: Mapping[str, str], now: float) -> int | None:
    year, month, day = int(parts["year"]), MONTHS.index(parts["month"]) + 1, int(parts["day"])
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"])
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second
        return None
    if len(parts["year"]) == 2:
        return _nearest_century(year, (month, day, hour, minute, second), now)
    return _seconds(year, month, day, hour, minute, second)


def _nearest_century(year: int, rest: tuple[int, int, int, int, int], now: float) -> int | None:
    """A date over 50 years ahead stands for the latest past one with the same two digits."""
    this_year = gmtime(now).tm_year
    for century in (this_year // 100 + 1, this_year // 100, this_year // 100 - 1):
        moment = _seconds(century * 100 + year, *rest)
        if moment is not None and moment <= _fifty_years_after(now):
            return moment
    return None


def _fifty_years_after(now: float) -> float:
    return now + 50 * 365.2425 * 86400


def _seconds(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int | None:
    try:
        days = date(year, month, day).toordinal() - _DAY_ZERO
    except ValueError:
        return None
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def list_entity_tags(text: str) -> list[str]:
    """Return the entity tags of a list. Members that are not entity tags are left out."""
    return [found[1] for found in _LIST_MEMBER.finditer(text) if found[1]]


def has_preconditions(fields: Mapping[str, str]) -> bool:
    """Return whether there is anything to `evaluate`."""
    return (
        "HTTP_IF_NONE_MATCH" in fields
        or "HTTP_IF_MODIFIED_SINCE" in fields
        or "HTTP_IF_MATCH" in fields
        or "HTTP_IF_UNMODIFIED_SINCE" in fields
    )


def evaluate(fields: Mapping[str, str], etag: str, modified: int | None, now: float) -> Outcome:
    """Decide about a GET or HEAD for a representation that exists, in the order of RFC 9110 section
    13.2.2.

    *fields* holds header fields by their CGI variable. *etag* is strong and quoted; *modified* is
    what Last-Modified says, in seconds since the epoch; None without it, and then dates decide
    nothing.
    """
    if "HTTP_IF_MATCH" in fields:
        if not _if_match(fields["HTTP_IF_MATCH"], etag):
            return _FAILED
    elif "HTTP_IF_UNMODIFIED_SINCE" in fields:
        since = parse_http_date(fields["HTTP_IF_UNMODIFIED_SINCE"], now)
        if since is not None and modified is not None and modified > since:
            return _FAILED
    if "HTTP_IF_NONE_MATCH" in fields:
        if not _if_none_match(fields["HTTP_IF_NONE_MATCH"], etag):
            return _NOT_MODIFIED
    elif "HTTP_IF_MODIFIED_SINCE" in fields:
        since = parse_http_date(fields["HTTP_IF_MODIFIED_SINCE"], now)
        if since is not None and modified is not None and modified <= since:
            return _NOT_MODIFIED
    return _PERFORM


def _if_match(text: str, etag: str) -> bool:
    # Strong comparison: a weak tag begins with W/ and so equals no strong one.
    return text.strip(" \t") == "*" or etag in list_entity_tags(text)


def _if_none_match(text: str, etag: str) -> bool:
    if text == etag or text == f"W/{etag}":  # what most clients and proxies send
        return False
    if text.strip(" \t") == "*":
        return False
    return etag not in (tag.removeprefix("W/") for tag in list_entity_tags(text))


def if_range(text: str, etag: str, modified: int | None, now: float) -> bool:
    """Return whether a Range may be honoured (RFC 9110 section 13.1.5): the tag or the date must
    match exactly.
    """
    text = text.strip(" \t")
    if text.startswith(('"', "W/")):
        return text == etag
    # A date is a strong validator only once its second is over: the file may change again within it
    # (section 8.8.2.2).
    return modified is not None and parse_http_date(text, now) == modified and int(now) > modified
