"""The contract of `app/counters/contract.py`, kept by every backend: alone, with threads, with
processes, with both.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Barrier, Thread

import pytest

from app.counters.contract import ACCESSES, CountingStore, FileRecord, Kind
from tests.counters.conftest import Open

PATHS = ["/index.html", "/a%20b.txt", "/%C3%A4/index.html", "/" + "long/" * 200 + "name"]


def numbers_of(lines: Sequence[str]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for line in lines:
        path, number = line.split()
        numbers.setdefault(path, []).append(int(number))
    return numbers


@pytest.mark.parametrize("path", PATHS)
def test_accesses_are_numbered_from_one(counter: CountingStore, path: str) -> None:
    assert [counter.count(path, Kind.FULL) for _ in range(5)] == [1, 2, 3, 4, 5]


def test_each_file_has_its_own_numbers(counter: CountingStore) -> None:
    assert [counter.count(path, Kind.FULL) for path in PATHS * 2] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert sorted(counter.counts().files) == sorted(PATHS)


def test_accesses_of_some_files_can_be_asked_for(counter: CountingStore) -> None:
    assert counter.accesses([]) == {}
    assert counter.accesses(PATHS) == dict.fromkeys(PATHS, 0)
    for times, path in enumerate(PATHS):
        for _ in range(times):
            counter.count(path, Kind.FULL)
        counter.count(path, Kind.HEAD)
    assert counter.accesses([*PATHS, "/other"]) == {
        **{path: times for times, path in enumerate(PATHS)},
        "/other": 0,
    }
    assert "/other" not in counter.counts().files


def test_the_kinds_that_are_accesses_share_the_numbers(counter: CountingStore) -> None:
    given = {kind: counter.count("/f", kind) for kind in Kind}
    assert given == {
        Kind.FULL: 1,
        Kind.PARTIAL: 2,
        Kind.NOT_MODIFIED: 3,
        Kind.RESUMED: None,
        Kind.HEAD: None,
    }
    record = counter.counts().files["/f"]
    assert [record.full, record.partial, record.not_modified, record.resumed, record.head] == [
        1,
        1,
        1,
        1,
        1,
    ]
    assert record.accesses == len(ACCESSES)


def test_what_is_no_access_leaves_no_time_and_no_day(counter: CountingStore) -> None:
    counter.count("/f", Kind.HEAD)
    counter.count("/f", Kind.RESUMED)
    assert counter.counts().files["/f"] == FileRecord(resumed=1, head=1)


def test_announce_is_called_once_with_the_number_before_count_returns(
    counter: CountingStore,
) -> None:
    announced: list[int | None] = []
    for expected in range(1, 4):
        assert counter.count("/f", Kind.FULL, announced.append) == expected
        assert announced == list(range(1, expected + 1))
    counter.count("/f", Kind.HEAD, announced.append)
    assert announced == [1, 2, 3]


def test_statuses_are_kept_and_those_of_files_follow_from_the_kinds(counter: CountingStore) -> None:
    for kind in Kind:
        counter.count("/f", kind)
    for status in (404, 404, 301, 200):
        counter.answered(status)
    assert counter.counts().all_statuses() == {200: 2, 206: 2, 301: 1, 304: 1, 404: 2}


def test_answers_for_no_file_leave_no_file(counter: CountingStore) -> None:
    for _ in range(100):
        counter.answered(404)
    assert counter.counts().files == {}


def test_reset_of_a_file_leaves_the_others(counter: CountingStore) -> None:
    for path in PATHS:
        counter.count(path, Kind.FULL)
    counter.reset([PATHS[0], PATHS[3]])
    assert sorted(counter.counts().files) == sorted(PATHS[1:3])
    assert [counter.count(path, Kind.FULL) for path in PATHS] == [1, 2, 2, 1]


def test_reset_of_everything(counter: CountingStore) -> None:
    counter.count("/f", Kind.FULL)
    counter.answered(404)
    counter.reset()
    assert (counter.counts().files, counter.counts().other_statuses) == ({}, {})
    assert counter.count("/f", Kind.FULL) == 1


def test_what_is_added_is_continued(counter: CountingStore) -> None:
    added = counter.counts()
    added.files[PATHS[3]] = FileRecord(
        4, 3, 2, 1, 5, first=86400, last=3 * 86400, days={1: 4, 2: 3, 3: 2}
    )
    added.files["/f"] = FileRecord(full=1, first=50, last=50, days={0: 1})
    added.other_statuses = {404: 7}
    counter.add(added)
    assert counter.counts() == added
    assert counter.count(PATHS[3], Kind.FULL) == 10
    counter.add(added)
    record = counter.counts().files[PATHS[3]]
    assert (record.full, record.accesses, record.first) == (9, 19, 86400)
    assert {day: record.days[day] for day in (1, 2, 3)} == {1: 8, 2: 6, 3: 4}
    assert sum(record.days.values()) == 19


def test_close_twice(counter: CountingStore) -> None:
    counter.count("/f", Kind.FULL)
    counter.close()
    counter.close()


def test_threads(counter: CountingStore) -> None:
    announced: dict[str, list[int | None]] = {path: [] for path in PATHS}
    returned: list[tuple[str, int | None]] = []
    start = Barrier(8)

    def count() -> None:
        start.wait()
        for turn in range(40):
            path = PATHS[turn % 2]
            returned.append((path, counter.count(path, Kind.FULL, announced[path].append)))

    threads = [Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for path in PATHS[:2]:
        assert announced[path] == list(range(1, 161)), "announced in order"
        assert sorted(number for counted, number in returned if counted == path and number) == list(
            range(1, 161)
        )


@pytest.mark.parametrize(("processes", "threads"), [(3, 1), (2, 4)])
def test_processes(
    shared_url: str, open_shared: Open, tmp_path: Path, processes: int, threads: int
) -> None:
    command = [sys.executable, "-m", "tests.counters.counting_process", shared_url, str(tmp_path / "journal"),
               "60", str(threads), "/a", "/b"]  # fmt: skip
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    lines = [line for process in running for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in running] == [0] * processes
    total = processes * threads * 30
    numbers = numbers_of(lines)
    assert {path: sorted(seen) for path, seen in numbers.items()} == {
        "/a": list(range(1, total + 1)),
        "/b": list(range(1, total + 1)),
    }
    assert open_shared().count("/a", Kind.FULL) == total + 1


def test_a_fork_counts_on_while_threads_of_the_parent_count(open_shared: Open) -> None:
    counter = open_shared()
    counter.count("/f", Kind.FULL)
    going = True

    def count() -> None:
        while going:
            counter.count("/f", Kind.FULL)

    threads = [Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    read, write = os.pipe()
    children = []
    for _ in range(5):
        child = os.fork()
        if not child:
            for _ in range(20):
                os.write(write, b"%d\n" % (counter.count("/child", Kind.FULL) or 0))
            counter.close()
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    going = False
    for thread in threads:
        thread.join()
    os.close(write)
    with os.fdopen(read) as lines:
        assert sorted(map(int, lines)) == list(range(1, 101))
    assert statuses == [0] * 5
    before = counter.counts().files["/f"].accesses
    assert counter.count("/f", Kind.FULL) == before + 1


def test_a_second_opening_in_one_process_shares_the_numbers(open_shared: Open) -> None:
    first, second = open_shared(), open_shared()
    assert [counter.count("/f", Kind.FULL) for counter in (first, second, first)] == [1, 2, 3]
    first.close()
    assert second.count("/f", Kind.FULL) == 4


def test_counts_live_on(open_shared: Open) -> None:
    counter = open_shared()
    counter.count("/f", Kind.FULL)
    counter.answered(404)
    counter.close()
    again = open_shared()
    assert again.counts().other_statuses == {404: 1}
    assert again.count("/f", Kind.FULL) == 2
