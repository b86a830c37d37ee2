"""What the operator may choose: indexes, error pages, one page for all, dotfiles, links."""

from typing import Any

import pytest

from app.files.file_slice import FileSlice
from app.files.names import Visibility
from app.files.static_file import StaticFile
from tests.files.conftest import Site

BROWSER: dict[str, Any] = {"HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_the_first_index_that_exists_is_served(site: Site) -> None:
    site.put("a/index.htm", b"second")
    site.put("b/index.htm", b"second")
    site.put("b/index.html", b"first")
    app = site.application(indexes=["index.html", "index.htm"])
    assert [site.get(path, app=app).body for path in ("/a/", "/b/")] == [b"second", b"first"]
    assert site.get("/a", app=app).status == 301
    assert [path for path, _ in site.counter.counted] == ["/a/index.htm", "/b/index.html"]
    assert site.get("/a/").status == 404  # without the choice


def test_an_index_that_comes_before_takes_the_place_of_another(site: Site) -> None:
    site.put("a/index.htm", b"second")
    app = site.application(indexes=["index.html", "index.htm"])
    site.settle()
    assert site.get("/a/", app=app).body == b"second"
    site.put("a/index.html", b"first")
    site.settle()
    assert site.get("/a/", app=app).body == b"first"


PAGES = [
    ("/missing", b"root"),
    ("/a/missing", b"a"),
    ("/a/b/c/missing", b"b"),
    ("/d/missing", b"root"),
    ("/a/b/", b"b"),
    ("/a/../missing", b"root"),
    ("/.hidden/missing", b"root"),
    ("/" + "x/" * 100 + "missing", b"root"),
]


@pytest.mark.parametrize(("path", "body"), PAGES)
def test_the_nearest_404_page(site: Site, path: str, body: bytes) -> None:
    site.put("404.html", b"root")
    site.put("a/404.html", b"a")
    site.put("a/b/404.html", b"b")
    site.put("d/x.txt")
    site.put(".hidden/404.html", b"hidden")
    reply = site.get(path)
    assert (reply.status, reply.body) == (404, body)
    assert reply.fields["Cache-Control"] == "no-store"


NAVIGATIONS: list[tuple[str, dict[str, Any], int]] = [
    ("/", BROWSER, 200),
    ("/some/route", BROWSER, 200),
    ("/some/route/", BROWSER, 200),
    ("/some/route", BROWSER | {"HTTP_SEC_FETCH_MODE": "navigate"}, 200),
    ("/data.json", {"HTTP_ACCEPT": "*/*"}, 404),
    ("/some/route", {}, 404),
    ("/lib.js", BROWSER | {"HTTP_SEC_FETCH_MODE": "cors"}, 404),
    ("/logo.png", {"HTTP_ACCEPT": "image/avif,image/*,*/*;q=0.8"}, 404),
]


@pytest.mark.parametrize(("path", "fields", "status"), NAVIGATIONS)
def test_one_page_for_all_addresses(
    site: Site, path: str, fields: dict[str, Any], status: int
) -> None:
    site.put("index.html", b"the application")
    app = site.application(spa="index.html")
    reply = site.get(path, app=app, **fields)
    assert reply.status == status
    if status == 200:
        assert reply.body == b"the application"
        assert site.counter.counted[-1][0] == "/index.html"
        again = site.get(path, app=app, HTTP_IF_NONE_MATCH=reply.fields["ETag"], **fields)
        assert again.status == 304
    if path != "/" and status == 200:
        assert reply.fields["Vary"] == again.fields["Vary"]
        assert reply.fields["Vary"].startswith("Accept-Encoding, Accept, Sec-Fetch-Mode")


def test_files_come_before_the_one_page(site: Site) -> None:
    site.put("index.html", b"the application")
    site.put("a.txt", b"a file")
    app = site.application(spa="index.html")
    assert site.get("/a.txt", app=app, **BROWSER).body == b"a file"
    assert site.get("/b.txt", "HEAD", app=app, **BROWSER).status == 200
    assert site.get("/b.txt", app=site.application(spa="gone.html"), **BROWSER).status == 404


def test_the_one_page_survives_its_replacement(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("index.html", b"x" * 100_000)
    app = site.application(spa="index.html")
    opened = app._catalog.open
    replaced: list[None] = []

    def replace_once(file: StaticFile, first: int, last: int, *, shares: bool) -> FileSlice:
        if not replaced:
            replaced.append(None)
            site.put("new.html", b"y" * 100_000).rename(site.root / "index.html")
        return opened(file, first, last, shares=shares)

    monkeypatch.setattr(app._catalog, "open", replace_once)
    reply = site.get("/some/route", app=app, **BROWSER)
    assert (reply.status, reply.body) == (200, b"y" * 100_000)
    assert replaced


def test_a_directory_called_404_html_is_no_page(site: Site) -> None:
    site.put("404.html", b"root")
    site.put("a/404.html/index.html", b"a directory")
    assert site.get("/a/missing").body == b"root"


def test_dotfiles(site: Site) -> None:
    site.put(".profile", b"dot")
    site.put(".config/a.txt", b"below")
    (site.root / "link.txt").symlink_to(".profile")
    paths = ["/.profile", "/.config/a.txt", "/link.txt"]
    assert [site.get(path).status for path in paths] == [404] * 3
    app = site.application(visible=Visibility(dotfiles=True))
    assert [site.get(path, app=app).status for path in paths] == [200] * 3
    for path in ("/..", "/../outside", "/.config/../a.txt", "/.config/.."):
        assert site.get(path, app=app).status == 404


def test_links_that_lead_outside(site: Site) -> None:
    (site.outside / "secret.txt").write_text("secret")
    (site.root / "file.txt").symlink_to(site.outside / "secret.txt")
    (site.root / "directory").symlink_to(site.outside)
    paths = ["/file.txt", "/directory/secret.txt"]
    assert [site.get(path).status for path in paths] == [404] * 2
    app = site.application(visible=Visibility(outside=True))
    assert [site.get(path, app=app).body for path in paths] == [b"secret"] * 2
    assert site.get("/../outside/secret.txt", app=app).status == 404
