"""The whole application over real files, as WSGI servers and clients see it."""

import contextlib
import errno
import os
import re
import resource
import time
import warnings
from email.utils import formatdate
from html.parser import HTMLParser
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from app.clients import Classifier
from app.counters.contract import Kind
from app.files import FileApplication
from app.files.conditional import parse_http_date
from app.files.policy import Policy
from tests.end_to_end.servers import open_below

from .conftest import EARLIER, Reply, Site, wait_for_the_next_tick

with warnings.catch_warnings():
    # WebOb imports cgi, which Python is about to drop.
    warnings.filterwarnings("ignore", "'cgi' is deprecated", DeprecationWarning)
    from webtest import TestApp

SMALL = b"0123456789" * 30
LARGE = bytes(range(256)) * 1024  # 256 KiB: too large to be held


@pytest.fixture(params=["held", "opened", "wrapped"])
def page(request: pytest.FixtureRequest, site: Site) -> Any:
    """One file by each of the ways that a body can take: a function that asks for it, and its
    content.
    """
    content = SMALL if request.param == "held" else LARGE
    site.put("page.html", content)
    more: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper} if request.param == "wrapped" else {}

    def get(method: str = "GET", **variables: Any) -> Reply:
        return site.get("/page.html", method, **more, **variables)

    return get, content


def test_get(page: Any) -> None:
    get, content = page
    reply = get()
    assert (reply.status, reply.body) == (200, content)
    etag = reply.fields.pop("ETag")
    assert re.fullmatch(r'"[0-9a-f-]+"', etag)
    date = reply.fields.pop("Date")
    assert (
        abs(
            time.mktime(time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT"))
            - time.mktime(time.gmtime())
        )
        < 5
    )
    assert reply.fields == {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(content)),
        "Last-Modified": formatdate(EARLIER, usegmt=True),
        "Cache-Control": "no-cache",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept-Encoding",
    }


def without_date(reply: Reply) -> dict[str, str]:
    return {name: value for name, value in reply.fields.items() if name != "Date"}


def test_head_has_the_fields_of_get_and_no_body(page: Any) -> None:
    get, _ = page
    head = get("HEAD", HTTP_RANGE="bytes=0-1")
    assert (head.status, head.body) == (200, b"")
    assert without_date(head) == without_date(get())


def test_not_modified(page: Any, site: Site) -> None:
    get, _ = page
    etag = get().fields["ETag"]
    for method in ("GET", "HEAD"):
        for field in (
            {"HTTP_IF_NONE_MATCH": f'"x", W/{etag}'},
            {"HTTP_IF_MODIFIED_SINCE": formatdate(EARLIER, usegmt=True)},
        ):
            reply = get(method, **field)
            assert (reply.status, reply.body) == (304, b"")
            assert without_date(reply) == {
                "ETag": etag,
                "Cache-Control": "no-cache",
                "Vary": "Accept-Encoding",
            }
    kinds = [kind for _, kind in site.counter.counted]
    assert kinds == ["full", "not_modified", "not_modified", "head", "head"]
    assert [number for *_, number in site.lines] == [1, 2, 3]


def test_precondition_failed(page: Any, site: Site) -> None:
    get, _ = page
    for method in ("GET", "HEAD"):
        reply = get(method, HTTP_IF_MATCH='"x"', HTTP_RANGE="bytes=0-1")
        assert reply.status == 412
        assert reply.fields["Cache-Control"] == "no-store"
    assert site.counter.statuses == [412, 412]


@pytest.mark.parametrize(
    ("field", "first", "last", "kind"),
    [
        ("bytes=0-0", 0, 0, "probe"),
        ("bytes=0-1", 0, 1, "probe"),
        ("bytes=1-1", 1, 1, "probe"),
        ("bytes=0-2", 0, 2, "partial"),
        ("bytes=1-2", 1, 2, "resumed"),
        ("bytes=0-", 0, None, "partial"),
        ("bytes=100-199", 100, 199, "resumed"),
        ("bytes=200-", 200, None, "resumed"),
        ("bytes=-1", -1, None, "resumed"),
        ("bytes=-9999999", 0, None, "partial"),
    ],
)
def test_one_range(
    page: Any, site: Site, field: str, first: int, last: int | None, kind: Kind
) -> None:
    get, content = page
    reply = get(HTTP_RANGE=field)
    size = len(content)
    start, end = (first % size if first < 0 else first), (size - 1 if last is None else last)
    assert (reply.status, reply.body) == (206, content[start : end + 1])
    assert reply.fields["Content-Range"] == f"bytes {start}-{end}/{size}"
    assert reply.fields["Content-Length"] == str(end + 1 - start)
    assert reply.fields["Content-Type"] == "text/html; charset=utf-8"
    assert {"ETag", "Last-Modified", "Cache-Control", "Accept-Ranges"} <= reply.fields.keys()
    assert site.counter.counted == [("/page.html", kind)]
    assert len(site.lines) == (kind == "partial")


@pytest.mark.parametrize(
    ("field", "kind"), [("bytes=200-203,0-1", "partial"), ("bytes=-2,1-1", "resumed")]
)
def test_several_ranges(page: Any, site: Site, field: str, kind: Kind) -> None:
    get, content = page
    reply = get(HTTP_RANGE=field)
    assert reply.status == 206
    assert "Content-Range" not in reply.fields
    boundary = reply.fields["Content-Type"].removeprefix("multipart/byteranges; boundary=")
    assert reply.fields["Content-Length"] == str(len(reply.body))
    parts = reply.body.split(f"--{boundary}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    for part in parts[1:-1]:
        head, data = part.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b"\r\n\r\n", 1)
        found = re.search(r"Content-Range: bytes (\d+)-(\d+)/(\d+)", head.decode())
        assert found is not None
        assert b"Content-Type: text/html; charset=utf-8" in head
        assert data == content[int(found[1]) : int(found[2]) + 1]
        assert int(found[3]) == len(content)
    assert len(parts) == 4
    assert site.counter.counted == [("/page.html", kind)]
    assert get(HTTP_RANGE=field).fields["Content-Type"] != reply.fields["Content-Type"]


def test_range_not_satisfiable(page: Any, site: Site) -> None:
    get, content = page
    reply = get(HTTP_RANGE=f"bytes={len(content)}-")
    assert reply.status == 416
    assert reply.fields["Content-Range"] == f"bytes */{len(content)}"
    assert site.counter.statuses == [416]


def test_if_range(page: Any) -> None:
    get, content = page
    etag, date = (get().fields[name] for name in ("ETag", "Last-Modified"))
    for condition, status in (
        (etag, 206),
        (date, 206),
        (f"W/{etag}", 200),
        ('"x"', 200),
        ("soon", 200),
    ):
        reply = get(HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE=condition)
        assert (reply.status, reply.body) == (
            (206, content[1:3]) if status == 206 else (200, content)
        ), condition
    assert get(HTTP_RANGE=f"bytes={len(content)}-", HTTP_IF_RANGE='"x"').status == 200


def test_ranges_of_an_absurd_list_are_not_amplified(page: Any) -> None:
    get, content = page
    for field in (
        "bytes=" + ",".join(["0-"] * 150),
        "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 298, 2)),
        "bytes=" + ",".join(["0-"] * 1500),
    ):
        assert len(get(HTTP_RANGE=field).body) <= max(len(content), 1024)


def test_an_empty_file(site: Site) -> None:
    site.put("empty.txt", b"")
    reply = site.get("/empty.txt")
    assert (reply.status, reply.body, reply.fields["Content-Length"]) == (200, b"", "0")
    for field in (
        "bytes=0-",
        "bytes=0-0",
        "bytes=0-1023",
        "bytes=5-",
        "bytes=-5",
        "bytes=-0",
        "bytes=0-0,5-9",
        "x",
    ):
        for condition in (None, reply.fields["ETag"], '"other"'):
            more: dict[str, Any] = {} if condition is None else {"HTTP_IF_RANGE": condition}
            ranged = site.get("/empty.txt", HTTP_RANGE=field, **more)
            assert (ranged.status, ranged.body, without_date(ranged)) == (
                200,
                b"",
                without_date(reply),
            )


def test_a_file_of_more_than_4_gib(site: Site) -> None:
    path = site.put("big.bin", b"")
    with path.open("r+b") as file:
        file.seek(5_000_000_000)
        file.write(b"end")
    assert site.get("/big.bin", "HEAD").fields["Content-Length"] == "5000000003"
    reply = site.get("/big.bin", HTTP_RANGE="bytes=4999999999-")
    assert (reply.body, reply.fields["Content-Range"]) == (
        b"\0end",
        "bytes 4999999999-5000000002/5000000003",
    )


def test_other_methods(site: Site) -> None:
    site.put("a.txt")
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "PROPFIND"):
        for path in ("/a.txt", "/missing"):
            reply = site.get(path, method, strict=False)
            assert (reply.status, reply.fields["Allow"]) == (405, "GET, HEAD, OPTIONS"), method
    for path in ("/a.txt", "*", "/missing"):
        reply = site.get(path, "OPTIONS", strict=path != "*")
        assert (reply.status, reply.body, reply.fields["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
        assert reply.fields.keys() == {"Allow", "Date"}
    assert site.counter.counted == []


def test_last_modified_is_never_in_the_future(site: Site) -> None:
    for size in (10, 100_000):
        site.put("future.txt", b"x" * size, age=-86400)
        reply = site.get("/future.txt")
        modified, date = (
            parse_http_date(reply.fields[name], 0) for name in ("Last-Modified", "Date")
        )
        assert modified is not None
        assert date is not None
        assert date - 5 < modified <= date
        assert site.get("/future.txt", HTTP_IF_NONE_MATCH=reply.fields["ETag"]).status == 304


@pytest.mark.parametrize(
    ("mtime", "is_told"), [(-86400, False), (0, False), (1, False), (1.9, False), (2, True)]
)
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_time_that_means_nothing_is_not_told(
    site: Site, mtime: float, is_told: bool, size: int
) -> None:
    os.utime(site.put("old.txt", b"x" * size), (mtime, mtime))
    reply = site.get("/old.txt")
    assert ("Last-Modified" in reply.fields) is is_told
    epoch = formatdate(0, usegmt=True)
    assert site.get("/old.txt", HTTP_IF_MODIFIED_SINCE=epoch).status == 200
    assert site.get("/old.txt", HTTP_IF_UNMODIFIED_SINCE=epoch).status == (412 if is_told else 200)
    part = site.get("/old.txt", HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE=epoch)
    assert part.status == 200
    assert site.get("/old.txt", HTTP_IF_NONE_MATCH=reply.fields["ETag"]).status == 304


def test_new_changed_and_deleted_files_are_seen_at_once(site: Site) -> None:
    assert site.get("/a.txt").status == 404
    path = site.put("a.txt", "one")
    tags = set()
    for content in ("one", "two", "three", "four!"):
        path.write_text(content)
        reply = site.get("/a.txt")
        assert reply.body == content.encode()
        tags.add(reply.fields["ETag"])
        wait_for_the_next_tick(site.outside)
    assert len(tags) == 4
    path.unlink()
    assert site.get("/a.txt").status == 404


def test_a_change_that_keeps_size_and_date_is_seen(site: Site) -> None:
    path = site.put("a.txt", "one")
    wait_until_held(site, "/a.txt")
    before = path.stat()
    etag = site.get("/a.txt").fields["ETag"]
    wait_for_the_next_tick(site.outside)
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = site.get("/a.txt", HTTP_IF_NONE_MATCH=etag)
    assert (changed.status, changed.body) == (200, b"two")
    assert site.get("/a.txt", HTTP_IF_RANGE=etag, HTTP_RANGE="bytes=1-").status == 200


def wait_until_held(site: Site, path: str) -> None:
    site.settle()
    assert site.get(path).status == 200
    assert site.holds(path)


def test_one_stat_for_a_held_file(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("a.txt", "one")
    wait_until_held(site, "/a.txt")
    monkeypatch.setattr("app.files.application.date_header", lambda: "now")
    monkeypatch.setattr("app.files.catalog.date_header", lambda: "now")
    site.get("/a.txt")
    calls: list[Any] = []
    real_stat = os.stat

    def counted_stat(*arguments: Any, **keywords: Any) -> os.stat_result:
        calls.append(arguments)
        return real_stat(*arguments, **keywords)

    monkeypatch.setattr(os, "stat", counted_stat)
    monkeypatch.setattr(os, "open", lambda *a, **k: pytest.fail("opened"))
    assert site.get("/a.txt").status == 200
    assert len(calls) == 1


def test_max_age(site: Site) -> None:
    site.put("dir/index.html")
    app = site.application(policy=Policy(max_age=3600))
    for path, status in (("/dir/", 200), ("/dir", 301)):
        reply = site.get(path, app=app)
        assert (reply.status, reply.fields["Cache-Control"]) == (status, "public, max-age=3600")


def test_count_lines_and_numbers(site: Site) -> None:
    site.put("a.txt", b"abc")
    app = site.application(count_header=True)
    replies = [
        site.get("/a.txt", app=app),
        site.get("/a.txt", app=app, REMOTE_ADDR="2001:db8::1", REMOTE_PORT=""),
        site.get("/a.txt", app=app, HTTP_RANGE="bytes=0-2"),
        site.get("/a.txt", app=app, HTTP_RANGE="bytes=0-1"),
        site.get("/a.txt", app=app, HTTP_IF_NONE_MATCH="*"),
        site.get("/a.txt", "HEAD", app=app),
        site.get("/missing", app=app),
        site.get("/a.txt", app=app, REMOTE_ADDR="", REMOTE_PORT=4711, strict=False),
    ]
    assert [reply.fields.get("Tally-Count") for reply in replies] == [
        "1",
        "2",
        "3",
        None,
        "4",
        None,
        None,
        "5",
    ]
    assert site.lines == [
        ("/a.txt", "192.0.2.1", "4711", 1),
        ("/a.txt", "2001:db8::1", "0", 2),
        ("/a.txt", "192.0.2.1", "4711", 3),
        ("/a.txt", "192.0.2.1", "4711", 4),
        ("/a.txt", "", "4711", 5),
    ]
    assert site.counter.statuses == [200, 404]  # HEAD, and what is not there


def test_clients_are_told_apart_by_the_parts_of_a_download_too(site: Site) -> None:
    site.put("a.txt", b"0123456789")
    app = site.application(classifier=Classifier(), download_bytes=8)
    for agent, is_client in (("curl/8.0", True), ("Googlebot/2.1", False)):
        for field in ("bytes=0-4", "bytes=5-9"):
            site.get("/a.txt", app=app, HTTP_RANGE=field, HTTP_USER_AGENT=agent)
            _, sent, _, client, enough = site.counter.details[-1]
            assert (sent, client is not None, enough) == (5, is_client, 8)
    assert [detail[0] for detail in site.counter.details] == [
        "tools", "unknown", "robots", "unknown"]  # fmt: skip


def test_a_port_that_is_absent(site: Site) -> None:
    site.put("a.txt")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a.txt"}
    for _ in range(2):
        list(site.app(environ, lambda *_: None))  # type: ignore[arg-type]
    assert site.lines == [("/a.txt", "", "0", 1), ("/a.txt", "", "0", 2)]


def test_counted_before_the_answer_leaves(site: Site) -> None:
    site.put("a.txt")
    seen: list[int] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a.txt"}
    for _ in range(2):
        site.app(environ, lambda *_: seen.append(len(site.counter.counted)))  # type: ignore[arg-type]
    assert seen == [1, 2]


# Errors


class _Document(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.declaration = ""
        self.feed(text)
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_error_pages(site: Site) -> None:
    site.put("a.txt")
    site.put("dir/index.html")
    attack = "<script>alert(1)</script>"
    replies = {
        404: site.get("/" + attack, QUERY_STRING=attack),
        405: site.get("/" + attack, "POST"),
        412: site.get("/a.txt", HTTP_IF_MATCH=attack),
        416: site.get("/a.txt", HTTP_RANGE="bytes=99-"),
        301: site.get("/dir", QUERY_STRING=attack),
    }
    for status, reply in replies.items():
        assert reply.status == status
        assert reply.fields["Content-Type"] == "text/html; charset=utf-8"
        assert reply.fields["X-Content-Type-Options"] == "nosniff"
        assert reply.fields["Content-Length"] == str(len(reply.body))
        document = _Document(reply.body.decode())
        tags = [tag for tag, _ in document.seen]
        assert document.declaration.lower() == "doctype html"
        assert document.open == []
        assert tags.count("title") == 1
        assert ("html", {"lang": "en"}) in document.seen
        assert ("meta", {"charset": "utf-8"}) in document.seen
        assert b"script" not in reply.body
        assert str(site.root).encode() not in reply.body


@pytest.mark.parametrize("size", [20, 100_000])
def test_the_sites_own_404_page(site: Site, size: int) -> None:
    site.put("404.html", b"<!doctype html>".ljust(size))
    own = site.get("/404.html")
    assert own.status == 200
    requests: list[dict[str, Any]] = [
        {},
        {"HTTP_IF_NONE_MATCH": own.fields["ETag"]},
        {"HTTP_IF_NONE_MATCH": "*"},
        {"HTTP_RANGE": "bytes=0-1"},
    ]
    for variables in requests:
        reply = site.get("/missing", **variables)
        assert (reply.status, reply.body) == (404, own.body)
        assert reply.fields.keys() == {
            "Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Date",
        }  # fmt: skip
        assert reply.fields["Cache-Control"] == "no-store"
    head = site.get("/missing", "HEAD")
    assert (head.status, head.body, head.fields["Content-Length"]) == (404, b"", str(size))
    assert [kind for _, kind in site.counter.counted] == ["full"]


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (errno.EMFILE, 503),
        (errno.ENFILE, 503),
        (errno.EIO, 503),
        (errno.ESTALE, 503),
        (errno.ENOMEM, 503),
        (errno.EACCES, 403),
        (errno.EPERM, 403),
        (errno.ENOENT, 404),
        (errno.ELOOP, 404),
        (errno.ENAMETOOLONG, 404),
        (errno.ENOTDIR, 404),
        (errno.ENXIO, 404),
    ],
)
def test_errors_of_the_system(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    site.put("a.txt")
    real_open = os.open

    def failing(path: Any, *rest: Any, **more: Any) -> int:
        if os.fsencode(path).endswith(b"a.txt"):
            raise OSError(number, os.strerror(number), str(site.root))
        return real_open(path, *rest, **more)

    monkeypatch.setattr(os, "open", failing)
    reply = site.get("/a.txt")
    assert reply.status == status
    assert ("Retry-After" in reply.fields) == (status == 503)
    assert str(site.root).encode() not in reply.body
    assert site.counter.statuses == [status]


def test_an_unreadable_file(site: Site) -> None:
    site.put("a.txt").chmod(0)
    superuser = os.geteuid() == 0  # may read it all the same
    assert site.get("/a.txt").status == (200 if superuser else 403)


def test_descriptors_are_closed_on_every_way(site: Site) -> None:
    site.put("big.bin", LARGE)
    site.put("small.txt", SMALL)
    site.put("404.html", LARGE)
    etag = site.get("/big.bin").fields["ETag"]
    before = open_below(site.root)
    for variables in (
        {},
        {"HTTP_RANGE": "bytes=1-100000"},
        {"HTTP_RANGE": "bytes=1-2,9-10"},
        {"HTTP_RANGE": "bytes=999999999-"},
        {"HTTP_IF_NONE_MATCH": etag},
        {"HTTP_IF_MATCH": '"x"'},
        {"wsgi.file_wrapper": FileWrapper},
    ):
        for path in ("/big.bin", "/small.txt", "/missing"):
            for method in ("GET", "HEAD"):
                site.get(path, method, **variables)
    # A server whose start_response raises never gets a body to close.
    with pytest.raises(ZeroDivisionError):
        site.app({"REQUEST_METHOD": "GET", "PATH_INFO": "/big.bin"}, lambda *_: 1 // 0)  # type: ignore[arg-type]
    # Nor does one whose file wrapper does.
    failing: dict[str, Any] = {"wsgi.file_wrapper": lambda *_: 1 // 0}
    with pytest.raises(ZeroDivisionError):
        site.get("/big.bin", **failing)
    assert open_below(site.root) == before


def test_when_descriptors_run_out(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.put("held.txt", SMALL)
    site.put("other.txt", SMALL)
    wait_until_held(site, "/held.txt")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 4, limit[1])
    )
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        replies = [site.get(path) for path in ("/other.txt", "/missing", "/other.txt")]
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    # What is not there is known without opening anything.
    assert [reply.status for reply in replies] == [503, 404, 503]
    assert all("Retry-After" in reply.fields for reply in replies[::2])
    assert 1 <= len(caplog.records) <= 2  # a line a second
    assert site.get("/other.txt").status == 200


# Content codings


@pytest.fixture
def coded(site: Site) -> tuple[Site, FileApplication]:
    site.put("style.css", b"identity " * 200)
    site.put("style.css.gz", b"gzipped " * 20)
    site.put("style.css.br", b"brotli " * 20)
    site.put("big.css", b"identity " * 20_000)
    site.put("big.css.zst", b"zstd " * 20_000)
    site.put("plain.css", b"identity")
    (site.root / "linked.css").symlink_to("plain.css")
    (site.root / "linked.css.br").symlink_to("plain.css")
    return site, site.app


@pytest.mark.parametrize(
    ("path", "accept", "coding", "begins"),
    [
        ("/style.css", "gzip", "gzip", b"gzipped"),
        ("/style.css", "x-gzip", "gzip", b"gzipped"),
        ("/style.css", "gzip, br", "br", b"brotli"),
        ("/style.css", "zstd, gzip;q=0.5", "gzip", b"gzipped"),
        ("/style.css", "gzip;q=0", None, b"identity"),
        ("/style.css", "zstd", None, b"identity"),
        ("/style.css", "", None, b"identity"),
        ("/style.css", None, None, b"identity"),
        ("/big.css", "gzip, br, zstd", "zstd", b"zstd"),
        ("/big.css", "gzip", None, b"identity"),
        ("/plain.css", "gzip, br, zstd", None, b"identity"),
    ],
)
def test_precompressed_siblings(
    coded: tuple[Site, FileApplication],
    path: str,
    accept: str | None,
    coding: str | None,
    begins: bytes,
) -> None:
    site, app = coded
    variables: dict[str, Any] = {} if accept is None else {"HTTP_ACCEPT_ENCODING": accept}
    for _ in range(2):
        reply = site.get(path, app=app, **variables)
        assert reply.body.startswith(begins)
        assert reply.fields.get("Content-Encoding") == coding
        assert reply.fields["Content-Type"] == "text/css; charset=utf-8"
        assert reply.fields["Vary"] == "Accept-Encoding"
        assert reply.fields["Content-Length"] == str(len(reply.body))
    assert without_date(site.get(path, "HEAD", app=app, **variables)) == without_date(reply)
    assert {key for key, _ in site.counter.counted} == {path}
    again = site.get(path, app=app, HTTP_IF_NONE_MATCH=reply.fields["ETag"], **variables)
    assert (again.status, again.fields["Vary"]) == (304, "Accept-Encoding")
    part = site.get(path, app=app, HTTP_RANGE="bytes=1-3", **variables)
    assert (part.status, part.body) == (206, reply.body[1:4])
    assert part.fields.get("Content-Encoding") == coding
    parts = site.get(path, app=app, HTTP_RANGE="bytes=0-0,5-5", **variables)
    assert parts.status == (206 if coding is None else 200)
    assert parts.fields.get("Content-Encoding") == coding


def test_each_coding_has_a_tag_of_its_own(coded: tuple[Site, FileApplication]) -> None:
    site, app = coded
    for path, codings in (("/style.css", ["br", "gzip", ""]), ("/linked.css", ["br", ""])):
        tags = {
            site.get(path, app=app, HTTP_ACCEPT_ENCODING=coding).fields["ETag"]
            for coding in codings
        }
        assert len(tags) == len(codings)


def test_a_sibling_older_than_its_file_is_not_sent(coded: tuple[Site, FileApplication]) -> None:
    site, app = coded
    site.put("style.css", b"newer", age=10)
    assert site.get("/style.css", app=app, HTTP_ACCEPT_ENCODING="gzip").body == b"newer"


def test_a_sibling_of_the_same_second_is_sent(coded: tuple[Site, FileApplication]) -> None:
    site, app = coded
    for name, nanoseconds in (("style.css", 1_000_000_900), ("style.css.gz", 1_000_000_100)):
        os.utime(site.root / name, ns=(nanoseconds, nanoseconds))
    assert (
        site.get("/style.css", app=app, HTTP_ACCEPT_ENCODING="gzip").fields["Content-Encoding"]
        == "gzip"
    )


def test_a_sibling_that_leaves_the_root_is_not_sent(coded: tuple[Site, FileApplication]) -> None:
    site, app = coded
    (site.outside / "secret").write_text("secret")
    (site.root / "plain.css.gz").symlink_to(site.outside / "secret")
    assert site.get("/plain.css", app=app, HTTP_ACCEPT_ENCODING="gzip").body == b"identity"


def test_siblings_are_left_alone_where_coding_is_off(coded: tuple[Site, FileApplication]) -> None:
    site, _ = coded
    reply = site.get("/style.css", app=site.application(coded=False), HTTP_ACCEPT_ENCODING="gzip")
    assert reply.body.startswith(b"identity")
    assert "Vary" not in reply.fields


# By another's client


def test_webtest_finds_nothing_to_complain_about(site: Site) -> None:
    site.put("index.html", '<a href="dir">on</a>')
    site.put("dir/index.html", "there")
    site.put("big.bin", LARGE)
    client = TestApp(site.app, lint=True)
    page = client.get("/")
    assert client.get("/", headers={"If-None-Match": page.headers["ETag"]}, status=304).body == b""
    assert page.click("on").follow().text == "there"
    assert client.get("/big.bin").body == LARGE
    assert client.get("/big.bin", headers={"Range": "bytes=5-6"}, status=206).body == LARGE[5:7]
    assert (
        client.get("/big.bin", headers={"Range": "bytes=5-6,9-9"}, status=206).content_type
        == "multipart/byteranges"
    )
    client.get("/big.bin", headers={"Range": "bytes=999999-"}, status=416)
    assert client.head("/big.bin").content_length == len(LARGE)
    client.options("/", status=204)
    client.post("/", status=405)
    client.get("/nothing%00", status=404)
