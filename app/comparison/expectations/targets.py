"""Request targets: RFC 9112 section 3.2, RFC 3986, and what keeps a file server inside its root."""

from ..documents import SECRET
from ..exchange import Exchange
from .checks import NOT_OFFERED, OTHER_FILE, SERVED, Check, Facts, body, field, refused, status
from .row import HOST, Row, get, must, sent, should

_INDEX = b"<!doctype html><title>A directory</title>\n"
_NEVER_5XX = "an error, never a 5xx"
_REDIRECTED = status(301, 302, 307, 308)
_OUTSIDE = "site-outside/secret.txt"


def _served(section: str, name: str, target: str, content: bytes = b"") -> Row:
    check = body(content, "that file") if content else OTHER_FILE
    return must(section, name, get(target), status(200) & check, "200 with that file")


def _kept_inside(name: str, target: str) -> Row:
    return must("3986 5.2.4", name, get(target), Check("nothing from outside the root", _no_secret))


def _no_secret(seen: Exchange, _facts: Facts) -> str:
    for answer in seen.answers:
        if SECRET.strip() in answer.body or b"root:" in answer.body:
            return f"{answer.status} with a file from outside the root"
        if answer.status >= 500 and answer.status != 501:
            return f"{answer.status}"
    return ""


def _on_host(seen: Exchange, _facts: Facts) -> str:
    if not seen.answers:
        return seen.failure
    target = seen.answers[0].value("location").replace("\\", "/")
    leaves = target.startswith("//") or "example.com/" in target.partition("//")[2][:12]
    return f"redirects to {target}" if leaves else ""


_ON_HOST = Check("no redirect to another host", _on_host)
_HIDDEN = Check(
    "not shown",
    lambda seen, _: "" if seen.answers and seen.answers[0].status in (403, 404) else NOT_OFFERED,
)

ROWS = (
    _served("3986 2.1", "a space as %20", "/a%20b.txt", b"a space\n"),
    _served("3986 2.2", "a plus is a plus", "/plus+.txt", b"a plus\n"),
    _served("3986 2.1", "a plus as %2B", "/plus%2B.txt", b"a plus\n"),
    _served("3986 2.1", "a percent sign as %25", "/100%25.txt", b"a percent sign\n"),
    _served("3986 3.3", "a semicolon", "/semi;colon.txt", b"a semicolon\n"),
    _served("3986 2.1", "UTF-8, encoded", "/gr%C3%BC%C3%9F.txt", b"umlauts\n"),
    _served("3986 2.1", "UTF-8 in lower-case hexadecimal", "/gr%c3%bc%c3%9f.txt", b"umlauts\n"),
    _served("3986 2.1", "kanji, encoded", "/%E6%97%A5%E6%9C%AC.txt", b"kanji\n"),
    _served("3986 6.2.2.2", "an encoded letter is the letter", "/%6fther.txt"),
    _served("3986 3.4", "a query does not change the file", "/other.txt?a=1&b=2"),
    _served("3986 3.4", "an empty query", "/other.txt?"),
    _served("3986 3.4", "a query with a slash and a question mark", "/other.txt?a=/../b?c"),
    _served("9110 9.3.1", "a directory's index", "/dir/", _INDEX),
    should("3986 6.2.2.3", "/./ inside", get("/./other.txt"), SERVED | status(3, 4),
           "the file, a redirect to it, or an error without a 5xx"),
    must("9112 3.2.2", "absolute form", get("http://127.0.0.1:<port>/other.txt"), SERVED,
         "served as the origin form is"),
    must("9112 3.2.1", "absolute form without a path", get("http://127.0.0.1:<port>"), status(200),
         "an empty path is `/`"),
    must("9112 3.2.2", "absolute form, Host of another name",
         sent("GET http://127.0.0.1:<port>/other.txt HTTP/1.1", "Host: other.example"), SERVED,
         "the target's authority counts, the Host field is ignored"),
    must("9112 3.2.3", "authority form with GET", get("127.0.0.1:<port>"), status(4), "for CONNECT alone: an error"),
    must("9112 3.2.1", "a target without its slash", get("other.txt"), status(4), "an error"),
    should("9112 3.2.1", "a fragment in the target", get("/other.txt#part"), status(4),
           "a target has no fragment: 400"),
    should("3986 2.1", "a bare percent sign", get("/100%.txt"), status(4), _NEVER_5XX),
    should("3986 2.1", "% with letters that are no digits", get("/%zz.txt"), status(4), _NEVER_5XX),
    must("3986 7.3", "%00 in a path", get("/text.txt%00.html"), status(4), _NEVER_5XX),
    should("3986 2.5", "broken UTF-8", get("/%ff%fe.txt"), status(4), _NEVER_5XX),
    should("3986 2.2", "an encoded slash", get("/dir%2Findex.html"), status(2, 3, 4), "the file or 4xx, never a 5xx"),
    should("9110 15.5.5", "a file taken for a directory", get("/text.txt/"), status(404)),
    should("9110 15.5.5", "a path below a file", get("/text.txt/more"), status(404)),
    should("9110 15.4", "a directory without its slash", get("/dir"),
           _REDIRECTED & field("Location", r"(https?://[^/]+)?/?(\./)?(\.\./)?dir/"), "a redirect to /dir/"),
    should("9110 15.4", "the redirect keeps the query", get("/dir?a=1"),
           _REDIRECTED & field("Location", r".*dir/\?a=1"), "a redirect to /dir/?a=1"),
    must("9110 17.1", "//example.com/.. is no way out", get("//example.com/%2e%2e/dir"), _ON_HOST),
    must("9110 17.1", "//dir is no way out", get("//example.com//dir"), _ON_HOST),
    must("9110 17.1", r"/\example.com is no way out", get("/\\example.com/%2e%2e/dir"), _ON_HOST),
    _kept_inside("..", f"/../{_OUTSIDE}"),
    _kept_inside(".. further in", f"/dir/../../{_OUTSIDE}"),
    _kept_inside("%2e%2e", f"/%2e%2e/{_OUTSIDE}"),
    _kept_inside("..%2f", f"/..%2f{_OUTSIDE}"),
    _kept_inside("%2e%2e%2f, twice encoded", f"/%252e%252e%252f{_OUTSIDE}"),
    _kept_inside("..\\", f"/..\\{_OUTSIDE}"),
    _kept_inside("%5c", f"/..%5c{_OUTSIDE}"),
    _kept_inside("//etc/passwd", "//etc/passwd"),
    _kept_inside("%2fetc%2fpasswd", "/%2fetc%2fpasswd"),
    should("9110 17.3", "a dotfile", get("/dir/.hidden/"), _HIDDEN),
    should("9112 3", "a path of 4,000 bytes", get("/" + "a" * 4000), status(403, 404),
           "404: lines of 8,000 bytes are to be read"),
    must("9112 3", "a path of 100,000 bytes", get("/" + "a" * 100_000), status(4), "414, or another 4xx"),
    should("9112 3.2", "a space in the target", get("/a b.txt"), refused(400)),
    should("9112 3.2", "a control byte in the target", get("/a\x01b"), status(4), "an error"),
    should("3986 2.1", "raw UTF-8 in the target", sent("GET /gr\xc3\xbc\xc3\x9f.txt HTTP/1.1", HOST), status(2, 3, 4),
           "an error, served leniently, or redirected to the encoded form; never a 5xx"),
)  # fmt: skip
