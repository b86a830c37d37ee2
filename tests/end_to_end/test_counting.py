"""Accesses counted through both servers, as the console shows them."""

from pathlib import Path
from threading import Thread

import pytest

from tests.end_to_end.client import Client, fetch
from tests.end_to_end.servers import GUNICORN, LiveServer, running, running_quietly
from tests.waiting import wait_until

TARGETS = ("/a.txt", "/b%20b.txt")


def fetch_repeatedly(port: int, times: int, statuses: list[int]) -> None:
    with Client(port) as client:
        for _ in range(times):
            statuses.extend(client.ask("GET", target).status for target in TARGETS)


def load(port: int, clients: int, times: int) -> None:
    statuses: list[int] = []
    threads = [
        Thread(target=fetch_repeatedly, args=(port, times, statuses)) for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * clients * times * len(TARGETS)


def fill(root: Path) -> None:
    (root / "a.txt").write_text("a")
    (root / "b b.txt").write_text("b")


def test_three_clients_fetch_two_files_a_hundred_times(
    live_server: LiveServer, tmp_path: Path
) -> None:
    fill(tmp_path / "root")
    load(live_server.port, clients=3, times=100)
    lines = live_server.counted(at_least=600)
    for target in TARGETS:
        assert [number for path, _, _, number in lines if path == target] == [
            str(n) for n in range(1, 301)
        ]
    assert {address for _, address, _, _ in lines} == {"127.0.0.1"}
    with Client(live_server.port) as client:
        port = client.socket.getsockname()[1]
        assert client.ask("GET", "/a.txt").status == 200
    assert live_server.counted(at_least=601)[600:] == [("/a.txt", "127.0.0.1", str(port), "301")]


def test_quiet_prints_nothing(kind: str, tmp_path: Path) -> None:
    fill(tmp_path)
    with running_quietly(kind, root=tmp_path, TALLY_QUIET="1", TALLY_COUNT_HEADER="1") as server:
        assert fetch(server.port, "/a.txt")["tally-count"] == "1"
        assert server.stop() == 0
        assert server.out == []


def test_count_log_in_a_file(kind: str, tmp_path: Path) -> None:
    fill(tmp_path)
    log = tmp_path / "counts.log"
    with running(kind, root=tmp_path, TALLY_COUNT_LOG=str(log)) as server:
        assert fetch(server.port, "/a.txt").status == 200
        wait_until(
            lambda: log.exists() and log.read_text().startswith("/a.txt|127.0.0.1|"),
            message="the line",
        )
        assert server.stop() == 0
        assert server.counted() == []


def test_several_processes_count_together(kind: str, tmp_path: Path) -> None:
    fill(tmp_path)
    with running(kind, "-w", "2", root=tmp_path, TALLY_COUNT_HEADER="1") as server:
        numbers = [fetch(server.port, "/a.txt")["tally-count"] for _ in range(60)]
        assert numbers == [str(n) for n in range(1, 61)]
        assert server.stop() == 0


@pytest.mark.parametrize("options", [(), ("--preload",), ("-k", "sync", "--threads", "1")])
def test_gunicorn_workers_count_together_however_they_are_run(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    fill(tmp_path)
    with running(GUNICORN, "-w", "2", *options, root=tmp_path) as server:
        load(server.port, clients=3, times=20)
        lines = server.counted(at_least=120)
        for target in TARGETS:
            assert sorted(int(number) for path, _, _, number in lines if path == target) == list(
                range(1, 61)
            )
        assert server.stop() == 0


def test_several_processes_that_count_each_for_itself_are_told_of(tmp_path: Path) -> None:
    fill(tmp_path)
    # With another configuration file than ours.
    with running(GUNICORN, "-w", "2", "-c", "/dev/null", root=tmp_path) as server:
        assert fetch(server.port, "/a.txt").status == 200
        assert server.stop() == 0
    assert [line for line in server.err if "each counts for itself" in line] != []
