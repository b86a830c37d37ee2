"""Health: 200 while clients are welcome and their accesses counted, 503 otherwise."""

import resource
import signal
import socket
from pathlib import Path

import pytest

from tests.counters.redis_server import redis_running
from tests.end_to_end.client import Answer, Client, fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running, workers_of
from tests.stats.test_metrics import of, samples
from tests.waiting import wait_until

HEALTH = "/-/tally/health"
LARGE = 20_000_000
TOKEN = "a-token-of-the-tests-own"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("text")
    (root / "large.bin").write_bytes(bytes(LARGE))
    return root


def health(server: LiveServer) -> Answer:
    return fetch(server.port, HEALTH)


@pytest.mark.parametrize("options", [(), ("-w", "2")])
def test_a_server_that_stops_wants_no_more_clients(root: Path, options: tuple[str, ...]) -> None:
    asked = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
    with running(BUILTIN, *options, root=root) as server:
        assert health(server).status == 200
        with Client(server.port) as last:
            # Two requests at once; the client does not take the first answer before the stop.
            last.send((asked.format("/large.bin") + asked.format(HEALTH)).encode())
            assert last.socket.recv(1, socket.MSG_PEEK)
            server.send(signal.SIGTERM)
            wait_until(lambda: not accepts(server), message="the end of listening")
            received = b""
            while data := last.socket.recv(1 << 20):
                received += data
            _, _, rest = received.partition(b"\r\n\r\n")
            second = rest[LARGE:]
            assert second.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 5\r\n" in second
            assert b"\r\nConnection: close\r\n" in second
        assert server.wait() == 0


@pytest.mark.slow
def test_what_gunicorn_does_when_it_stops(root: Path) -> None:
    """It lets nobody in any more, which a balancer takes for the same."""
    with running(GUNICORN, root=root) as server, Client(server.port) as slow:
        slow.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.socket.recv(1, socket.MSG_PEEK)
        server.send(signal.SIGTERM)
        wait_until(lambda: not accepts(server), message="the end of listening")


def accepts(server: LiveServer) -> bool:
    try:
        Client(server.port).socket.close()
    except ConnectionError:
        return False
    return True


def test_a_worker_that_is_replaced_is_healthy(root: Path) -> None:
    """A reload is no end: the others serve, and whoever asks again meets them."""
    with running(BUILTIN, "-w", "2", root=root) as server:
        old = workers_of(server)
        with Client(server.port) as kept:
            assert kept.ask("GET", HEALTH).status == 200
            server.send(signal.SIGHUP)
            statuses: set[int] = set()
            while not statuses or old & workers_of(server):
                statuses.add(kept.ask("GET", HEALTH).status)
                statuses.add(health(server).status)
            assert statuses == {200}


def test_while_redis_is_away_accesses_wait_and_all_is_well(
    kind: str, root: Path, tmp_path: Path
) -> None:
    with redis_running() as redis:
        environ = {"TALLY_COUNTS": redis.url, "TALLY_COUNTS_JOURNAL": str(tmp_path / "journal")}
        with running(kind, root=root, **environ) as server:
            assert health(server).status == 200
            redis.stop()
            for _ in range(3):
                assert fetch(server.port, "/a.txt").status == 200
                assert health(server).status == 200


@pytest.mark.slow
def test_while_nothing_takes_the_accesses(kind: str, root: Path, tmp_path: Path) -> None:
    """Redis is away, and the journal cannot grow."""
    journal = tmp_path / "journal"
    with redis_running() as redis:
        environ = {"TALLY_COUNTS": redis.url, "TALLY_COUNTS_JOURNAL": str(journal)}
        with running(kind, root=root, TALLY_STATS_TOKEN=TOKEN, **environ) as server:
            wait_until(lambda: health(server).status == 200, message="a healthy server")
            for process in {server.process.pid, *workers_of(server)}:
                resource.prlimit(process, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            redis.stop()

            def is_ill() -> bool:
                assert fetch(server.port, "/a.txt").status == 200
                return health(server).status == 503

            wait_until(is_ill, message="an answer that says so")
            bearer = [("Authorization", f"Bearer {TOKEN}")]
            found = samples(fetch(server.port, "/-/tally/metrics", bearer).body)
            assert of(found, "tally_counts_uncounted_total") >= 1
            assert of(found, "tally_counts_store_up") == 0
            # It is tried again by the health check itself: who hears 503 sends nothing else.
            for process in {server.process.pid, *workers_of(server)}:
                resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            wait_until(lambda: health(server).status == 200, message="the journal")
