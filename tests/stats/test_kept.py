"""Answers that are given again: while the store is away, and while they are dear and fresh."""

from threading import Event, Thread
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
        self.spent = 0.0
        self.counter = MemoryCounter()
        self.problem = ""
        self.asked = 0
        self.kept = KeptAnswers(self._reader, lambda: self.now, lambda: self.spent)

    def _reader(self) -> CountReader:
        if self.problem:
            raise CounterError(self.problem)
        return self.counter

    def ask(self, *, seconds: float = 0.0, key: object = "key") -> tuple[int, str]:
        def question(_: Any) -> int:
            self.asked += 1
            self.spent += seconds
            return self.asked

        return self.kept.share(key, question)


def test_a_cheap_answer_is_always_new() -> None:
    kept = Kept()
    assert [kept.ask() for _ in range(3)] == [(1, ""), (2, ""), (3, "")]


def test_a_dear_answer_is_given_again_for_two_hundred_times_as_long_as_it_took() -> None:
    kept = Kept()
    assert kept.ask(seconds=5) == (1, "")  # not the first one: modules are imported in it
    assert kept.ask(seconds=0.02) == (2, "")
    kept.now += 3.99
    assert kept.ask() == (2, "")
    assert kept.ask(key="cheap") == (3, "")
    kept.now += 100
    assert kept.ask() == (4, "")
    assert kept.ask() == (5, "")


def test_what_is_asked_rather_than_shared_is_always_new() -> None:
    kept = Kept()
    kept.ask()
    kept.ask(seconds=0.02)
    assert kept.kept.ask("key", lambda _: 7) == (7, "")


def test_many_dear_answers_together_are_no_dearer() -> None:
    kept = Kept()
    answers = set()
    for second in range(1000):
        kept.now += 1
        answers |= {(key, kept.ask(key=key, seconds=0.1)) for key in range(second % 10)}
    assert kept.spent == pytest.approx(1000 / 200, abs=2)
    assert {key for key, _ in answers} == set(range(9))


def test_after_many_first_questions_it_is_a_minute_at_most() -> None:
    kept = Kept()
    for key in range(70):
        kept.ask(key=key)
        kept.ask(key=key, seconds=0.02)
    kept.now += 60.1
    assert kept.ask(key=69) == (141, "")


def test_nobody_waits_for_an_answer_that_somebody_else_works_out() -> None:
    kept = Kept()
    kept.ask()
    assert kept.ask(seconds=0.02) == (2, "")
    kept.now += 100
    begun, go_on = Event(), Event()

    def slow(_: CountReader) -> int:
        begun.set()
        go_on.wait(30)
        return 7

    other = Thread(target=kept.kept.share, args=("key", slow))
    other.start()
    assert begun.wait(30)
    assert kept.ask() == (2, "")
    go_on.set()
    other.join()
    assert kept.ask() == (3, "")


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
