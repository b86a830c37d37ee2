"""A real Prometheus and three hosts on one Redis: one truth, also in what the dashboard shows."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.counters.redis_server import RedisServer, redis_running
from tests.end_to_end.client import fetch
from tests.end_to_end.prometheus_server import RULES, Prometheus, prometheus_running
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, LiveServer, running
from tests.programs import program
from tests.waiting import wait_until

TOKEN = "a-token-of-the-tests-own"
SIZES = {"/a.iso": 200_000, "/b.txt": 100, "/index.html": 10}
CURL = [("User-Agent", "curl/8.5.0")]
BROWSER = [("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    for path, size in SIZES.items():
        (root / path[1:]).write_bytes(b"x" * size)
    return root


@pytest.mark.parametrize("address", ["metrics", "metrics/files"])
def test_promtool_finds_nothing(kind: str, root: Path, address: str) -> None:
    promtool = program("promtool")
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for path in (*SIZES, "/missing"):
            fetch(server.port, path, CURL)
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        answer = fetch(server.port, f"/-/tally/{address}", bearer)
        assert answer.status == 200
        assert len(answer.body) > 1000
        subprocess.run([promtool, "check", "metrics"], input=answer.body, check=True, timeout=30)


def test_promtool_takes_the_rules() -> None:
    found = subprocess.run(
        [program("promtool"), "check", "rules", RULES], check=True, timeout=30, capture_output=True
    )
    assert b"SUCCESS" in found.stdout


@dataclass
class Farm:
    """Three hosts, the Redis that they share, and who scrapes them."""

    redis: RedisServer
    hosts: list[LiveServer]
    prometheus: Prometheus

    def instance(self, number: int) -> str:
        return f"instance=127.0.0.1:{self.hosts[number].port}"


@pytest.fixture
def farm(tmp_path: Path, root: Path) -> Iterator[Farm]:
    program("prometheus")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_running())
        hosts = [
            stack.enter_context(
                running(
                    kind,
                    *options,
                    root=root,
                    TALLY_COUNTS=redis.url,
                    TALLY_COUNTS_JOURNAL=str(tmp_path / f"journal-{number}"),
                    TALLY_STATS_TOKEN=TOKEN,
                )
            )
            for number, (kind, *options) in enumerate(
                [(BUILTIN, "-w", "2"), (BUILTIN,), (GUNICORN, "-w", "2")]
            )
        ]
        addresses = [f"127.0.0.1:{host.port}" for host in hosts]
        scraper = stack.enter_context(prometheus_running(tmp_path, TOKEN, addresses, addresses[1]))
        yield Farm(redis, hosts, scraper)


#: For each host: how often each file is fetched, and by whom.
TRAFFIC = [
    {("/a.iso", "tools"): 12, ("/b.txt", "people"): 30},
    {("/b.txt", "tools"): 5, ("/index.html", "people"): 8},
    {("/a.iso", "people"): 7, ("/index.html", "tools"): 1},
]
MISSING = 4


def send(farm: Farm) -> None:
    for host, traffic in zip(farm.hosts, TRAFFIC, strict=True):
        for (path, who), times in traffic.items():
            for _ in range(times):
                answer = fetch(host.port, path, CURL if who == "tools" else BROWSER)
                assert len(answer.body) == SIZES[path]
        for _ in range(MISSING):
            assert fetch(host.port, "/missing").status == 404


def fetched(keep: Callable[[str, str], bool] = lambda _path, _who: True) -> int:
    return sum(
        times for traffic in TRAFFIC for (path, who), times in traffic.items() if keep(path, who)
    )


def of_dashboard() -> list[str]:
    """Return each query of the dashboard, over an hour where Grafana would choose."""
    panels = json.loads((HOME / "contrib" / "grafana-dashboard.json").read_text())["panels"]
    return [
        str(target["expr"]).replace("$__rate_interval", "1h").replace("$__range", "1h")
        for panel in panels
        for target in panel["targets"]
    ]


HOUR = 3600


@pytest.mark.slow
def test_the_dashboard_shows_what_clients_fetched(farm: Farm) -> None:
    scraped = farm.prometheus
    # Every file and status once, so that each has its series: what increases is what comes later.
    for path in (*SIZES, "/missing"):
        fetch(farm.hosts[0].port, path, BROWSER)
    first = len(SIZES)
    wait_until(
        lambda: (
            scraped.value("count(up == 1)") == 4
            and scraped.value("sum(tally_accesses_total)") == first
            and scraped.value("sum(tally_http_responses_total)") == first + 1
        ),
        message="the first accesses",
    )
    send(farm)
    total = first + fetched()
    sent = sum(SIZES.values()) + sum(
        SIZES[path] * times for traffic in TRAFFIC for (path, _), times in traffic.items()
    )
    sums = {
        "sum(tally_accesses_total)": total,
        "sum(tally_file_completed_total)": total,
        "sum(tally_file_sent_bytes_total)": sent,
        "max(tally_files)": len(SIZES),
        "min(tally_counts_store_up)": 1,
        # Another scrape of the same host may be under way at times.
        "sum(tally_http_requests_in_progress)": 0,
    }

    def moment() -> float | Literal[False]:
        """Return the time of a scrape, so that nothing is added for the time since."""
        at = scraped.value("timestamp(tally_files)")
        all_is_there = at is not None and (
            # The hosts' own figures add up to what went out, scrapes and pages beside the files. A
            # process brings them half a second later, and a scrape later still.
            (scraped.value("sum(tally_http_sent_bytes_total)", at) or 0) >= sent
            and scraped.value('tally_http_responses_total{code="404"}', at) == 1 + 3 * MISSING
            and all(scraped.value(each, at) == expected for each, expected in sums.items())
        )
        return at if at is not None and all_is_there else False

    at = wait_until(moment, message="all accesses")
    shown = {expression: scraped.query(expression, at) for expression in of_dashboard()}
    assert [expression for expression, values in shown.items() if not values] == []
    for expression, number in sums.items():
        assert shown[expression] == {frozenset(): number}, expression
    assert_increases(shown, sent - sum(SIZES.values()))
    assert_hosts(shown, farm)


def assert_increases(shown: dict[str, dict[frozenset[str], float]], sent: int) -> None:
    by_class = {
        f"class={each}": fetched(lambda _, who, each=each: who == each)  # type: ignore[misc]
        for each in ("people", "tools")
    }
    by_path = {f"path={each}": fetched(lambda path, _, each=each: path == each) for each in SIZES}  # type: ignore[misc]
    by_code = {"code=200": fetched(), "code=404": 3 * MISSING}
    for expression, seconds, expected in (
        ("sum(increase(tally_accesses_total[24h]))", 1, {"": fetched()}),
        ("sum by (class) (rate(tally_accesses_total[1h]))", HOUR, by_class),
        ("topk(10, sum by (path) (increase(tally_file_accesses_total[1h])))", 1, by_path),
        ("sum(rate(tally_file_sent_bytes_total[1h]))", HOUR, {"": sent}),
        ("sum by (code) (rate(tally_http_responses_total[1h]))", HOUR, by_code),
    ):
        found = {"".join(labels): value * seconds for labels, value in shown[expression].items()}
        assert {name for name, value in found.items() if value} == set(expected), expression
        for name, number in expected.items():
            # Prometheus adds up to half a scrape's worth in front of the first one, and the first
            # accesses may have come after it.
            assert number <= found[name] + 1e-6, (expression, name)
            assert found[name] <= 1.1 * number + len(SIZES) * SIZES.get("/a.iso", 0) * (
                "bytes" in expression
            ) + len(SIZES), (expression, name)


def assert_hosts(shown: dict[str, dict[frozenset[str], float]], farm: Farm) -> None:
    def by_instance(expression: str) -> dict[str, float]:
        return {
            next(label for label in labels if label.startswith("instance=")): value
            for labels, value in shown[expression].items()
        }

    everybody = {farm.instance(number) for number in range(3)}
    for expression in ("tally_counts_pending", "increase(tally_counts_uncounted_total[1h])"):
        assert by_instance(expression) == dict.fromkeys(everybody, 0)
    assert by_instance("tally_workers") == {
        farm.instance(number): workers for number, workers in enumerate((2, 1, 2))
    }
    # Gunicorn tells neither of these.
    assert by_instance("increase(tally_worker_restarts_total[1h])") == {
        farm.instance(number): 0 for number in (0, 1)
    }
    states = shown["sum by (state) (tally_connections)"]
    assert states[frozenset({"state=active"})] == 0
    assert states[frozenset({"state=idle"})] >= 2  # Prometheus's own
    for name, low, high in (
        ('rate(process_cpu_seconds_total{job="tally"}[1h])', 0, 2),
        ('process_resident_memory_bytes{job="tally"}', 20e6, 1e9),
    ):
        found = by_instance(name)
        assert set(found) == everybody
        assert all(low <= value < high for value in found.values()), found
    halves, most, nearly_all = (
        next(iter(values.values()))
        for expression, values in shown.items()
        if expression.startswith("histogram_quantile")
    )
    assert 0 < halves <= most <= nearly_all < 10


@pytest.mark.slow
def test_what_waits_while_redis_is_away(farm: Farm) -> None:
    scraped = farm.prometheus
    fetch(farm.hosts[1].port, "/b.txt", CURL)
    wait_until(lambda: scraped.value("sum(tally_accesses_total)") == 1, message="the first access")
    wait_until(lambda: scraped.value("count(up == 1)") == 4, message="all hosts")
    farm.redis.stop()
    for number, times in ((0, 9), (2, 4)):
        for _ in range(times):
            assert fetch(farm.hosts[number].port, "/b.txt", CURL).status == 200

    def waiting() -> dict[frozenset[str], float]:
        return scraped.query("sum by (instance) (tally_counts_pending)")

    expected = {frozenset({farm.instance(number)}): times for number, times in enumerate((9, 0, 4))}
    wait_until(lambda: waiting() == expected, message="what waits on each host")
    wait_until(lambda: scraped.value("max(tally_counts_store_up)") == 0, message="no store")
    wait_until(
        lambda: scraped.value('count(ALERTS{alertname="TallyStoreAway"})') == 3,
        message="the alert of each host",
    )
    assert scraped.value("sum(tally_counts_uncounted_total)") == 0
    farm.redis.start()
    wait_until(lambda: scraped.value("sum(tally_accesses_total)") == 14, message="all accesses")
    wait_until(lambda: scraped.value("sum(tally_counts_pending)") == 0, message="nothing waits")
    wait_until(lambda: scraped.value("min(tally_counts_store_up)") == 1, message="the store")
