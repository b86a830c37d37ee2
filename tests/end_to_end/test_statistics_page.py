"""The statistics in a real browser: accessible, alive, and within their policy."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.counters.redis_server import redis_running
from tests.end_to_end.browser import Page, complaints, follow, look_like, window
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
PAGES = ["", "?period=24h", "?period=all", "?period=today&class=people&q=iso", "?q=no-such-file", "file?path=/a.iso",
         "dir?path=/", "file?path=/none"]  # fmt: skip
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
#: The contrast could not be measured: a table is scrolled aside, or it is one sign alone.
OUT_OF_SIGHT = {"shortTextContent", "elmPartiallyObscured", "bgOverlap", "outsideViewport"}
LIVE = "document.querySelector('[data-live=accesses]').textContent"
PULSE = "document.querySelector('[data-pulse]').textContent"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for name in NAMES:
        (root / name).write_text("text")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """A site whose files some clients have fetched."""
    with running(BUILTIN, "--listing", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        entries = json.loads(fetch(server.port, "/?format=json").body)["entries"]
        for number, entry in enumerate(entries):
            for agent in AGENTS * (number + 1):
                fetch(server.port, "/" + entry["href"].removeprefix("./"), [("User-Agent", agent)])
        for number in range(12):
            fetch(server.port, f"/none/<b>{number}" + number * "x")
        yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with window() as page:
        yield page


def address(server: LiveServer, target: str = "") -> str:
    return f"http://127.0.0.1:{server.port}{PREFIX}{target}"


def reasons(fault: dict[str, Any]) -> set[str]:
    """Return why the checker is not content with the elements that it names."""
    checks = [check for node in fault["nodes"] for check in node["any"]]
    return {str((check.get("data") or {}).get("messageKey", "")) for check in checks}


def faults(page: Page) -> list[object]:
    """Return what is wrong with the page that is open, in its present size and colours."""
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    found = page.evaluate(f"{axe()};axe.run()")
    assert len(found["passes"]) > 10
    sideways = ["it scrolls sideways"] if overflow > 0 else []
    return sideways + [
        (fault["id"], fault["nodes"][0]["html"], reasons(fault))
        for fault in found["violations"] + found["incomplete"]
        if not (fault["id"] == "color-contrast" and reasons(fault) <= OUT_OF_SIGHT)
    ]


def text_of(page: Page, selector: str) -> list[str]:
    """Return the text of each element, as it can be read."""
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


@pytest.fixture
def entered(server: LiveServer, page: Page) -> Page:
    look_like(page)
    page.goto(address(server, f"enter?token={TOKEN}"))
    assert page.url == address(server)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("target", PAGES)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_accessible_to_everybody(
    server: LiveServer, entered: Page, target: str, width: int, scheme: str
) -> None:
    look_like(entered, width=width, scheme=scheme)
    entered.goto(address(server, target))
    assert [each for each in complaints(entered) if "404" not in each] == []
    # What can be opened is open.
    entered.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert faults(entered) == []


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


def test_the_number_appears_while_one_looks(server: LiveServer, entered: Page) -> None:
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    before = int(entered.evaluate(LIVE).replace(",", ""))
    for _ in range(3):
        fetch(server.port, "/a.iso")
    wait_until(
        lambda: int(entered.evaluate(LIVE).replace(",", "")) == before + 3, message="the number"
    )
    assert complaints(entered) == []
    assert entered.evaluate("document.querySelector('time').title") != ""


@pytest.mark.slow
def test_the_table_fills_while_one_looks(root: Path, server: LiveServer, entered: Page) -> None:
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    entered.evaluate("document.body.dataset.mark = 'the same page'")
    (root / "new.txt").write_text("new")
    for _ in range(3):
        assert fetch(server.port, "/new.txt").status == 200
    wait_until(lambda: "/new.txt" in text_of(entered, ".files th.path"), message="the row")
    row = text_of(entered, ".files tr:has(a[href*='new.txt']) td.accesses")
    assert row == ["3"]
    assert entered.evaluate("document.body.dataset.mark") == "the same page"
    assert complaints(entered) == []


def test_sort_search_and_period(server: LiveServer, entered: Page) -> None:
    follow(entered, "thead th.path a")
    paths = entered.evaluate(
        "[...document.querySelectorAll('.files tbody th a')]"
        ".map(each => new URL(each.href).searchParams.get('path'))"
    )
    assert len(paths) >= len(NAMES)
    assert paths == sorted(paths)
    assert entered.evaluate("document.querySelector('th.path').ariaSort") == "ascending"
    entered.fill("#q", "*.iso")
    with entered.expect_navigation():
        entered.keyboard.press("Enter")
    assert text_of(entered, ".files tbody th.path") == ["/a.iso", "/b.iso"]
    follow(entered, ".periods a[href*='period=7d']")
    assert text_of(entered, ".periods [aria-current]") == ["7 days"]
    assert text_of(entered, ".files tbody th.path") == ["/a.iso", "/b.iso"]
    assert entered.evaluate("document.querySelector('#q').value") == "*.iso"
    assert "by hour" in text_of(entered, "#curve-title")[0]
    follow(entered, ".chip")  # people are no longer among those that are shown
    assert "of the chosen classes" in text_of(entered, "#curve-title")[0]
    assert complaints(entered) == []


@pytest.mark.slow
def test_a_files_accesses_while_one_looks(server: LiveServer, entered: Page) -> None:
    follow(entered, ".files a[href*='a.iso']")
    assert text_of(entered, "h1") == ["a.iso"]
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    before = int(entered.evaluate(LIVE).replace(",", ""))
    lines = "[data-watch] tbody tr"
    assert text_of(entered, lines) == ["None yet."]
    fetch(server.port, "/a.iso", [("User-Agent", AGENTS[1])])
    wait_until(lambda: text_of(entered, lines) != ["None yet."], message="a line")
    [line] = text_of(entered, lines)
    assert line.split("\t")[1:] == [str(before + 1), "full", "tools"]
    fetch(server.port, "/a.iso", [("User-Agent", AGENTS[0])], "HEAD")
    wait_until(lambda: len(text_of(entered, lines)) == 2, message="another line")
    assert text_of(entered, lines)[0].split("\t")[1:] == ["", "head"]
    assert entered.evaluate(LIVE) == str(before + 1)
    assert faults(entered) == []
    assert complaints(entered) == []


def test_with_the_keyboard_alone(entered: Page) -> None:
    """Everything that can be used is reached, in the order in which it stands, and can be seen."""
    entered.evaluate("document.activeElement.blur()")
    usable = entered.evaluate(
        "[...document.querySelectorAll('a, button, input, summary, [tabindex]')]"
        ".filter(each => each.checkVisibility() && each.type !== 'hidden').length"
    )
    entered.evaluate("window.reached = []")
    for _ in range(usable):
        entered.keyboard.press("Tab")
        entered.evaluate("reached.push(document.activeElement)")
    assert entered.evaluate("new Set(reached).size") == usable
    assert entered.evaluate("reached[0].textContent") == "Skip to the numbers"
    in_order = (
        "reached.every((each, at) => !at ||"
        " reached[at - 1].compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING)"
    )
    assert entered.evaluate(in_order)
    entered.evaluate("document.querySelector('summary').focus()")
    entered.keyboard.press("Space")
    assert entered.evaluate("document.querySelector('details').open") is True
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    entered.keyboard.press("Tab")
    assert entered.evaluate(outline) == "solid"
    entered.evaluate("document.querySelector('thead th.path a').focus()")
    with entered.expect_navigation():
        entered.keyboard.press("Enter")
    assert "order=path" in entered.url


def test_in_forced_colours_the_classes_differ(server: LiveServer, entered: Page) -> None:
    look_like(entered, forced_colors="active")
    entered.goto(address(server))
    fills = entered.evaluate(
        "['people', 'tools', 'robots'].map(name => getComputedStyle("
        "document.querySelector(`rect.${name}`)).fill)"
    )
    assert len(set(fills)) == 3


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_store_that_goes_and_comes_back(page: Page, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("text")
    shown = "document.querySelector('main').classList.contains('is-away')"
    with (
        redis_running("--appendfsync", "always") as redis,
        running(
            BUILTIN, "--stats-public", "--counts", redis.url, "--counts-journal",
            os.fspath(tmp_path / "journal"), root=tmp_path / "root",
        ) as server,
    ):  # fmt: skip
        for _ in range(5):
            fetch(server.port, "/a.txt")
        look_like(page)
        page.goto(address(server))
        wait_until(lambda: page.evaluate(PULSE) == "live", message="life")
        assert page.evaluate(LIVE) == "5"
        redis.stop()
        wait_until(lambda: page.evaluate(shown), message="the numbers to be grey")
        assert "cannot be read" in page.evaluate(PULSE)
        assert page.evaluate(LIVE) == "5"
        fetch(server.port, "/a.txt")
        page.goto(address(server))
        assert page.evaluate(LIVE) == "5"
        assert "1 access waits on this host" in text_of(page, "[data-away]")[0]
        assert text_of(page, "[data-part=standing] strong") == ["from before"]
        for scheme in ("light", "dark"):
            look_like(page, width=360, scheme=scheme)
            assert faults(page) == []
        redis.start()
        page.wait_for_selector("[data-away]", state="detached")
        wait_until(lambda: page.evaluate(LIVE) == "6", message="what had waited")


def test_pause(server: LiveServer, entered: Page) -> None:
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    entered.evaluate("document.querySelector('[data-pause]').click()")
    assert entered.evaluate(PULSE) == "paused"
    before = entered.evaluate(LIVE)
    fetch(server.port, "/a.iso")
    entered.evaluate("document.querySelector('[data-pause]').click()")
    wait_until(lambda: entered.evaluate(LIVE) != before, message="the number")


def test_the_page_fetches_nothing_that_is_counted(server: LiveServer, entered: Page) -> None:
    before = accesses(server.port, TOKEN)
    entered.goto(address(server, "?period=7d"))
    wait_until(lambda: entered.evaluate(PULSE) == "live", message="life")
    loaded = entered.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
    assert loaded
    assert all(name.startswith(address(server)) for name in loaded)
    assert accesses(server.port, TOKEN) == before


def test_without_script(server: LiveServer, page: Page) -> None:
    """The whole page is there, renews itself, and its links and forms lead on."""
    browser = page.context.browser
    assert browser is not None
    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto(address(server, f"enter?token={TOKEN}"))
        assert plain.locator("noscript meta[http-equiv=refresh]").count() == 1
        assert not plain.is_visible("[data-pause]")
        assert "/a.iso" in text_of(plain, ".files tbody th.path")
        plain.fill("#q", "b.iso")
        with plain.expect_navigation():
            plain.keyboard.press("Enter")
        assert text_of(plain, ".files tbody th.path") == ["/b.iso"]
        follow(plain, ".files tbody th.path a")
        assert text_of(plain, "h1") == ["b.iso"]


def test_leaving(server: LiveServer, entered: Page) -> None:
    follow(entered, "footer button")
    assert text_of(entered, "h1") == ["Unauthorized"]
    entered.fill("#token", TOKEN)
    follow(entered, ".refusal button")
    assert entered.url == address(server)


@pytest.mark.slow
def test_the_first_access_fills_the_empty_page(page: Page, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with running(BUILTIN, "--stats-public", root=os.fspath(tmp_path)) as server:
        page.goto(address(server))
        assert page.evaluate("document.querySelector('[data-empty]') !== null")
        for scheme in ("light", "dark"):
            look_like(page, width=360, scheme=scheme)
            assert faults(page) == []
        wait_until(lambda: page.evaluate(PULSE) == "live", message="life")
        with page.expect_navigation():
            fetch(server.port, "/a.txt")
        assert page.evaluate("document.querySelector('tbody th.path').textContent") == "/a.txt"
