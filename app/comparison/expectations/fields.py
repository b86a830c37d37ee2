"""The fields of an answer: RFC 9110 sections 6.6, 8 and 14.3; and fields of requests, served."""

from ..documents import TEXT
from .checks import ANY, DATE, NONE, ONE, SAME_TAG, field, of_answer, offered, status
from .row import NOTHING, Row, ask, get, head, must, sent, should, text

_DATED = field("Date", DATE).called("one valid date")
_FRAMED_TWICE = ("Transfer-Encoding", "Content-Length")
_CHARSET = r"(; ?charset=utf-8)?"
_MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"


def _media_type(path: str, shown: str, pattern: str = "") -> Row:
    check = status(200) & field("Content-Type", (pattern or shown.replace("+", r"\+")) + _CHARSET)
    return should("9110 8.3", f"Content-Type of {path}", get(path), check, shown)


_TAG = field("ETag", r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"').called("a quoted tag")
_ONE_FRAMING = of_answer(
    "one of the two", lambda answer: "both" if all(map(answer.values, _FRAMED_TWICE)) else ""
)

ROWS = (
    must("9110 6.6.1", "Date on a 200", text(), status(200) & _DATED, "one valid date"),
    must("9110 6.6.1", "Date on a 404", get(NOTHING), status(404) & _DATED, "one valid date"),
    must("9110 6.6.1", "Date on HEAD", head(), _DATED),
    must("9110 6.6.1", "Date on a redirect", get("/dir"), _DATED),
    must("9110 6.6.1", "Date on a refusal", ask("DELETE", "/text.txt"), _DATED),
    should("9110 8.8.2.1", "Last-Modified", text(), field("Last-Modified", DATE),
           "one valid date, so that caches can ask again"),
    must("9110 8.8.2", "Last-Modified is the file's", text(), field("Last-Modified", _MODIFIED),
         "14 November 2023, 22:13:20", needs="modified"),
    should("9110 8.8.3", "an entity tag", text(), field("ETag", ANY), "ETag is sent"),
    must("9110 8.8.3", "the entity tag's form", text(), offered(lambda answer: bool(answer.value("ETag")), _TAG)),
    should("9110 9.3.2", "the same tag for HEAD", head(), SAME_TAG, "as for GET", needs="etag"),
    should("9110 14.3", "Accept-Ranges", text(), field("Accept-Ranges", ANY), "said either way"),
    must("9110 8.6",
         "Content-Length is the file's", text(), field("Content-Length", f"{len(TEXT)}|"), str(len(TEXT))),
    must("9112 6.2", "no Content-Length with Transfer-Encoding", text(), _ONE_FRAMING),
    must("9112 6.1", "no Transfer-Encoding for HTTP/1.0", sent("GET /text.txt HTTP/1.0"),
         status(200) & field("Transfer-Encoding", NONE), "framed by length or by closing"),
    should("9110 10.2.4", "Server or none, once at most", text(), field("Server", f"({ONE})?"), "one field at most"),
    must("9110 5.3", "one Content-Type", text(), field("Content-Type", ONE), "not doubled"),
    _media_type("/text.txt", "text/plain"),
    _media_type("/index.html", "text/html"),
    _media_type("/style.css", "text/css"),
    _media_type("/code.js", "text/javascript", "(text|application)/(x-)?javascript"),
    _media_type("/data.json", "application/json"),
    _media_type("/picture.svg", "image/svg+xml"),
    should("9110 8.3", "Content-Type of an error page", get(NOTHING), status(404) & field("Content-Type", ANY),
           "said"),
    should("9110 12.5.1", "any Accept is served", text("Accept: image/png"), status(200, 406)),
    should("9110 10.1.5", "any User-Agent is served", text("User-Agent: " + "x" * 500), status(200)),
    should("9110 5.5", "field values may hold bytes above 127", text("X-Note: caf\xe9"), status(200),
           "200: obs-text is allowed"),
    must("9110 5.1", "field names in any case", sent("GET /text.txt HTTP/1.1", "hOsT: 127.0.0.1"), status(200)),
    must("9112 5", "no space after the colon", sent("GET /text.txt HTTP/1.1", "Host:127.0.0.1"), status(200)),
    must("9112 5", "tabs and spaces around a value", sent("GET /text.txt HTTP/1.1",
         "Host: \t 127.0.0.1 \t"), status(200)),
    must("9110 5.5", "an empty field value", text("X-Empty:"), status(200)),
    should("9110 5.4", "a field of 4,000 bytes", text("X-Long: " + "x" * 4000), status(200)),
    must("9110 5.4", "a field of 100,000 bytes", text("X-Long: " + "x" * 100_000), status(2, 3, 4),
         "431 or another 4xx, or 200; never a 5xx"),
    should("9110 5.4", "fifty fields", text(*(f"X-{number}: {number}" for number in range(50))), status(200)),
)  # fmt: skip
