"""Preconditions as on the wire, and what they decide (RFC 9110 section 13)."""

import pytest

from app.files.conditional import Outcome, evaluate, if_range, list_entity_tags, parse_http_date

NOW = 1_784_000_000  # in July 2026
MODIFIED = 784_111_777
IMF = "Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
ETAG = '"a1,b"'  # a comma within a tag separates nothing

PERFORM, NOT_MODIFIED, FAILED = Outcome

DATES: list[tuple[str, int | None]] = [
    (IMF, MODIFIED),
    ("Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
    ("Sun Nov  6 08:49:37 1994", MODIFIED),
    ("Sun Nov 06 08:49:37 1994", MODIFIED),
    (f"  {IMF}\t", MODIFIED),
    ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
    ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    # Two digits: within the next 50 years, else in the past
    ("Thursday, 01-Jan-70 00:00:00 GMT", 3_155_760_000),
    ("Friday, 01-Jan-99 00:00:00 GMT", 915_148_800),
    ("Saturday, 01-Jan-00 00:00:00 GMT", 946_684_800),
    ("Monday, 13-Jul-76 00:00:00 GMT", 3_361_824_000),
    ("Wednesday, 15-Jul-76 00:00:00 GMT", 206_236_800),
    # Not dates
    ("Sun, 06 Nov 1994 08:49:37 UTC", None),
    ("Sun, 06 Nov 1994 08:49:37 +0000", None),
    ("Sun, 06 Nov 1994 08:49:37", None),
    ("Sun, 6 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06 nov 1994 08:49:37 GMT", None),
    ("Sun, 31 Feb 1994 08:49:37 GMT", None),
    ("Sun, 00 Nov 1994 08:49:37 GMT", None),
    ("Sun, 06 Nov 1994 24:00:00 GMT", None),
    ("Sun, 06 Nov 1994 08:60:00 GMT", None),
    ("Sun, 06 Nov 1994 08:49:61 GMT", None),
    ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ("Sunday, 31-Feb-94 08:49:37 GMT", None),
    ("1994-11-06T08:49:37Z", None),
    ("784111777", None),
    ("0", None),
    ("", None),
    (f"{IMF}, {IMF}", None),
]


@pytest.mark.parametrize(("text", "expected"), DATES)
def test_http_dates(text: str, expected: int | None) -> None:
    assert parse_http_date(text, NOW) == expected


LISTS: list[tuple[str, list[str]]] = [
    ('"a"', ['"a"']),
    ('"a","b"', ['"a"', '"b"']),
    ('"a" ,\t"b"', ['"a"', '"b"']),
    (',,"a",, "b" ,', ['"a"', '"b"']),
    ('W/"a", "b"', ['W/"a"', '"b"']),
    ('"a,b", "c"', ['"a,b"', '"c"']),
    ('""', ['""']),
    ('"a\\", "b"', ['"a\\"', '"b"']),  # a backslash escapes nothing in a tag
    ("a", []),
    ('w/"a"', []),
    ('W/ "a"', []),
    ('"a', []),
    ('"a" "b"', []),
    ('a, "b"', ['"b"']),
    ('"a b"', []),
    ("*", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), LISTS)
def test_lists_of_entity_tags(text: str, expected: list[str]) -> None:
    assert list_entity_tags(text) == expected


M, N, U, S = (
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_IF_MODIFIED_SINCE",
)

PRECONDITIONS: list[tuple[dict[str, str], Outcome]] = [
    ({}, PERFORM),
    # If-Match: strong comparison
    ({M: ETAG}, PERFORM),
    ({M: "*"}, PERFORM),
    ({M: f'"x", {ETAG}'}, PERFORM),
    ({M: f"W/{ETAG}"}, FAILED),
    ({M: '"x"'}, FAILED),
    ({M: ""}, FAILED),
    ({M: f"*, {ETAG}"}, PERFORM),
    ({M: '"*"'}, FAILED),
    # If-Unmodified-Since
    ({U: IMF}, PERFORM),
    ({U: LATER}, PERFORM),
    ({U: EARLIER}, FAILED),
    ({U: "yesterday"}, PERFORM),
    # ... is not looked at beside If-Match
    ({M: ETAG, U: EARLIER}, PERFORM),
    ({M: '"x"', U: LATER}, FAILED),
    # If-None-Match: weak comparison
    ({N: ETAG}, NOT_MODIFIED),
    ({N: f"W/{ETAG}"}, NOT_MODIFIED),
    ({N: "*"}, NOT_MODIFIED),
    ({N: " * "}, NOT_MODIFIED),
    ({N: f'"x", "y", W/{ETAG}'}, NOT_MODIFIED),
    ({N: '"x", "y"'}, PERFORM),
    ({N: '"a1"'}, PERFORM),
    ({N: '"a1", "b"'}, PERFORM),
    ({N: '"*"'}, PERFORM),
    ({N: ""}, PERFORM),
    ({N: ETAG.strip('"')}, PERFORM),
    # If-Modified-Since
    ({S: IMF}, NOT_MODIFIED),
    ({S: LATER}, NOT_MODIFIED),
    ({S: EARLIER}, PERFORM),
    ({S: "Sunday, 06-Nov-94 08:49:37 GMT"}, NOT_MODIFIED),
    ({S: "Sun Nov  6 08:49:37 1994"}, NOT_MODIFIED),
    ({S: "never"}, PERFORM),
    ({S: f"{IMF}; length=7"}, PERFORM),
    # ... is not looked at beside If-None-Match
    ({N: '"x"', S: LATER}, PERFORM),
    ({N: ETAG, S: EARLIER}, NOT_MODIFIED),
    ({N: "", S: LATER}, PERFORM),
    # All together, in order
    ({M: ETAG, N: ETAG}, NOT_MODIFIED),
    ({M: '"x"', N: ETAG}, FAILED),
    ({U: EARLIER, N: ETAG}, FAILED),
    ({U: IMF, S: IMF}, NOT_MODIFIED),
    ({M: "*", U: EARLIER, N: '"x"', S: LATER}, PERFORM),
]


@pytest.mark.parametrize(("fields", "expected"), PRECONDITIONS)
def test_preconditions(fields: dict[str, str], expected: Outcome) -> None:
    assert evaluate(fields, ETAG, MODIFIED, NOW) is expected


IF_RANGES: list[tuple[str, float, bool]] = [
    (ETAG, NOW, True),
    (f" {ETAG}", NOW, True),
    (f"W/{ETAG}", NOW, False),
    ('"x"', NOW, False),
    (f'{ETAG}, "x"', NOW, False),
    (ETAG.strip('"'), NOW, False),
    ("*", NOW, False),
    ("", NOW, False),
    (IMF, NOW, True),
    ("Sunday, 06-Nov-94 08:49:37 GMT", NOW, True),
    (EARLIER, NOW, False),
    (LATER, NOW, False),
    ("yesterday", NOW, False),
    # The second of the change is not over: another one may follow
    (IMF, MODIFIED + 0.9, False),
    (IMF, MODIFIED + 1.0, True),
    (ETAG, MODIFIED + 0.1, True),
]


@pytest.mark.parametrize(("text", "now", "expected"), IF_RANGES)
def test_if_range(text: str, now: float, expected: bool) -> None:
    assert if_range(text, ETAG, MODIFIED, now) is expected
