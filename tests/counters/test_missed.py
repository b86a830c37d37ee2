"""Names that are not there, on their way to a store."""

import os
from collections.abc import Mapping
from threading import Event, Thread

import pytest

from app.counters.contract import CounterError
from app.counters.memory import MemoryCounter
from app.counters.missed import MOST_NAMES, MissedNames
from tests.waiting import wait_until


def test_they_arrive_by_themselves() -> None:
    store = MemoryCounter()
    missed = MissedNames(lambda: store, seconds=0.01)
    for _ in range(3):
        missed.add("/favicon.ico")
    wait_until(lambda: store.missed().names == {"/favicon.ico": 3}, message="the names")


def test_what_is_held_arrives_at_the_end() -> None:
    store = MemoryCounter()
    missed = MissedNames(lambda: store, seconds=3600)
    missed.add("/gr\xc3\xb6\xc3\x9fe \x1b<b>")
    assert store.missed().names == {}
    missed.close()
    missed.close()
    assert store.missed().names == {"/gr%C3%B6%C3%9Fe%20%1B%3Cb%3E": 1}


def test_a_flood_of_names_is_bounded_and_hides_none_that_comes_often() -> None:
    store = MemoryCounter()
    missed = MissedNames(lambda: store, seconds=3600)
    for number in range(20 * MOST_NAMES):
        missed.add(f"/flood/{number}" + "x" * 5000)
        if number % 2:
            missed.add("/favicon.ico")
    assert len(missed._names) <= 2 * MOST_NAMES
    missed.close()
    found = store.missed().names
    assert next(iter(found.items())) == ("/favicon.ico", 10 * MOST_NAMES)
    assert max(map(len, found)) == 200


def test_they_wait_while_the_store_fails() -> None:
    store = MemoryCounter()
    problems = [CounterError("away")] * 2

    class Failing:
        def add_missed(self, names: Mapping[str, int]) -> None:
            if problems:
                raise problems.pop()
            store.add_missed(names)

    missed = MissedNames(Failing, seconds=3600)
    missed.add("/a")
    missed.flush()
    missed.add("/a")
    missed.flush()
    assert store.missed().names == {}
    missed.flush()
    assert store.missed().names == {"/a": 2}


def test_many_threads() -> None:
    store = MemoryCounter()
    missed = MissedNames(lambda: store, seconds=0.001)
    begin = Event()

    def add() -> None:
        begin.wait()
        for _ in range(500):
            missed.add("/a")

    threads = [Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    begin.set()
    for thread in threads:
        thread.join()
    missed.close()
    wait_until(lambda: store.missed().names == {"/a": 4000}, message="every one")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_has_none_of_them() -> None:
    store = MemoryCounter()
    missed = MissedNames(lambda: store, seconds=3600)
    missed.add("/parent")
    child = os.fork()
    if not child:
        missed.add("/child")
        missed.close()
        os._exit(0 if store.missed().names == {"/child": 1} else 1)
    assert os.waitpid(child, 0)[1] == 0
    missed.close()
    assert store.missed().names == {"/parent": 1}
