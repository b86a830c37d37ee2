"""Conditional requests: RFC 9110 section 13, in the order of 13.2.2."""

from ..documents import TEXT
from .checks import (
    all_of,
    body,
    date_in,
    either,
    field_equals_fact,
    lacks,
    no_content,
    second,
    status,
    value,
    with_validator,
)
from .probe import Check, Level, Probe, get, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_WHOLE = all_of(status(200), body(TEXT))
_UNMODIFIED = all_of(status(304), no_content())
_PAST = "Mon, 01 Jan 2001 00:00:00 GMT"
_FUTURE = "Sat, 01 Jan 2050 00:00:00 GMT"


def _tag(
    lines: str | tuple[str, ...],
    level: Level,
    requires: str,
    check: Check,
    section: str = "RFC 9110 13.1.2",
) -> Probe:
    """A row that needs the server to send entity tags."""
    chosen = (lines,) if isinstance(lines, str) else lines
    return Probe(
        " and ".join(chosen),
        get("/text.txt", *chosen),
        level,
        section,
        requires,
        with_validator(("etag",), check),
    )


def _date(
    line: str, level: Level, requires: str, check: Check, section: str = "RFC 9110 13.1.3"
) -> Probe:
    """A row that needs the server to send Last-Modified."""
    return Probe(
        line, get("/text.txt", line), level, section, requires, with_validator(("modified",), check)
    )


_IF_MATCH = "RFC 9110 13.1.1"
_IF_UNMODIFIED = "RFC 9110 13.1.4"
_ORDER = "RFC 9110 13.2.2"

PROBES = (
    _tag("If-None-Match: <etag>", _MUST, "304", _UNMODIFIED),
    _tag('If-None-Match: "other"', _MUST, "200", _WHOLE),
    _tag("If-None-Match: *", _MUST, "304: any current representation matches", _UNMODIFIED),
    _tag('If-None-Match: "a", <etag>, "b"', _MUST, "304: one of the list matches", _UNMODIFIED),
    _tag('If-None-Match: "a,b", <etag>', _MUST, "304: a comma may stand in a tag", _UNMODIFIED),
    _tag('If-None-Match: "a","b"', _MUST, "200: none matches", _WHOLE),
    _tag(
        "If-None-Match: <weak-etag>",
        _MUST,
        "304: the comparison is weak",
        _UNMODIFIED,
        "RFC 9110 8.8.3.2",
    ),
    _tag(
        ('If-None-Match: "a"', "If-None-Match: <etag>"),
        _MUST,
        "304: two lines are one list",
        _UNMODIFIED,
        "RFC 9110 5.3",
    ),
    _tag(
        "if-none-match:<etag>",
        _MUST,
        "304: case and blanks do not count",
        _UNMODIFIED,
        "RFC 9110 5.1",
    ),
    _tag(
        ('If-None-Match: "other"', "If-Modified-Since: <modified>"),
        _MUST,
        "200: the tag decides, the date is ignored",
        _WHOLE,
        "RFC 9110 13.1.3",
    ),
    _tag(
        ("If-None-Match: <etag>", f"If-Modified-Since: {_PAST}"),
        _MUST,
        "304: the tag decides, the date is ignored",
        _UNMODIFIED,
        "RFC 9110 13.1.3",
    ),
    _date("If-Modified-Since: <modified>", _MUST, "304", _UNMODIFIED),
    _date(f"If-Modified-Since: {_PAST}", _MUST, "200", _WHOLE),
    _date(
        "If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT",
        _SHOULD,
        "304: not modified since",
        _UNMODIFIED,
    ),
    _date(
        "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT",
        _MUST,
        "304: the RFC 850 form is to be read",
        _UNMODIFIED,
        "RFC 9110 5.6.7",
    ),
    _date(
        "If-Modified-Since: Tue Nov 14 22:13:20 2023",
        _MUST,
        "304: the asctime form is to be read",
        _UNMODIFIED,
        "RFC 9110 5.6.7",
    ),
    _date("If-Modified-Since: yesterday", _MUST, "200: no date, ignored", _WHOLE),
    _date("If-Modified-Since: 1700000000", _MUST, "200: no date, ignored", _WHOLE),
    _tag("If-Match: <etag>", _MUST, "200", _WHOLE, _IF_MATCH),
    _tag("If-Match: *", _MUST, "200", _WHOLE, _IF_MATCH),
    _tag('If-Match: "other"', _MUST, "412", status(412), _IF_MATCH),
    _tag('If-Match: "a", "b"', _MUST, "412", status(412), _IF_MATCH),
    _tag('If-Match: "a", <etag>', _MUST, "200: one of the list matches", _WHOLE, _IF_MATCH),
    _tag("If-Match: <weak-etag>", _MUST, "412: the comparison is strong", status(412), _IF_MATCH),
    _date("If-Unmodified-Since: <modified>", _MUST, "200", _WHOLE, _IF_UNMODIFIED),
    _date(f"If-Unmodified-Since: {_PAST}", _MUST, "412", status(412), _IF_UNMODIFIED),
    _date(f"If-Unmodified-Since: {_FUTURE}", _MUST, "200", _WHOLE, _IF_UNMODIFIED),
    _date("If-Unmodified-Since: yesterday", _MUST, "200: no date, ignored", _WHOLE, _IF_UNMODIFIED),
    _tag(
        ("If-Match: <etag>", f"If-Unmodified-Since: {_PAST}"),
        _MUST,
        "200: the tag decides, the date is ignored",
        _WHOLE,
        _ORDER,
    ),
    _tag(
        ('If-Match: "other"', "If-None-Match: <etag>"),
        _MUST,
        "412: If-Match comes first",
        status(412),
        _ORDER,
    ),
    _tag(
        ("If-Match: <etag>", "If-None-Match: <etag>"),
        _MUST,
        "304: both are looked at",
        _UNMODIFIED,
        _ORDER,
    ),
    Probe(
        "304 has no content",
        get("/text.txt", "If-None-Match: <etag>") + get("/other.txt"),
        _MUST,
        "RFC 9110 15.4.5",
        "the next answer follows at once",
        with_validator(("etag",), all_of(status(304), second(body(b"Another file.\n")))),
        ("GET", "GET"),
    ),
    Probe(
        "304 carries the tag",
        get("/text.txt", "If-None-Match: <etag>"),
        _MUST,
        "RFC 9110 15.4.5",
        "the same ETag as the 200",
        with_validator(("etag",), all_of(status(304), field_equals_fact("ETag", "etag"))),
    ),
    Probe(
        "304 carries the date",
        get("/text.txt", "If-None-Match: <etag>"),
        _MUST,
        "RFC 9110 15.4.5",
        "one valid Date",
        with_validator(("etag",), all_of(status(304), date_in("Date"))),
    ),
    Probe(
        "304 has no other length",
        get("/text.txt", "If-None-Match: <etag>"),
        _MUST,
        "RFC 9110 8.6",
        "Content-Length is missing or the file's",
        with_validator(
            ("etag",),
            all_of(
                status(304),
                either(lacks("Content-Length"), value("Content-Length", str(len(TEXT)))),
            ),
        ),
    ),
    Probe(
        "HEAD with the tag",
        request("HEAD", "/text.txt", "If-None-Match: <etag>"),
        _MUST,
        "RFC 9110 13.1.2",
        "304",
        with_validator(("etag",), status(304)),
        ("HEAD",),
    ),
    Probe(
        "HEAD of a modified file",
        request("HEAD", "/text.txt", 'If-Match: "other"'),
        _MUST,
        "RFC 9110 13.1.1",
        "412",
        with_validator(("etag",), status(412)),
        ("HEAD",),
    ),
    Probe(
        "If-None-Match: * of nothing",
        get("/nothing.txt", "If-None-Match: *"),
        _MUST,
        "RFC 9110 13.2.1",
        "404: preconditions are for answers that would be 2xx",
        status(404),
    ),
    Probe(
        "If-Match: * of nothing",
        get("/nothing.txt", "If-Match: *"),
        _MUST,
        "RFC 9110 13.2.1",
        "404 (or 412)",
        status(404, 412),
    ),
)
