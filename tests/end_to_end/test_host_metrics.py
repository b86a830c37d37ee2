"""This host's metrics, scraped from running servers, against what clients did."""

import os
import signal
from pathlib import Path
from typing import Literal

import psutil
import pytest

from tests.end_to_end.client import Client, fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running, workers_of
from tests.stats.test_metrics import Samples, of, samples
from tests.waiting import wait_until

TOKEN = "a-token-of-the-tests-own"
FIELDS = [("Authorization", f"Bearer {TOKEN}")]
LARGE = 8_000_000
DURATIONS = "tally_http_request_duration_seconds"

STARTS = [
    (BUILTIN, ()),
    (BUILTIN, ("-w", "2")),
    (BUILTIN, ("--threads", "0")),
    (GUNICORN, ("-w", "2")),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_bytes(b"x" * 100)
    (root / "large.bin").write_bytes(bytes(LARGE))
    return root


def scrape(server: LiveServer) -> Samples:
    answer = fetch(server.port, "/-/tally/metrics", FIELDS)
    assert answer.status == 200, answer.body
    return samples(answer.body)


@pytest.mark.parametrize(("kind", "options"), STARTS)
def test_requests_and_bytes_of_all_workers(kind: str, options: tuple[str, ...], root: Path) -> None:
    with running(kind, *options, root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for _ in range(30):
            assert fetch(server.port, "/a.txt").status == 200
        assert len(fetch(server.port, "/large.bin").body) == LARGE
        for _ in range(5):
            assert fetch(server.port, "/a.txt", method="HEAD").status == 200
        assert fetch(server.port, "/a.txt", method="POST").status == 405
        refused = len(fetch(server.port, "/a.txt", method="POST").body)
        for _ in range(7):
            assert fetch(server.port, "/-/tally/health").status == 200

        known = 30 * 100 + LARGE + 2 * refused

        def all_of_it() -> Samples | Literal[False]:
            found = scrape(server)
            seen = (
                of(found, f"{DURATIONS}_count", method="GET") >= 31
                # The scrapes are requests, too, so that number alone says nothing of the files'.
                and of(found, "tally_http_sent_bytes_total") >= known
                and of(found, f"{DURATIONS}_count", method="HEAD") == 5
                and of(found, f"{DURATIONS}_count", method="other") == 2
                # A worker may still be on its way when the others have answered everything.
                and of(found, "tally_workers") == (2 if "-w" in options else 1)
            )
            return seen and found

        # What another worker did is seen within half a second.
        before = wait_until(all_of_it, message="the figures of all workers")
        wait_until(
            lambda: of(scrape(server), "tally_http_requests_in_progress") == 0, message="quiet"
        )
        gets = of(before, f"{DURATIONS}_count", method="GET")
        # The scrapes' bytes are not known here.
        assert of(before, "tally_http_sent_bytes_total") <= known + (gets - 31) * 20_000
        assert of(before, f"{DURATIONS}_bucket", method="GET", le="+Inf") == gets
        assert 0 < of(before, f"{DURATIONS}_sum", method="GET") < 30
        assert of(before, "tally_counts_store_up") == 1
        assert of(before, "tally_counts_uncounted_total") == 0


def test_the_requests_of_a_known_number(root: Path) -> None:
    """One connection, so one worker: exactly so many, health checks not among them."""
    with running(BUILTIN, root=root, TALLY_STATS_TOKEN=TOKEN) as server, Client(server.port) as one:
        for _ in range(4):
            one.ask("GET", "/a.txt")
            one.ask("GET", "/-/tally/health")
        scrapes: list[bytes] = []

        # What another thread did is seen within half a second; and a call that takes long, on a
        # machine that is busy, is left to the thread that runs it, while another goes on.
        def are_seen(files: int, connections: int) -> bool:
            before = len(scrapes), sum(map(len, scrapes))
            scrapes.append(one.ask("GET", "/-/tally/metrics", FIELDS).body)
            found = samples(scrapes[-1])
            return (
                of(found, f"{DURATIONS}_count", method="GET"),
                of(found, "tally_http_sent_bytes_total"),
                of(found, "tally_http_requests_in_progress"),
                of(found, "tally_connections", state="active"),
                of(found, "tally_connections", state="idle"),
            ) == (files + before[0], 100 * files + before[1], 0, 0, connections)

        wait_until(lambda: are_seen(4, 1), message="four requests of one connection")
        with Client(server.port) as other:
            other.ask("GET", "/a.txt")
            wait_until(lambda: are_seen(5, 2), message="the other connection and its request")


@pytest.mark.parametrize(("kind", "options"), STARTS)
def test_a_download_under_way(kind: str, options: tuple[str, ...], root: Path) -> None:
    with running(kind, *options, root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        with Client(server.port) as slow:
            slow.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            assert slow.socket.recv(1000)

            def is_seen() -> bool:
                found = scrape(server)
                return of(found, "tally_http_requests_in_progress") == 1 and (
                    kind == GUNICORN or of(found, "tally_connections", state="active") == 1
                )

            wait_until(is_seen, message="the download")
        wait_until(
            lambda: of(scrape(server), "tally_http_requests_in_progress") == 0,
            message="the end of it",
        )


def test_what_a_killed_worker_did_stays(kind: str, root: Path) -> None:
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for _ in range(20):
            assert fetch(server.port, "/a.txt").status == 200
        with Client(server.port) as slow:
            slow.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            assert slow.socket.recv(1000)

            def are_there() -> Samples | Literal[False]:
                found = scrape(server)
                seen = (
                    of(found, f"{DURATIONS}_count", method="GET") >= 20
                    and of(found, "tally_http_requests_in_progress") == 1
                    # One may still be on its way when the other has answered everything.
                    and of(found, "tally_workers") == 2
                )
                return seen and found

            before = wait_until(are_there, message="the figures before")
            killed = workers_of(server)
            for worker in killed:
                os.kill(worker, signal.SIGKILL)
            wait_until(
                lambda: len(workers_of(server) - killed) == 2, message="the workers after them"
            )
        wait_until(
            lambda: of(scrape(server), "tally_workers") == 2, message="two workers that serve"
        )
        after = scrape(server)
        sums = (f"{DURATIONS}_count", f"{DURATIONS}_sum")
        for name in sums:
            assert of(after, name, method="GET") >= of(before, name, method="GET")
        assert of(after, "process_cpu_seconds_total") >= of(before, "process_cpu_seconds_total")
        # What the new workers do is added to it, and seen within half a second.
        wait_until(
            lambda: all(
                of(found, name, method="GET") > of(before, name, method="GET")
                for found in [scrape(server)]
                for name in sums
            ),
            message="figures that go on",
        )
        # An answer reaches its client before its end is noted.
        wait_until(
            lambda: of(scrape(server), "tally_http_requests_in_progress") == 0, message="quiet"
        )
        if kind == BUILTIN:
            assert of(after, "tally_worker_restarts_total") == 2
        else:
            names = {name for name, _ in after}
            assert not names & {"tally_worker_restarts_total", "tally_connections"}


def test_figures_outlive_a_reload(kind: str, root: Path) -> None:
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for _ in range(10):
            fetch(server.port, "/a.txt", method="HEAD")
        wait_until(
            lambda: of(scrape(server), f"{DURATIONS}_count", method="HEAD") == 10,
            message="the figures",
        )
        old = workers_of(server)
        server.send(signal.SIGHUP)
        wait_until(
            lambda: not workers_of(server) & old and len(workers_of(server)) == 2,
            message="new workers",
        )
        wait_until(lambda: of(scrape(server), "tally_workers") == 2, message="their places")
        assert of(scrape(server), f"{DURATIONS}_count", method="HEAD") == 10
        if kind == BUILTIN:
            assert of(scrape(server), "tally_worker_restarts_total") == 0


def test_processes_are_those_of_the_server(kind: str, root: Path) -> None:
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        wait_until(lambda: of(scrape(server), "tally_workers") == 2, message="two workers")
        found = scrape(server)
        assert of(found, "process_resident_memory_bytes") > 3 * 5_000_000
        assert of(found, "process_open_fds") > 12
        # Not the time of its directory in /proc, which is made when somebody first looks there.
        started = psutil.Process(server.process.pid).create_time()
        assert abs(of(found, "process_start_time_seconds") - started) < 5
