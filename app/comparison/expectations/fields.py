"""The fields of an answer: RFC 9110 sections 6.6, 8 and 14.3."""

from ..documents import TEXT
from ..exchange import Exchange
from .checks import (
    all_of,
    date_in,
    field_equals_fact,
    has,
    lacks,
    matches,
    not_status,
    once,
    status,
    well_formed_etag,
    with_validator,
)
from .probe import Facts, Level, Probe, get, raw, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"


def _media_type(path: str, pattern: str, shown: str) -> Probe:
    return Probe(
        f"Content-Type of {path}",
        get(path),
        _SHOULD,
        "RFC 9110 8.3",
        shown,
        all_of(status(200), matches("Content-Type", pattern, shown)),
    )


def _one_framing(seen: Exchange, _facts: Facts) -> str:
    if not seen.answers:
        return seen.failure
    answer = seen.answers[0]
    return "both" if answer.values("Transfer-Encoding") and answer.values("Content-Length") else ""


PROBES = (
    Probe(
        "Date on a 200",
        get("/text.txt"),
        _MUST,
        "RFC 9110 6.6.1",
        "one valid date",
        all_of(status(200), date_in("Date")),
    ),
    Probe(
        "Date on a 404",
        get("/nothing.txt"),
        _MUST,
        "RFC 9110 6.6.1",
        "one valid date",
        all_of(status(404), date_in("Date")),
    ),
    Probe(
        "Date on HEAD",
        request("HEAD", "/text.txt"),
        _MUST,
        "RFC 9110 6.6.1",
        "one valid date",
        date_in("Date"),
        ("HEAD",),
    ),
    Probe(
        "Date on a redirect",
        get("/dir"),
        _MUST,
        "RFC 9110 6.6.1",
        "one valid date",
        date_in("Date"),
    ),
    Probe(
        "Date on a refusal",
        request("DELETE", "/text.txt"),
        _MUST,
        "RFC 9110 6.6.1",
        "one valid date",
        date_in("Date"),
    ),
    Probe(
        "Last-Modified",
        get("/text.txt"),
        _SHOULD,
        "RFC 9110 8.8.2.1",
        "one valid date, so that caches can ask again",
        date_in("Last-Modified"),
    ),
    Probe(
        "Last-Modified is the file's",
        get("/text.txt"),
        _MUST,
        "RFC 9110 8.8.2",
        "14 November 2023, 22:13:20",
        with_validator(
            ("modified",),
            matches("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT", "the file's time"),
        ),
    ),
    Probe(
        "an entity tag", get("/text.txt"), _SHOULD, "RFC 9110 8.8.3", "ETag is sent", has("ETag")
    ),
    Probe(
        "the entity tag's form",
        get("/text.txt"),
        _MUST,
        "RFC 9110 8.8.3",
        "a quoted tag",
        well_formed_etag(),
    ),
    Probe(
        "the same tag for HEAD",
        request("HEAD", "/text.txt"),
        _SHOULD,
        "RFC 9110 9.3.2",
        "as for GET",
        with_validator(("etag",), field_equals_fact("ETag", "etag")),
        ("HEAD",),
    ),
    Probe(
        "Accept-Ranges",
        get("/text.txt"),
        _SHOULD,
        "RFC 9110 14.3",
        "said either way",
        has("Accept-Ranges"),
    ),
    Probe(
        "Content-Length is the file's",
        get("/text.txt"),
        _MUST,
        "RFC 9110 8.6",
        str(len(TEXT)),
        matches("Content-Length", str(len(TEXT)) + "|", str(len(TEXT))),
    ),
    Probe(
        "no Content-Length with Transfer-Encoding",
        get("/text.txt"),
        _MUST,
        "RFC 9112 6.2",
        "one of the two",
        _one_framing,
    ),
    Probe(
        "no Transfer-Encoding for HTTP/1.0",
        raw("GET /text.txt HTTP/1.0\r\n\r\n"),
        _MUST,
        "RFC 9112 6.1",
        "framed by length or by closing",
        all_of(status(200), lacks("Transfer-Encoding")),
    ),
    Probe(
        "Server or none, once at most",
        get("/text.txt"),
        _SHOULD,
        "RFC 9110 10.2.4",
        "one field at most",
        matches("Server", r"[^,]*", "a single field"),
    ),
    Probe(
        "one Content-Type",
        get("/text.txt"),
        _MUST,
        "RFC 9110 5.3",
        "not doubled",
        once("Content-Type"),
    ),
    _media_type("/text.txt", r"text/plain(; ?charset=utf-8)?", "text/plain"),
    _media_type("/index.html", r"text/html(; ?charset=utf-8)?", "text/html"),
    _media_type("/style.css", r"text/css(; ?charset=utf-8)?", "text/css"),
    _media_type(
        "/code.js", r"(text|application)/(x-)?javascript(; ?charset=utf-8)?", "text/javascript"
    ),
    _media_type("/data.json", r"application/json(; ?charset=utf-8)?", "application/json"),
    _media_type("/picture.svg", r"image/svg\+xml(; ?charset=utf-8)?", "image/svg+xml"),
    Probe(
        "Content-Type of an error page",
        get("/nothing.txt"),
        _SHOULD,
        "RFC 9110 8.3",
        "said",
        all_of(status(404), has("Content-Type")),
    ),
    Probe(
        "any Accept is served",
        get("/text.txt", "Accept: image/png"),
        _SHOULD,
        "RFC 9110 12.5.1",
        "200, or 406",
        not_status(500, 400),
    ),
    Probe(
        "any User-Agent is served",
        get("/text.txt", "User-Agent: " + "x" * 500),
        _SHOULD,
        "RFC 9110 10.1.5",
        "200",
        status(200),
    ),
    Probe(
        "field values may hold bytes above 127",
        get("/text.txt", "X-Note: caf\xe9"),
        _SHOULD,
        "RFC 9110 5.5",
        "200: obs-text is allowed",
        status(200),
    ),
    Probe(
        "field names in any case",
        raw("GET /text.txt HTTP/1.1\r\nhOsT: 127.0.0.1\r\n\r\n"),
        _MUST,
        "RFC 9110 5.1",
        "200",
        status(200),
    ),
    Probe(
        "no space after the colon",
        raw("GET /text.txt HTTP/1.1\r\nHost:127.0.0.1\r\n\r\n"),
        _MUST,
        "RFC 9112 5",
        "200",
        status(200),
    ),
    Probe(
        "tabs and spaces around a value",
        raw("GET /text.txt HTTP/1.1\r\nHost: \t 127.0.0.1 \t\r\n\r\n"),
        _MUST,
        "RFC 9112 5",
        "200",
        status(200),
    ),
    Probe(
        "an empty field value",
        get("/text.txt", "X-Empty:"),
        _MUST,
        "RFC 9110 5.5",
        "200",
        status(200),
    ),
    Probe(
        "a field of 4,000 bytes",
        get("/text.txt", "X-Long: " + "x" * 4000),
        _SHOULD,
        "RFC 9110 5.4",
        "200",
        status(200),
    ),
    Probe(
        "a field of 100,000 bytes",
        get("/text.txt", "X-Long: " + "x" * 100_000),
        _MUST,
        "RFC 9110 5.4",
        "431 or another 4xx, or 200; never a 5xx",
        not_status(500, 501, 502, 503),
    ),
    Probe(
        "fifty fields",
        get("/text.txt", *(f"X-{number}: {number}" for number in range(50))),
        _SHOULD,
        "RFC 9110 5.4",
        "200",
        status(200),
    ),
)
