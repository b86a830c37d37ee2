"""Range requests: RFC 9110 section 14.

A server may do without them: then it answers 200 with the whole file.
"""

from ..documents import TEXT
from ..exchange import Answer, Exchange
from .checks import (
    DATE,
    EMPTY,
    NONE,
    SAME_TAG,
    WHOLE,
    Check,
    Facts,
    body,
    field,
    of_answer,
    status,
    unless_ignored,
)
from .row import NOTHING, Row, get, head, must, post, should, text

_SIZE = len(TEXT)
_FIRST_TEN = "Range: bytes=0-9"


def _part(first: int, last: int) -> Check:
    """206 with the bytes *first* to *last*, both included."""
    named = field("Content-Range", f"bytes {first}-{last}/{_SIZE}")
    content = body(TEXT[first : last + 1], "those bytes")
    words = f"206 with bytes {first} to {last}, or 200 with all"
    return unless_ignored(status(206) & named & content).called(words)


_UNSATISFIABLE = unless_ignored(status(416) & field("Content-Range", rf"bytes \*/{_SIZE}")).called(
    f"416 with Content-Range: bytes */{_SIZE}, or 200 with all"
)


def _one(value: str, first: int, last: int) -> Row:
    return must("9110 14.1.2", f"Range: {value}", text(f"Range: {value}"), _part(first, last))


def _none(value: str) -> Row:
    return should("9110 15.5.17", f"Range: {value}", text(f"Range: {value}"), _UNSATISFIABLE)


def _invalid(value: str, why: str) -> Row:
    words = f"{why}: ignored (200) or refused (400, 416), never a part"
    return must(
        "9110 14.2", f"Range: {value}", text(f"Range: {value}"), WHOLE | status(400, 416), words
    )


def _if_range(name: str, value: str, check: Check, requires: str) -> Row:
    return must("9110 13.1.5", name, text(_FIRST_TEN, f"If-Range: {value}"), check, requires)


def _both_parts(answer: Answer) -> str:
    """A multipart/byteranges with bytes 0-9 and 100-109 in it (section 14.6)."""
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


def _amplified(answer: Answer) -> str:
    length = len(answer.body)
    return f"{length} bytes for a file of {_SIZE}" if length > 2 * _SIZE else ""


def _strong_if_range(seen: Exchange, facts: Facts) -> str:
    return (WHOLE if facts.etag.startswith("W/") else _part(0, 9)).judge(seen, facts)


_SEVERAL = unless_ignored(status(206) & of_answer("both parts", _both_parts))

ROWS = (
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
    must("9110 14.6", "two ranges", text("Range: bytes=0-9,100-109"), _SEVERAL,
         "206 multipart/byteranges with both parts, or 200 with all"),
    must("9110 5.6.1.2", "two ranges with blanks and an empty member", text("Range: bytes=0-9, ,100-109"),
         _SEVERAL | status(400, 416), "empty list members are ignored"),
    must("9110 14.1.2", "one range in the file, one behind it", text("Range: bytes=0-9,5000-"),
         unless_ignored(status(206)), "satisfiable as a whole: 206, or 200 with all"),
    should("9110 14.2", "a hundred overlapping ranges", text("Range: bytes=" + ",".join(["0-"] * 100)),
           of_answer("not answered with a hundred times the file", _amplified)),
    should("9110 14.1.2", "a part of an empty file", get("/empty.txt", "Range: bytes=0-0"),
           status(416) | (status(200) & EMPTY), "416, or 200 with nothing"),
    must("9110 14.2", "a range on HEAD", head(_FIRST_TEN), status(200), "ignored: ranges are for GET"),
    must("9110 14.2", "a range of nothing", get(NOTHING, _FIRST_TEN), status(404)),
    must("9110 15.3.7", "206 has its validators", text(_FIRST_TEN), unless_ignored(field("Date", DATE) & SAME_TAG),
         "Date and ETag as on the 200"),
    must("9110 14.4", "a 200 has no Content-Range", text(), status(200) & field("Content-Range", NONE),
         "for 206 and 416 alone"),
    should("9110 15.5.17", "416 says the length", text("Range: bytes=1000-"), _UNSATISFIABLE, f"bytes */{_SIZE}"),
    must("9110 13.1.5", "If-Range with the tag", text(_FIRST_TEN, "If-Range: <etag>"),
         Check("206: a strong tag that matches (a weak one never does)", _strong_if_range)),
    _if_range("If-Range with another tag", '"other"', WHOLE,
              "200 with the whole file: else a resumed download is corrupt"),
    _if_range("If-Range with a weak tag", "<weak-etag>", WHOLE, "200: the comparison is a strong one"),
    _if_range("If-Range with the date", "<modified>", _part(0, 9), "206 if the date is exactly the file's"),
    _if_range("If-Range with a later date", "Sat, 01 Jan 2050 00:00:00 GMT", WHOLE,
              "200: the date has to match exactly"),
    _if_range("If-Range with an earlier date", "Mon, 01 Jan 2001 00:00:00 GMT", WHOLE, "200 with the whole file"),
    must("9110 13.1.5", "If-Range without Range", text('If-Range: "other"'), WHOLE, "ignored"),
    must("9110 13.2.2", "a range before a failed If-Match", text(_FIRST_TEN, 'If-Match: "other"'), status(412),
         "412: preconditions come first", needs="etag"),
    must("9110 13.2.2", "a range of an unmodified file", text(_FIRST_TEN, "If-None-Match: <etag>"), status(304),
         "304: preconditions come first"),
    must("9110 14.2", "a range on POST", post(_FIRST_TEN, "Content-Length: 0"), status(4, 5),
         "no part: an error as without it"),
)  # fmt: skip
