"""Badges: for the paths that were named alone, exact, and nothing of what is asked becomes markup."""

import json
from time import thread_time
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest

from app.counters.contract import CounterError
from app.counters.memory import MemoryCounter
from app.counters.periods import Period
from app.counters.reading import CountReader, DirectoryAnswer, FileAnswer
from app.stats.badges import short
from tests.stats.conftest import Site


@pytest.fixture
def site() -> Site:
    site = Site(badges=("/releases/*", "/d/<b>*"))
    site.count("/releases/a.iso", 1_234)
    site.count("/releases/b.iso", 7, complete=False)
    site.count("/secret.txt", 5)
    return site


def badge(site: Site, query: str) -> dict[str, Any]:
    answer = site.ask("badge.json", query, token=None)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    # https://shields.io/badges/endpoint-badge refuses other keys.
    assert set(found) <= {"schemaVersion", "label", "message", "color", "cacheSeconds", "isError"}
    assert found["schemaVersion"] == 1
    assert found["message"]
    return found


# query, label, message
BADGES = [
    ("path=/releases/a.iso", "accesses", "1,234"),
    ("path=/releases/a.iso&period=today", "accesses", "1,234"),
    ("path=/releases/a.iso&period=2001-01-01", "accesses", "0"),
    ("path=/releases/a.iso&short=1", "accesses", "1.2k"),
    ("path=/releases/a.iso&label=downloads", "downloads", "1,234"),
    ("path=/releases/b.iso&number=completed", "completed", "0"),
    ("path=/releases/a.iso&number=bytes", "bytes", "12.3 kB"),
    ("path=/releases/", "accesses", "1,241"),
]


@pytest.mark.parametrize(("query", "label", "message"), BADGES)
def test_numbers(site: Site, query: str, label: str, message: str) -> None:
    found = badge(site, query)
    assert (found["label"], found["message"]) == (label, message)
    picture = site.ask("badge.svg", query, token=None)
    assert picture["Content-Type"] == "image/svg+xml"
    assert [each.text for each in ElementTree.fromstring(picture.body).iter() if each.text] == [
        f"{label}: {message}", label, message
    ]  # fmt: skip


def test_unknown_files_and_a_store_that_is_away(site: Site) -> None:
    found = badge(site, "path=/releases/none")
    assert (found["message"], found["isError"]) == ("no such file", True)

    def away() -> CountReader:
        raise CounterError("counts: Redis does not answer")

    site.reader = away
    assert badge(site, "path=/releases/a.iso")["message"] == "not known now"


@pytest.mark.parametrize(
    "path", ["/secret.txt", "/", "/releases", "/release/a", "/RELEASES/a.iso", "/x/releases/a.iso"]
)
def test_other_paths_are_not_there(site: Site, path: str) -> None:
    for address in ("badge.svg", "badge.json"):
        assert site.ask(address, f"path={path}", token=None).status == 404
    assert Site().ask("badge.svg", f"path={path}", token=None).status == 404


@pytest.mark.parametrize(
    "query",
    [
        "",
        "path=x",
        "path=/releases/a&number=people",
        "path=/releases/a&short=2",
        "path=/releases/a&color=red",
        "path=/releases/&period=7d",
        "path=/releases/a&period=x",
    ],
)
def test_senseless(site: Site, query: str) -> None:
    assert site.ask("badge.svg", query, token=None).status == 400


LABELS = [
    "<script>alert(1)</script>", '"/><script>', "]]>", "a&b;", "&lt;", "\x00\x1b[31m", "a\r\nb",
    "\u202egpj", "x" * 500, "größe", "日本", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_labels_are_text(site: Site, label: str) -> None:
    query = f"path=/releases/a.iso&label={quote(label)}"
    root = ElementTree.fromstring(site.ask("badge.svg", query, token=None).body)
    assert "script" not in {each.tag.rpartition("}")[2] for each in root.iter()}
    shown = badge(site, query)["label"]
    assert len(shown) <= 60
    assert shown.isprintable()


def test_fields(site: Site) -> None:
    answer = site.ask("badge.svg", "path=/releases/a.iso", token=None)
    assert answer["Cache-Control"] == "public, max-age=300"
    assert answer["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_the_files_page_shows_how_to_use_it(site: Site) -> None:
    shown = site.ask("file", "path=/releases/a.iso", HTTP_HOST="a.example").body.decode()
    assert "![accesses](http://a.example/-/tally/badge.svg?path=%2Freleases%2Fa.iso)" in shown
    hidden = site.ask("file", "path=/secret.txt").body.decode()
    assert "badge.svg" not in hidden
    assert "--badge" in hidden


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (84_201, "84.2k"),
        (999_999, "999k"),
        (1_260_000, "1.2M"),
    ],
)
def test_short(value: int, text: str) -> None:
    assert short(value) == text


def test_a_dear_number_is_not_worked_out_for_every_reader() -> None:
    site = Site(badges=("/*",))
    site.count("/a.iso", 3)
    asked = []

    class Slow(MemoryCounter):
        def directory(self, path: str) -> DirectoryAnswer:
            asked.append(path)
            end = thread_time() + 0.02
            while thread_time() < end:
                pass
            return site.counter.directory(path)

    slow = Slow()
    site.reader = lambda: slow
    bodies = {site.ask("badge.svg", "path=/", token=None).body for _ in range(5)}
    assert len(bodies) == 1
    assert asked == ["/", "/"]


@pytest.mark.parametrize("query", ["path=/releases/a.iso", "path=/releases/a.iso&period=7d"])
def test_a_file_takes_no_look_at_others(site: Site, query: str) -> None:
    counted = site.counter

    class OneFile(MemoryCounter):
        tallies, series = counted.tallies, counted.series

        def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
            raise AssertionError("a rank takes a look at all files")

    only = OneFile()
    site.reader = lambda: only
    assert badge(site, query)["message"] == "1,234"
