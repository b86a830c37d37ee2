"""Malformed requests: RFC 9112 sections 2 to 5. Each is to be refused, and the connection to end."""

from .checks import all_of, either, not_status, refused_or_dropped, status, status_class
from .probe import Level, Probe, get, raw

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_GET = "GET /text.txt HTTP/1.1\r\n"
_HOST = "Host: 127.0.0.1\r\n"


def _refusal(
    name: str,
    text: str,
    section: str,
    level: Level = _MUST,
    requires: str = "400, and the connection ends",
) -> Probe:
    return Probe(
        name, raw(text), level, section, requires, refused_or_dropped(400), then_closed=True
    )


def _bad_request(name: str, text: str, section: str) -> Probe:
    """A well-framed request that must be answered with 400; the connection may stay."""
    return Probe(name, raw(text), _MUST, section, "400", status(400))


PROBES = (
    _bad_request("no Host", _GET + "\r\n", "RFC 9112 3.2"),
    _bad_request("two Host lines", _GET + _HOST + _HOST + "\r\n", "RFC 9112 3.2"),
    _bad_request(
        "two Host lines that differ", _GET + _HOST + "Host: other.example\r\n\r\n", "RFC 9112 3.2"
    ),
    _bad_request("Host with a space in it", _GET + "Host: a b\r\n\r\n", "RFC 9112 3.2"),
    _bad_request("Host with a path", _GET + "Host: 127.0.0.1/path\r\n\r\n", "RFC 9112 3.2"),
    _bad_request(
        "Host with a port that is no number", _GET + "Host: 127.0.0.1:http\r\n\r\n", "RFC 9112 3.2"
    ),
    _bad_request(
        "Host with user information", _GET + "Host: user@127.0.0.1\r\n\r\n", "RFC 9110 4.2.4"
    ),
    _bad_request("a list as Host", _GET + "Host: a.example, b.example\r\n\r\n", "RFC 9112 3.2"),
    Probe(
        "an empty Host",
        raw(_GET + "Host:\r\n\r\n"),
        _SHOULD,
        "RFC 9112 3.2",
        "allowed when the target has no authority, or refused",
        status(200, 400),
    ),
    Probe(
        "an IPv6 address as Host",
        raw(_GET + "Host: [::1]:80\r\n\r\n"),
        _MUST,
        "RFC 3986 3.2.2",
        "200",
        status(200),
    ),
    _refusal("a space before the colon", _GET + _HOST + "X-Field : 1\r\n\r\n", "RFC 9112 5.1"),
    _refusal("a tab before the colon", _GET + _HOST + "X-Field\t: 1\r\n\r\n", "RFC 9112 5.1"),
    _refusal(
        "a field line without a colon", _GET + _HOST + "nonsense\r\n\r\n", "RFC 9112 5", _SHOULD
    ),
    _refusal("an empty field name", _GET + _HOST + ": 1\r\n\r\n", "RFC 9110 5.1", _SHOULD),
    _refusal(
        "a field name with a space", _GET + _HOST + "X Field: 1\r\n\r\n", "RFC 9110 5.1", _SHOULD
    ),
    _refusal(
        "a field name with a parenthesis",
        _GET + _HOST + "X(Field): 1\r\n\r\n",
        "RFC 9110 5.1",
        _SHOULD,
    ),
    _refusal(
        "a field name with a byte above 127",
        _GET + _HOST + "X-F\xe9: 1\r\n\r\n",
        "RFC 9110 5.1",
        _SHOULD,
    ),
    Probe(
        "a folded field line",
        raw(_GET + _HOST + "X-Field: 1\r\n  2\r\n\r\n"),
        _MUST,
        "RFC 9112 5.2",
        "400, or the fold replaced by spaces (200)",
        either(refused_or_dropped(400), status(200)),
        then_closed=True,
    ),
    _refusal(
        "white space before the first field",
        _GET + " X-Field: 1\r\n" + _HOST + "\r\n",
        "RFC 9112 2.2",
    ),
    _refusal("NUL in a field value", _GET + _HOST + "X-Field: a\0b\r\n\r\n", "RFC 9110 5.5"),
    _refusal("CR in a field value", _GET + _HOST + "X-Field: a\rb\r\n\r\n", "RFC 9112 2.2"),
    _refusal("LF in a field value", _GET + _HOST + "X-Field: a\nb\r\n\r\n", "RFC 9110 5.5"),
    Probe(
        "a control byte in a field value",
        raw(_GET + _HOST + "X-Field: a\x01b\r\n\r\n"),
        _SHOULD,
        "RFC 9110 5.5",
        "400, or carried as it is",
        either(refused_or_dropped(400), status(200)),
        then_closed=True,
    ),
    Probe(
        "lines ended by LF alone",
        raw("GET /text.txt HTTP/1.1\nHost: 127.0.0.1\n\n"),
        _SHOULD,
        "RFC 9112 2.2",
        "served leniently, or refused",
        either(status(200), refused_or_dropped(400)),
        then_closed=True,
    ),
    _refusal(
        "CR alone as a line end",
        "GET /text.txt HTTP/1.1\rHost: 127.0.0.1\r\r\n\r\n",
        "RFC 9112 2.2",
    ),
    _refusal("no version", "GET /text.txt\r\n" + _HOST + "\r\n", "RFC 9112 3", _SHOULD),
    _refusal(
        "two spaces in the request line",
        "GET  /text.txt HTTP/1.1\r\n" + _HOST + "\r\n",
        "RFC 9112 3",
        _SHOULD,
    ),
    _refusal(
        "a tab in the request line",
        "GET\t/text.txt\tHTTP/1.1\r\n" + _HOST + "\r\n",
        "RFC 9112 3",
        _SHOULD,
    ),
    _refusal(
        "words after the version",
        "GET /text.txt HTTP/1.1 extra\r\n" + _HOST + "\r\n",
        "RFC 9112 3",
        _SHOULD,
    ),
    _refusal("no method", " /text.txt HTTP/1.1\r\n" + _HOST + "\r\n", "RFC 9112 3", _SHOULD),
    _refusal(
        "a method that is no token",
        "G(T /text.txt HTTP/1.1\r\n" + _HOST + "\r\n",
        "RFC 9110 9.1",
        _SHOULD,
    ),
    Probe(
        "http/1.1 in small letters",
        raw("GET /text.txt http/1.1\r\n" + _HOST + "\r\n"),
        _MUST,
        "RFC 9112 2.3",
        "the name is case-sensitive: 400 or 505",
        either(status(400, 505), refused_or_dropped(400)),
        then_closed=True,
    ),
    Probe(
        "HTTP/1",
        raw("GET /text.txt HTTP/1\r\n" + _HOST + "\r\n"),
        _SHOULD,
        "RFC 9112 2.3",
        "no version: 400 or 505",
        status(400, 505),
    ),
    Probe(
        "HTTP/1.10",
        raw("GET /text.txt HTTP/1.10\r\n" + _HOST + "\r\n"),
        _SHOULD,
        "RFC 9112 2.3",
        "one digit each: 400 or 505",
        status(400, 505),
    ),
    Probe(
        "HTTP/01.1",
        raw("GET /text.txt HTTP/01.1\r\n" + _HOST + "\r\n"),
        _SHOULD,
        "RFC 9112 2.3",
        "one digit each: 400 or 505",
        status(400, 505),
    ),
    Probe(
        "HTTPS/1.1",
        raw("GET /text.txt HTTPS/1.1\r\n" + _HOST + "\r\n"),
        _SHOULD,
        "RFC 9112 2.3",
        "400 or 505",
        status(400, 505),
    ),
    Probe(
        "ten thousand fields",
        get("/text.txt", *(f"X-{number}: 1" for number in range(10_000))),
        _SHOULD,
        "RFC 9110 5.4",
        "431 or another 4xx, never a 5xx",
        either(status_class(4), refused_or_dropped(431, 400, 413)),
    ),
    Probe(
        "a request line of garbage",
        raw("\x01\x02\x03\r\n" + _HOST + "\r\n"),
        _SHOULD,
        "RFC 9112 2.2",
        "400, and the connection ends",
        refused_or_dropped(400),
        then_closed=True,
    ),
    Probe(
        "after a refusal the server lives",
        get("/text.txt"),
        _MUST,
        "RFC 9110 15.6.1",
        "200: nothing above has broken it",
        all_of(status(200), not_status(500)),
    ),
)
