"""Answers that take long: made once for all who ask, and anew in the background while somebody looks."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

from app.counters.contract import CounterError
from app.counters.redis import kept_answers
from app.counters.redis.kept_answers import KeptAnswers
from tests.waiting import wait_until


class Numbers:
    """Makes 1, 2, 3, ..., as long as nothing is wrong."""

    def __init__(self) -> None:
        self.last = 0
        self.is_away = False

    def __call__(self) -> int:
        if self.is_away:
            raise CounterError("away")
        self.last += 1
        return self.last


@pytest.fixture
def numbers() -> Numbers:
    return Numbers()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeptAnswers]:
    """Makes answers anew at once."""
    monkeypatch.setattr(kept_answers, "_LOOK_SECONDS", 0.01)
    kept = KeptAnswers(0.01)
    yield kept
    kept.close()


def test_an_answer_is_made_anew_while_somebody_looks(quick: KeptAnswers, numbers: Numbers) -> None:
    assert quick.get("a", numbers) == 1
    wait_until(lambda: quick.get("a", numbers) > 3)
    assert quick.get("b", Numbers()) >= 1, "another answer"


def test_nothing_is_made_when_nobody_looks(
    quick: KeptAnswers, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "_LOOKED_AT_SECONDS", 0.05)
    quick.get("a", numbers)
    wait_until(lambda: quick._thread is None, message="the end of the thread")
    made = numbers.last
    monkeypatch.setattr(kept_answers, "_LOOKED_AT_SECONDS", 3600)
    assert quick.get("a", numbers) == made + 1
    assert quick._thread is not None, "somebody looks again"


def test_it_is_kept_for_those_who_ask_soon(numbers: Numbers) -> None:
    kept = KeptAnswers(60)
    assert [kept.get("a", numbers) for _ in range(3)] == [1, 1, 1]
    kept.forget()
    assert kept.get("a", numbers) == 2
    kept.close()


def test_those_who_ask_at_once_share_the_making(numbers: Numbers) -> None:
    kept, begin, got = KeptAnswers(60), Barrier(8), list[int]()

    def ask() -> None:
        begin.wait()
        got.append(kept.get("a", numbers))

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [1] * 8
    kept.close()


def test_a_failure_is_told_once_the_answer_is_old(quick: KeptAnswers, numbers: Numbers) -> None:
    quick.get("a", numbers)
    numbers.is_away = True

    def is_told() -> bool:
        try:
            quick.get("a", numbers)
        except CounterError:
            return True
        return False

    wait_until(is_told)
    numbers.is_away = False
    assert wait_until(lambda: quick.get("a", numbers))


def test_without_time_every_answer_is_made_when_it_is_asked_for(numbers: Numbers) -> None:
    kept = KeptAnswers(0)
    assert [kept.get("a", numbers) for _ in range(3)] == [1, 2, 3]
    assert kept._thread is None


def test_few_are_kept(numbers: Numbers) -> None:
    kept = KeptAnswers(60)
    for key in range(40):
        kept.get(key, numbers)
    assert len(kept._kept) == len(kept._making) == 16
    assert kept.get(39, numbers) == 40
    kept.close()
