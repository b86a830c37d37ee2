"""The pages that are made here, as people see them: listings and errors in a real browser."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.browser import Browser, browser
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
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def address(server: LiveServer, target: str) -> str:
    return f"http://127.0.0.1:{server.port}{target}"


def check(window: Browser, width: int, scheme: str) -> None:
    """Look for faults of accessibility in the page that is open."""
    window.look_like(width=width, scheme=scheme)
    overflow = window.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "it scrolls sideways"
    # Rows are alike, and 500 of them take it many seconds.
    window.evaluate(
        "document.querySelectorAll('tbody tr:nth-child(n+20)').forEach(r => r.remove())"
    )
    # Rows are alike, and 500 of them take it many seconds.
    window.evaluate(
        "document.querySelectorAll('tbody tr:nth-child(n+20)').forEach(r => r.remove())"
    )
    found = json.loads(window.evaluate(f"{axe()};axe.run({RESULTS}).then(JSON.stringify)"))
    faults = [
        (fault["id"], fault["help"], fault["nodes"][0]["html"])
        for fault in found["violations"] + found["incomplete"]
    ]
    assert len(found["passes"]) > 10
    assert faults == []


@pytest.mark.slow
@pytest.mark.parametrize("target", PAGES)
def test_accessible_to_everybody(server: LiveServer, window: Browser, target: str) -> None:
    window.open(address(server, target))
    assert [each for each in window.complaints() if "404" not in each] == []
    for width, scheme in LOOKS:
        check(window, width, scheme)


@pytest.mark.slow
def test_a_listing_of_100000_entries(window: Browser) -> None:
    with tempfile.TemporaryDirectory(prefix="tally-listed-") as home:
        fill(Path(home) / "many", MANY)
        with running(BUILTIN, "--listing", root=home) as server:
            window.open(address(server, "/many/"))
            assert window.complaints() == []
            assert window.evaluate(f"document.body.innerText.includes('{MANY:,} entries')")
            check(window, 360, "dark")


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


def type_into_filter(window: Browser, text: str) -> None:
    window.evaluate("document.querySelector('[type=search]').select()")
    window.call("Input.insertText", text=text)


def press_enter(window: Browser) -> None:
    for kind in ("keyDown", "keyUp"):
        window.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13
        )


def test_typing_filters_what_is_shown(server: LiveServer, window: Browser) -> None:
    window.open(address(server, "/small/"))
    assert len(window.evaluate(SHOWN)) == len(SMALL) + 2
    type_into_filter(window, "TALLY-1")
    assert window.evaluate(SHOWN) == ["../", "tally-1.0.tar.gz", "tally-1.1.tar.gz"]
    assert window.evaluate(STATUS) == f"2 of the {len(SMALL) + 1} entries on this page."
    type_into_filter(window, "GRÖSSE")
    assert window.evaluate(SHOWN) == ["../"]
    type_into_filter(window, "größe")
    assert window.evaluate(SHOWN) == ["../", "größe.txt"]
    assert window.complaints() == []


def test_enter_filters_all_pages(server: LiveServer, window: Browser) -> None:
    window.open(address(server, "/more/"))
    type_into_filter(window, "e-00051")
    assert window.evaluate(SHOWN) == ["../"]
    assert window.evaluate(STATUS).endswith("Enter looks at all entries.")
    window.expect("Page.loadEventFired", lambda: press_enter(window))
    assert len(window.evaluate(SHOWN)) == 11
    assert window.evaluate(STATUS) == f"10 of {MORE:,} entries match."
