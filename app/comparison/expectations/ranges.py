"""Range requests: RFC 9110 section 14. A server may do without them: then it answers 200 with the
whole file.
"""

from ..documents import TEXT
from ..exchange import Exchange
from .checks import (
    all_of,
    body,
    date_in,
    either,
    field_equals_fact,
    lacks,
    matches,
    no_content,
    status,
    status_class,
    unless_ignored,
    value,
    with_validator,
)
from .probe import Check, Facts, Level, Probe, get, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_SIZE = len(TEXT)
_WHOLE = all_of(status(200), body(TEXT))


def _part(first: int, last: int) -> Check:
    """206 with the bytes *first* to *last*, both included."""
    return unless_ignored(
        all_of(
            status(206),
            value("Content-Range", f"bytes {first}-{last}/{_SIZE}"),
            body(TEXT[first : last + 1]),
        )
    )


_UNSATISFIABLE = unless_ignored(all_of(status(416), value("Content-Range", f"bytes */{_SIZE}")))


def _one(value_: str, first: int, last: int) -> Probe:
    return Probe(
        f"Range: {value_}",
        get("/text.txt", f"Range: {value_}"),
        _MUST,
        "RFC 9110 14.1.2",
        f"206 with bytes {first} to {last}, or 200 with all",
        _part(first, last),
    )


def _none(value_: str) -> Probe:
    return Probe(
        f"Range: {value_}",
        get("/text.txt", f"Range: {value_}"),
        _SHOULD,
        "RFC 9110 15.5.17",
        f"416 with Content-Range: bytes */{_SIZE}, or 200 with all",
        _UNSATISFIABLE,
    )


def _invalid(value_: str, why: str) -> Probe:
    return Probe(
        f"Range: {value_}",
        get("/text.txt", f"Range: {value_}"),
        _MUST,
        "RFC 9110 14.2",
        f"{why}: ignored (200) or refused (400, 416), never a part",
        either(_WHOLE, status(400, 416)),
    )


def _several(seen: Exchange, _facts: Facts) -> str:
    """A multipart/byteranges with bytes 0-9 and 100-109 in it (section 14.6)."""
    answer = seen.answers[0] if seen.answers else None
    if answer is None:
        return seen.failure
    if not answer.value("Content-Type").lower().startswith("multipart/byteranges"):
        return f"{answer.status} with Content-Type {answer.value('Content-Type')}"
    if answer.values("Content-Range"):
        return "a Content-Range outside the parts"
    absent = [
        f"{first}-{last}"
        for first, last in ((0, 9), (100, 109))
        if TEXT[first : last + 1] not in answer.body
        or f"bytes {first}-{last}/{_SIZE}".encode() not in answer.body
    ]
    return f"without {' and '.join(absent)}" if absent else ""


def _not_amplified(seen: Exchange, _facts: Facts) -> str:
    if not seen.answers:
        return seen.failure
    length = len(seen.answers[0].body)
    return f"{length} bytes for a file of {_SIZE}" if length > 2 * _SIZE else ""


def _strong_if_range(seen: Exchange, facts: Facts) -> str:
    return (_WHOLE if facts.etag.startswith("W/") else _part(0, 9))(seen, facts)


_OLD_DATE = "Mon, 01 Jan 2001 00:00:00 GMT"

PROBES = (
    _one("bytes=0-9", 0, 9),
    _one("bytes=0-0", 0, 0),
    _one("bytes=999-999", 999, 999),
    _one("bytes=100-199", 100, 199),
    _one("bytes=500-", 500, 999),
    _one("bytes=999-", 999, 999),
    _one("bytes=0-", 0, 999),
    _one("bytes=-1", 999, 999),
    _one("bytes=-100", 900, 999),
    _one("bytes=-5000", 0, 999),
    _one("bytes=0-5000", 0, 999),
    _one("bytes=990-99999999999999999999", 990, 999),
    _one("BYTES=0-9", 0, 9),
    _one("bytes=00-09", 0, 9),
    _none("bytes=1000-"),
    _none("bytes=5000-6000"),
    _none("bytes=99999999999999999999-"),
    _none("bytes=-0"),
    _invalid("bytes=9-0", "the last byte is before the first"),
    _invalid("bytes=", "no range"),
    _invalid("bytes=-", "neither first nor last"),
    _invalid("bytes=a-b", "no digits"),
    _invalid("bytes=+0-9", "a sign is no digit"),
    _invalid("bytes=0_0-9", "an underscore is no digit"),
    _invalid("bytes=0-9x", "a letter is no digit"),
    _invalid("bytes 0-9", "no equals sign"),
    _invalid("lines=0-9", "a unit that is not known"),
    _invalid("bytes=0x0-0x9", "hexadecimal is not allowed"),
    Probe(
        "two ranges",
        get("/text.txt", "Range: bytes=0-9,100-109"),
        _MUST,
        "RFC 9110 14.6",
        "206 multipart/byteranges with both parts, or 200 with all",
        unless_ignored(all_of(status(206), _several)),
    ),
    Probe(
        "two ranges with blanks and an empty member",
        get("/text.txt", "Range: bytes=0-9, ,100-109"),
        _MUST,
        "RFC 9110 5.6.1.2",
        "empty list members are ignored",
        either(unless_ignored(all_of(status(206), _several)), status(400, 416)),
    ),
    Probe(
        "one range in the file, one behind it",
        get("/text.txt", "Range: bytes=0-9,5000-"),
        _MUST,
        "RFC 9110 14.1.2",
        "satisfiable as a whole: 206, or 200 with all",
        unless_ignored(status(206)),
    ),
    Probe(
        "a hundred overlapping ranges",
        get("/text.txt", "Range: bytes=" + ",".join(["0-"] * 100)),
        _SHOULD,
        "RFC 9110 14.2",
        "not answered with a hundred times the file",
        _not_amplified,
    ),
    Probe(
        "a part of an empty file",
        get("/empty.txt", "Range: bytes=0-0"),
        _SHOULD,
        "RFC 9110 14.1.2",
        "416, or 200 with nothing",
        either(status(416), all_of(status(200), no_content())),
    ),
    Probe(
        "a range on HEAD",
        request("HEAD", "/text.txt", "Range: bytes=0-9"),
        _MUST,
        "RFC 9110 14.2",
        "ignored: ranges are for GET",
        status(200),
        ("HEAD",),
    ),
    Probe(
        "a range of nothing",
        get("/nothing.txt", "Range: bytes=0-9"),
        _MUST,
        "RFC 9110 14.2",
        "404",
        status(404),
    ),
    Probe(
        "206 has its validators",
        get("/text.txt", "Range: bytes=0-9"),
        _MUST,
        "RFC 9110 15.3.7",
        "Date and ETag as on the 200",
        unless_ignored(
            all_of(date_in("Date"), with_validator(("etag",), field_equals_fact("ETag", "etag")))
        ),
    ),
    Probe(
        "a 200 has no Content-Range",
        get("/text.txt"),
        _MUST,
        "RFC 9110 14.4",
        "for 206 and 416 alone",
        all_of(status(200), lacks("Content-Range")),
    ),
    Probe(
        "416 says the length",
        get("/text.txt", "Range: bytes=1000-"),
        _SHOULD,
        "RFC 9110 15.5.17",
        f"bytes */{_SIZE}",
        unless_ignored(
            all_of(status(416), matches("Content-Range", rf"bytes \*/{_SIZE}", "the whole length"))
        ),
    ),
    Probe(
        "If-Range with the tag",
        get("/text.txt", "Range: bytes=0-9", "If-Range: <etag>"),
        _MUST,
        "RFC 9110 13.1.5",
        "206: a strong tag that matches (a weak one never does)",
        with_validator(("etag",), _strong_if_range),
    ),
    Probe(
        "If-Range with another tag",
        get("/text.txt", "Range: bytes=0-9", 'If-Range: "other"'),
        _MUST,
        "RFC 9110 13.1.5",
        "200 with the whole file: else a resumed download is corrupt",
        _WHOLE,
    ),
    Probe(
        "If-Range with a weak tag",
        get("/text.txt", "Range: bytes=0-9", "If-Range: <weak-etag>"),
        _MUST,
        "RFC 9110 13.1.5",
        "200: the comparison is a strong one",
        with_validator(("etag",), _WHOLE),
    ),
    Probe(
        "If-Range with the date",
        get("/text.txt", "Range: bytes=0-9", "If-Range: <modified>"),
        _MUST,
        "RFC 9110 13.1.5",
        "206 if the date is exactly the file's",
        with_validator(("modified",), _part(0, 9)),
    ),
    Probe(
        "If-Range with a later date",
        get("/text.txt", "Range: bytes=0-9", "If-Range: Sat, 01 Jan 2050 00:00:00 GMT"),
        _MUST,
        "RFC 9110 13.1.5",
        "200: the date has to match exactly",
        _WHOLE,
    ),
    Probe(
        "If-Range with an earlier date",
        get("/text.txt", "Range: bytes=0-9", f"If-Range: {_OLD_DATE}"),
        _MUST,
        "RFC 9110 13.1.5",
        "200 with the whole file",
        _WHOLE,
    ),
    Probe(
        "If-Range without Range",
        get("/text.txt", 'If-Range: "other"'),
        _MUST,
        "RFC 9110 13.1.5",
        "ignored",
        _WHOLE,
    ),
    Probe(
        "a range before a failed If-Match",
        get("/text.txt", "Range: bytes=0-9", 'If-Match: "other"'),
        _MUST,
        "RFC 9110 13.2.2",
        "412: preconditions come first",
        with_validator(("etag",), status(412)),
    ),
    Probe(
        "a range of an unmodified file",
        get("/text.txt", "Range: bytes=0-9", "If-None-Match: <etag>"),
        _MUST,
        "RFC 9110 13.2.2",
        "304: preconditions come first",
        with_validator(("etag",), status(304)),
    ),
    Probe(
        "a range on POST",
        request("POST", "/text.txt", "Range: bytes=0-9", "Content-Length: 0"),
        _MUST,
        "RFC 9110 14.2",
        "no part: an error as without it",
        status_class(4, 5),
    ),
)
