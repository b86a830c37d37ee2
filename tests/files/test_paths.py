"""URL paths as a server decodes them, and what is served there: nothing outside the root, nothing
hidden.
"""

import os
import re
import shutil
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from .conftest import Site, call


@pytest.fixture
def tree(site: Site) -> Site:
    for name in (
        "index.html",
        "a.txt",
        "dir/index.html",
        "dir/page.html",
        "empty/file.txt",
        "with space.txt",
        "100%.txt",
        "a+b;c=d.txt",
        "what?.txt",
        "part#1.txt",
        "a|b.txt",
        "back\\slash.txt",
        "gr\u00fc\u00dfe/\u65e5\u672c\u8a9e \U0001f40d.txt",
        "%2e%2e.txt",
        "line\nbreak.txt",
        ".secret",
        ".git/config",
        "dir/.htpasswd",
        "dir/.well-known/x.txt",
        ".well-known/security.txt",
        ".well-known/.hidden",
        "...",
        "name.",
        "C:/file.txt",
    ):
        site.put(name, name)
    for raw, content in (
        (b"\xff\xfe.txt", "latin"),
        (b"caf\xe9/\xed\xa0\x80", "surrogate"),
        (b"\xc0\xae\xc0\xae/x", "overlong"),
    ):
        site.put(os.fsdecode(raw), content)
    (site.outside / "secret.txt").write_text("secret")
    return site


# The key is what accesses are counted under.
SERVED = [
    ("/", "/index.html", "index.html"),
    ("/index.html", "/index.html", "index.html"),
    ("/a.txt", "/a.txt", "a.txt"),
    ("/dir/", "/dir/index.html", "dir/index.html"),
    ("/dir/index.html", "/dir/index.html", "dir/index.html"),
    ("/with space.txt", "/with%20space.txt", "with space.txt"),
    ("/100%.txt", "/100%25.txt", "100%.txt"),
    ("/a+b;c=d.txt", "/a+b;c=d.txt", "a+b;c=d.txt"),
    ("/what?.txt", "/what%3F.txt", "what?.txt"),
    ("/part#1.txt", "/part%231.txt", "part#1.txt"),
    ("/a|b.txt", "/a%7Cb.txt", "a|b.txt"),
    ("/back\\slash.txt", "/back%5Cslash.txt", "back\\slash.txt"),
    (
        "/gr\u00fc\u00dfe/\u65e5\u672c\u8a9e \U0001f40d.txt",
        "/gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC%E8%AA%9E%20%F0%9F%90%8D.txt",
        "gr\u00fc\u00dfe/\u65e5\u672c\u8a9e \U0001f40d.txt",
    ),
    ("/%2e%2e.txt", "/%252e%252e.txt", "%2e%2e.txt"),
    ("/line\nbreak.txt", "/line%0Abreak.txt", "line\nbreak.txt"),
    ("/.well-known/security.txt", "/.well-known/security.txt", ".well-known/security.txt"),
    ("/name.", "/name.", "name."),
    ("/C:/file.txt", "/C:/file.txt", "C:/file.txt"),
    # "." and empty segments are nothing
    ("/.", "/index.html", "index.html"),
    ("/./", "/index.html", "index.html"),
    ("//", "/index.html", "index.html"),
    ("/./a.txt", "/a.txt", "a.txt"),
    ("//a.txt", "/a.txt", "a.txt"),
    ("///.//./a.txt", "/a.txt", "a.txt"),
    ("/dir/.", "/dir/index.html", "dir/index.html"),
    ("/dir/./", "/dir/index.html", "dir/index.html"),
    ("/dir//", "/dir/index.html", "dir/index.html"),
    ("//dir/", "/dir/index.html", "dir/index.html"),
    ("/dir//page.html", "/dir/page.html", "dir/page.html"),
    ("/dir/././/page.html", "/dir/page.html", "dir/page.html"),
    ("/./.well-known/./security.txt", "/.well-known/security.txt", ".well-known/security.txt"),
    # names that are no UTF-8
    ("/\udcff\udcfe.txt", "/%FF%FE.txt", "latin"),
    ("/caf\udce9/\udced\udca0\udc80", "/caf%E9/%ED%A0%80", "surrogate"),
    ("/\udcc0\udcae\udcc0\udcae/x", "/%C0%AE%C0%AE/x", "overlong"),
]


@pytest.mark.parametrize(("path", "key", "content"), SERVED)
def test_served(tree: Site, path: str, key: str, content: str) -> None:
    reply = tree.get(path)
    assert (reply.status, reply.body.decode()) == (200, content)
    assert tree.lines == [(key, "192.0.2.1", "4711", 1)]


NOT_SERVED = [
    "/missing",
    "/missing/",
    "/a.txt/",
    "/a.txt/x",
    "/a.txt/index.html",
    "/empty/",
    "/empty",
    "/..",
    "/../",
    "/../outside/secret.txt",
    "/dir/../a.txt",
    "/dir/..",
    "/...",
    "/dir/page.html//",
    "///etc/passwd",
    "/..\\outside\\secret.txt",
    "/\\..\\..\\etc\\passwd",
    "/%2e%2e/outside/secret.txt",
    "/..%2foutside/secret.txt",
    "/.secret",
    "/.git/config",
    "/.git",
    "/.git/",
    "/dir/.htpasswd",
    "/dir/.well-known/x.txt",
    "/.well-known/.hidden",
    "/.well-known/..",
    "/.well-known/../a.txt",
    "/.well-known",
    "/a.txt\0",
    "/a.txt\0.html",
    "/\0",
    "a.txt",
    "*",
    "http://localhost/a.txt",
    "/" + "a" * 300,
    "/" + "a/" * 3000,
    "/\udcff\udcfe\udcfd.txt",  # not UTF-8
    "/./..",
    "//../outside/secret.txt",
    "/dir/.//../../outside/secret.txt",
    "//.secret",
    "/./.git/config",
    "/dir/./.htpasswd",
    "//.well-known/.hidden",
    "/\udcc0\udcae\udcc0\udcae/outside/secret.txt",  # overlong dots
    "/\udced\udca0\udc80",  # a surrogate
]


@pytest.mark.parametrize("path", NOT_SERVED)
def test_not_served(tree: Site, path: str) -> None:
    strict = path.startswith("/")
    assert tree.get(path, strict=strict).status == 404
    assert tree.get(path, "HEAD", strict=strict).status == 404
    assert tree.counter.statuses == [404, 404]
    assert tree.counter.counted == []


def test_a_path_that_is_no_latin_1_is_not_served(tree: Site) -> None:
    assert call(tree.app, "/\u65e5").status == 404


def test_dotfiles_are_served_when_the_root_lies_below_a_dot_directory(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    site = Site(tmp_path / ".hidden")
    site.put("a.txt")
    assert site.get("/a.txt").status == 200
    assert site.get("/.hidden/www/a.txt").status == 404


def test_another_index(tree: Site) -> None:
    app = tree.application(indexes=["page.html"])
    assert tree.get("/dir/", app=app).body == b"dir/page.html"
    assert tree.get("/", app=app).status == 404


REDIRECTS = [
    ("/dir", "", "./dir/"),
    ("/dir", "a=1&b=%20|x\\\u00e9", "./dir/?a=1&b=%20%7Cx%5C%E9"),
    ("/dir", "\r\nSet-Cookie:a=1", "./dir/?%0D%0ASet-Cookie:a=1"),
    ("/deep/er", "", "./er/"),
    ("/http:", "", "./http:/"),
    ("/\\evil.example", "", "./%5Cevil.example/"),
    ("/%5Cevil.example", "", "./%255Cevil.example/"),
    ("/%2Fevil.example", "", "./%252Fevil.example/"),
    ("/tab\tdir", "", "./tab%09dir/"),
    ("/\u65e5", "", "./%E6%97%A5/"),
    ("//evil.example", "", "./evil.example/"),
    ("/.//evil.example", "", "./evil.example/"),
    ("/deep//er", "", "./er/"),
]


@pytest.mark.parametrize(("path", "query", "location"), REDIRECTS)
def test_a_directory_without_its_slash(site: Site, path: str, query: str, location: str) -> None:
    site.put(path.lstrip("/") + "/index.html")
    for method in ("GET", "HEAD"):
        reply = site.get(path, method, QUERY_STRING=query)
        assert (reply.status, reply.fields["Location"]) == (301, location)
    assert site.counter.statuses == [301, 301]


@pytest.mark.parametrize("variable", ["REQUEST_URI", "RAW_URI"])
def test_a_redirect_holds_where_the_client_sees_one_segment(site: Site, variable: str) -> None:
    site.put("outer/in ner/index.html")
    for raw, location in (
        ("/outer%2fin%20ner", "/outer/in%20ner/"),
        ("/outer/in%20ner", "./in%20ner/"),
    ):
        variables: dict[str, Any] = {variable: f"{raw}?a=%2F"}
        reply = site.get("/outer/in ner", QUERY_STRING="a=%2F", **variables)
        assert (reply.status, reply.fields["Location"]) == (301, location + "?a=%2F")


def test_an_application_below_a_prefix(site: Site) -> None:
    site.put("index.html", "index")
    reply = call(site.app, "", SCRIPT_NAME="/files", QUERY_STRING="q")
    assert (reply.status, reply.fields["Location"]) == (301, "./files/?q")
    assert call(site.app, "/", SCRIPT_NAME="/files").body == b"index"
    assert call(site.app, "").body == b"index"


def test_a_redirect_needs_an_index_inside_the_root(site: Site) -> None:
    (site.outside / "index.html").write_text("secret")
    (site.root / "link").symlink_to(site.outside)
    (site.root / "odd" / "index.html").mkdir(parents=True)
    for path in ("/link", "/link/", "/odd", "/odd/", "/odd/index.html"):
        assert site.get(path).status == 404, path


def test_links(tree: Site) -> None:
    root = tree.root
    (root / "inside.txt").symlink_to("a.txt")
    (root / "absolute.txt").symlink_to(root / "a.txt")
    (root / "dirlink").symlink_to(root / "dir")
    (root / "around.txt").symlink_to("../www/a.txt")
    (root / "leaves.txt").symlink_to("../outside/secret.txt")
    (root / "leaves").symlink_to(tree.outside)
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "to-dotfile.txt").symlink_to(".secret")
    (root / "to-dotdir").symlink_to(".git")
    (root / "parent").symlink_to("..")
    (root / "proc").symlink_to("/proc/self")
    assert [
        tree.get(path).status for path in ("/inside.txt", "/absolute.txt", "/dirlink/page.html")
    ] == [200] * 3
    assert tree.get("/around.txt").body == b"a.txt"
    for path in (
        "/leaves.txt",
        "/leaves/secret.txt",
        "/dangling",
        "/loop",
        "/to-dotfile.txt",
        "/to-dotdir/config",
        "/parent/outside/secret.txt",
        "/proc/environ",
    ):
        assert tree.get(path).status == 404, path


def test_a_root_whose_name_begins_another_directorys_name(site: Site) -> None:
    beside = site.root.with_name("www-private")
    beside.mkdir()
    (beside / "a.txt").write_text("secret")
    (site.root / "a.txt").symlink_to(beside / "a.txt")
    assert site.get("/a.txt").status == 404


def test_volumes_as_kubernetes_publishes_them(site: Site) -> None:
    site.put("..2026_11_22/page.html", "page")
    (site.root / "..data").symlink_to("..2026_11_22")
    (site.root / "page.html").symlink_to("..data/page.html")
    assert site.get("/page.html").body == b"page"
    assert site.get("/..data/page.html").status == 404


def test_a_link_put_in_place_of_a_held_file(site: Site) -> None:
    path = site.put("a.txt", "public")
    site.settle()
    assert site.get("/a.txt").body == b"public"
    (site.outside / "secret").write_text("secret")
    path.unlink()
    path.symlink_to(site.outside / "secret")
    assert site.get("/a.txt").status == 404


def test_a_held_file_that_moves_out_and_is_linked_to(site: Site) -> None:
    path = site.put("a.txt", "public")
    site.settle()
    assert site.get("/a.txt").status == 200
    path.rename(site.outside / "a.txt")
    path.symlink_to(site.outside / "a.txt")
    assert site.get("/a.txt").status == 404


def test_a_directory_that_moves_out_and_is_linked_to(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("dir/a.txt", "public")
    site.settle()
    assert site.get("/dir/a.txt").status == 200
    shutil.move(site.root / "dir", site.outside / "dir")
    (site.root / "dir").symlink_to(site.outside / "dir")
    monkeypatch.setattr("app.files.application.date_header", lambda: "a second later")
    monkeypatch.setattr("app.files.catalog.date_header", lambda: "a second later")
    assert site.get("/dir/a.txt").status == 404


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when the block takes longer."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_fifos_sockets_and_devices_neither_block_nor_answer(site: Site) -> None:
    os.mkfifo(site.root / "fifo")
    os.mkfifo(site.root / "index.html")
    (site.root / "tty").symlink_to("/dev/tty")
    (site.root / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener, within(3):
        here = Path.cwd()
        os.chdir(site.root)  # the path of a Unix socket is short
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        for path in ("/fifo", "/socket", "/tty", "/null", "/"):
            assert site.get(path).status == 404, path


def test_what_is_no_regular_file_is_not_even_opened(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(site.root / "fifo")
    opened: list[object] = []
    real_open = os.open

    def recording_open(
        path: str | bytes, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        opened.append(path)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", recording_open)
    assert site.get("/fifo").status == 404
    assert opened
    assert b"fifo" not in opened


def test_a_fifo_that_takes_a_files_place_after_the_look(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.put("a.txt")
    regular = path.stat()
    path.unlink()
    os.mkfifo(path)
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", lambda p, **k: regular if p == b"a.txt" else real_stat(p, **k))
    with within(3):
        assert site.get("/a.txt").status == 404


PARTS = [
    "/",
    "//",
    "\\",
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2f",
    "..%5c",
    "\0",
    "|",
    ":",
    "?",
    "#",
    "~",
    "\udcc0\udcae",
]
NAMES = [
    "dir",
    "link",
    "leaves",
    "up",
    "secret.txt",
    "outside",
    "www",
    "a.txt",
    ".git",
    "config",
    ".well-known",
    "etc",
]


def test_no_combination_of_parts_leads_out(tree: Site) -> None:
    (tree.root / "link").symlink_to("dir")
    (tree.root / "leaves").symlink_to(tree.outside)
    (tree.root / "dir" / "up").symlink_to("..")
    random = Random(9110)
    statuses = Counter[int]()
    for _ in range(3000):
        path = "/" + "".join(
            random.choice(NAMES) + "/"
            if random.random() < 0.5
            else random.choice(random.choice((PARTS, NAMES)))
            for _ in range(random.randint(1, 6))
        )
        path = path.rstrip("/") if random.random() < 0.5 else path
        reply = tree.get(path, strict=False)
        statuses[reply.status] += 1
        if reply.status == 200:
            # Every file of the tree holds its own name; the secret does not.
            name = reply.body.decode()
            assert (tree.root / name).is_file(), path
            assert not re.search(r"(^|/)\.(?!well-known/security)", name), path
        else:
            assert reply.status in (301, 404), path
    assert min(statuses[200], statuses[301], statuses[404]) > 10
