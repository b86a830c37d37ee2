"""Malformed requests: RFC 9112 sections 2 to 5. Each is to be refused, and the connection to end."""

from .checks import refused, status
from .row import HOST, Maker, Row, must, sent, should, text

_GET = "GET /text.txt HTTP/1.1"
_REFUSED = refused(400).called("400, and the connection ends")
_NO_SUCH_VERSION = status(400, 505)


def _host(section: str, name: str, *lines: str) -> Row:
    """A well-framed request that must be answered with 400; the connection may stay."""
    return must(section, name, sent(_GET, *lines), status(400))


def _field(level: Maker, section: str, name: str, line: str) -> Row:
    return level(section, name, sent(_GET, HOST, line), _REFUSED)


def _line(section: str, name: str, line: str) -> Row:
    """A request line that is none."""
    return should(section, name, sent(line, HOST), _REFUSED)


ROWS = (
    _host("9112 3.2", "no Host"),
    _host("9112 3.2", "two Host lines", HOST, HOST),
    _host("9112 3.2", "two Host lines that differ", HOST, "Host: other.example"),
    _host("9112 3.2", "Host with a space in it", "Host: a b"),
    _host("9112 3.2", "Host with a path", "Host: 127.0.0.1/path"),
    _host("9112 3.2", "Host with a port that is no number", "Host: 127.0.0.1:http"),
    _host("9110 4.2.4", "Host with user information", "Host: user@127.0.0.1"),
    _host("9112 3.2", "a list as Host", "Host: a.example, b.example"),
    should("9112 3.2", "an empty Host", sent(_GET, "Host:"), status(200, 400),
           "allowed when the target has no authority, or refused"),
    must("3986 3.2.2", "an IPv6 address as Host", sent(_GET, "Host: [::1]:80"), status(200)),
    _field(must, "9112 5.1", "a space before the colon", "X-Field : 1"),
    _field(must, "9112 5.1", "a tab before the colon", "X-Field\t: 1"),
    _field(should, "9112 5", "a field line without a colon", "nonsense"),
    _field(should, "9110 5.1", "an empty field name", ": 1"),
    _field(should, "9110 5.1", "a field name with a space", "X Field: 1"),
    _field(should, "9110 5.1", "a field name with a parenthesis", "X(Field): 1"),
    _field(should, "9110 5.1", "a field name with a byte above 127", "X-F\xe9: 1"),
    must("9112 5.2", "a folded field line", sent(_GET, HOST, "X-Field: 1", "  2"), refused(400) | status(200),
         "400, or the fold replaced by spaces (200)"),
    must("9112 2.2", "white space before the first field", sent(_GET, " X-Field: 1", HOST), _REFUSED),
    _field(must, "9110 5.5", "NUL in a field value", "X-Field: a\0b"),
    _field(must, "9112 2.2", "CR in a field value", "X-Field: a\rb"),
    _field(must, "9110 5.5", "LF in a field value", "X-Field: a\nb"),
    should("9110 5.5", "a control byte in a field value", sent(_GET, HOST, "X-Field: a\x01b"),
           refused(400) | status(200), "400, or carried as it is"),
    should("9112 2.2", "lines ended by LF alone", b"GET /text.txt HTTP/1.1\nHost: 127.0.0.1\n\n",
           status(200) | refused(400), "served leniently, or refused"),
    must("9112 2.2", "CR alone as a line end", sent("GET /text.txt HTTP/1.1\rHost: 127.0.0.1\r\r"), _REFUSED),
    _line("9112 3", "no version", "GET /text.txt"),
    _line("9112 3", "two spaces in the request line", "GET  /text.txt HTTP/1.1"),
    _line("9112 3", "a tab in the request line", "GET\t/text.txt\tHTTP/1.1"),
    _line("9112 3", "words after the version", "GET /text.txt HTTP/1.1 extra"),
    _line("9112 3", "no method", " /text.txt HTTP/1.1"),
    _line("9110 9.1", "a method that is no token", "G(T /text.txt HTTP/1.1"),
    must("9112 2.3", "http/1.1 in small letters", sent("GET /text.txt http/1.1", HOST),
         _NO_SUCH_VERSION | refused(400), "the name is case-sensitive: 400 or 505"),
    should("9112 2.3", "HTTP/1", sent("GET /text.txt HTTP/1", HOST), _NO_SUCH_VERSION, "no version: 400 or 505"),
    should("9112 2.3", "HTTP/1.10", sent("GET /text.txt HTTP/1.10", HOST), _NO_SUCH_VERSION,
           "one digit each: 400 or 505"),
    should("9112 2.3", "HTTP/01.1", sent("GET /text.txt HTTP/01.1", HOST), _NO_SUCH_VERSION,
           "one digit each: 400 or 505"),
    should("9112 2.3", "HTTPS/1.1", sent("GET /text.txt HTTPS/1.1", HOST), _NO_SUCH_VERSION),
    should("9110 5.4", "ten thousand fields", text(*(f"X-{number}: 1" for number in range(10_000))),
           status(4) | refused(431, 400, 413), "431 or another 4xx, never a 5xx"),
    _line("9112 2.2", "a request line of garbage", "\x01\x02\x03"),
    must("9110 15.6.1", "after a refusal the server lives", text(), status(200), "200: nothing above has broken it"),
)  # fmt: skip
