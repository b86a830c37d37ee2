"""Directories without an index (`--listing`)."""

import base64
import errno
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin
from xml.etree import ElementTree

import pytest

from app.files import FileApplication
from app.files.directory import Directory, open_directory
from app.files.document_root import RootDirectory
from app.files.listing import PAGE_SIZE, Query, select
from app.files.names import DEFAULT_VISIBILITY, Visibility
from tests.files.conftest import EARLIER, Site, call


class Links(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.links: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if tag == "a" and name == "href"]


NAMES = [
    b"plain.txt", b"with space.txt", b"a:b", b"//", b"q?x=1", b"h#h", b"100%", b"%41", b"<b>.html",
    b"'\"&.txt", b"new\nline", b"\x1b[31m", "größe".encode(), "日本".encode(), b"r\xe9p",
    b"back\\slash", b"-", b"~", "a\u202eb".encode(), b"javascript:alert(1)", b"x" * 200,
]  # fmt: skip


@pytest.fixture
def app(site: Site) -> FileApplication:
    return site.application(lists=True)


def test_links_lead_to_the_files_whatever_their_names(site: Site, app: FileApplication) -> None:
    names = {name.replace(b"/", b"") or b"odd" for name in NAMES}
    directory = os.fsencode(site.root) + b"/d"
    os.mkdir(directory)
    for name in names:
        Path(os.fsdecode(directory + b"/" + name)).write_bytes(b"content of " + name)
    reply = site.get("/d/", app=app)
    assert reply.status == 200
    found = set()
    for link in Links(reply.body).links:
        if link.startswith("./") and link != "./":
            path = urljoin("http://h/d/", link)
            assert path.startswith("http://h/d/")
            name = unquote_to_bytes(path.removeprefix("http://h/d/"))
            body = call(app, "/d/" + name.decode("latin-1")).body
            assert body == b"content of " + name
            found.add(name)
    assert found == names
    for raw in (b"<b>.html", b"\x1b", "\u202e".encode(), b"new\nline"):
        assert raw not in reply.body


def test_what_is_not_served_is_not_listed(site: Site, app: FileApplication) -> None:
    site.put("d/a.txt")
    site.put("d/.hidden")
    site.put("d/.git/config")
    (site.outside / "secret").write_text("secret")
    (site.root / "d" / "leaves").symlink_to(site.outside / "secret")
    (site.root / "d" / "away").symlink_to(site.outside)
    (site.root / "d" / "dangling").symlink_to("nowhere")
    (site.root / "d" / "link.txt").symlink_to("a.txt")
    (site.root / "d" / "to-hidden").symlink_to(".hidden")
    os.mkfifo(site.root / "d" / "fifo")

    def names(app: FileApplication) -> set[str]:
        document = json.loads(site.get("/d/", app=app, HTTP_ACCEPT="application/json").body)
        return {entry["name"] for entry in document["entries"]}

    assert names(app) == {"a.txt", "link.txt"}
    everything = site.application(lists=True, visible=Visibility(dotfiles=True, outside=True))
    assert names(everything) == {
        "a.txt", "link.txt", ".hidden", ".git", "to-hidden", "leaves", "away",
    }  # fmt: skip


STATUSES = [
    ("/d/", 200), ("/d", 301), ("/", 200), ("/with-index/", 200), ("/missing/", 404),
    ("/.git/", 404), ("/d/a.txt/", 404), ("/away/", 404), ("/../", 404),
]  # fmt: skip


@pytest.mark.parametrize(("path", "status"), STATUSES)
def test_which_directories_are_listed(
    site: Site, app: FileApplication, path: str, status: int
) -> None:
    site.put("d/a.txt")
    site.put(".git/config")
    site.put("with-index/index.html", b"index")
    (site.root / "away").symlink_to(site.outside)
    for method in ("GET", "HEAD"):
        reply = site.get(path, method, app=app)
        assert reply.status == status
    assert site.get("/d/").status == 404  # off by default
    assert b"a.txt" in site.get("/d/", app=app).body
    assert site.get("/with-index/", app=app).body == b"index"
    assert {path for path, _ in site.counter.counted} == {"/with-index/index.html"}


def test_a_mounted_root_is_redirected_to_its_listing(site: Site, app: FileApplication) -> None:
    site.put("a.txt")
    reply = site.get("", app=app, SCRIPT_NAME="/files")
    assert (reply.status, reply.fields["Location"]) == (301, "./files/")


@pytest.mark.parametrize(
    ("number", "status"), [(errno.EMFILE, 503), (errno.EACCES, 403), (errno.ENOENT, 404)]
)
def test_a_directory_that_cannot_be_read(
    site: Site, app: FileApplication, number: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("d/a.txt")

    def fail(*_: object) -> Directory:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("app.files.catalog.open_directory", fail)
    assert site.get("/d/", app=app).status == status


def test_formats(site: Site, app: FileApplication) -> None:
    site.put("d/a & b.txt", b"12345")
    site.put("d/below/x")
    document = json.loads(site.get("/d/", app=app, QUERY_STRING="format=json").body)
    assert document == {
        "path": "/d/",
        "entries": [
            document["entries"][0],
            {"name": "a & b.txt", "href": "./a%20%26%20b.txt", "type": "file", "size": 5,
             "modified": "2023-11-14T22:13:20Z", "accesses": 0},
        ],
        "total": 2, "matching": 2, "page": 1, "pages": 1,
    }  # fmt: skip
    assert document["entries"][0]["name"] == "below"
    assert document["entries"][0]["href"] == "./below/"
    feed = site.get("/d/", app=app, HTTP_ACCEPT="application/atom+xml")
    assert feed.fields["Content-Type"].startswith("application/atom+xml")
    root = ElementTree.fromstring(feed.body)
    atom = "{http://www.w3.org/2005/Atom}"
    assert [entry.findtext(f"{atom}title") for entry in root.iter(f"{atom}entry")] == ["a & b.txt"]
    page = site.get("/d/", app=app, HTTP_ACCEPT="text/html,application/json")
    assert page.fields["Content-Type"] == "text/html; charset=utf-8"
    assert page.fields["Vary"] == "Accept"


def test_a_readme_that_no_document_may_contain_or_that_cannot_be_read(
    site: Site, app: FileApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(
        "d/README",
        b"a\x00\x01\x7f\tb\xc2\x85\xef\xbf\xbf\xffc\n\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac",
    )
    replaced = "\ufffd"
    wanted = f"<pre>a{replaced * 3}\tb{replaced * 3}c\n\U0001f469\u200d\U0001f52c</pre>"
    assert wanted in site.get("/d/", app=app).body.decode()

    def fail(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr("app.files.directory.read_whole", fail)
    reply = site.get("/d/", app=app)
    assert (reply.status, b"README</h2>" in reply.body) == (200, False)


def test_an_entry_that_goes_meanwhile_is_left_out(
    site: Site, app: FileApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("d/a.txt")
    site.put("d/b.txt")
    stat = os.stat

    def gone(path: Any, **more: Any) -> os.stat_result:
        if path == "a.txt":
            raise FileNotFoundError(path)
        return stat(path, **more)

    monkeypatch.setattr("app.files.directory.os.stat", gone)
    for query in ("", "sort=size", "sort=modified&order=desc", "format=atom"):
        body = site.get("/d/", app=app, QUERY_STRING=query).body
        assert (b"a.txt" in body, b"b.txt" in body) == (False, True)


def test_accesses_are_shown(site: Site, app: FileApplication) -> None:
    site.put("d/größe 1.txt")
    for _ in range(1234):
        site.get("/d/größe 1.txt", app=app)
    assert b'<td class="number">1,234</td>' in site.get("/d/", app=app).body
    document = json.loads(site.get("/d/", app=app, QUERY_STRING="format=json").body)
    assert [entry["accesses"] for entry in document["entries"]] == [1234]
    assert site.counter.counted[-1][0] == "/d/gr%C3%B6%C3%9Fe%201.txt"


def test_accesses_that_are_not_known_are_left_out(site: Site, app: FileApplication) -> None:
    site.put("d/a.txt")
    site.counter.accesses = lambda paths: {}  # type: ignore[method-assign]
    assert site.get("/d/", app=app).status == 200
    document = json.loads(site.get("/d/", app=app, QUERY_STRING="format=json").body)
    assert [entry["accesses"] for entry in document["entries"]] == [None]


def test_a_listing_that_has_not_changed(site: Site, app: FileApplication) -> None:
    site.put("d/a.txt")
    tag = site.get("/d/", app=app).fields["ETag"]
    again = site.get("/d/", app=app, HTTP_IF_NONE_MATCH=tag)
    assert (again.status, again.body) == (304, b"")
    assert site.get("/d/", app=app, HTTP_IF_MATCH='"other"').status == 412
    site.put("d/b.txt")
    assert site.get("/d/", app=app, HTTP_IF_NONE_MATCH=tag).status == 200


def test_a_readme_is_shown_as_text(site: Site, app: FileApplication) -> None:
    site.put("d/README.md", "# A <title> ä")
    assert "<pre># A &lt;title&gt; ä</pre>".encode() in site.get("/d/", app=app).body


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of 1,200 files whose sizes fall as their names rise."""
    directory = tmp_path_factory.mktemp("crowded")
    for number in range(1200):
        path = directory / f"f{number:05}"
        path.touch()
        os.truncate(path, 1200 - number)
        os.utime(path, (EARLIER, EARLIER + number % 7))
    (directory / "zz-below").mkdir()
    return directory


QUERIES: list[tuple[str, list[str], int]] = [
    ("", ["zz-below", "f00000", "f00001"], 1201),
    ("order=desc", ["zz-below", "f01199", "f01198"], 1201),
    ("sort=size", ["zz-below", "f01199", "f01198"], 1201),
    ("sort=size&order=desc", ["zz-below", "f00000", "f00001"], 1201),
    ("sort=modified&order=desc", ["zz-below", "f00006", "f00013"], 1201),
    ("sort=nonsense&order=up&page=x", ["zz-below", "f00000"], 1201),
    ("page=2", ["f00499", "f00500"], 1201),
    ("page=3", ["f00999"], 1201),
    ("page=99999", ["f00999"], 1201),
    ("page=0", ["zz-below"], 1201),
    ("q=F0119", ["f01190", "f01191"], 10),
    ("q=nothing", [], 0),
    ("q=%ff%00", [], 0),
    ("&&&=&q", ["zz-below"], 1201),
    ("a=1&" * 100, ["zz-below"], 1201),
    ("page=" + "9" * 5000, ["zz-below"], 1201),
]


@pytest.mark.parametrize(("query", "first", "matching"), QUERIES)
def test_order_filter_and_pages(crowded: Path, query: str, first: list[str], matching: int) -> None:
    with (
        RootDirectory(os.fsencode(crowded)) as root,
        open_directory(root, b"", DEFAULT_VISIBILITY) as directory,
    ):
        selection = select(directory, Query.of(query, ""))
    assert [entry.name.decode() for entry in selection.entries[: len(first)]] == first
    assert selection.matching == matching
    assert len(selection.entries) <= PAGE_SIZE


def test_pages_are_linked(site: Site, app: FileApplication) -> None:
    (site.root / "d").mkdir()
    for number in range(PAGE_SIZE + 1):
        (site.root / "d" / f"{number:05}").touch()
    seen: list[str] = []
    query = ""
    for _ in range(2):
        reply: Any = site.get("/d/", app=app, QUERY_STRING=query)
        seen += re.findall(r'href="\./(\d{5})"', reply.body.decode())
        following = re.search(r'href="\?([^"]*)">Next', reply.body.decode())
        query = following[1] if following else ""
    assert seen == [f"{number:05}" for number in range(PAGE_SIZE + 1)]
    assert query == ""


def test_the_page_allows_nothing_but_its_own_style_and_script(
    site: Site, app: FileApplication
) -> None:
    site.put("d/a.txt")
    reply = site.get("/d/", app=app)
    policy = reply.fields["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    for element in ("style", "script"):
        (content,) = re.findall(rf"<{element}>(.*?)</{element}>", reply.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"; {element}-src 'sha256-{digest}'" in policy
