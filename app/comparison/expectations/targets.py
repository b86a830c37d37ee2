"""Request targets: RFC 9112 section 3.2, RFC 3986, and what keeps a file server inside its root."""

from ..exchange import Exchange
from .checks import all_of, body, either, matches, not_status, refused, status, status_class
from .probe import NOT_OFFERED, Facts, Level, Probe, get, raw, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_SECRET = b"outside the root\n"
_INDEX = b"<!doctype html><title>A directory</title>\n"


def _served(name: str, target: str, content: bytes, section: str = "RFC 3986 2.1") -> Probe:
    return Probe(
        name, get(target), _MUST, section, "200 with that file", all_of(status(200), body(content))
    )


def _kept_inside(name: str, target: str) -> Probe:
    return Probe(
        name, get(target), _MUST, "RFC 3986 5.2.4", "nothing from outside the root", _no_secret
    )


def _no_secret(seen: Exchange, _facts: Facts) -> str:
    for answer in seen.answers:
        if _SECRET.strip() in answer.body or b"root:" in answer.body:
            return f"{answer.status} with a file from outside the root"
        if answer.status >= 500 and answer.status != 501:
            return f"{answer.status}"
    return ""


def _stays_on_host(seen: Exchange, _facts: Facts) -> str:
    if not seen.answers:
        return seen.failure
    target = seen.answers[0].value("location").replace("\\", "/")
    return (
        f"redirects to {target}"
        if target.startswith("//") or "example.com/" in target.partition("//")[2][:12]
        else ""
    )


def _hidden(seen: Exchange, _facts: Facts) -> str:
    return "" if seen.answers and seen.answers[0].status in (403, 404) else NOT_OFFERED


_OUTSIDE = "site-outside/secret.txt"

PROBES = (
    _served("a space as %20", "/a%20b.txt", b"a space\n"),
    _served("a plus is a plus", "/plus+.txt", b"a plus\n", "RFC 3986 2.2"),
    _served("a plus as %2B", "/plus%2B.txt", b"a plus\n"),
    _served("a percent sign as %25", "/100%25.txt", b"a percent sign\n"),
    _served("a semicolon", "/semi;colon.txt", b"a semicolon\n", "RFC 3986 3.3"),
    _served("UTF-8, encoded", "/gr%C3%BC%C3%9F.txt", b"umlauts\n"),
    _served("UTF-8 in lower-case hexadecimal", "/gr%c3%bc%c3%9f.txt", b"umlauts\n"),
    _served("kanji, encoded", "/%E6%97%A5%E6%9C%AC.txt", b"kanji\n"),
    _served(
        "an encoded letter is the letter", "/%6fther.txt", b"Another file.\n", "RFC 3986 6.2.2.2"
    ),
    _served(
        "a query does not change the file", "/other.txt?a=1&b=2", b"Another file.\n", "RFC 3986 3.4"
    ),
    _served("an empty query", "/other.txt?", b"Another file.\n", "RFC 3986 3.4"),
    _served(
        "a query with a slash and a question mark",
        "/other.txt?a=/../b?c",
        b"Another file.\n",
        "RFC 3986 3.4",
    ),
    _served("a directory's index", "/dir/", _INDEX, "RFC 9110 9.3.1"),
    Probe(
        "/./ inside",
        get("/./other.txt"),
        _SHOULD,
        "RFC 3986 6.2.2.3",
        "the file, a redirect to it, or an error without a 5xx",
        either(all_of(status(200), body(b"Another file.\n")), status_class(3, 4)),
    ),
    Probe(
        "absolute form",
        get("http://127.0.0.1:<port>/other.txt"),
        _MUST,
        "RFC 9112 3.2.2",
        "served as the origin form is",
        all_of(status(200), body(b"Another file.\n")),
    ),
    Probe(
        "absolute form without a path",
        get("http://127.0.0.1:<port>"),
        _MUST,
        "RFC 9112 3.2.1",
        "an empty path is `/`",
        status(200),
    ),
    Probe(
        "absolute form, Host of another name",
        raw("GET http://127.0.0.1:<port>/other.txt HTTP/1.1\r\nHost: other.example\r\n\r\n"),
        _MUST,
        "RFC 9112 3.2.2",
        "the target's authority counts, the Host field is ignored",
        all_of(status(200), body(b"Another file.\n")),
    ),
    Probe(
        "authority form with GET",
        raw("GET 127.0.0.1:<port> HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        _MUST,
        "RFC 9112 3.2.3",
        "for CONNECT alone: an error",
        status_class(4),
    ),
    Probe(
        "a target without its slash",
        raw("GET other.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        _MUST,
        "RFC 9112 3.2.1",
        "an error",
        status_class(4),
    ),
    Probe(
        "a fragment in the target",
        get("/other.txt#part"),
        _SHOULD,
        "RFC 9112 3.2.1",
        "a target has no fragment: 400",
        status_class(4),
    ),
    Probe(
        "a bare percent sign",
        get("/100%.txt"),
        _SHOULD,
        "RFC 3986 2.1",
        "an error, never a 5xx",
        status_class(4),
    ),
    Probe(
        "% with letters that are no digits",
        get("/%zz.txt"),
        _SHOULD,
        "RFC 3986 2.1",
        "an error, never a 5xx",
        status_class(4),
    ),
    Probe(
        "%00 in a path",
        get("/text.txt%00.html"),
        _MUST,
        "RFC 3986 7.3",
        "an error of the client's, never a 5xx",
        status_class(4),
    ),
    Probe(
        "broken UTF-8",
        get("/%ff%fe.txt"),
        _SHOULD,
        "RFC 3986 2.5",
        "an error of the client's, never a 5xx",
        status_class(4),
    ),
    Probe(
        "an encoded slash",
        get("/dir%2Findex.html"),
        _SHOULD,
        "RFC 3986 2.2",
        "the file or 4xx, never a 5xx",
        status_class(2, 3, 4),
    ),
    Probe(
        "a file taken for a directory",
        get("/text.txt/"),
        _SHOULD,
        "RFC 9110 15.5.5",
        "404",
        status(404),
    ),
    Probe(
        "a path below a file", get("/text.txt/more"), _SHOULD, "RFC 9110 15.5.5", "404", status(404)
    ),
    Probe(
        "a directory without its slash",
        get("/dir"),
        _SHOULD,
        "RFC 9110 15.4",
        "a redirect to /dir/",
        all_of(
            status(301, 302, 307, 308),
            matches("Location", r"(https?://[^/]+)?/?(\./)?(\.\./)?dir/", "the slash form"),
        ),
    ),
    Probe(
        "the redirect keeps the query",
        get("/dir?a=1"),
        _SHOULD,
        "RFC 9110 15.4",
        "a redirect to /dir/?a=1",
        all_of(
            status(301, 302, 307, 308),
            matches("Location", r".*dir/\?a=1", "the slash form with its query"),
        ),
    ),
    Probe(
        "//example.com/.. is no way out",
        get("//example.com/%2e%2e/dir"),
        _MUST,
        "RFC 9110 17.1",
        "no redirect to another host",
        _stays_on_host,
    ),
    Probe(
        "//dir is no way out",
        get("//example.com//dir"),
        _MUST,
        "RFC 9110 17.1",
        "no redirect to another host",
        _stays_on_host,
    ),
    Probe(
        r"/\example.com is no way out",
        get("/\\example.com/%2e%2e/dir"),
        _MUST,
        "RFC 9110 17.1",
        "no redirect to another host",
        _stays_on_host,
    ),
    _kept_inside("..", f"/../{_OUTSIDE}"),
    _kept_inside(".. further in", f"/dir/../../{_OUTSIDE}"),
    _kept_inside("%2e%2e", f"/%2e%2e/{_OUTSIDE}"),
    _kept_inside("..%2f", f"/..%2f{_OUTSIDE}"),
    _kept_inside("%2e%2e%2f, twice encoded", f"/%252e%252e%252f{_OUTSIDE}"),
    _kept_inside("..\\", f"/..\\{_OUTSIDE}"),
    _kept_inside("%5c", f"/..%5c{_OUTSIDE}"),
    _kept_inside("//etc/passwd", "//etc/passwd"),
    _kept_inside("%2fetc%2fpasswd", "/%2fetc%2fpasswd"),
    Probe("a dotfile", get("/dir/.hidden/"), _SHOULD, "RFC 9110 17.3", "not shown", _hidden),
    Probe(
        "a path of 4,000 bytes",
        get("/" + "a" * 4000),
        _SHOULD,
        "RFC 9112 3",
        "404: lines of 8,000 bytes are to be read",
        not_status(500, 414, 400, 431),
    ),
    Probe(
        "a path of 100,000 bytes",
        request("GET", "/" + "a" * 100_000),
        _MUST,
        "RFC 9112 3",
        "414, or another 4xx",
        status_class(4),
        then_closed=False,
    ),
    Probe(
        "a space in the target",
        raw("GET /a b.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        _SHOULD,
        "RFC 9112 3.2",
        "400, and the connection ends",
        refused(400),
        then_closed=True,
    ),
    Probe(
        "a control byte in the target",
        raw("GET /a\x01b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        _SHOULD,
        "RFC 9112 3.2",
        "an error",
        status_class(4),
    ),
    Probe(
        "raw UTF-8 in the target",
        raw("GET /gr\xc3\xbc\xc3\x9f.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        _SHOULD,
        "RFC 3986 2.1",
        "an error, served leniently, or redirected to the encoded form; never a 5xx",
        status_class(2, 3, 4),
    ),
)
