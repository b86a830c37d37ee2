"""The pages: what they say, that nothing in a name becomes markup, and what each state looks like."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest

from app.counters.contract import CounterError
from app.counters.periods import OFFERED_DAYS, SECONDS_PER_DAY
from app.counters.reading import CountReader
from app.stats import wording
from app.stats.charts import HEIGHT, WIDTH, ceiling, chart
from app.stats.page import _PERIODS
from app.stats.parameters import Parameters
from app.stats_tokens import Tokens
from tests.stats.conftest import NOW, ODD_PATHS, READ, Answer, Site


class Page(HTMLParser):
    """A page's elements, and its text as it is read."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        assert answer["Content-Type"] == "text/html; charset=utf-8"
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(answer.body.decode())
        self.close()
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if [tag for tag, _ in self.elements[-1:]] == ["wbr"] and self._texts:
            self._texts[-1] += data  # one word
        else:
            self._texts.append(data)

    def all(self, tag: str, name: str) -> list[str]:
        return [value for each, of in self.elements if each == tag and (value := of.get(name))]


def page(site: Site, address: str = "", query: str = "") -> Page:
    answer = site.ask(address, query)
    assert answer.status == 200, answer.body
    return Page(answer)


def paths(found: Page) -> list[str]:
    links = (re.match(r"file\?path=([^&]*)", href) for href in found.all("a", "href"))
    return [link[1].replace("%2F", "/") for link in links if link]


def test_the_site(site: Site) -> None:
    site.counter.answered(404)
    found = page(site)
    for text in ("Accesses 52", "Completed 45", "86.5 % of the accesses", "Sent 520 B", "Files 3"):
        assert text in found.text
    assert "exact nothing uncounted, nothing waiting" in found.text
    assert paths(found) == ["/releases/a.iso", "/releases/b.iso", "/index.html"]
    assert "1 to 3 of 3 files" in found.text
    assert "200 OK 52 98.1 %" in found.text
    assert "404 Not Found 1 1.9 %" in found.text
    assert "Most missed" not in found.text


@pytest.mark.parametrize("path", ODD_PATHS)
def test_what_was_missed(site: Site, path: str) -> None:
    site.counter.answered(404)
    for number in range(20):
        site.counter.add_missed({f"/{number}": 1, path: 5})
    found = page(site)
    table = found.text.partition("Most missed")[2].partition("What the numbers mean")[0]
    assert wording.name(path).split()[0] in table
    assert table.count(" 1 ") == 9  # the first ten in all
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text
    public = Site(tokens=Tokens(), is_public=True)
    public.counter.add_missed({path: 1})
    public.counter.answered(404)
    assert "Most missed" not in Page(public.ask(token=None)).text


def test_the_last_24_hours(site: Site) -> None:
    found = page(site, "", "period=24h")
    assert "52 accesses by hour" in found.text
    assert "Files yesterday and today" in found.text
    assert [of.get("class") for _, of in found.elements].count("place") == 24
    assert "52 accesses by hour" in page(site, "", "period=7d").text
    # Of days so long ago there are no hours any more.
    assert "by day" in page(site, "", "period=2026-01-01..2026-01-02").text
    assert "42 accesses by day" in page(site, "file", "path=/releases/a.iso&period=24h").text


# query, paths in order
STATES = [
    ("", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
    ("q=releases", ["/releases/a.iso", "/releases/b.iso"]),
    ("q=*.html", ["/index.html"]),
    ("order=path&period=all", ["/index.html", "/releases/a.iso", "/releases/b.iso"]),
    ("class=people", ["/releases/a.iso", "/index.html"]),
    ("limit=1", ["/releases/a.iso"]),
    ("period=24h", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
    ("period=today", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
    ("period=year&order=last&class=robots", ["/releases/b.iso"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), STATES)
def test_the_whole_state_is_in_the_address(site: Site, query: str, expected: list[str]) -> None:
    found = page(site, "", query)
    assert paths(found) == expected
    # Each control leads to an address that is answered, and keeps the rest of the state.
    for href in {href for href in found.all("a", "href") if not href.startswith(("#", "../"))}:
        address, _, more = href.removeprefix("./").partition("?")
        assert site.ask(address, more).status == 200, href


def test_paging(site: Site) -> None:
    first = page(site, "", "limit=2")
    [following] = [href for href in first.all("a", "href") if "after=" in href]
    rest = page(site, "", following.removeprefix("?"))
    assert paths(rest) == ["/index.html"]
    assert "3 to 3 of 3 files" in rest.text
    assert "First page" in rest.text


def test_a_file(site: Site) -> None:
    site.counter.count("/releases/a.iso", "head")
    found = page(site, "file", "path=/releases/a.iso&period=7d")
    for text in ("Accesses 42", "Rank 1 of 3 files", "people 12 28.6 %", "head 1 The fields alone"):
        assert text in found.text
    assert "../../releases/a.iso" in found.all("a", "href")
    assert {"dir?path=/", "dir?path=/releases/"} <= set(found.all("a", "href"))


def test_a_directory(site: Site) -> None:
    found = page(site, "dir", "path=/releases/")
    assert "Accesses 49" in found.text
    assert paths(found) == ["/releases/a.iso", "/releases/b.iso"]


def test_a_directory_with_marks_of_patterns_in_its_name(site: Site) -> None:
    site.count("/%5Bab%5D*%3F/x", 2)
    site.count("/%5Bab%5Dc%3F/x", 2)
    site.count("/a/x", 2)
    found = page(site, "dir", "path=/[ab]*%3F/")
    assert paths(found) == ["%2F%255Bab%255D%2A%253F%2Fx".replace("%2F", "/")]


@pytest.mark.parametrize("path", ODD_PATHS)
@pytest.mark.parametrize("address", ["", "file", "search", "directory"])
def test_nothing_in_a_name_becomes_markup(path: str, address: str) -> None:
    site = Site()
    plain = "/d" + re.sub("[^/]", "x", path)
    odd = "/d" + path
    for each in (plain, odd):
        site.count(each)

    def elements(of: str) -> list[str]:
        addresses = {
            "": ("", ""),
            "file": ("file", f"path={quote(of)}"),
            "search": ("", f"q={quote(of[:900])}"),
            "directory": ("dir", "path=/d/"),
        }
        found = page(site, *addresses[address])
        assert not any(name.startswith("on") for _, of in found.elements for name in of)
        for href in found.all("a", "href"):
            assert re.match(r"[?#]|\.\.?/|(file|dir)\?path=|api/v1/|metrics/files", href), href
        assert "\x1b" not in found.text
        assert "\u202e" not in found.text
        return [tag for tag, _ in found.elements]

    assert "script" in elements(plain)
    assert elements(odd).count("script") == 1
    if address == "file":
        assert elements(odd) == elements(plain)


#: Attempts to get something into the page by what it is asked.
INJECTIONS = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-'", "{{123456*7}}",
    "{% include 'base.html' %}", "</title><script>", "javascript:alert(1)", "\x1b[31m", "a\r\nX-A: 1",
    "\u202egpj", "<!--", "]]>", "&lt;script&gt;", "%3Cscript%3E", "\x00", "../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize(
    "name", ["q", "path", "period", "class", "order", "after", "limit", "from", "no-such"]
)
def test_nothing_that_is_asked_becomes_markup(site: Site, name: str, text: str) -> None:
    for address in ("", "file", "dir"):
        answer = site.ask(address, f"{quote(name)}={quote(text)}")
        assert answer.status in (200, 400, 404)
        found = Page(answer)
        scripts = [of.get("src") for tag, of in found.elements if tag == "script"]
        assert all(src and src.startswith("static/") for src in scripts)
        assert "img" not in {tag for tag, _ in found.elements}
        assert not any(name.startswith("on") for _, of in found.elements for name in of)
        assert "864192" not in found.text
        assert not any("\n" in value or "\r" in value for _, value in answer.fields)


def test_nothing_comes_from_elsewhere_and_all_of_it_comes(site: Site) -> None:
    answer = site.ask()
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    found = Page(answer)
    loaded = [*found.all("script", "src"), *found.all("link", "href"), *found.all("img", "src")]
    assert len(loaded) == 3
    for reference in loaded:
        asset = site.ask(reference, token=None)
        assert asset.status == 200
        assert "immutable" in asset["Cache-Control"]
        assert len(asset.body) < 20_000
        assert b"http" not in asset.body.replace(b"http://www.w3.org/2000/svg", b"")
    assert not any(of.get("style") for _, of in found.elements)
    assert len(answer.body) < 60_000
    assert site.ask("static/none.css", token=None).status == 404


def test_before_the_first_access(site: Site) -> None:
    empty = Site()
    answer = empty.ask(HTTP_HOST="files.example:8000")
    text = Page(answer).text
    assert "Nothing was fetched yet" in text
    assert "curl -O http://files.example:8000/index.html" in text
    assert "These counts end with the server" in text
    assert "These counts end" not in page(Site(is_lasting=True)).text
    assert "Nothing was fetched yet" not in page(site).text


def test_nothing_found(site: Site) -> None:
    text = page(site, "", "q=*.zip").text
    assert "No file with accesses in these days matches *.zip . Without this search" in text
    assert "there are 3 files" in text
    text = page(site, "", "period=2001-01-01..2001-02-01").text
    assert "There were no accesses in these days. The first one was at" in text


def test_two_dates_become_a_period(site: Site) -> None:
    answer = site.ask("", "from=2026-11-20&to=2026-11-01&q=a")
    assert (answer.status, answer["Location"]) == (303, "?q=a&period=2026-11-01..2026-11-20")
    assert site.ask("file", "path=/index.html&from=2026-11-20")["Location"] == (
        "?path=%2Findex.html&period=2026-11-20..2026-11-20"
    )
    assert site.ask("", "from=x").status == 400


def test_while_the_store_is_away_the_numbers_from_before_are_shown(site: Site) -> None:
    def away() -> CountReader:
        raise CounterError("counts: Redis does not answer")

    addresses = [("", ""), ("file", "path=/index.html"), ("dir", "path=/releases/")]
    before = [page(site, *address).text for address in addresses]
    site.reader = away
    for address, text in zip(addresses, before, strict=True):
        now = page(site, *address).text
        assert "The store of the counts does not answer. These are the numbers as of" in now
        assert "counts: Redis does not answer" in now
        assert "does not answer" not in text
    assert "Accesses 52" in page(site).text
    # What was never asked is not known: no zeros for it.
    answer = site.ask("file", "path=/releases/b.iso")
    assert answer.status == 503
    assert "Accesses 0" not in Page(answer).text


def test_what_is_missing_is_said(site: Site) -> None:
    totals = site.counter.totals()

    class Inexact:
        def __getattr__(self, name: str) -> Any:
            return getattr(site.counter, name)

        def totals(self) -> Any:
            return replace(totals, uncounted=5, pending=3112)

    site.reader = Inexact
    text = page(site).text
    assert "not exact 5 accesses were not counted" in text
    assert "3112 accesses wait on this host and will be counted" in text


def test_refused_pages(site: Site) -> None:
    closed = site.ask(token=None)
    assert closed.status == 401
    found = Page(closed)
    assert ("form", {"method": "post", "action": "enter"}) in found.elements
    assert found.all("input", "type") == ["password"]
    assert READ not in closed.body.decode()
    assert Page(site.ask("file", "path=/none")).text.endswith("All numbers")
    assert site.ask("", "no-such=1").status == 400
    assert b"<html" not in Site(tokens=Tokens()).ask(token=None).body


def test_a_heads_answer_has_no_body(site: Site) -> None:
    answer = site.ask(method="HEAD")
    assert answer.body == b""
    assert int(answer["Content-Length"]) > 5000


def test_bars_fill_their_box(site: Site) -> None:
    series = site.counter.series(
        "hour", site.counter.ranked(period=_today(site)).period or _today(site)
    )
    assert series is not None
    drawn = chart(series, None)
    assert drawn.accesses == 52
    assert drawn.top == 60
    assert drawn.classes == ["people", "tools", "robots"]
    last = drawn.bars[-1]
    assert last.is_open
    assert [part.class_ for part in last.parts] == ["people", "tools", "robots"]
    assert sum(part.height for part in last.parts) == pytest.approx(52 / 60 * HEIGHT, abs=0.1)
    assert last.parts[0].y + last.parts[0].height == pytest.approx(HEIGHT)
    assert last.x + last.width < WIDTH
    assert chart(series, frozenset({"robots"})).accesses == 7


def _today(site: Site) -> Any:
    from app.counters.periods import Period

    return Period.parse("today", site.counter.totals().as_of // 86400)


def test_scales() -> None:
    tops = {
        0: 1,
        1: 1,
        2: 2,
        6: 6,
        7: 8,
        9: 10,
        11: 12,
        52: 60,
        101: 120,
        290: 300,
        81_000: 100_000,
    }
    assert {value: ceiling(value) for value in tops} == tops


# function and value, text
WORDS = [
    (wording.number(1_234_567), "1,234,567"),
    (wording.size(0), "0 B"),
    (wording.size(999), "999 B"),
    (wording.size(1_000), "1.0 kB"),
    (wording.size(999_600), "1.0 MB"),
    (wording.size(8_210_000_000_000), "8.2 TB"),
    (wording.share(0, 0), "0 %"),
    (wording.share(1, 100_000), "under 0.1 %"),
    (wording.share(99_999, 100_000), "over 99.9 %"),
    (wording.share(1, 1_999), "0.1 %"),
    (wording.share(9_994, 10_000), "99.9 %"),
    (wording.share(5, 5), "100 %"),
    (wording.name("/gr%C3%B6%C3%9Fe%20.txt"), "/größe .txt"),
    (wording.name("/%1B%5B31m%E2%80%AE%FF"), "/\\x1b[31m\\u202e\\xff"),
    ("|".join(wording.pieces("/a-b/%3Cb%3E.txt")), "/a-|b/|<b>.txt"),
    (wording.age(0, 100), "never"),
    (wording.age(100, 100), "now"),
    (wording.age(99, 100), "1 second ago"),
    (wording.age(100, 100 + 7300), "2 hours ago"),
    (wording.age(200, 100), "now"),
    (wording.moment(0), "never"),
    (wording.moment(86399), "1970-01-01 23:59:59 UTC"),
    (wording.unit_label("2026-11-25T14Z"), "25 November, 14:00"),
    (wording.unit_label("2026-11-05"), "5 November"),
    (wording.unit_label("2026-11"), "November 2026"),
    (wording.short_label("2026-11-25T14Z"), "25 Nov, 14:00"),
    (wording.plural(1, "access", "accesses"), "1 access"),
    (wording.plural(1200, "file"), "1,200 files"),
]


@pytest.mark.parametrize(("said", "expected"), WORDS)
def test_words(said: str, expected: str) -> None:
    assert said == expected


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["+2", ""]),
        ("period=today", []),
        ("period=all", []),
        ("period=2001-01-01..2001-01-02", []),
    ],
)
def test_what_came_today_stands_beside_a_file(query: str, shown: list[str]) -> None:
    site = Site()
    yesterday = NOW - SECONDS_PER_DAY
    site.count("/a", 5, at=yesterday)
    site.count("/a", 2)
    site.count("/b", 1, at=yesterday)
    text = site.ask("", query).body.decode()
    assert re.findall(r'<td class="n today">(.*?)</td>', text) == shown


def test_the_footer_says_who_counts_where() -> None:
    site = Site(store="redis", classes_by=lambda: "counter-robots 2025.11")
    site.count("/a")
    footer = site.ask().body.decode().partition("<footer>")[2]
    for text in ("Kept in <code>redis</code>", "1 process on", "Classes by counter-robots 2025.11"):
        assert text in footer


@pytest.mark.parametrize("name", [name for name, _ in _PERIODS if name != "all"])
def test_stores_have_the_sums_of_each_period_ready(name: str) -> None:
    period = Parameters(f"period={name}", ["period"]).period()
    assert period is not None
    assert period.days in OFFERED_DAYS
