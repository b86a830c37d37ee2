"""The shared map: sums over threads and processes, also over those that have gone."""

import os
import threading
from bisect import bisect_left
from mmap import mmap

import pytest

from app import host_figures
from app.host_figures import BUCKETS, METHODS, Board, Durations, HostFigures, Known, Place

ALL = Known.REQUESTS | Known.CONNECTIONS | Known.RESTARTS


def board(processes: int = 1, threads: int = 8) -> Board:
    return Board.make(processes, ALL, threads=threads)


def place(on: Board) -> Place:
    return on.place(on.take())


def durations(figures: HostFigures) -> dict[str, tuple[int, float]]:
    return {
        method: (sum(found.numbers), round(found.seconds, 6))
        for method, found in figures.durations.items()
    }


# method, seconds, the method that it counts for, the number of the bucket
REQUESTS = [
    ("GET", 0.0, "GET", 0),
    ("GET", 0.005, "GET", 0),
    ("GET", 0.0050001, "GET", 1),
    ("GET", 10.0, "GET", 13),
    ("GET", 59.0, "GET", 14),
    ("GET", 600.0, "GET", 15),
    ("GET", 600.1, "GET", 16),
    ("HEAD", 0.001, "HEAD", 0),
    ("HEAD", 0.3, "HEAD", 7),
    ("POST", 0.001, "other", 0),
    ("OPTIONS", 700.0, "other", 16),
    ("get", 0.001, "other", 0),
]


@pytest.mark.parametrize(("method", "seconds", "known_as", "bucket"), REQUESTS)
def test_a_request_is_in_one_bucket(
    method: str, seconds: float, known_as: str, bucket: int
) -> None:
    shared = board()
    lane = place(shared).lane
    lane.begun += 1
    lane.end(method, seconds, 7)
    lane.publish()
    figures = shared.figures()
    expected = [0] * (len(BUCKETS) + 1)
    expected[bucket] = 1
    assert bucket == bisect_left(BUCKETS, seconds)
    for each in METHODS:
        nothing = Durations((0,) * len(expected), 0.0)
        wanted = Durations(tuple(expected), seconds)
        assert figures.durations[each] == (wanted if each == known_as else nothing)
    assert (figures.sent_bytes, figures.in_progress) == (7, 0)


def test_what_is_in_progress() -> None:
    shared = board()
    lane = place(shared).lane
    lane.begun += 3
    lane.opened += 4
    lane.closed += 1
    assert shared.figures().in_progress == 0  # nothing was published
    lane.publish()
    assert (shared.figures().in_progress, shared.figures().connections) == (3, 3)
    lane.end("GET", 0.1, 0)
    lane.end_unmeasured()
    lane.publish()
    figures = shared.figures()
    assert figures.in_progress == 1
    assert durations(figures)["GET"] == (1, 0.1)


def test_the_sums_of_threads_and_processes_and_of_those_that_have_gone() -> None:
    shared = board(processes=2)

    def work(where: Place) -> None:
        for _ in range(1000):
            where.lane.begun += 1
            where.lane.end("GET", 0.001, 3)
        # Not published: that is done at the thread's end.

    def process(slot: int | None) -> None:
        where = shared.place(slot)
        threads = [threading.Thread(target=work, args=(where,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    slots = [shared.take(), shared.take()]
    children = []
    for slot in slots:
        pid = os.fork()
        if pid == 0:
            try:
                process(slot)
            finally:
                os._exit(0)
        children.append(pid)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    figures = shared.figures()
    assert durations(figures) == {"GET": (40_000, 40.0), "HEAD": (0, 0.0), "other": (0, 0.0)}
    assert figures.sent_bytes == 120_000
    assert set(figures.processes) == set(children)
    assert figures.first_process == os.getpid()
    for slot in slots:
        shared.release(slot)
    assert shared.figures().processes == ()
    assert durations(shared.figures()) == durations(figures)


def test_nothing_of_a_process_that_has_gone_is_in_progress() -> None:
    shared = board()
    slot = shared.take()
    lane = shared.place(slot).lane
    lane.begun += 5
    lane.opened += 6
    lane.end("HEAD", 0.2, 0)
    lane.publish()
    assert (shared.figures().in_progress, shared.figures().connections) == (4, 6)
    shared.release(slot)
    assert (shared.figures().in_progress, shared.figures().connections) == (0, 0)
    assert durations(shared.figures())["HEAD"] == (1, 0.2)
    assert shared.take() == slot


def test_more_processes_than_slots() -> None:
    shared = board(processes=1)
    slots = [shared.take() for _ in range(4)]
    assert slots == [0, 1, 2, None]
    unseen = shared.place(None)
    unseen.lane.uncounted(1)
    shared.release(None)
    assert shared.figures().uncounted == 0
    shared.release(1)
    assert shared.take() == 1


def test_threads_that_end_leave_their_lanes_to_others() -> None:
    shared = board(threads=1)
    where = place(shared)

    def drop() -> None:
        where.lane.dropped(1)
        where.lane.uncounted(2)

    for _ in range(500):  # more than there are lanes
        thread = threading.Thread(target=drop)
        thread.start()
        thread.join()
    figures = shared.figures()
    assert (figures.lines_dropped, figures.uncounted) == (500, 1000)


def test_a_map_of_another_form_is_refused() -> None:
    memory = mmap(-1, 4096)
    with pytest.raises(ValueError, match="another release"):
        Board(memory)
    shared = board()
    lane = place(shared).lane
    lane.uncounted(3)
    assert Board(shared.memory).figures() == shared.figures()


def test_a_forked_child_writes_to_a_map_of_its_own() -> None:
    host_figures.serve_on(shared := board(), shared.take())
    host_figures.present().lane.uncounted(1)
    pid = os.fork()
    if pid == 0:
        try:
            host_figures.present().lane.uncounted(10)
            os._exit(host_figures.figures().uncounted)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 10
    assert host_figures.figures().uncounted == 1
    host_figures.serve_on(own := Board.make(1, Known.NOTHING), own.take())
