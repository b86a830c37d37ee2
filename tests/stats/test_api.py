"""The interface for programs: what it answers, held to its own description, and what it refuses."""

import csv
import io
import json
from time import thread_time
from typing import Any

import pytest

from app.counters.contract import CounterError
from app.counters.memory import MemoryCounter
from app.counters.periods import Period
from app.counters.reading import CountReader, FileAnswer
from app.stats_tokens import Tokens
from tests.stats.conftest import ODD_PATHS, Site

API = "api/v1/"


def ask(site: Site, name: str, query: str = "") -> Any:
    answer = site.ask(API + name, query)
    assert answer.status == 200, answer.body
    assert answer["Content-Type"] == "application/json"
    return json.loads(answer.body)


def test_totals(site: Site) -> None:
    found = ask(site, "totals")
    assert found["accesses"] == 52
    assert found["today"]["accesses"] == 52
    assert found["classes"] == {"people": 15, "tools": 30, "robots": 7, "own": 0, "unknown": 0}
    assert (found["completed"], found["sent_bytes"]) == (45, 520)
    assert found["files_counted"] == 3
    assert found["exact"] is True


def test_files_in_order_and_by_pages(site: Site) -> None:
    first = ask(site, "files", "limit=2")
    assert [(file["path"], file["rank"]) for file in first["files"]] == [
        ("/releases/a.iso", 1),
        ("/releases/b.iso", 2),
    ]
    assert first["matched"] == 3
    rest = ask(site, "files", f"limit=2&after={first['next']}")
    assert [file["path"] for file in rest["files"]] == ["/index.html"]
    assert rest["next"] == ""
    link = site.ask(API + "files", "limit=2")["Link"]
    assert link == f'<files?limit=2&after={first["next"]}>; rel="next"'


# query, paths
SELECTIONS = [
    ("order=path", ["/index.html", "/releases/a.iso", "/releases/b.iso"]),
    ("match=*.iso", ["/releases/a.iso", "/releases/b.iso"]),
    ("match=B.ISO", ["/releases/b.iso"]),
    ("class=people", ["/releases/a.iso", "/index.html"]),
    ("class=robots,people&period=today", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
    ("class=people,tools,robots,own,unknown", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
    ("period=2001-01-01", []),
    ("order=&match=&class=&limit=", ["/releases/a.iso", "/releases/b.iso", "/index.html"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "paths"), SELECTIONS)
def test_selections(site: Site, query: str, paths: list[str]) -> None:
    assert [file["path"] for file in ask(site, "files", query)["files"]] == paths


def test_a_file_by_either_form_of_its_name(site: Site) -> None:
    site.count("/gr%C3%B6%C3%9Fe%20(1).txt", 2)
    for form in (
        "/gr%25C3%25B6%25C3%259Fe%2520(1).txt",
        "/gr%C3%B6%C3%9Fe%20(1).txt",
        "/gr\xc3\xb6\xc3\x9fe+(1).txt",
    ):
        assert ask(site, "file", f"path={form}")["accesses"] == 2
    found = ask(site, "file", "path=/releases/a.iso&period=7d")
    assert (found["accesses"], found["rank"], found["period"]["unit"]) == (42, 1, "day")


@pytest.mark.parametrize("path", ODD_PATHS)
def test_files_with_odd_names(site: Site, path: str) -> None:
    site.count(path, 100)
    assert ask(site, "files", "limit=1")["files"][0]["path"] == path
    answer = site.ask(API + "files", "limit=1&format=csv")
    [_, row] = list(csv.reader(io.StringIO(answer.body.decode("ascii"), newline="")))
    assert row[:2] == [path, "100"]
    # No cell begins as a formula does.
    assert all(cell[:1] not in ("=", "+", "-", "@", "\t", "\r") for cell in row if cell)
    assert answer.body.count(b"\n") == 2


def test_curves(site: Site) -> None:
    hours = ask(site, "series", "period=today")
    assert hours["unit"] == "hour"
    assert sum(point["accesses"] for point in hours["series"]) == 52
    days = ask(site, "series", "period=7d&path=/releases/a.iso")
    assert days["unit"] == "day"
    assert days["path"] == "/releases/a.iso"
    assert days["series"][-1]["accesses"] == 42
    assert ask(site, "series", "period=year")["unit"] == "month"
    assert ask(site, "series", "period=year&unit=day")["unit"] == "day"


def test_directories(site: Site) -> None:
    for form in ("/releases/", "/releases"):
        found = ask(site, "directory", f"path={form}")
        assert (found["path"], found["files_counted"], found["accesses"]) == ("/releases/", 2, 49)
    assert ask(site, "directory", "path=/")["accesses"] == 52


def test_live(site: Site) -> None:
    found = ask(site, "live")
    assert (found["accesses"], found["files_counted"]) == (52, 3)
    again = site.ask(API + "live", f"since={found['since']}")
    assert (again.status, again.body) == (304, b"")
    site.count("/index.html")
    changed = ask(site, "live", f"since={found['since']}")
    assert changed["accesses"] == 53
    assert changed["since"] != found["since"]
    assert len(site.ask(API + "live").body) < 2048


def test_live_of_a_file(site: Site) -> None:
    found = ask(site, "live", "path=/index.html")
    assert (found["accesses"], found["rank"], found["kinds"]["full"]) == (3, 3, 3)
    assert found["classes"]["people"] == 3
    assert len(site.ask(API + "live", "path=/index.html").body) < 2048
    query = f"path=/index.html&since={found['since']}"
    site.count("/releases/a.iso")
    assert site.ask(API + "live", query).status == 304
    site.counter.count("/index.html", "head")
    changed = ask(site, "live", query)
    assert (changed["accesses"], changed["kinds"]["head"]) == (3, 1)
    assert site.ask(API + "live", "path=/none").status == 404


def test_the_last_24_hours(site: Site) -> None:
    found = ask(site, "series", "period=24h")
    assert (found["unit"], len(found["series"])) == ("hour", 24)
    assert sum(point["accesses"] for point in found["series"]) == 52
    # A file has days: the two in which these hours lie.
    days = ask(site, "series", "period=24h&path=/index.html")
    assert (days["unit"], len(days["series"])) == ("day", 2)
    files = ask(site, "files", "period=24h")
    assert files["period"]["to"] == days["series"][1]["at"]
    assert files["period"]["from"] == days["series"][0]["at"]


def test_what_was_missed(site: Site) -> None:
    site.counter.add_missed({"/favicon.ico": 2, "/wp-login.php": 3})
    assert ask(site, "missed")["missed"] == [
        {"path": "/wp-login.php", "times": 3},
        {"path": "/favicon.ico", "times": 2},
    ]
    # Anybody may ask for anything: it is not shown to everybody.
    public = Site(tokens=Tokens(), is_public=True)
    assert public.ask(API + "missed", token=None).status == 404


def test_csv(site: Site) -> None:
    answer = site.ask(API + "files", "", HTTP_ACCEPT="text/csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert answer["Content-Disposition"] == 'attachment; filename="tally-files.csv"'
    assert answer["Tally-Exact"] == "yes"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [(row["path"], row["accesses"], row["robots"]) for row in rows] == [
        ("/releases/a.iso", "42", "0"),
        ("/releases/b.iso", "7", "7"),
        ("/index.html", "3", "0"),
    ]
    assert site.ask(API + "files", "format=csv&excel=1").body.startswith(b"\xef\xbb\xbfpath,")
    series = site.ask(API + "series", "format=csv&period=7d").body.decode()
    assert series.splitlines()[0].startswith("at,accesses,")
    one = site.ask(API + "file", "format=csv&path=/index.html").body.decode()
    assert one.splitlines()[1].startswith("/index.html,3,")


# name, query, a word of the reason
SENSELESS = [
    ("totals", "x=1", "'x'"),
    ("totals", "period=7d", "'period'"),
    ("files", "limt=5", "'limt'"),
    ("files", "limit=0", "limit"),
    ("files", "limit=1001", "limit"),
    ("files", "limit=-1", "limit"),
    ("files", "limit=1e3", "limit"),
    ("files", "limit=%D9%A1", "limit"),
    ("files", "limit=5&limit=6", "twice"),
    ("files", "order=size", "order"),
    ("files", "order=accesses%0d%0aX:1", "order"),
    ("files", "period=yesterday", "period"),
    ("files", "period=2026-02-30", "period"),
    ("files", "period=2026-03-01..2026-02-01", "period"),
    ("files", "period=0d", "period"),
    ("files", "class=humans", "class"),
    ("files", "class=people,,tools", "class"),
    ("files", "class=,", "class"),
    ("files", "after=%00", "after"),
    ("files", "after=" + "A" * 7000, "after"),
    ("files", "after=" + "A" * 9000, "too long"),
    ("files", "match=" + "a" * 1001, "match"),
    ("files", "match=%FF", "cannot be read"),
    ("files", "match=\xff", "cannot be read"),
    ("files", "&".join(f"a{n}=1" for n in range(30)), "cannot be read"),
    ("files", "format=xml", "format"),
    ("files", "format=csv&excel=yes", "excel"),
    ("file", "", "path"),
    ("file", "path=", "path"),
    ("file", "path=index.html", "path"),
    ("file", "path=http://a/", "path"),
    ("file", "path=/index.html&period=x", "period"),
    ("series", "period=all", "period"),
    ("series", "period=year&unit=hour", "hours"),
    ("series", "unit=minute", "unit"),
    ("series", "path=/index.html&unit=hour&period=today", "hours"),
    ("directory", "", "path"),
    ("directory", "path=/releases/&period=7d", "'period'"),
    ("live", "since=1&x=2", "'x'"),
    ("openapi.json", "x", "'x'"),
]


@pytest.mark.parametrize(("name", "query", "word"), SENSELESS)
def test_senseless_parameters(site: Site, name: str, query: str, word: str) -> None:
    answer = site.ask(API + name, query)
    assert answer.status == 400
    assert answer["Content-Type"] == "application/problem+json"
    found = json.loads(answer.body)
    assert (found["type"], found["title"], found["status"]) == ("about:blank", "Bad Request", 400)
    assert word in found["detail"]
    assert found["detail"].isascii()
    assert "\n" not in found["detail"]


def test_what_was_never_counted(site: Site) -> None:
    for name in ("file", "series", "directory"):
        answer = site.ask(API + name, "path=/no%2dsuch/")
        assert answer.status == 404
        assert json.loads(answer.body)["status"] == 404


def test_a_store_that_is_away(site: Site) -> None:
    assert ask(site, "live", "path=/index.html")["accesses"] == 3

    def away() -> CountReader:
        raise CounterError("counts: Redis does not answer")

    site.reader = away
    answer = site.ask(API + "totals")
    assert answer.status == 503
    assert answer["Retry-After"] == "5"
    assert json.loads(answer.body)["detail"] == "counts: Redis does not answer"
    for query in ("", "path=/index.html"):  # of numbers from before nothing is live
        assert site.ask(API + "live", query).status == 503


def faults(value: object, schema: dict[str, Any], description: dict[str, Any]) -> list[str]:
    """Return where *value* is not as *schema* says: as much of JSON Schema as the file uses."""
    if "$ref" in schema:
        named = description
        for step in schema["$ref"].removeprefix("#/").split("/"):
            named = named[step]
        return faults(value, named, description)
    if "oneOf" in schema:
        fitting = [one for one in schema["oneOf"] if not faults(value, one, description)]
        return [] if len(fitting) == 1 else [f"{value!r} is not one of {schema['oneOf']}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{value!r} is none of {schema['enum']}"]
    kinds = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
        "integer": int,
    }  # fmt: skip
    if type(value) is not kinds[schema["type"]]:
        return [f"{value!r} is no {schema['type']}"]
    if isinstance(value, dict):
        found = [f"{name} is missing" for name in schema.get("required", []) if name not in value]
        properties = schema.get("properties", {})
        for name, each in value.items():
            inner = properties.get(name, schema.get("additionalProperties"))
            found += faults(each, inner, description) if inner else [f"{name} is not described"]
        return found
    if isinstance(value, list):
        return [fault for each in value for fault in faults(each, schema["items"], description)]
    if isinstance(value, int) and value < schema.get("minimum", value):
        return [f"{value} is too small"]
    return []


# name, query
DESCRIBED = [
    ("totals", ""),
    ("files", ""),
    ("files", "period=7d"),
    ("file", "path=/index.html"),
    ("file", "path=/index.html&period=7d"),
    ("series", "period=today"),
    ("series", "path=/index.html&period=7d"),
    ("directory", "path=/"),
    ("live", ""),
    ("live", "path=/index.html"),
    ("missed", ""),
    ("series", "period=24h"),
    ("files", "period=24h"),
]


@pytest.mark.parametrize("clients", [False, True])
@pytest.mark.parametrize(("name", "query"), DESCRIBED)
def test_answers_are_as_described(site: Site, name: str, query: str, clients: bool) -> None:
    site.counter.add_missed({"/favicon.ico": 2})
    if clients:
        site.count("/index.html", client=b"somebody", enough=1)
    description = ask(site, "openapi.json")
    content = description["paths"][f"/{name}"]["get"]["responses"]["200"]["content"]
    schema = content["application/json"]["schema"]
    assert faults(ask(site, name, query), schema, description) == []
    assert faults({"accesses": "1"}, schema, description) != []


def test_every_parameter_is_described(site: Site) -> None:
    description = ask(site, "openapi.json")
    for address, methods in description["paths"].items():
        names = []
        for reference in methods["get"]["parameters"]:
            key = reference["$ref"].rpartition("/")[2]
            names.append(description["components"]["parameters"][key]["name"])
        refusal = json.loads(site.ask(API + address[1:], "no-such=1").body)["detail"]
        assert refusal.endswith(f"there are: {', '.join(sorted(names)) or 'none'}")


def test_live_of_a_file_whose_rank_is_dear() -> None:
    """Its rank is from before; its numbers are not."""
    site = Site()
    site.count("/a", 3)

    class Slow(MemoryCounter):
        def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
            end = thread_time() + 0.02
            while thread_time() < end:
                pass
            return site.counter.file(path, period)

    slow = Slow()
    slow.totals = site.counter.totals  # type: ignore[method-assign]
    slow.tallies = site.counter.tallies  # type: ignore[method-assign]
    site.reader = lambda: slow
    assert ask(site, "live", "path=/a")["accesses"] == 3
    site.count("/a", 2)
    found = ask(site, "live", "path=/a")
    assert (found["accesses"], found["today"], found["kinds"]["full"]) == (5, 5, 5)
