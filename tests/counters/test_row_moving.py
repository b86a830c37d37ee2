"""Days that go from the rows to the month blocks: each is found once, whoever reads when, and whoever is killed."""

import pytest
from app.counters.rows import SPILLED

from app.counters.periods import Period
from app.counters.reading import FileRecord, SiteRecord
from app.counters.tally import Tally
from tests.counters.rows_store import RowsStore
from tests.counters.traffic import BEGIN, DAY, Clock, answers, run

TODAY = BEGIN // DAY
PERIOD = Period(TODAY, TODAY + 40)


@pytest.fixture
def store() -> RowsStore:
    """A store with the days of 200 files in rows of their own."""
    clock = Clock()
    store = RowsStore(clock=clock)
    store.fold_after = 0
    run(store, list(answers(1, 1500, days=40, paths=200)), clock)
    return store


def everything(store: RowsStore) -> object:
    site, records = store.contents()
    return (
        site,
        dict(records),
        store.ranked("accesses", PERIOD, limit=1000).rows,
        store.series("day", PERIOD),
    )


def spilled(store: RowsStore) -> int:
    return sum(key[:1] == SPILLED for key in store.rows)


def test_a_reader_finds_each_day_once_between_any_two_steps(store: RowsStore) -> None:
    before = everything(store)
    assert spilled(store) > 200
    steps = list(enumerate(store.fold()))
    assert spilled(store) == 0
    assert len(steps) > 200
    assert everything(store) == before

    again = RowsStore(clock=store._clock)
    again.fold_after = 0
    run(again, list(answers(1, 1500, days=40, paths=200)), Clock())
    for place, _ in enumerate(again.fold()):
        if place < 5 or place % 100 == 0:
            assert everything(again) == before


@pytest.mark.parametrize("steps", [1, 2, 3, 60])
def test_a_kill_between_two_steps_loses_and_doubles_nothing(store: RowsStore, steps: int) -> None:
    before = everything(store)
    moving = store.fold()
    for _ in range(steps):
        next(moving)
    moving.close()
    assert everything(store) == before
    list(store.fold())
    assert everything(store) == before
    assert spilled(store) == 0


def test_days_that_come_after_their_month_was_moved(store: RowsStore) -> None:
    list(store.fold())
    store.count("/d0/f0.bin", "full", None, "people", 7, True, at=BEGIN)
    before = everything(store)
    assert spilled(store) == 1
    list(store.fold())
    assert everything(store) == before


def test_what_is_imported_of_the_day_that_is_not_over() -> None:
    clock = Clock(BEGIN + 5)
    store = RowsStore(clock=clock)
    store.count("/f", "full")
    day = Tally.of(accesses=3, unknown=3)
    record = FileRecord(day, BEGIN, BEGIN, {TODAY: day})
    store.add([("/f", record), ("/g", record)])
    store.add([("/h", record)], SiteRecord({TODAY * 24: day}, {TODAY: day}))
    for now in (BEGIN + 5, BEGIN + 2 * DAY):
        clock.now = now
        store.count("/i", "full")
        series = store.series("day", Period(TODAY, TODAY))
        assert series is not None
        assert series.points[0][1].accesses == 11
    hours = store.series("hour", Period(TODAY, TODAY))
    assert hours is not None
    assert hours.points[0][1].accesses == 5


def test_ids_are_not_used_again() -> None:
    clock = Clock()
    store = RowsStore(clock=clock)
    store.count("/f", "full")
    clock.now += DAY
    store.count("/f", "full")
    list(store.fold())
    store.reset(["/f"])
    store.count("/g", "full")
    store.count("/f", "full")
    rows = store.ranked(period=PERIOD).rows
    assert [(row.path, row.tally.accesses) for row in rows] == [("/f", 1), ("/g", 1)]
