"""Methods: RFC 9110 section 9."""

from ..documents import TEXT
from .checks import (
    all_of,
    answers,
    body,
    either,
    has,
    lists,
    no_content,
    not_status,
    once,
    second,
    status,
    status_class,
)
from .probe import Level, Probe, get, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"


def _refusal(method: str, content: str = "") -> Probe:
    length = (f"Content-Length: {len(content)}",) if content else ()
    return Probe(
        f"{method} of a file",
        request(method, "/text.txt", *length, body=content),
        _SHOULD,
        "RFC 9110 15.5.6",
        "405: the file does not change, and the client is told so",
        status(405, 501),
    )


PROBES = (
    Probe(
        "GET of a file", get("/text.txt"), _MUST, "RFC 9110 9.3.1", "200 with the file", all_of(status(200), body(TEXT))
    ),
    Probe(
        "GET of an empty file",
        get("/empty.txt"),
        _MUST,
        "RFC 9110 9.3.1",
        "200 with nothing",
        all_of(status(200), no_content()),
    ),
    Probe("GET of nothing", get("/nothing.txt"), _MUST, "RFC 9110 15.5.5", "404", status(404)),
    Probe(
        "HEAD of a file",
        request("HEAD", "/text.txt"),
        _MUST,
        "RFC 9110 9.3.2",
        "200 without content",
        all_of(status(200), no_content()),
        ("HEAD",),
    ),
    Probe(
        "HEAD, then GET on the connection",
        request("HEAD", "/text.txt") + get("/other.txt"),
        _MUST,
        "RFC 9110 9.3.2",
        "no byte of content after the head of the first answer",
        all_of(answers(2), second(body(b"Another file.\n"))),
        ("HEAD", "GET"),
    ),
    Probe(
        "HEAD says the length",
        request("HEAD", "/text.txt"),
        _SHOULD,
        "RFC 9110 8.6",
        "Content-Length as for GET",
        all_of(status(200), has("Content-Length")),
        ("HEAD",),
    ),
    Probe(
        "HEAD of nothing",
        request("HEAD", "/nothing.txt"),
        _MUST,
        "RFC 9110 9.3.2",
        "404 without content",
        all_of(status(404), no_content()),
        ("HEAD",),
    ),
    Probe(
        "HEAD of nothing, then GET",
        request("HEAD", "/nothing.txt") + get("/other.txt"),
        _MUST,
        "RFC 9110 9.3.2",
        "no byte of an error page in between",
        either(all_of(answers(2), second(body(b"Another file.\n"))), answers(1)),
        ("HEAD", "GET"),
    ),
    _refusal("POST", "a=1"),
    _refusal("PUT", "new content"),
    _refusal("DELETE"),
    _refusal("PATCH", "{}"),
    Probe(
        "POST says what is allowed",
        request("POST", "/text.txt", "Content-Length: 3", body="a=1"),
        _MUST,
        "RFC 9110 15.5.6",
        "a 405 has Allow with GET and HEAD",
        either(all_of(status(405), lists("Allow", "GET", "HEAD")), status(501)),
    ),
    Probe(
        "DELETE says what is allowed",
        request("DELETE", "/text.txt"),
        _MUST,
        "RFC 9110 15.5.6",
        "a 405 has Allow with GET and HEAD",
        either(all_of(status(405), lists("Allow", "GET", "HEAD")), status(501)),
    ),
    Probe(
        "a method nobody knows",
        request("BREW", "/text.txt"),
        _SHOULD,
        "RFC 9110 9.1",
        "501, or 405",
        status(501, 405),
    ),
    Probe(
        "method names are case-sensitive",
        request("get", "/text.txt"),
        _MUST,
        "RFC 9110 9.1",
        "`get` is not GET: an error",
        status_class(4, 5),
    ),
    Probe(
        "TRACE does not echo secrets",
        request("TRACE", "/text.txt", "Cookie: secret=1"),
        _SHOULD,
        "RFC 9110 9.3.8",
        "refused",
        status(405, 501),
    ),
    Probe(
        "CONNECT to a server that is no proxy",
        request("CONNECT", "example.com:443"),
        _MUST,
        "RFC 9110 9.3.6",
        "an error, never a tunnel",
        status_class(4, 5),
    ),
    Probe(
        "OPTIONS of a file",
        request("OPTIONS", "/text.txt"),
        _SHOULD,
        "RFC 9110 9.3.7",
        "2xx with Allow, or a plain refusal",
        either(all_of(status(200, 204), has("Allow")), status(405, 501)),
    ),
    Probe(
        "OPTIONS *",
        request("OPTIONS", "*"),
        _SHOULD,
        "RFC 9112 3.2.4",
        "2xx for the server as a whole, or a plain refusal",
        either(status(200, 204), status(405, 501)),
    ),
    Probe("GET *", get("*"), _MUST, "RFC 9112 3.2.4", "the asterisk is for OPTIONS alone: an error", status_class(4)),
    Probe(
        "GET with content",
        request("GET", "/text.txt", "Content-Length: 5", body="hello") + get("/other.txt"),
        _MUST,
        "RFC 9112 6",
        "the content is not taken for the next request",
        either(all_of(answers(2), second(body(b"Another file.\n"))), answers(1)),
        ("GET", "GET"),
    ),
    Probe(
        "a 404 is not served as 200",
        get("/pages/"),
        _SHOULD,
        "RFC 9110 15.5.5",
        "no 5xx for a directory without index",
        not_status(500, 501, 502, 503),
    ),
    Probe(
        "one Content-Length",
        get("/text.txt"),
        _SHOULD,
        "RFC 9110 8.6",
        "the length is told, once",
        all_of(status(200), once("Content-Length")),
    ),
)
