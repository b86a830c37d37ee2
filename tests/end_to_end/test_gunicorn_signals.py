"""Counts stay exact through everything gunicorn does with its workers: HUP, TTIN, USR2, recycled
and killed ones.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import GUNICORN, LiveServer, open_files, running, workers_of
from tests.waiting import wait_until


@contextmanager
def counted_load(port: int) -> Iterator[list[int]]:
    """Fetch one file again and again on connections of their own; yield the list of the numbers
    handed out.
    """
    numbers: list[int] = []
    stopped = Event()

    def run() -> None:
        while not stopped.is_set():
            # A connection that a dying worker had accepted already is cut: the access may have been
            # counted.
            try:
                answer = fetch(port, "/a.txt")
            except (OSError, HTTPException):
                continue
            numbers.append(int(answer["tally-count"]))
            stopped.wait(0.002)  # leaves gunicorn the time to do what it was told

    clients = [Thread(target=run) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield numbers
    finally:
        stopped.set()
        for client in clients:
            client.join()


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[LiveServer]:
    (tmp_path / "a.txt").write_text("a")
    with running(
        GUNICORN, "-w", "2", root=tmp_path, TALLY_COUNT_HEADER="1", TALLY_COUNT_LOG="off"
    ) as server:
        wait_until(lambda: len(workers_of(server)) == 2, message="two workers")
        yield server


def further(numbers: list[int], by: int = 20) -> None:
    """Wait until *by* more numbers have been handed out."""
    goal = len(numbers) + by
    wait_until(lambda: len(numbers) >= goal, message="further answers")


def assert_exact(numbers: list[int], lost: int = 0) -> None:
    """Each number once; at most *lost* of them went to clients whose connection was cut."""
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) - len(numbers) <= lost


def test_hup(gunicorn: LiveServer) -> None:
    before = workers_of(gunicorn)
    with counted_load(gunicorn.port) as numbers:
        further(numbers)
        gunicorn.send(signal.SIGHUP)
        wait_until(lambda: not (workers_of(gunicorn) & before), message="new workers")
        further(numbers)
    assert_exact(numbers, lost=4)
    assert gunicorn.stop() == 0


def test_hup_while_the_root_is_away(gunicorn: LiveServer, tmp_path: Path) -> None:
    before = workers_of(gunicorn)
    assert fetch(gunicorn.port, "/a.txt")["tally-count"] == "1"
    away = tmp_path.with_name("away")
    tmp_path.rename(away)
    try:
        gunicorn.send(signal.SIGHUP)
        wait_until(lambda: not (workers_of(gunicorn) & before), message="new workers")
        assert fetch(gunicorn.port, "/a.txt").status == 503
    finally:
        away.rename(tmp_path)
    assert fetch(gunicorn.port, "/a.txt")["tally-count"] == "2"


def test_more_workers(gunicorn: LiveServer) -> None:
    with counted_load(gunicorn.port) as numbers:
        further(numbers)
        gunicorn.send(signal.SIGTTIN)
        wait_until(lambda: len(workers_of(gunicorn)) == 3, message="a third worker")
        further(numbers)
    assert_exact(numbers)


def test_recycled_workers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    options = ("-w", "2", "--max-requests", "20")
    with running(
        GUNICORN, *options, root=tmp_path, TALLY_COUNT_HEADER="1", TALLY_COUNT_LOG="off"
    ) as server:
        seen: set[int] = set()
        with counted_load(server.port) as numbers:
            while len(seen) < 5:
                further(numbers)
                seen |= workers_of(server)
        assert_exact(numbers, lost=2 * len(seen))


def test_killed_workers(gunicorn: LiveServer) -> None:
    with counted_load(gunicorn.port) as numbers:
        for _ in range(3):
            further(numbers)
            before = workers_of(gunicorn)
            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda: len(workers_of(gunicorn) - before) == 1, message="its successor")  # noqa: B023
        further(numbers)
    # Each kill cuts at most what the two clients were being told.
    assert_exact(numbers, lost=6)
    assert gunicorn.stop() == 0


@pytest.mark.slow
def test_usr2_hands_over_to_a_new_master(gunicorn: LiveServer) -> None:
    old = workers_of(gunicorn)
    with counted_load(gunicorn.port) as numbers:
        further(numbers)
        gunicorn.send(signal.SIGUSR2)
        [master] = wait_until(lambda: workers_of(gunicorn) - old, message="the new master")
        wait_until(
            lambda: len(workers_of(gunicorn, master)) == 2, timeout=20, message="its workers"
        )
        further(numbers)
        gunicorn.send(signal.SIGTERM)
        assert gunicorn.process.wait(20) == 0
        further(numbers)
    assert_exact(numbers, lost=4)
    os.kill(master, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{master}").exists(), message="the new master's end")


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_workers_open_the_store_before_any_request(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    data = tmp_path / "counts" / "data.mdb"
    with running(
        GUNICORN, "-w", "2", *options, root=tmp_path, TALLY_COUNTS=f"lmdb:{data.parent}"
    ) as server:
        wait_until(
            lambda: (
                len(workers := workers_of(server)) == 2
                and all(data in open_files(pid) for pid in workers)
            ),
            message="two workers with the store open",
        )
        assert data not in open_files(server.process.pid)
        assert server.stop() == 0
        assert "tally: " not in server.printed()


def test_the_private_counts_go_with_the_server(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with running(GUNICORN, "-w", "2", root=tmp_path / "root", TMPDIR=str(scratch)) as server:
        assert fetch(server.port, "/").status == 404
        assert server.stop() == 0
    assert list(scratch.iterdir()) == []
