"""The pages that are made here, as people see them: listings and errors in a real browser."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.browser import Page, complaints, look_like, window
from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.web_tools import axe, faults_of_html

SMALL = [
    "README.md", "notes with space.txt", "größe.txt", "日本語.txt", "<b>&\"'.html", "x" * 180,
    "tally-1.0.tar.gz", "tally-1.1.tar.gz", "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "العربية.txt",
]  # fmt: skip
MORE, MANY = 600, 100_000
PAGES = [
    "/", "/small/", "/small/?q=%22%3E", "/more/?sort=size&order=desc&page=2", "/missing",
]  # fmt: skip
#: Of what passes, one element for each rule is enough.
RESULTS = '{resultTypes: ["violations", "incomplete"]}'
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]


def fill(directory: Path, number: int) -> None:
    directory.mkdir()
    descriptor = os.open(directory, os.O_RDONLY)
    for each in range(number):
        os.close(os.open(f"file-{each:06}.txt", os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """A site with listings of ten and of some more entries."""
    with tempfile.TemporaryDirectory(prefix="tally-listed-") as home:
        root = Path(home)
        (root / "small" / "below").mkdir(parents=True)
        for name in SMALL:
            (root / "small" / name).write_bytes(b"# \x01 <script>alert(1)</script>\n" * len(name))
        fill(root / "more", MORE)
        with running(BUILTIN, "--listing", root=root) as server:
            yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with window() as page:
        yield page


def address(server: LiveServer, target: str) -> str:
    return f"http://127.0.0.1:{server.port}{target}"


def check(page: Page, width: int, scheme: str) -> None:
    """Look for faults of accessibility in the page that is open."""
    look_like(page, width=width, scheme=scheme)
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "it scrolls sideways"
    # Rows are alike, and 500 of them take it many seconds.
    page.evaluate("document.querySelectorAll('tbody tr:nth-child(n+20)').forEach(r => r.remove())")
    found = page.evaluate(f"{axe()};axe.run({RESULTS})")
    faults = [
        (fault["id"], fault["help"], fault["nodes"][0]["html"])
        for fault in found["violations"] + found["incomplete"]
    ]
    assert len(found["passes"]) > 10
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("target", PAGES)
def test_accessible_to_everybody(server: LiveServer, page: Page, target: str) -> None:
    page.goto(address(server, target))
    assert [each for each in complaints(page) if "404" not in each] == []
    for width, scheme in LOOKS:
        check(page, width, scheme)


@pytest.mark.slow
def test_a_listing_of_100000_entries(page: Page) -> None:
    with tempfile.TemporaryDirectory(prefix="tally-listed-") as home:
        fill(Path(home) / "many", MANY)
        with running(BUILTIN, "--listing", root=home) as server:
            page.goto(address(server, "/many/"))
            assert complaints(page) == []
            assert page.evaluate(f"document.body.innerText.includes('{MANY:,} entries')")
            check(page, 360, "dark")


@pytest.mark.slow
def test_valid_html(server: LiveServer, tmp_path: Path) -> None:
    paths = []
    for number, target in enumerate(PAGES):
        paths.append(tmp_path / f"{number}.html")
        paths[-1].write_bytes(fetch(server.port, target).body)
    faulty = tmp_path / "faulty.html"
    faulty.write_text("<!doctype html><html lang=en><title>It is checked</title><p><b></p>")
    found = faults_of_html([*paths, faulty])
    assert [line for line in found.splitlines() if faulty.name not in line] == []
    assert "error" in found


SHOWN = "[...document.querySelectorAll('tbody tr:not([hidden]) a')].map(a => a.textContent)"
STATUS = "document.querySelector('[role=status]').textContent"


def test_typing_filters_what_is_shown(server: LiveServer, page: Page) -> None:
    page.goto(address(server, "/small/"))
    assert len(page.evaluate(SHOWN)) == len(SMALL) + 2
    page.fill("[type=search]", "TALLY-1")
    assert page.evaluate(SHOWN) == ["../", "tally-1.0.tar.gz", "tally-1.1.tar.gz"]
    assert page.evaluate(STATUS) == f"2 of the {len(SMALL) + 1} entries on this page."
    page.fill("[type=search]", "GRÖSSE")
    assert page.evaluate(SHOWN) == ["../"]
    page.fill("[type=search]", "größe")
    assert page.evaluate(SHOWN) == ["../", "größe.txt"]
    assert complaints(page) == []


def test_enter_filters_all_pages(server: LiveServer, page: Page) -> None:
    page.goto(address(server, "/more/"))
    page.fill("[type=search]", "e-00051")
    assert page.evaluate(SHOWN) == ["../"]
    assert page.evaluate(STATUS).endswith("Enter looks at all entries.")
    with page.expect_navigation():
        page.press("[type=search]", "Enter")
    assert len(page.evaluate(SHOWN)) == 11
    assert page.evaluate(STATUS) == f"10 of {MORE:,} entries match."
