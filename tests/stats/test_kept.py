"""Answers that are given again: while the store is away, and while they are dear and fresh."""

from threading import Event, Thread
from time import thread_time
from typing import Any

import pytest

from app.counters.contract import CounterError
from app.counters.memory import MemoryCounter
from app.counters.reading import CountReader
from app.stats.kept import KeptAnswers
from tests.waiting import wait_until


class Kept:
    """What is under test, with a clock of the test's."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.counter = MemoryCounter()
        self.problem = ""
        self.asked = 0
        self.kept = KeptAnswers(self._reader, lambda: self.now)

    def _reader(self) -> CountReader:
        if self.problem:
            raise CounterError(self.problem)
        return self.counter

    def ask(self, *, seconds: float = 0.0, key: object = "key") -> tuple[int, str]:
        def question(_: Any) -> int:
            self.asked += 1
            begun = thread_time()
            while thread_time() - begun < seconds:
                pass
            return self.asked

        return self.kept.ask(key, question)


def test_a_cheap_answer_is_always_new() -> None:
    kept = Kept()
    assert [kept.ask() for _ in range(3)] == [(1, ""), (2, ""), (3, "")]


def test_a_dear_answer_is_given_again_for_fifty_times_as_long_as_it_took() -> None:
    kept = Kept()
    assert kept.ask(seconds=0.02) == (1, "")
    kept.now += 0.99
    assert kept.ask() == (1, "")
    assert kept.ask(key="another") == (2, "")
    kept.now += 100
    assert kept.ask() == (3, "")
    assert kept.ask() == (4, "")


def test_nobody_waits_for_an_answer_that_somebody_else_works_out() -> None:
    kept = Kept()
    assert kept.ask(seconds=0.02) == (1, "")
    kept.now += 100
    begun, go_on = Event(), Event()

    def slow(_: CountReader) -> int:
        begun.set()
        go_on.wait(30)
        return 7

    other = Thread(target=kept.kept.ask, args=("key", slow))
    other.start()
    assert begun.wait(30)
    assert kept.ask() == (1, "")
    go_on.set()
    other.join()
    assert kept.ask() == (2, "")


def test_a_store_that_is_away_is_asked_once_a_second() -> None:
    kept = Kept()
    kept.ask()
    kept.ask(key="other")
    kept.problem = "away"
    assert kept.ask() == (1, "away")
    kept.problem = ""
    assert kept.ask(key="other") == (2, "away")
    kept.now += 1.1
    assert kept.ask(key="other") == (3, "")
    kept.problem = "away"
    with pytest.raises(CounterError, match="away"):
        kept.ask(key="never asked")


def test_so_many_are_kept() -> None:
    kept = Kept()
    for number in range(100):
        kept.ask(key=number)
    kept.problem = "away"
    assert kept.ask(key=99) == (100, "away")
    with pytest.raises(CounterError):
        kept.ask(key=0)
    wait_until(lambda: not kept.kept._asked, message="nothing is asked")
