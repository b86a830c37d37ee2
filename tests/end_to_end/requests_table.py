"""The requests that both servers must answer alike: a document root, and rows of request and
expectation.

Only requests that every strict HTTP/1.1 parser lets through: what a server refuses by itself is its
own affair and tested in `tests/http11` and `tests/server`.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

MTIME = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
LAST_MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
EARLIER = "Mon, 13 Nov 2023 22:13:20 GMT"
LATER = "Wed, 15 Nov 2023 22:13:20 GMT"

DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB

FILES: dict[str, bytes] = {
    "index.html": b"<!doctype html><title>Tally</title>",
    "404.html": b"<!doctype html><title>Not here</title>",
    "digits.txt": DIGITS,
    "empty.txt": b"",
    "one.bin": b"x",
    "large.bin": LARGE,
    "style.css": b"body{}",
    "script.js": b"let a",
    "module.mjs": b"let a",
    "data.json": b"{}",
    "picture.svg": b"<svg/>",
    "picture.png": b"\x89PNG",
    "picture.webp": b"RIFF",
    "picture.avif": b"avif",
    "app.wasm": b"\0asm",
    "font.woff2": b"wOF2",
    "film.mp4": b"ftyp",
    "paper.pdf": b"%PDF",
    "notes.md": b"# Notes",
    "feed.xml": b"<a/>",
    "site.webmanifest": b"{}",
    "archive.tar.gz": b"\x1f\x8b",
    "noextension": b"plain",
    "unknown.qqq": b"?",
    "UPPER.HTML": b"<p>",
    "sub/index.html": b"<p>sub",
    "sub/page.html": b"<p>page",
    "bare/file.txt": b"bare",
    "co:lon/index.html": b"<p>colon",
    "with space.txt": b"space",
    "per%cent.txt": b"percent",
    "plus+semi;.txt": b"plus",
    "quest?ion.txt": b"question",
    "ha#sh.txt": b"hash",
    "pi|pe.txt": b"pipe",
    "quo'te\".txt": b"quote",
    "<b>.txt": b"angle",
    "back\\slash.txt": b"backslash",
    "new\nline.txt": b"newline",
    "grüße/straße ☃.txt": b"Schnee",
    "e\u0301.txt": b"decomposed",
    "日本語.html": b"<p>",
    "🎉.txt": b"party",
    "...": b"three dots",
    "a..b.txt": b"dots inside",
    ".hidden": b"secret",
    ".git/config": b"secret",
    ".well-known/security.txt": b"Contact: us",
    "sub/.hidden/file.txt": b"secret",
}


def make_root(root: Path) -> None:
    """Lay out the document root; a secret lies beside it, and links and special files in it."""
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "secret.txt").write_bytes(b"secret")
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MTIME, MTIME))
    (root / "link-inside.txt").symlink_to("digits.txt")
    (root / "link-outside.txt").symlink_to("../outside/secret.txt")
    (root / "link-absolute.txt").symlink_to(root.parent / "outside" / "secret.txt")
    (root / "link-directory").symlink_to("../outside")
    (root / "link-dangling.txt").symlink_to("nowhere.txt")
    (root / "link-loop.txt").symlink_to("link-loop.txt")
    os.mkfifo(root / "fifo.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(root, os.O_RDONLY)
        try:
            # By way of the descriptor: the path of a Unix socket is short.
            listener.bind(f"/proc/self/fd/{directory}/socket.txt")
        finally:
            os.close(directory)


class Row(NamedTuple):
    """One request and what its answer must be, apart from being the same from both servers.

    `{etag}` in a field's value stands for the ETag of the target. A *body* or *expected* field of
    None is not looked at; an expected field's value of "" means that the field must be absent.
    """

    method: str
    target: str
    fields: dict[str, str]
    status: int
    expected: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    sent: bytes = b""
    version: str = "HTTP/1.1"

    @property
    def name(self) -> str:
        fields = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.method} {self.target[:60]} {fields[:80]} {self.version}".strip()


def get(target: str, status: int = 200, body: bytes | None = None, **expected: str) -> Row:
    return Row("GET", target, {}, status, _names(expected), body)


def asked(
    target: str, status: int, fields: dict[str, str], body: bytes | None = None, **expected: str
) -> Row:
    return Row("GET", target, fields, status, _names(expected), body)


def other(
    method: str,
    target: str,
    status: int,
    fields: dict[str, str] | None = None,
    sent: bytes = b"",
    **expected: str,
) -> Row:
    return Row(method, target, fields or {}, status, _names(expected), None, sent)


def ranged(
    header: str,
    status: int,
    body: bytes | None,
    content_range: str = "",
    target: str = "/digits.txt",
) -> Row:
    return Row("GET", target, {"Range": header}, status, {"content-range": content_range}, body)


def _names(expected: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in expected.items()}


ALLOW = "GET, HEAD, OPTIONS"
HTML = "text/html; charset=utf-8"

METHODS = [
    get("/", 200, FILES["index.html"], content_type=HTML, content_length="35"),
    other("HEAD", "/", 200, content_type=HTML, content_length="35"),
    other(
        "HEAD",
        "/digits.txt",
        200,
        content_length="36",
        accept_ranges="bytes",
        last_modified=LAST_MODIFIED,
    ),
    other("HEAD", "/large.bin", 200, content_length="3145728"),
    other("HEAD", "/empty.txt", 200, content_length="0"),
    other("HEAD", "/missing", 404),
    other("HEAD", "/sub", 301, location="./sub/"),
    other("HEAD", "/one.bin", 200, content_length="1"),
    other("OPTIONS", "/", 204, allow=ALLOW),
    other("OPTIONS", "/digits.txt", 204, allow=ALLOW),
    other("POST", "/", 405, {"Content-Length": "0"}, allow=ALLOW),
    other("POST", "/digits.txt", 405, {"Content-Length": "4"}, b"body", allow=ALLOW),
    other("PUT", "/digits.txt", 405, {"Content-Length": "4"}, b"body", allow=ALLOW),
    other("PUT", "/new.txt", 405, {"Content-Length": "0"}, allow=ALLOW),
    other("PATCH", "/digits.txt", 405, {"Content-Length": "0"}, allow=ALLOW),
    other("DELETE", "/digits.txt", 405, allow=ALLOW),
    other("TRACE", "/digits.txt", 405, allow=ALLOW),
    other("PROPFIND", "/", 405, allow=ALLOW),
    other(
        "POST",
        "/digits.txt",
        405,
        {"Transfer-Encoding": "chunked"},
        b"4\r\nbody\r\n0\r\n\r\n",
        allow=ALLOW,
    ),
    other("GET", "/digits.txt", 200, {"Content-Length": "4"}, b"body", content_length="36"),
    other(
        "GET",
        "/digits.txt",
        200,
        {"Transfer-Encoding": "chunked"},
        b"4\r\nbody\r\n0\r\n\r\n",
        content_length="36",
    ),
    Row("GET", "/digits.txt", {}, 200, {"content-length": "36"}, DIGITS, version="HTTP/1.0"),
    Row("HEAD", "/digits.txt", {}, 200, {"content-length": "36"}, version="HTTP/1.0"),
    Row("GET", "/missing", {}, 404, version="HTTP/1.0"),
    Row("GET", "/digits.txt", {"Connection": "close"}, 200, {}, DIGITS),
    Row("GET", "/digits.txt", {"Connection": "keep-alive"}, 200, {}, DIGITS, version="HTTP/1.0"),
]

PATHS = [
    get("/index.html", 200, FILES["index.html"]),
    get("/?query=1", 200, FILES["index.html"]),
    get("/digits.txt?", 200, DIGITS),
    get("/digits.txt?a=b&c=%00", 200, DIGITS),
    get("/digits.txt?/../../etc/passwd", 200, DIGITS),
    get("/dig%69ts.txt", 200, DIGITS),
    get("/empty.txt", 200, b"", content_length="0"),
    get("/large.bin", 200, LARGE),
    get("/sub/", 200, b"<p>sub"),
    get("/sub/index.html", 200, b"<p>sub"),
    get("/sub/page.html", 200, b"<p>page"),
    get("/sub", 301, None, location="./sub/"),
    get("/sub?a=b&c", 301, None, location="./sub/?a=b&c"),
    get("/co:lon", 301, None, location="./co:lon/"),
    get("//sub", 301, None, location="./sub/"),
    get("/./sub", 301, None, location="./sub/"),
    get("/sub/.", 200, b"<p>sub"),
    get("/%2E/sub/%2e/page.html", 200, b"<p>page"),
    get("//digits.txt", 200, DIGITS),
    get("//", 200, FILES["index.html"]),
    get("//.hidden", 404),
    get("/./.git/config", 404),
    get("/sub/./../.hidden", 404),
    get("/%5C%5Cexample.org/sub", 404),
    get("/bare", 404),
    get("/bare/", 404),
    get("/bare/file.txt", 200, b"bare"),
    get("/gr%C3%BC%C3%9Fe/stra%C3%9Fe%20%E2%98%83.txt", 200, b"Schnee"),
    get("/gr%C3%BC%C3%9Fe/", 404),
    get("/with%20space.txt", 200, b"space"),
    get("/per%25cent.txt", 200, b"percent"),
    get("/per%2525cent.txt", 404),
    get("/plus+semi;.txt", 200, b"plus"),
    get("/plus%2Bsemi%3B.txt", 200, b"plus"),
    get("/plus%20semi;.txt", 404),
    get("/quest%3Fion.txt", 200, b"question"),
    get("/ha%23sh.txt", 200, b"hash"),
    get("/pi%7Cpe.txt", 200, b"pipe"),
    get("/quo'te%22.txt", 200, b"quote"),
    get("/%3Cb%3E.txt", 200, b"angle"),
    get("/new%0Aline.txt", 200, b"newline"),
    get("/e%CC%81.txt", 200, b"decomposed"),
    get("/%C3%A9.txt", 404),
    get("/%E6%97%A5%E6%9C%AC%E8%AA%9E.html", 200, b"<p>", content_type=HTML),
    get("/%F0%9F%8E%89.txt", 200, b"party"),
    get("/a..b.txt", 200, b"dots inside"),
    get("/UPPER.HTML", 200, b"<p>", content_type=HTML),
    get("/upper.html", 404),
    get("/link-inside.txt", 200, DIGITS),
    get("/.well-known/security.txt", 200, b"Contact: us"),
    get("/missing", 404, FILES["404.html"], content_type=HTML),
    get("/missing.html?x=%3Cscript%3E", 404),
    get("/missing/deeper/still", 404),
    get("/digits.txt/", 404),
    get("/digits.txt/more", 404),
    get("/index.html/", 404),
    get("/.hidden", 404),
    get("/%2Ehidden", 404),
    get("/.git/config", 404),
    get("/.git/", 404),
    get("/.git", 404),
    get("/...", 404),
    get("/sub/.hidden/file.txt", 404),
    get("/sub/%2e%2e/.hidden", 404),
    get("/../outside/secret.txt", 404),
    get("/%2e%2e/outside/secret.txt", 404),
    get("/..%2Foutside%2Fsecret.txt", 404),
    get("/sub/../../outside/secret.txt", 404),
    get("/sub/..%2f..%2foutside/secret.txt", 404),
    get("/..%5Coutside%5Csecret.txt", 404),
    get("/%252e%252e/outside/secret.txt", 404),
    get("/%c0%ae%c0%ae/outside/secret.txt", 404),
    get("//etc/passwd", 404),
    get("/sub//page.html", 200, b"<p>page"),
    get("/link-outside.txt", 404),
    get("/link-absolute.txt", 404),
    get("/link-directory/secret.txt", 404),
    get("/link-directory/", 404),
    get("/link-dangling.txt", 404),
    get("/link-loop.txt", 404),
    get("/fifo.txt", 404),
    get("/socket.txt", 404),
    get("/digits.txt%00", 404),
    get("/%00", 404),
    get("/digits.txt%00.html", 404),
    get("/%FF.txt", 404),
    get("/%C3.txt", 404),
    get("/%ED%A0%80.txt", 404),
    get("/" + "a" * 255, 404),
    get("/" + "a" * 256, 404),
    get("/" + "a/" * 1000, 404),
]

TYPES = [
    get(
        f"/{name}",
        200,
        FILES[name],
        content_type=media_type,
        x_content_type_options="nosniff",
        content_encoding="",
    )
    for name, media_type in {
        "digits.txt": "text/plain; charset=utf-8",
        "style.css": "text/css; charset=utf-8",
        "script.js": "text/javascript; charset=utf-8",
        "module.mjs": "text/javascript; charset=utf-8",
        "data.json": "application/json",
        "picture.svg": "image/svg+xml",
        "picture.png": "image/png",
        "picture.webp": "image/webp",
        "picture.avif": "image/avif",
        "app.wasm": "application/wasm",
        "font.woff2": "font/woff2",
        "film.mp4": "video/mp4",
        "paper.pdf": "application/pdf",
        "archive.tar.gz": "application/gzip",
        "unknown.qqq": "application/octet-stream",
        "noextension": "application/octet-stream",
    }.items()
] + [
    get("/notes.md", 200, b"# Notes"),
    get("/feed.xml", 200, b"<a/>"),
    get("/site.webmanifest", 200, b"{}"),
]

CONDITIONALS = [
    asked("/digits.txt", 304, {"If-None-Match": "{etag}"}, b"", etag="{etag}"),
    asked("/digits.txt", 304, {"If-None-Match": "W/{etag}"}, b""),
    asked("/digits.txt", 304, {"If-None-Match": '"other", {etag}, "third"'}, b""),
    asked("/digits.txt", 304, {"If-None-Match": "*"}, b""),
    asked("/digits.txt", 200, {"If-None-Match": '"other"'}, DIGITS),
    asked("/digits.txt", 200, {"If-None-Match": '"other", "another"'}, DIGITS),
    asked("/missing", 404, {"If-None-Match": "*"}),
    asked("/digits.txt", 304, {"If-Modified-Since": LAST_MODIFIED}, b""),
    asked("/digits.txt", 304, {"If-Modified-Since": LATER}, b""),
    asked("/digits.txt", 200, {"If-Modified-Since": EARLIER}, DIGITS),
    asked("/digits.txt", 200, {"If-Modified-Since": "yesterday"}, DIGITS),
    asked("/digits.txt", 304, {"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, b""),
    asked("/digits.txt", 304, {"If-Modified-Since": "Tue Nov 14 22:13:20 2023"}, b""),
    asked("/digits.txt", 200, {"If-None-Match": '"other"', "If-Modified-Since": LATER}, DIGITS),
    asked("/digits.txt", 304, {"If-None-Match": "{etag}", "If-Modified-Since": EARLIER}, b""),
    asked("/digits.txt", 200, {"If-Match": "{etag}"}, DIGITS),
    asked("/digits.txt", 200, {"If-Match": "*"}, DIGITS),
    asked("/digits.txt", 200, {"If-Match": '"other", {etag}'}, DIGITS),
    asked("/digits.txt", 412, {"If-Match": '"other"'}),
    asked("/digits.txt", 412, {"If-Match": "W/{etag}"}),
    asked("/digits.txt", 200, {"If-Unmodified-Since": LAST_MODIFIED}, DIGITS),
    asked("/digits.txt", 412, {"If-Unmodified-Since": EARLIER}),
    asked("/digits.txt", 200, {"If-Match": "{etag}", "If-Unmodified-Since": EARLIER}, DIGITS),
    asked("/digits.txt", 412, {"If-Match": '"other"', "If-None-Match": "{etag}"}),
    asked("/sub", 301, {"If-None-Match": "*"}),
    other("HEAD", "/digits.txt", 304, {"If-None-Match": "{etag}"}),
    other("HEAD", "/digits.txt", 412, {"If-Match": '"other"'}),
    asked("/digits.txt", 200, {"Accept-Encoding": "gzip, br"}, DIGITS, content_encoding=""),
    asked("/digits.txt", 200, {"Accept": "image/png"}, DIGITS),
]

RANGES = [
    ranged("bytes=0-0", 206, b"0", "bytes 0-0/36"),
    ranged("bytes=0-9", 206, b"0123456789", "bytes 0-9/36"),
    ranged("bytes=10-", 206, DIGITS[10:], "bytes 10-35/36"),
    ranged("bytes=0-", 206, DIGITS, "bytes 0-35/36"),
    ranged("bytes=35-35", 206, b"z", "bytes 35-35/36"),
    ranged("bytes=30-99", 206, DIGITS[30:], "bytes 30-35/36"),
    ranged("bytes=-1", 206, b"z", "bytes 35-35/36"),
    ranged("bytes=-5", 206, DIGITS[-5:], "bytes 31-35/36"),
    ranged("bytes=-99", 206, DIGITS, "bytes 0-35/36"),
    ranged("BYTES=0-1", 206, b"01", "bytes 0-1/36"),
    ranged("bytes=36-", 416, None, "bytes */36"),
    ranged("bytes=99-100", 416, None, "bytes */36"),
    ranged("bytes=-0", 416, None, "bytes */36"),
    ranged("bytes=5-1", 200, DIGITS),
    ranged("bytes=abc", 200, DIGITS),
    ranged("bytes=", 200, DIGITS),
    ranged("lines=1-2", 200, DIGITS),
    ranged("bytes=--5", 200, DIGITS),
    ranged("bytes=1 -2", 200, DIGITS),
    ranged("bytes=0-" + "9" * 40, 206, DIGITS, "bytes 0-35/36"),
    ranged("bytes=0-0", 200, b"", "", "/empty.txt"),
    ranged("bytes=0-1023", 200, b"", "", "/empty.txt"),
    ranged("bytes=0-0", 206, b"x", "bytes 0-0/1", "/one.bin"),
    ranged(
        "bytes=1000000-1000099",
        206,
        LARGE[1000000:1000100],
        "bytes 1000000-1000099/3145728",
        "/large.bin",
    ),
    ranged("bytes=1048576-", 206, LARGE[1048576:], "bytes 1048576-3145727/3145728", "/large.bin"),
    ranged("bytes=0-1,10-11", 206, None),
    ranged("bytes=0-1,-2", 206, None),
    ranged("bytes=0-0,99-100", 206, b"0", "bytes 0-0/36"),
    ranged("bytes=0-1, 4-5 ,8-9", 206, None),
    asked("/missing", 404, {"Range": "bytes=0-1"}),
    asked("/digits.txt", 206, {"Range": "bytes=0-1", "If-Range": "{etag}"}, b"01"),
    asked("/digits.txt", 200, {"Range": "bytes=0-1", "If-Range": '"other"'}, DIGITS),
    asked("/digits.txt", 200, {"Range": "bytes=0-1", "If-Range": "W/{etag}"}, DIGITS),
    asked("/digits.txt", 206, {"Range": "bytes=0-1", "If-Range": LAST_MODIFIED}, b"01"),
    asked("/digits.txt", 200, {"Range": "bytes=0-1", "If-Range": EARLIER}, DIGITS),
    asked("/digits.txt", 304, {"Range": "bytes=0-1", "If-None-Match": "{etag}"}, b""),
    asked("/digits.txt", 412, {"Range": "bytes=0-1", "If-Match": '"other"'}),
    asked("/digits.txt", 206, {"Range": "bytes=0-1", "If-Match": "{etag}"}, b"01"),
    other(
        "HEAD", "/digits.txt", 200, {"Range": "bytes=0-1"}, content_length="36", content_range=""
    ),
]

ROWS = [*METHODS, *PATHS, *TYPES, *CONDITIONALS, *RANGES]
