"""Days that are over move to the history; a kill between two steps, or a power failure, loses and
doubles nothing.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.counters.contract import CounterError
from app.counters.lmdb import past_days, rests
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Environment, Transaction
from app.counters.lmdb.rows import BLOCK_KEY, FOLDED, NUMBER, RESTS, SPILLED, SUMMED, SUMS
from app.counters.periods import LAST_SECOND, SECONDS_PER_DAY, Period, month_of
from app.counters.tally import Tally
from tests.counters.kept import accesses_of, days_of, files_of
from tests.counters.traffic import BEGIN, DAY, Answered, Clock, answers, expected, run

TODAY = BEGIN // DAY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., LmdbCounter]]:
    """Opens the store once more."""
    counters: list[LmdbCounter] = []

    def open_it(**options: object) -> LmdbCounter:
        counters.append(
            LmdbCounter(str(tmp_path / "counts"), clock=clock, snapshot_interval=3600.0, **options)  # type: ignore[arg-type]
        )
        return counters[-1]

    yield open_it
    for counter in counters:
        counter.close()


def spilled(counter: LmdbCounter) -> int:
    def rows(transaction: Transaction) -> int:
        return sum(key[:1] == SPILLED for key, _ in transaction.cursor())

    return counter._environment.read(rows)


def fold(counter: LmdbCounter) -> None:
    counter._past.fold(counter._today())


class KilledError(Exception):
    """What ends a process, as far as the store can see."""


STEPS = ("_close_batch", "snapshot", "_write", "_delete_folded")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("comes_back", [False, True], ids=["read at once", "moved again"])
def test_a_kill_between_two_steps(
    opened: Callable[..., LmdbCounter],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    comes_back: bool,
) -> None:
    counter = opened()
    given = list(answers(3, 300))
    run(counter, given, clock)
    before = files_of(counter)
    assert spilled(counter) > 0

    def end(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        if step == "snapshot":
            patch.setattr(counter._past, "_snapshot", end)
        else:
            patch.setattr(past_days, step, end)
        with pytest.raises(KilledError):
            fold(counter)
    counter.close()
    counter = opened()
    if comes_back:
        fold(counter)
        assert spilled(counter) == 0
    assert files_of(counter) == before
    assert counter.totals().tally == expected(given)


def test_days_are_moved_and_added_to(opened: Callable[..., LmdbCounter], clock: Clock) -> None:
    counter = opened()
    for day in range(40):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
        if day % 7 == 3:
            fold(counter)
    fold(counter)
    clock.now = BEGIN + 2 * DAY  # a clock that is behind
    counter.count("/a", "full")
    fold(counter)
    days = days_of(files_of(counter)["/a"])
    assert days == {TODAY + day: 2 if day == 2 else 1 for day in range(40)}
    clock.now = BEGIN + 40 * DAY
    series = counter.series("month", Period(TODAY, TODAY + 40), "/a")
    assert series is not None
    assert sum(tally.accesses for _, tally in series.points) == 41


def test_sums_of_months_follow_their_blocks(
    opened: Callable[..., LmdbCounter], clock: Clock
) -> None:
    """Also after a program that knew no sums has moved days."""
    counter = opened()
    for day in range(70):
        clock.now = BEGIN + day * DAY
        counter.count(f"/{day % 3}", "full")
        if day % 10 == 9:
            fold(counter)
            history = counter._past._created()
            if day == 39:
                history.transact(lambda rows: rows.delete(SUMMED))
            if day == 59:
                history.transact(lambda rows: rows.put(SUMMED, NUMBER.pack(1)))
                spoil(history)
            for first in (0, 3, 35, 61):
                period = Period(TODAY + first, TODAY + day)
                ranking = counter.ranked("path", period)
                days = [at for at in range(70) if first <= at <= day]
                expected = {f"/{of}": sum(at % 3 == of for at in days) for of in range(3)}
                assert {row.path: row.tally.accesses for row in ranking.rows} == {
                    path: times for path, times in expected.items() if times
                }
                by_accesses = counter.ranked("accesses", period)
                assert by_accesses.matched == len(ranking.rows)


def spoil(history: Environment) -> None:
    """Overwrite the sums of months: whoever used them would be wrong."""

    def overwrite(rows: Transaction) -> None:
        for key in [key for key, _ in rows.cursor() if key[:1] == SUMS]:
            rows.delete(key)

    history.transact(overwrite)


@pytest.mark.parametrize("days", [2, 7, 11, 30, 90])
def test_rests_of_months_follow_their_blocks(
    opened: Callable[..., LmdbCounter], clock: Clock, days: int
) -> None:
    counter = opened()
    for day in range(100):
        clock.now = BEGIN + day * DAY
        counter.count(f"/{day % 3}", "full", None, "robots" if day % 2 else "people", day, True)
        if day > 90:
            fold(counter)
            if day % 2:
                counter._past.make_rests(TODAY + day)
                assert ready(counter) == rests.wanted(TODAY + day)
        period = Period(TODAY + day - days + 1, TODAY + day)
        meant = [at for at in range(day + 1) if day - days < at]
        sent = {f"/{of}": sum(at for at in meant if at % 3 == of) for of in range(3)}
        robots = {f"/{of}": sum(at % 3 == of and at % 2 for at in meant) for of in range(3)}
        found = counter.ranked("bytes", period)
        assert {row.path: row.tally.sent_bytes for row in found.rows} == {
            path: sent[path] for path in sent if any(f"/{at % 3}" == path for at in meant)
        }
        assert [row.path for row in found.rows] == sorted(
            (row.path for row in found.rows), key=lambda path: (-sent[path], path)
        )
        beginning = counter.ranked("bytes", period, "/1*")
        assert [row.path for row in beginning.rows] == [
            row.path for row in found.rows if row.path == "/1"
        ]
        assert counter.ranked("bytes", period, "/none*").matched == 0
        assert counter.ranked(period=period, classes=frozenset({"robots"})).matched == sum(
            map(bool, robots.values())
        )


def ready(counter: LmdbCounter) -> set[rests.Rest]:
    return counter._past._created().read(rests.ready)


def with_rests(counter: LmdbCounter, clock: Clock) -> None:
    """Count on many days, and make what is there to be read ahead."""
    for day in range(40):
        clock.now = BEGIN + day * DAY
        counter.count("/a" if day == 38 else "/b", "full")
    clock.now += DAY
    counter.count("/a", "full")
    counter.count("/b", "full")
    fold(counter)
    counter._past.make_rests(TODAY + 40)
    assert len(ready(counter)) > 1


def test_rests_are_what_is_read(opened: Callable[..., LmdbCounter], clock: Clock) -> None:
    counter = opened()
    with_rests(counter, clock)
    week, other = Period(TODAY + 34, TODAY + 40), Period(TODAY + 35, TODAY + 40)

    def order(period: Period) -> list[str]:
        return [row.path for row in counter.ranked(period=period).rows]

    assert order(week) == order(other) == ["/b", "/a"]

    def leave_rests_alone(rows: Transaction) -> None:
        names = rests.ready(rows)
        for key in [key for key, _ in rows.cursor() if key[:1] not in (b"\0", RESTS)]:
            rows.delete(key)
        rests.replace(rows, names, {})

    counter._past._created().transact(leave_rests_alone)
    assert order(week) == ["/b", "/a"]
    assert order(other) == ["/a", "/b"]


@pytest.mark.parametrize("change", ["moved", "added"])
def test_no_rest_is_read_after_a_program_that_knows_none(
    opened: Callable[..., LmdbCounter], clock: Clock, change: str
) -> None:
    counter = opened()
    with_rests(counter, clock)

    def changed(rows: Transaction) -> None:
        if change == "moved":
            rows.put(FOLDED, NUMBER.pack(9))
        else:
            rows.put(BLOCK_KEY.pack(month_of(TODAY), 77), b"a block")

    counter._past._created().transact(changed)
    assert ready(counter) == set()


def test_rests_are_made_on_a_new_day_where_there_are_many_files(
    opened: Callable[..., LmdbCounter], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_days, "INTERVAL_SECONDS", 0.0)
    counter = opened()
    with_rests(counter, clock)
    counter._past.fold_if_due(TODAY + 41)
    assert ready(counter) == rests.wanted(TODAY + 40)
    monkeypatch.setattr(past_days, "_has_many", lambda _: True)
    counter._past.fold_if_due(TODAY + 41)
    assert ready(counter) == rests.wanted(TODAY + 41)
    counter.reset()
    clock.now += DAY
    counter.count("/a", "full")
    clock.now += DAY
    counter.count("/a", "full")
    fold(counter)
    assert ready(counter) == set()


def test_rests_that_cannot_be_made_hold_up_nothing(
    opened: Callable[..., LmdbCounter],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    tried = []

    def fail(_history: object, _store_id: object, rest: rests.Rest) -> None:
        tried.append(rest)
        raise CounterError("counts: no room")

    monkeypatch.setattr(past_days, "_has_many", lambda _: True)
    monkeypatch.setattr(past_days, "_rest_sums", fail)
    counter = opened()
    for _ in range(3):
        clock.now += DAY
        counter.count("/a", "full")
    assert spilled(counter) == 2
    counter._past.fold_if_due(counter._today())
    assert len(tried) == 1
    assert spilled(counter) == 0
    assert days_of(files_of(counter)["/a"]) == {TODAY + day: 1 for day in (1, 2, 3)}
    assert capfd.readouterr().err == ""


def test_a_store_that_was_reset_has_no_history(
    opened: Callable[..., LmdbCounter], clock: Clock
) -> None:
    counter = opened()
    for day in range(3):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
    fold(counter)
    counter.reset()
    counter.count("/a", "full")
    assert days_of(files_of(counter)["/a"]) == {TODAY + 2: 1}
    clock.now += DAY
    counter.count("/a", "full")
    fold(counter)
    assert days_of(files_of(counter)["/a"]) == {TODAY + 2: 1, TODAY + 3: 1}


def test_old_months_are_dropped(opened: Callable[..., LmdbCounter], clock: Clock) -> None:
    counter = opened(keep_days=30)
    for day in range(0, 200, 10):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
    fold(counter)
    kept = days_of(files_of(counter)["/a"])
    assert kept == {TODAY + day: 1 for day in (170, 180, 190)}
    assert accesses_of(counter, "/a") == 20
    assert len(counter._past._created().read(months)) <= 3


def months(transaction: Transaction) -> set[bytes]:
    """Return the months of blocks and of sums."""
    rows = [key for key, _ in transaction.cursor() if key[:1] != b"\0"]
    blocks, sums = (
        {key[len(mark) :][:2] for key in rows if (key[:1] == SUMS) is bool(mark)}
        for mark in (b"", SUMS)
    )
    assert blocks == sums
    return blocks


def test_after_a_power_failure_the_later_of_two_states_holds(
    opened: Callable[..., LmdbCounter],
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The live file is put back to an earlier state than the snapshot's, as a disk may do."""
    store = tmp_path / "counts"
    counter = opened()
    first, more = list(answers(5, 200)), list(answers(6, 200))
    run(counter, first, clock)
    counter.close()
    shutil.copy(store / "data.mdb", tmp_path / "earlier")
    counter = opened()
    run(counter, more, clock)
    counter.close()
    shutil.copy(tmp_path / "earlier", store / "data.mdb")
    monkeypatch.setattr("app.counters.lmdb.opening.boot", lambda: b"another boot")
    counter = opened()
    given: list[Answered] = [*first, *more]
    assert counter.totals().tally == expected(given)
    for path, record in files_of(counter).items():
        assert record.total == expected(given, lambda answer, path=path: answer.path == path)  # type: ignore[misc]
        assert sum(record.days.values(), Tally()) == record.total


def test_a_history_that_cannot_be_written_is_told_once_and_tried_again(
    opened: Callable[..., LmdbCounter],
    clock: Clock,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = opened()
    for day in range(2):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")

    def full(*_: object, **__: object) -> Environment:
        raise CounterError("counts: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(past_days.PastDays, "_created", full)
        patch.setattr(past_days, "_RETRY_SECONDS", 0.0)
        for _ in range(3):
            counter._past.fold_if_due(counter._today())
    assert capfd.readouterr().err.count("days that are over wait") == 1
    counter._past.fold_if_due(counter._today())
    assert spilled(counter) == 0
    assert days_of(files_of(counter)["/a"]) == {TODAY: 1, TODAY + 1: 1}


def test_a_reader_that_may_not_write_sees_the_history(
    opened: Callable[..., LmdbCounter], clock: Clock, tmp_path: Path
) -> None:
    counter = opened()
    for day in range(2):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
    fold(counter)
    reader = LmdbCounter(str(tmp_path / "counts"), create=False, guest=True, clock=clock)
    assert days_of(files_of(reader)["/a"]) == {TODAY: 1, TODAY + 1: 1}
    assert os.path.exists(tmp_path / "counts" / "history" / "data.mdb")
    reader.close()


def test_a_history_that_was_removed_with_its_store_is_opened_anew(
    opened: Callable[..., LmdbCounter], clock: Clock, tmp_path: Path
) -> None:
    counter = opened()
    for day in range(2):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
    fold(counter)
    shutil.rmtree(tmp_path / "counts")
    assert not counter._environment.in_place()
    for day in range(2, 4):
        clock.now = BEGIN + day * DAY
        counter.count("/a", "full")
    counter._past.fold_if_due(counter._today())
    assert spilled(counter) == 0
    assert days_of(files_of(counter)["/a"]) == {TODAY + 2: 1, TODAY + 3: 1}
    assert os.path.exists(tmp_path / "counts" / "history" / "data.mdb")


def test_a_period_may_end_later_than_any_month_can_be_kept(tmp_path: Path) -> None:
    counter = LmdbCounter(str(tmp_path / "counts"))
    try:
        counter.count("/a", "full")
        period = Period(0, LAST_SECOND // SECONDS_PER_DAY)
        for order in ("accesses", "bytes"):
            assert [row.path for row in counter.ranked(order, period).rows] == ["/a"]
    finally:
        counter.close()
