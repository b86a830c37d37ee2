"""The contract of `app/counters/contract.py`, kept by every backend: alone, with threads, with
processes, with both.
"""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Barrier, Thread

import pytest

from app.counters.contract import ACCESSES, CLASSES, KINDS, Count
from app.counters.memory import MemoryCounter
from app.counters.reading import CountingStore, SiteRecord
from app.counters.tally import Tally
from tests.counters.conftest import Open
from tests.counters.kept import accesses_of, days_of, files_of, record, statuses_of

PATHS = ["/index.html", "/a%20b.txt", "/%C3%A4/index.html", "/" + "long/" * 200 + "name"]


def numbers_of(lines: Sequence[str]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for line in lines:
        path, number = line.split()
        numbers.setdefault(path, []).append(int(number))
    return numbers


@pytest.mark.parametrize("path", PATHS)
def test_accesses_are_numbered_from_one(counter: CountingStore, path: str) -> None:
    assert [counter.count(path, "full") for _ in range(5)] == [1, 2, 3, 4, 5]


def test_each_file_has_its_own_numbers(counter: CountingStore) -> None:
    assert [counter.count(path, "full") for path in PATHS * 2] == [1, 1, 1, 1, 2, 2, 2, 2]
    assert sorted(files_of(counter)) == sorted(PATHS)


def test_accesses_of_some_files_can_be_asked_for(counter: CountingStore) -> None:
    assert counter.accesses([]) == {}
    assert counter.accesses(PATHS) == dict.fromkeys(PATHS, 0)
    for times, path in enumerate(PATHS):
        for _ in range(times):
            counter.count(path, "full")
        counter.count(path, "head")
    assert counter.accesses([*PATHS, "/other"]) == {
        **{path: times for times, path in enumerate(PATHS)},
        "/other": 0,
    }
    assert "/other" not in files_of(counter)


def test_the_kinds_that_are_accesses_share_the_numbers(counter: CountingStore) -> None:
    given = {kind: counter.count("/f", kind) for kind in KINDS}
    assert given == {
        "full": 1,
        "partial": 2,
        "not_modified": 3,
        "resumed": None,
        "probe": None,
        "head": None,
    }
    total = files_of(counter)["/f"].total
    assert total.kinds == dict.fromkeys(KINDS, 1)
    assert total.accesses == len(ACCESSES)


def test_what_is_no_access_leaves_no_time(counter: CountingStore) -> None:
    for kind in ("head", "resumed", "probe"):
        counter.count("/f", kind)
    kept = files_of(counter)["/f"]
    assert (kept.first, kept.last) == (0, 0)
    assert kept.total == Tally.of(head=1, resumed=1, probe=1)


def test_announce_is_called_once_with_the_number_before_count_returns(
    counter: CountingStore,
) -> None:
    announced: list[int | None] = []
    for expected in range(1, 4):
        assert counter.count("/f", "full", announced.append) == expected
        assert announced == list(range(1, expected + 1))
    counter.count("/f", "head", announced.append)
    assert announced == [1, 2, 3]


@pytest.mark.parametrize("size", [1, 2, 16, 300])
def test_counts_made_together_are_those_made_one_by_one(counter: CountingStore, size: int) -> None:
    one_by_one = MemoryCounter()
    dice = random.Random(size)
    for _ in range(3 if size > 100 else 12):
        announced: list[list[int | None]] = [[], []]
        group: list[list[Count]] = [[], []]
        for _ in range(size):
            kind, class_, path = dice.choice(KINDS), dice.choice(CLASSES), dice.choice(PATHS)
            sent, complete = dice.choice([(0, False), (9, False), (10, True)])
            for counts, numbers in zip(group, announced, strict=True):
                counts.append((path, kind, numbers.append, class_, sent, complete, None, 0))
        returned = [one_by_one.count(*each) for each in group[1]]
        assert counter.count_together(group[0]) == returned
        assert announced[0] == announced[1]
    assert {path: kept.total for path, kept in files_of(counter).items()} == {
        path: kept.total for path, kept in files_of(one_by_one).items()
    }
    assert counter.totals().tally == one_by_one.totals().tally
    assert counter.count_together([]) == []


def test_statuses_are_kept_and_those_of_files_follow_from_the_kinds(counter: CountingStore) -> None:
    for kind in KINDS:
        counter.count("/f", kind)
    for status in (404, 404, 301, 200):
        counter.answered(status)
    assert counter.totals().statuses == {200: 2, 206: 3, 301: 1, 304: 1, 404: 2}
    counter.answered(404, 5)
    assert counter.totals().statuses == {200: 2, 206: 3, 301: 1, 304: 1, 404: 7}


def test_answers_for_no_file_leave_no_file(counter: CountingStore) -> None:
    for _ in range(100):
        counter.answered(404)
    assert files_of(counter) == {}


def test_reset_of_a_file_leaves_the_others(counter: CountingStore) -> None:
    for path in PATHS:
        counter.count(path, "full")
    counter.reset([PATHS[0], PATHS[3]])
    assert sorted(files_of(counter)) == sorted(PATHS[1:3])
    assert [counter.count(path, "full") for path in PATHS] == [1, 2, 2, 1]


def test_reset_of_everything(counter: CountingStore) -> None:
    counter.count("/f", "full")
    counter.answered(404)
    counter.reset()
    assert (files_of(counter), statuses_of(counter)) == ({}, {})
    assert counter.count("/f", "full") == 1


def test_what_is_added_is_continued(counter: CountingStore) -> None:
    site = SiteRecord(statuses={404: 7})
    added = {PATHS[3]: record(9, 1, 2, 3), "/f": record(1, 0)}
    for kept in added.values():
        for day, tally in kept.days.items():
            site.days[day] = site.days.get(day, Tally()) + tally
    counter.add(added.items(), site)
    assert files_of(counter) == added
    assert statuses_of(counter) == {404: 7}
    assert counter.count(PATHS[3], "full") == 10
    counter.add(added.items(), site)
    kept = files_of(counter)[PATHS[3]]
    assert (kept.total.accesses, kept.first) == (19, 86400)
    assert {day: days_of(kept)[day] for day in (1, 2, 3)} == {1: 2, 2: 2, 3: 2}


def test_close_twice(counter: CountingStore) -> None:
    counter.count("/f", "full")
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
            returned.append((path, counter.count(path, "full", announced[path].append)))

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


def test_threads_that_count_together(counter: CountingStore) -> None:
    """More at once than go into one batch of a remote store."""
    announced: dict[str, list[int | None]] = {path: [] for path in PATHS}
    returned: list[tuple[str, int | None]] = []
    start = Barrier(8)

    def count(size: int) -> None:
        counts: list[Count] = [
            (path, "full", announced[path].append, "tools", 1, True, None, 0)
            for path in (PATHS * size)[:size]
        ]
        start.wait()
        for _ in range(240 // size):
            numbers = counter.count_together(counts)
            returned.extend(
                (count[0], number) for count, number in zip(counts, numbers, strict=True)
            )

    threads = [Thread(target=count, args=[size]) for size in (1, 5, 16, 30, 40, 48, 60, 80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, announced.values())) == len(returned) == 8 * 240
    for path in PATHS:
        numbers = [number for counted, number in returned if counted == path]
        assert announced[path] == list(range(1, len(numbers) + 1)), "announced in order"
        assert sorted(number for number in numbers if number) == announced[path]


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
    assert open_shared().count("/a", "full") == total + 1


def test_a_fork_counts_on_while_threads_of_the_parent_count(open_shared: Open) -> None:
    counter = open_shared()
    counter.count("/f", "full")
    going = True

    def count() -> None:
        while going:
            counter.count("/f", "full")

    threads = [Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    read, write = os.pipe()
    children = []
    for _ in range(5):
        child = os.fork()
        if not child:
            for _ in range(20):
                os.write(write, b"%d\n" % (counter.count("/child", "full") or 0))
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
    before = accesses_of(counter, "/f")
    assert counter.count("/f", "full") == before + 1


def test_a_second_opening_in_one_process_shares_the_numbers(open_shared: Open) -> None:
    first, second = open_shared(), open_shared()
    assert [counter.count("/f", "full") for counter in (first, second, first)] == [1, 2, 3]
    first.close()
    assert second.count("/f", "full") == 4


def test_counts_live_on(open_shared: Open) -> None:
    counter = open_shared()
    counter.count("/f", "full")
    counter.answered(404)
    counter.close()
    again = open_shared()
    assert statuses_of(again) == {404: 1}
    assert again.count("/f", "full") == 2
