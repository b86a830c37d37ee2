"""A store that does not open while the server runs."""

from pathlib import Path

import pytest

from app.counters import CounterError, open_counter
from app.counters.contract import Count
from app.counters.memory import MemoryCounter
from app.counters.retrying import DeferredCounter
from tests.waiting import wait_until


def test_counting_begins_as_soon_as_the_store_opens(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "counts"
    directory.write_text("in the way")
    url = f"lmdb:{directory}"
    with pytest.raises(CounterError) as refused:
        open_counter(url)
    counter = DeferredCounter(lambda: open_counter(url), refused.value)
    announced: list[int | None] = []
    assert counter.count("/a", "full", announced.append) is None
    assert counter.count("/a", "head", announced.append) is None
    counter.answered(404)
    counts: list[Count] = [
        ("/b", kind, announced.append, "people", 0, True, None, 0) for kind in ("full", "head")
    ]
    assert counter.count_together(counts) == [None, None]
    assert announced == [None, None]
    assert not counter.is_counting()
    directory.unlink()
    assert wait_until(lambda: counter.count("/a", "not_modified"), message="a number") == 1
    assert counter.count("/a", "full", announced.append) == 2
    assert announced[-1] == 2
    assert counter.count_together(counts * 2) == [1, None, 2, None]
    assert announced[-2:] == [1, 2]
    assert counter.is_counting()
    assert counter.pending() == 0
    counter.close()
    counter.close()
    first, last = capfd.readouterr().err.splitlines()
    assert str(directory) in first
    assert "not counted" in last


def test_a_store_that_fails_is_left_alone_for_a_while() -> None:
    attempts = []

    def fail() -> MemoryCounter:
        attempts.append(1)
        raise CounterError("counts: out of order")

    counter = DeferredCounter(fail, CounterError("counts: out of order"))
    for _ in range(1000):
        counter.count("/a", "full")
    assert len(attempts) <= 1


def test_once_closed_it_opens_nothing() -> None:
    opened = []

    def open_store() -> MemoryCounter:
        opened.append(MemoryCounter())
        return opened[-1]

    counter = DeferredCounter(open_store, CounterError("counts: out of order"))
    counter.close()
    counter._outage.retry_at = 0.0
    assert counter.count("/a", "full") is None
    assert opened == []


def test_what_went_uncounted_is_told_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    error = CounterError("counts: out of order")

    def fail() -> MemoryCounter:
        raise error

    counter = DeferredCounter(fail, error)
    for _ in range(3):
        counter.count("/a", "full")
    counter.count("/a", "head")
    counter.close()
    counter.close()
    _, last = capfd.readouterr().err.splitlines()
    assert last == "tally: counts: 3 accesses were not counted"


def test_what_went_uncounted_is_in_the_store_once_it_opens() -> None:
    store = MemoryCounter()
    opens = [False]

    def open_store() -> MemoryCounter:
        if not opens[0]:
            raise CounterError("counts: out of order")
        return store

    counter = DeferredCounter(open_store, CounterError("counts: out of order"))
    for _ in range(3):
        counter.count("/a", "full")
    counter.count("/a", "head")
    opens[0] = True
    counter._outage.retry_at = 0.0
    assert counter.count("/a", "full") == 1
    assert (store.totals().uncounted, store.totals().exact) == (3, False)
    counter.close()
