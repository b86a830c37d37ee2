"""The statistics in a real browser: accessible, alive, and within their policy."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.browser import Browser, browser
from tests.end_to_end.client import accesses, fetch
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.waiting import wait_until
from tests.web_tools import axe, faults_of_html

TOKEN = "a-token-of-the-tests-own"
PREFIX = "/-/tally/"
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "curl/8.5.0", "Googlebot/2.1")
NAMES = [
    "a.iso",
    "b.iso",
    "größe.txt",
    "<b>&\"'.html",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "x" * 180,
]
PAGES = ["", "?period=all", "?period=today&class=people&q=iso", "?q=no-such-file", "file?path=/a.iso",
         "dir?path=/", "file?path=/none"]  # fmt: skip
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
#: The contrast could not be measured: a table is scrolled aside, or it is one sign alone.
OUT_OF_SIGHT = {"shortTextContent", "elmPartiallyObscured", "bgOverlap", "outsideViewport"}
LIVE = "document.querySelector('[data-live=accesses]').textContent"
PULSE = "document.querySelector('[data-pulse]').textContent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A site whose files some clients have fetched."""
    root = tmp_path_factory.mktemp("root")
    for name in NAMES:
        (root / name).write_text("text")
    with running(BUILTIN, "--listing", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        entries = json.loads(fetch(server.port, "/?format=json").body)["entries"]
        for number, entry in enumerate(entries):
            for agent in AGENTS * (number + 1):
                fetch(server.port, "/" + entry["href"].removeprefix("./"), [("User-Agent", agent)])
        yield server


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def address(server: LiveServer, target: str = "") -> str:
    return f"http://127.0.0.1:{server.port}{PREFIX}{target}"


def reasons(fault: dict[str, Any]) -> set[str]:
    """Return why the checker is not content with the elements that it names."""
    checks = [check for node in fault["nodes"] for check in node["any"]]
    return {str((check.get("data") or {}).get("messageKey", "")) for check in checks}


@pytest.fixture
def entered(server: LiveServer, window: Browser) -> Browser:
    window.look_like()
    window.open(address(server, f"enter?token={TOKEN}"))
    assert window.evaluate("location.href") == address(server)
    return window


@pytest.mark.slow
@pytest.mark.parametrize("target", PAGES)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_accessible_to_everybody(
    server: LiveServer, entered: Browser, target: str, width: int, scheme: str
) -> None:
    entered.look_like(width=width, scheme=scheme)
    entered.open(address(server, target))
    assert [each for each in entered.complaints() if "404" not in each] == []
    # What can be opened is open.
    entered.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    overflow = entered.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, "it scrolls sideways"
    found = json.loads(entered.evaluate(f"{axe()};axe.run().then(JSON.stringify)"))
    assert len(found["passes"]) > 10
    assert [
        (fault["id"], fault["nodes"][0]["html"], reasons(fault))
        for fault in found["violations"] + found["incomplete"]
        if not (fault["id"] == "color-contrast" and reasons(fault) <= OUT_OF_SIGHT)
    ] == []


@pytest.mark.slow
def test_valid_html(server: LiveServer, tmp_path: Path) -> None:
    paths = []
    for number, target in enumerate(PAGES[2:]):
        paths.append(tmp_path / f"{number}.html")
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        paths[-1].write_bytes(fetch(server.port, PREFIX + target, bearer).body)
    faulty = tmp_path / "faulty.html"
    faulty.write_text("<!doctype html><html lang=en><title>It is checked</title><p><b></p>")
    found = faults_of_html([*paths, faulty])
    assert [line for line in found.splitlines() if faulty.name not in line] == []
    assert "error" in found


def test_the_number_appears_while_one_looks(server: LiveServer, entered: Browser) -> None:
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    before = int(entered.evaluate(LIVE).replace(",", ""))
    for _ in range(3):
        fetch(server.port, "/a.iso")
    wait_until(
        lambda: int(entered.evaluate(LIVE).replace(",", "")) == before + 3, message="the number"
    )
    assert entered.complaints() == []
    assert entered.evaluate("document.querySelector('time').title") != ""


def test_pause(server: LiveServer, entered: Browser) -> None:
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    entered.evaluate("document.querySelector('[data-pause]').click()")
    assert entered.evaluate(PULSE) == "paused"
    before = entered.evaluate(LIVE)
    fetch(server.port, "/a.iso")
    entered.evaluate("document.querySelector('[data-pause]').click()")
    wait_until(lambda: entered.evaluate(LIVE) != before, message="the number")


def test_the_page_fetches_nothing_that_is_counted(server: LiveServer, entered: Browser) -> None:
    before = accesses(server.port, TOKEN)
    entered.open(address(server, "?period=7d"))
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    loaded = entered.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert loaded
    assert all(name.startswith(address(server)) for name in loaded)
    assert accesses(server.port, TOKEN) == before


def test_without_script(server: LiveServer, entered: Browser) -> None:
    entered.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        entered.open(address(server))
        document = entered.call("DOM.getDocument")["root"]["nodeId"]

        def node(selector: str) -> int:
            found = entered.call("DOM.querySelector", nodeId=document, selector=selector)
            return int(found["nodeId"])

        refresh = node("noscript meta[http-equiv=refresh]")
        assert refresh
        assert node("tbody th.path a")
        assert node("[data-pause][hidden]")
    finally:
        entered.call("Emulation.setScriptExecutionDisabled", value=False)


def test_leaving(server: LiveServer, entered: Browser) -> None:
    entered.expect(
        "Page.loadEventFired",
        lambda: entered.evaluate("document.querySelector('footer button').click()"),
    )
    assert entered.evaluate("document.querySelector('h1').textContent") == "Unauthorized"
    entered.evaluate(f"document.querySelector('#token').value = '{TOKEN}'")
    entered.expect(
        "Page.loadEventFired",
        lambda: entered.evaluate("document.querySelector('.refusal button').click()"),
    )
    assert entered.evaluate("location.href") == address(server)


def test_the_first_access_fills_the_empty_page(window: Browser, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with running(BUILTIN, "--stats-public", root=os.fspath(tmp_path)) as server:
        window.open(address(server))
        assert window.evaluate("document.querySelector('[data-empty]') !== null")
        wait_until(lambda: window.evaluate(PULSE) == "live", message="life")
        window.expect("Page.loadEventFired", lambda: fetch(server.port, "/a.txt"))
        assert window.evaluate("document.querySelector('tbody th.path').textContent") == "/a.txt"
