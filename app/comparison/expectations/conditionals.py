"""Conditional requests: RFC 9110 section 13, in the order of 13.2.2."""

from ..documents import TEXT
from .checks import DATE, EMPTY, OTHER_FILE, SAME_TAG, WHOLE, Check, field, second, status
from .row import NOTHING, OTHER, Row, get, head, must, should, text

_WHOLE = WHOLE.called("200")
_UNMODIFIED = (status(304) & EMPTY).called("304")
_PAST = "Mon, 01 Jan 2001 00:00:00 GMT"
_FUTURE = "Sat, 01 Jan 2050 00:00:00 GMT"
_TAG = "If-None-Match: <etag>"
_TAG_DECIDES = "the tag decides, the date is ignored"


def _tag(section: str, lines: str | tuple[str, ...], check: Check, why: str = "") -> Row:
    """A row that needs the server to send entity tags."""
    chosen = (lines,) if isinstance(lines, str) else lines
    words = f"{check.words}: {why}" if why else ""
    return must(section, " and ".join(chosen), text(*chosen), check, words, needs="etag")


def _date(section: str, line: str, check: Check, why: str = "") -> Row:
    """A row that needs the server to send Last-Modified."""
    words = f"{check.words}: {why}" if why else ""
    return must(section, line, text(line), check, words, needs="modified")


ROWS = (
    _tag("9110 13.1.2", _TAG, _UNMODIFIED),
    _tag("9110 13.1.2", 'If-None-Match: "other"', _WHOLE),
    _tag("9110 13.1.2", "If-None-Match: *", _UNMODIFIED, "any current representation matches"),
    _tag("9110 13.1.2", 'If-None-Match: "a", <etag>, "b"', _UNMODIFIED, "one of the list matches"),
    _tag("9110 13.1.2", 'If-None-Match: "a,b", <etag>', _UNMODIFIED, "a comma may stand in a tag"),
    _tag("9110 13.1.2", 'If-None-Match: "a","b"', _WHOLE, "none matches"),
    _tag("9110 8.8.3.2", "If-None-Match: <weak-etag>", _UNMODIFIED, "the comparison is weak"),
    _tag("9110 5.3", ('If-None-Match: "a"', _TAG), _UNMODIFIED, "two lines are one list"),
    _tag("9110 5.1", "if-none-match:<etag>", _UNMODIFIED, "case and blanks do not count"),
    _tag("9110 13.1.3", ('If-None-Match: "other"', "If-Modified-Since: <modified>"), _WHOLE, _TAG_DECIDES),
    _tag("9110 13.1.3", (_TAG, f"If-Modified-Since: {_PAST}"), _UNMODIFIED, _TAG_DECIDES),
    _date("9110 13.1.3", "If-Modified-Since: <modified>", _UNMODIFIED),
    _date("9110 13.1.3", f"If-Modified-Since: {_PAST}", _WHOLE),
    should("9110 13.1.3", "If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT",
           text("If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT"), _UNMODIFIED, "304: not modified since",
           needs="modified"),
    _date("9110 5.6.7", "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", _UNMODIFIED,
          "the RFC 850 form is to be read"),
    _date("9110 5.6.7", "If-Modified-Since: Tue Nov 14 22:13:20 2023", _UNMODIFIED, "the asctime form is to be read"),
    _date("9110 13.1.3", "If-Modified-Since: yesterday", _WHOLE, "no date, ignored"),
    _date("9110 13.1.3", "If-Modified-Since: 1700000000", _WHOLE, "no date, ignored"),
    _tag("9110 13.1.1", "If-Match: <etag>", _WHOLE),
    _tag("9110 13.1.1", "If-Match: *", _WHOLE),
    _tag("9110 13.1.1", 'If-Match: "other"', status(412)),
    _tag("9110 13.1.1", 'If-Match: "a", "b"', status(412)),
    _tag("9110 13.1.1", 'If-Match: "a", <etag>', _WHOLE, "one of the list matches"),
    _tag("9110 13.1.1", "If-Match: <weak-etag>", status(412), "the comparison is strong"),
    _date("9110 13.1.4", "If-Unmodified-Since: <modified>", _WHOLE),
    _date("9110 13.1.4", f"If-Unmodified-Since: {_PAST}", status(412)),
    _date("9110 13.1.4", f"If-Unmodified-Since: {_FUTURE}", _WHOLE),
    _date("9110 13.1.4", "If-Unmodified-Since: yesterday", _WHOLE, "no date, ignored"),
    _tag("9110 13.2.2", ("If-Match: <etag>", f"If-Unmodified-Since: {_PAST}"), _WHOLE, _TAG_DECIDES),
    _tag("9110 13.2.2", ('If-Match: "other"', _TAG), status(412), "If-Match comes first"),
    _tag("9110 13.2.2", ("If-Match: <etag>", _TAG), _UNMODIFIED, "both are looked at"),
    must("9110 15.4.5", "304 has no content", text(_TAG) + OTHER, status(304) & second(OTHER_FILE),
         "the next answer follows at once", 2),
    must("9110 15.4.5", "304 carries the tag", text(_TAG), status(304) & SAME_TAG, "the same ETag as the 200"),
    must("9110 15.4.5", "304 carries the date", text(_TAG), status(304) & field("Date", DATE), "one valid Date"),
    must("9110 8.6", "304 has no other length", text(_TAG), status(304) & field("Content-Length", f"({len(TEXT)})?"),
         "Content-Length is missing or the file's"),
    must("9110 13.1.2", "HEAD with the tag", head(_TAG), status(304)),
    must("9110 13.1.1", "HEAD of a modified file", head('If-Match: "other"'), status(412), needs="etag"),
    must("9110 13.2.1", "If-None-Match: * of nothing", get(NOTHING, "If-None-Match: *"), status(404),
         "404: preconditions are for answers that would be 2xx"),
    must("9110 13.2.1", "If-Match: * of nothing", get(NOTHING, "If-Match: *"), status(404, 412)),
)  # fmt: skip
