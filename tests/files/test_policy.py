"""What follows from a file's name: caching, fields, types (`app.files.policy`)."""

from typing import Any

import pytest

from app.files.policy import IMMUTABLE, Policy, parse_header_rule
from tests.files.conftest import Site

HASHED = [
    "assets/index-BZ3gM9Fu.js",  # Vite
    "assets/vendor-Dk3_x9aZ.css",  # Rollup
    "chunk-7ABCD23Z.js",  # esbuild
    "main.8f3a9c21.js",  # webpack
    "8f3a9c2145deadbeef00.js",
    "main.8f3a9c21.chunk.js",
    "assets/index-BZ3gM9Fu.js.map",
    "static/app.1a2b3c4d5e6f.css",  # Django, ServeStatic
    "static/logo.a1b2c3d4e5f6.svg",
]
NOT_HASHED = [
    "app.js",
    "jquery-3.7.1.min.js",
    "bootstrap.bundle.min.js",
    "report-20240101.pdf",
    "photo-20240101.jpg",
    "IMG_20240101.jpg",
    "DSC-IMG12345.jpg",
    "photo-Berlin20.jpg",
    "serial-a1234567.png",
    "image-1920x1080.jpg",
    "my-function.js",
    "my-chapter1.js",
    "font-awesome4.css",
    "deadbeef.js",
    "index-BZ3gM9Fu.html",  # a page is what leads to the others
    "main.8f3a9c21.tar.gz",
    "main.8f3a9c21/app.js",
]


@pytest.mark.parametrize("name", HASHED)
def test_names_with_a_hash(name: str) -> None:
    assert Policy().cache_control_of(name.encode()) == IMMUTABLE
    assert Policy(immutable=["off"]).cache_control_of(name.encode()) == "no-cache"


@pytest.mark.parametrize("name", NOT_HASHED)
def test_names_without_one(name: str) -> None:
    assert Policy().cache_control_of(name.encode()) == "no-cache"
    assert Policy(max_age=60).cache_control_of(name.encode()) == "public, max-age=60"


def test_patterns_for_what_never_changes() -> None:
    policy = Policy(immutable=["releases/*", "*.whl"])
    immutable = {
        name: policy.cache_control_of(name.encode()) == IMMUTABLE
        for name in ("releases/1/a.zip", "other/releases/a.zip", "x/y.whl", "main.8f3a9c21.js")
    }
    assert list(immutable.values()) == [True, False, True, False]


RULES = [
    ("* X-Frame-Options: DENY", "a/b.html", ("X-Frame-Options", "DENY")),
    ("*.html Content-Security-Policy: default-src 'self'", "a/b.html",
     ("Content-Security-Policy", "default-src 'self'")),
    ("*.css X-Frame-Options: DENY", "a/b.html", None),
    ("a/* X-A: 1", "a/b.html", ("X-A", "1")),
    ("/a/* X-A: 1", "a/b.html", ("X-A", "1")),
    ("b/* X-A: 1", "a/b.html", None),
    ("a/*.html X-A:1", "a/x/b.html", ("X-A", "1")),
    ("b.??ml X-A:  1\t", "a/b.html", ("X-A", "1")),
    ("[ab].html X-A: ä".encode().decode("latin-1"), "a/b.html", ("X-A", "Ã¤")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "name", "field"), RULES)
def test_rules(text: str, name: str, field: tuple[str, str] | None) -> None:
    policy = Policy(headers=[parse_header_rule(text)])
    assert policy.fields_of(name.encode(), []) == ([field] if field else [])


def test_a_rule_replaces_and_an_empty_one_removes() -> None:
    rules = ["* cache-control: no-store", "* X-Content-Type-Options:", "* Vary: Cookie"]
    policy = Policy(headers=list(map(parse_header_rule, rules)))
    fields = [("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")]
    fields += [("Vary", "Accept-Encoding")]
    assert policy.fields_of(b"a", fields) == [
        ("cache-control", "no-store"),
        ("Vary", "Accept-Encoding, Cookie"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "*", "* X-A", "*: 1", "* X A: 1", "* : 1", "* X-A: a\rb", "* X-A: a\nX-B: c", "* X-A: \0",
     "* Content-Length: 3", "* transfer-encoding: chunked", "* Connection: close", "* ETag:",
     "* Date: today", "* Content-Encoding: gzip", "* Content-Range: bytes 0-1/2"],
)  # fmt: skip
def test_rules_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_header_rule(text)


TYPES = [
    ("a.txt", "text/plain; charset=utf-8"),
    ("a.xyz", "application/x-xyz"),
    ("A.XYZ", "application/x-xyz"),
    ("a.tar.xyz", "application/x-tar-xyz"),
    ("a.md", "text/plain; charset=utf-8"),
    ("a.html", "text/html;charset=koi8-r"),
    ("a.png", "image/png"),
    ("xyz", "application/octet-stream"),
]


@pytest.mark.parametrize(("name", "expected"), TYPES)
def test_types_of_the_operators_own(name: str, expected: str) -> None:
    types = {
        ".xyz": "application/x-xyz",
        ".tar.xyz": "application/x-tar-xyz",
        ".md": "text/plain",
        ".HTML": "text/html;charset=koi8-r",
    }
    assert Policy(media_types=types).content_type(name.encode()) == expected


def test_charset() -> None:
    assert Policy(charset="iso-8859-1").content_type(b"a.txt") == "text/plain; charset=iso-8859-1"
    assert Policy(charset="").content_type(b"a.txt") == "text/plain"


# In answers of every kind

HEADERS = [parse_header_rule("* X-Frame-Options: DENY"), parse_header_rule("d/* X-D: yes")]
ANSWERS: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/a.txt", {}, 200),
    ("HEAD", "/a.txt", {}, 200),
    ("GET", "/a.txt", {"HTTP_RANGE": "bytes=0-1"}, 206),
    ("GET", "/a.txt", {"HTTP_RANGE": "bytes=0-1,5-6"}, 206),
    ("GET", "/a.txt", {"HTTP_RANGE": "bytes=10000-"}, 416),
    ("GET", "/a.txt", {"HTTP_IF_NONE_MATCH": "*"}, 304),
    ("GET", "/a.txt", {"HTTP_IF_MATCH": '"x"'}, 412),
    ("GET", "/missing", {}, 404),
    ("GET", "/d", {}, 301),
    ("POST", "/a.txt", {}, 405),
    ("OPTIONS", "/a.txt", {}, 204),
]


@pytest.mark.parametrize(("method", "path", "variables", "status"), ANSWERS)
def test_rules_hold_for_every_answer(
    site: Site, method: str, path: str, variables: dict[str, Any], status: int
) -> None:
    site.put("a.txt", b"x" * 5000)
    site.put("d/index.html", b"hello")
    app = site.application(policy=Policy(headers=HEADERS, cors="*"))
    for _ in range(2):  # read, and held
        reply = site.get(path, method, app=app, **variables)
        assert reply.status == status
        assert reply.fields["X-Frame-Options"] == "DENY"
        assert reply.fields["Access-Control-Allow-Origin"] == "*"
        assert "Content-Range" in reply.fields["Access-Control-Expose-Headers"]
        assert "X-D" not in reply.fields


def test_a_rule_for_a_directory(site: Site) -> None:
    site.put("d/index.html", b"hello")
    app = site.application(policy=Policy(headers=HEADERS))
    assert site.get("/d/", app=app).fields["X-D"] == "yes"
    assert site.get("/d/missing", app=app).fields["X-D"] == "yes"


CACHING = ["Cache-Control: max-age=99", "Expires: Thu, 01 Jan 2099 00:00:00 GMT",
           "CDN-Cache-Control: max-age=99"]  # fmt: skip


@pytest.mark.parametrize("field", CACHING)
@pytest.mark.parametrize(("path", "status"), [("/missing.css", 404), ("/a.css/", 404)])
def test_an_error_is_never_kept_as_long_as_the_file_that_is_missing(
    site: Site, field: str, path: str, status: int
) -> None:
    site.put("a.css")
    app = site.application(policy=Policy(headers=[parse_header_rule(f"* {field}")]))
    name, _, value = field.partition(": ")
    assert site.get("/a.css", app=app).fields[name] == value
    reply = site.get(path, app=app)
    assert reply.status == status
    assert reply.fields["Cache-Control"] == "no-store"
    assert name == "Cache-Control" or name not in reply.fields


def test_preflight(site: Site) -> None:
    site.put("a.txt")
    asked: dict[str, Any] = {
        "HTTP_ORIGIN": "https://other.example",
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "GET",
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "range, if-range, bad value",
    }
    app = site.application(policy=Policy(cors="https://other.example"))
    reply = site.get("/a.txt", "OPTIONS", app=app, **asked)
    assert reply.status == 204
    assert reply.fields["Access-Control-Allow-Origin"] == "https://other.example"
    assert reply.fields["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert reply.fields["Access-Control-Allow-Headers"] == "range, if-range"
    assert reply.fields["Access-Control-Max-Age"] == "86400"
    without = site.get("/a.txt", "OPTIONS", **asked)
    assert not [name for name in without.fields if name.startswith("Access-Control")]


def test_download(site: Site) -> None:
    site.put("a.csv", b"1,2")
    site.put("a.txt", b"x")
    app = site.application(policy=Policy(download=["*.csv"]))
    assert site.get("/a.csv", app=app).fields["Content-Disposition"] == "attachment"
    assert "Content-Disposition" not in site.get("/a.txt", app=app).fields
    both = site.application(policy=Policy(download=["*"], cors="*"), lists=True)
    assert "Content-Disposition" in site.get("/a.csv", app=both).fields
    for path, status in (("/b.csv", 404), ("/", 200)):
        reply = site.get(path, app=both)
        assert reply.status == status
        assert "Content-Disposition" not in reply.fields
    again = site.get("/a.csv", app=app, HTTP_IF_NONE_MATCH="*")
    assert again.status == 304
    assert "Content-Disposition" not in again.fields
