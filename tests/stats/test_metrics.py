"""Metrics: read back by Prometheus's own parser, bounded, and never falling."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from app import __version__
from app.counters.contract import KINDS, CounterError
from app.counters.memory import MemoryCounter
from app.counters.reading import CountReader, FileRecord, Ranking, Totals
from app.counters.tally import Tally
from app.host_figures import Board, Known
from app.stats.first_files import FirstFiles
from app.stats.metrics import Metrics
from app.stats.parameters import Parameters
from tests.stats.conftest import METRICS, ODD_PATHS, READ, Site

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(body: bytes, parse: Any = text_format) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_the_stores_metrics(site: Site) -> None:
    site.counter.count("/index.html", "head")
    site.counter.answered(404)
    answer = site.ask("metrics/files", token=METRICS)
    assert answer["Content-Type"].startswith("text/plain; version=")
    found = samples(answer.body)
    name = "tally_file_accesses_total"
    assert of(found, name, path="/releases/a.iso", kind="full") == 42
    assert of(found, name, path="/releases/a.iso", kind="partial") == 0
    assert of(found, "tally_file_other_requests_total", path="/index.html", kind="head") == 1
    assert of(found, "tally_file_completed_total", path="/releases/b.iso") == 0
    assert of(found, "tally_file_sent_bytes_total", path="/releases/b.iso") == 70
    assert {**_by(found, "tally_accesses_total", "class")} == {
        "people": 15, "tools": 30, "robots": 7, "own": 0, "unknown": 0
    }  # fmt: skip
    assert _by(found, "tally_http_responses_total", "code") == {"200": 52, "404": 1}
    assert of(found, "tally_files") == 3
    assert of(found, "tally_metrics_files_omitted") == 0
    assert of(found, name, path="(others)", kind="full") == 0


def _by(found: Samples, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for (each, labels), value in found.items() if each == name}


def test_open_metrics_for_who_asks_for_it(site: Site) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    answer = site.ask("metrics/files", HTTP_ACCEPT=accept)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")
    found = samples(answer.body, open_metrics)
    assert of(found, "tally_file_completed_total", path="/releases/a.iso") == 42


def metrics(site: Site, most: int) -> Samples:
    made = Metrics(site.reader, site.host, most_files=most, store="memory", kept_seconds=0)
    return samples(made.files(Parameters("", ()), {}).body)


def test_the_first_files_keep_their_metrics_and_no_sum_falls() -> None:
    site = Site()
    site.count("/late", 100, at=2000)
    site.count("/b", 1, at=1000)
    site.count("/a", 2, at=1000)
    name = "tally_file_accesses_total"
    found = metrics(site, 2)
    assert of(found, name, path="/a", kind="full") == 2
    assert of(found, name, path="/b", kind="full") == 1
    assert of(found, name, path="(others)", kind="full") == 100
    assert of(found, "tally_metrics_files_omitted") == 1
    site.count("/later", 1000, at=3000)
    site.count("/b", 1, at=4000)
    again = metrics(site, 2)
    assert {key for key in again if key[0] == name} == {key for key in found if key[0] == name}
    assert all(again[key] >= value for key, value in found.items())
    assert of(again, name, path="(others)", kind="full") == 1100
    assert of(metrics(site, 0), name, path="(others)", kind="full") == 1104
    assert [path for path, _ in first_files(site, 3)] == ["/a", "/b", "/late"]


def first_files(site: Site, most: int) -> list[tuple[str, Tally]]:
    return FirstFiles(most, "").read(site.reader())[1]


def test_the_files_that_match_have_metrics_of_their_own() -> None:
    site = Site(metrics_match="*.iso")
    for path in ("/a.iso", "/b.txt", "/c.txt"):
        site.count(path, 2)
    found = samples(site.ask("metrics/files").body)
    own = {dict(labels)["path"] for name, labels in found if name == "tally_file_completed_total"}
    assert own == {"/a.iso", "(others)"}
    assert of(found, "tally_file_completed_total", path="(others)") == 4
    assert of(found, "tally_metrics_files_omitted") == 2


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=1.0.0"])
def test_lines_that_are_remembered_are_those_that_would_be_made(accept: str) -> None:
    site = Site()
    made = Metrics(site.reader, site.host, most_files=30, store="memory", kept_seconds=0)

    def text(of: Metrics) -> bytes:
        return of.files(Parameters("", ()), {"HTTP_ACCEPT": accept}).body

    dice = random.Random(1)
    for turn in range(30):
        for _ in range(dice.randrange(20)):
            path = dice.choice([*ODD_PATHS, *(f"/{number}" for number in range(40))])
            kind = dice.choice(KINDS)
            site.counter.count(path, kind, None, "tools", 5, kind == "full")
        if turn == 20:
            site.counter.reset([path for path, _ in first_files(site, 30)][::2])
        if turn == 25:
            site.counter.reset()
        anew = Metrics(site.reader, site.host, most_files=30, store="memory", kept_seconds=0)
        assert text(made) == text(anew)
    for version in range(1, 9):  # a client may ask for any
        made.files(
            Parameters("", ()), {"HTTP_ACCEPT": f"application/openmetrics-text;version={version}"}
        )
    assert len(made._texts) <= 2


@pytest.mark.parametrize("path", ODD_PATHS)
def test_odd_paths_stay_labels(path: str) -> None:
    site = Site()
    site.count(path)
    answer = site.ask("metrics/files")
    found = samples(answer.body)
    assert of(found, "tally_file_accesses_total", path=path, kind="full") == 1
    assert len(found) == len(samples(_plain(site).ask("metrics/files").body))


def _plain(_site: Site) -> Site:
    site = Site()
    site.count("/a")
    return site


def test_the_hosts_metrics(site: Site) -> None:
    found = samples(site.ask("metrics").body)
    assert of(found, "tally_counts_store_up") == 1
    assert of(found, "tally_counts_pending") == 0
    assert of(found, "tally_counts_uncounted_total") == 0
    [build] = [dict(labels) for name, labels in found if name == "tally_build_info"]
    assert (build["version"], build["store"]) == (__version__, "memory")
    for state in ("active", "idle"):
        assert of(found, "tally_connections", state=state) == 0
    for method in ("GET", "HEAD", "other"):
        assert of(found, "tally_http_request_duration_seconds_count", method=method) == 0
    assert of(found, "tally_workers") == 1
    assert of(found, "process_open_fds") > 3
    assert of(found, "process_cpu_seconds_total") > 0


def test_what_the_host_did(site: Site) -> None:
    lane = site.place.lane
    lane.begun += 4
    lane.opened += 7
    lane.closed += 2
    lane.end("GET", 0.004, 1000)
    lane.end("GET", 0.2, 500)
    lane.uncounted(3)
    lane.dropped(9)
    lane.publish()
    site.board.restarted()
    for accept, parse in (
        ("text/plain", text_format),
        ("application/openmetrics-text;version=1.0.0", open_metrics),
    ):
        found = samples(site.ask("metrics", HTTP_ACCEPT=accept).body, parse)
        name = "tally_http_request_duration_seconds"
        assert of(found, f"{name}_bucket", method="GET", le="0.005") == 1
        assert of(found, f"{name}_bucket", method="GET", le="0.1") == 1
        assert of(found, f"{name}_bucket", method="GET", le="0.25") == 2
        assert of(found, f"{name}_bucket", method="GET", le="+Inf") == 2
        assert of(found, f"{name}_sum", method="GET") == pytest.approx(0.204)
        assert of(found, "tally_http_requests_in_progress") == 2
        assert of(found, "tally_connections", state="active") == 2
        assert of(found, "tally_connections", state="idle") == 3
        assert of(found, "tally_http_sent_bytes_total") == 1500
        assert of(found, "tally_counts_uncounted_total") == 3
        assert of(found, "tally_count_lines_dropped_total") == 9
        assert of(found, "tally_worker_restarts_total") == 1


def test_a_server_that_tells_nothing_has_no_such_metrics(site: Site) -> None:
    site.host = site.host._replace(figures=Board.make(1, Known.NOTHING).figures)
    made = Metrics(site.reader, site.host, most_files=1, store="memory")
    names = {name for name, _ in samples(made.host(Parameters("", ()), {}).body)}
    assert names == {
        "tally_build_info",
        "tally_counts_uncounted_total",
        "tally_counts_pending",
        "tally_counts_store_up",
        "tally_count_lines_dropped_total",
    }


def test_a_store_that_is_away(site: Site) -> None:
    def away() -> CountReader:
        raise CounterError("counts: Redis does not answer")

    site.reader = away
    found = samples(site.ask("metrics").body)
    assert of(found, "tally_counts_store_up") == 0
    assert of(found, "tally_counts_pending") == 0  # this host knows what waits here
    assert site.ask("metrics/files").status == 503


def test_scrapes_share_a_reading(site: Site) -> None:
    first = site.ask("metrics/files").body
    site.count("/index.html")
    assert site.ask("metrics/files").body == first


def test_a_token_for_metrics_opens_nothing_else(site: Site) -> None:
    for address in ("metrics", "metrics/files"):
        assert site.ask(address, token=METRICS).status == 200
        assert site.ask(address, token=READ).status == 200
        assert site.ask(address, token=None).status == 401
        assert site.ask(address, "x=1").status == 400
    assert site.ask("", token=METRICS).status == 401
    assert site.ask("enter", f"token={METRICS}", token=None).status == 401


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_exist(site: Site) -> None:
    place = Path(__file__).resolve().parents[2] / "contrib"
    dashboard = (place / "grafana-dashboard.json").read_text()
    rules = (place / "prometheus-rules.yml").read_text()
    known = {name for name, _ in samples(site.ask("metrics").body + site.ask("metrics/files").body)}
    asked = set(re.findall(r"\btally_[a-z_]+\b", dashboard + rules))
    assert len(asked) > 8
    assert asked <= known
    panels = json.loads(dashboard)["panels"]
    assert all(panel["targets"] for panel in panels if panel["type"] != "row")


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_store_that_fails_while_the_list_is_read_leaves_no_half_list(fails_at: int) -> None:
    site = Site()
    for name in ("/a", "/b"):
        site.count(name)
    asked = []

    class Failing(MemoryCounter):
        def totals(self) -> Totals:
            return site.counter.totals()

        def ranked(self, *arguments: Any, **more: Any) -> Ranking:
            asked.append(arguments)
            if len(asked) == fails_at:
                raise CounterError("away")
            order, period, match, after, _ = arguments
            return site.counter.ranked(order, period, match, after, 1)

    first, failing = FirstFiles(10, ""), Failing()
    with pytest.raises(CounterError):
        first.read(failing)
    assert [path for path, _ in first.read(failing)[1]] == ["/a", "/b"]


def test_the_list_of_first_files_is_read_once() -> None:
    """And again when it has changed: a new file while there is room, a reset, an import."""
    now = [1000.0]
    lists = []

    class Watched(MemoryCounter):
        def ranked(self, *arguments: Any, **named: Any) -> Ranking:
            lists.append(arguments)
            return super().ranked(*arguments, **named)

    counter = Watched(clock=lambda: now[0])
    first = FirstFiles(2, "", lambda: now[0])

    def read() -> list[str]:
        lists.clear()
        return [path for path, _ in first.read(counter)[1]]

    counter.count("/b", "full")
    assert (read(), len(lists)) == (["/b"], 1)
    assert (read(), len(lists)) == (["/b"], 0)
    now[0] += 1
    counter.count("/c", "full")
    assert (read(), len(lists)) == (["/b", "/c"], 1)
    counter.count("/a", "full")  # in the very second of /c
    assert (read(), len(lists)) == (["/b", "/a"], 1)
    now[0] += 100
    counter.count("/late", "full")
    assert (read(), len(lists)) == (["/b", "/a"], 0)
    counter.reset(["/b"])
    assert (read(), len(lists)) == (["/a", "/c"], 1)
    counter.add([("/d", FileRecord(Tally.of(accesses=1), 1, 1))])
    assert (read(), len(lists)) == (["/a", "/c"], 0)
    now[0] += 600
    assert (read(), len(lists)) == (["/d", "/a"], 1)
