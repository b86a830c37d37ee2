"""The contract of `contract.py` and `reading.py`, kept by every store that follows it.

A store is added to STORES, with how it is opened empty with a clock of the test's. What is expected
is added up from the answers themselves, by `traffic.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from threading import Barrier, Lock, Thread
from typing import Any, NamedTuple

import pytest

from app.counters.client_rows import MOST_CLIENTS
from app.counters.contract import ACCESSES, CLASSES, KINDS, Class, Kind
from app.counters.lmdb.counter import LmdbCounter
from app.counters.memory import MemoryCounter
from app.counters.missed import MOST_NAMES
from app.counters.periods import Period, month_of
from app.counters.reading import (
    ORDERS,
    CountingStore,
    FileRecord,
    Order,
    Ranking,
    SiteRecord,
)
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.store import RedisStore
from app.counters.tally import LIMIT, Tally
from tests.counters.redis_batches import run_in_batches
from tests.counters.redis_server import redis_running
from tests.counters.traffic import BEGIN, DAY, HOUR, Answered, Clock, answers, expected, run

TODAY = BEGIN // DAY

#: Opens an empty store; the last argument is how many days it keeps.
STORES: dict[str, Callable[[Path, Clock, int | None], CountingStore]] = {
    "memory": lambda _, clock, keep_days: MemoryCounter(clock=clock, keep_days=keep_days),
    "lmdb": lambda path, clock, keep_days: LmdbCounter(
        str(path / "counts"), clock=clock, keep_days=keep_days
    ),
    "lmdb that moves days all the time": lambda path, clock, keep_days: MovingCounter(
        str(path / "counts"), clock=clock, keep_days=keep_days
    ),
}


class MovingCounter(LmdbCounter):
    """Moves days that are over to the history now and then, so that tests meet both."""

    counts = 0
    moving = Lock()

    def count(self, *arguments: Any, **named: Any) -> int | None:
        number = super().count(*arguments, **named)
        self.counts += 1
        if self.counts % 31 == 0:
            with self.moving:
                self._past.fold(self._today())
        return number


@pytest.fixture
def clock() -> Clock:
    return Clock()


class PackingStore(RedisStore):
    """Packs days that are over now and then, and sooner than servers do."""

    batches = 0
    packing = Lock()

    def apply(self, *arguments: Any, **named: Any) -> list[int]:
        numbers = super().apply(*arguments, **named)
        self.batches += 1
        if self.batches % 3 == 0:
            with self.packing:
                self._packing.pack(int(self._clock()) // DAY)
        return numbers


def redis_store(
    url: str, kind: type[RedisStore]
) -> Callable[[Path, Clock, int | None], CountingStore]:
    """Opens counters in the Redis at *url*; lists are not kept, as each answer is to be new."""

    def open_one(tmp_path: Path, clock: Clock, keep_days: int | None) -> CountingStore:
        remote = kind(url, timeout=5.0, keep_days=keep_days, clock=clock, kept_seconds=0)
        return JournaledCounter(remote, str(tmp_path / "journal"), clock=clock)

    return open_one


@pytest.fixture(params=[*STORES, "redis", "redis that packs days all the time"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Iterator[Callable[..., CountingStore]]:
    """Opens the store under test, empty; with a number it keeps so many days."""
    opened: list[CountingStore] = []
    if request.param in STORES:
        store_of = STORES[request.param]
    else:
        kind = RedisStore if request.param == "redis" else PackingStore
        store_of = redis_store(request.getfixturevalue("redis_server").url, kind)

    def open_one(keep_days: int | None = None) -> CountingStore:
        opened.append(store_of(tmp_path, clock, keep_days))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., CountingStore]) -> CountingStore:
    return open_store()


def fill(store: CountingStore, clock: Clock) -> list[Answered]:
    """Count 600 answers over three days, the last of which is not over."""
    given = list(answers(7, 600))
    if isinstance(store, JournaledCounter):
        run_in_batches(store, given, clock)
    else:
        run(store, given, clock)
    return given


@pytest.fixture
def busy(store: CountingStore, clock: Clock) -> list[Answered]:
    """The answers that the store has counted."""
    return fill(store, clock)


class Filled(NamedTuple):
    """A store that many tests read and none changes, and what it has counted."""

    store: CountingStore
    answers: list[Answered]
    clock: Clock


@pytest.fixture(scope="module", params=[*STORES, "redis", "redis that packs days all the time"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    directory, clock = tmp_path_factory.mktemp("filled"), Clock()
    with ExitStack() as stack:
        if request.param in STORES:
            store = STORES[request.param](directory, clock, None)
        else:
            # A Redis that no other test empties
            server = stack.enter_context(redis_running("--appendfsync", "no"))
            kind = RedisStore if request.param == "redis" else PackingStore
            store = redis_store(server.url, kind)(directory, clock, None)
        stack.callback(store.close)
        yield Filled(store, fill(store, clock), clock)


def tally_of(store: CountingStore, path: str) -> Tally:
    answer = store.file(path)
    assert answer is not None
    return answer.file.tally


def records_of(store: CountingStore) -> dict[str, FileRecord]:
    return dict(store.contents()[1])


def paths_of(ranking: Ranking) -> list[str]:
    return [row.path for row in ranking.rows]


def pages(
    store: CountingStore, limit: int, order: Order = "accesses", period: Period | None = None
) -> Iterator[Ranking]:
    after = ""
    while True:
        page = store.ranked(order, period, after=after, limit=limit)
        yield page
        if not page.next:
            return
        after = page.next


# Counting


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("class_", CLASSES)
def test_one_answer(store: CountingStore, kind: Kind, class_: Class) -> None:
    numbers = [store.count("/f", kind, None, class_, 5) for _ in range(2)]
    assert numbers == ([1, 2] if kind in ACCESSES else [None, None])
    tally = tally_of(store, "/f")
    assert tally.kinds == {known: 2 * (known == kind) for known in KINDS}
    assert tally.classes == {known: 2 * (known == class_ and kind in ACCESSES) for known in CLASSES}
    assert (tally.accesses, tally.completed, tally.sent_bytes) == (2 * (kind in ACCESSES), 0, 10)


@pytest.mark.parametrize(
    ("kind", "completed", "resumed"),
    [
        ("full", 1, 0),
        ("partial", 1, 0),
        ("resumed", 0, 1),
        ("not_modified", 0, 0),
        ("head", 0, 0),
        ("probe", 0, 0),
    ],
)
def test_what_is_complete_at_once(
    store: CountingStore, kind: Kind, completed: int, resumed: int
) -> None:
    store.count("/f", kind, None, "people", 10, True)
    tally = tally_of(store, "/f")
    assert (tally.completed, tally["resumed_completed"]) == (completed, resumed)


@pytest.mark.parametrize("kind", ["full", "partial", "resumed"])
@pytest.mark.parametrize("complete", [True, False])
def test_a_transfer_that_ends_later(store: CountingStore, kind: Kind, complete: bool) -> None:
    store.count("/f", kind, None, "tools", at=BEGIN)
    assert (tally_of(store, "/f").completed, tally_of(store, "/f").sent_bytes) == (0, 0)
    store.sent("/f", kind, 700, complete, BEGIN)
    tally = tally_of(store, "/f")
    assert (tally.completed + tally["resumed_completed"], tally.sent_bytes) == (int(complete), 700)


def test_the_bytes_of_a_probe_that_ends_later(store: CountingStore) -> None:
    store.count("/f", "full", None, "tools", 100, True)
    store.count("/f", "probe", at=BEGIN)
    store.sent("/f", "probe", 2, False, BEGIN)
    assert (tally_of(store, "/f").completed, tally_of(store, "/f").sent_bytes) == (1, 102)
    store.reset(["/f"])
    store.count("/f", "head")
    store.sent("/f", "probe", 2, False, BEGIN)
    assert tally_of(store, "/f").sent_bytes == 0


def test_a_transfer_belongs_to_the_hour_and_the_day_in_which_it_began(
    store: CountingStore, clock: Clock
) -> None:
    clock.now = BEGIN + DAY - 1
    store.count("/f", "full", None, "people", at=BEGIN + DAY - 1)
    clock.now += 10
    store.count("/f", "full", None, "people", 1, True)
    store.sent("/f", "full", 1000, True, BEGIN + DAY - 1)
    for path in (None, "/f"):
        days = store.series("day", Period(TODAY, TODAY + 1), path)
        assert days is not None
        assert [(tally.completed, tally.sent_bytes) for _, tally in days.points] == [
            (1, 1000),
            (1, 1),
        ]
    hours = store.series("hour", Period(TODAY, TODAY + 1))
    assert hours is not None
    assert [tally.sent_bytes for _, tally in hours.points[-2:]] == [1000, 1]


@pytest.mark.parametrize("again", [None, "not_modified", "head"])
def test_a_transfer_of_a_file_that_was_reset_is_forgotten_too(
    store: CountingStore, again: Kind | None
) -> None:
    store.count("/f", "full", None, "people", at=BEGIN)
    store.count("/g", "full", None, "people", at=BEGIN)
    store.reset(["/f"])
    if again is not None:
        store.count("/f", again)
    store.sent("/f", "full", 1000, True, BEGIN)
    assert store.totals().tally.completed == 0
    assert store.totals().tally.sent_bytes == 0


def test_announce_is_called_once_with_the_number_before_count_returns(store: CountingStore) -> None:
    announced: list[int | None] = []
    for number in range(1, 4):
        assert store.count("/f", "full", announced.append) == number
        assert announced == list(range(1, number + 1))
    store.count("/f", "head", announced.append)
    assert announced == [1, 2, 3]


def test_what_is_no_access_leaves_no_time(store: CountingStore) -> None:
    for kind in ("head", "resumed", "probe"):
        store.count("/f", kind)
    answer = store.file("/f")
    assert answer is not None
    assert (answer.file.first, answer.file.last) == (0, 0)
    assert (store.totals().first, store.totals().last) == (0, 0)


def test_statuses_are_kept_and_those_of_files_follow_from_the_kinds(store: CountingStore) -> None:
    for kind in KINDS:
        store.count("/f", kind)
    for status in (404, 404, 301, 200):
        store.answered(status)
    assert store.totals().statuses == {200: 2, 206: 3, 301: 1, 304: 1, 404: 2}


# Sums


def assert_sums_agree(store: CountingStore, clock: Clock) -> None:
    files = records_of(store)
    totals = store.totals()
    for tally in [totals.tally, *(record.total for record in files.values())]:
        assert (
            sum(tally.classes.values())
            == tally.accesses
            == sum(tally.kinds[kind] for kind in ACCESSES)
        )
        assert tally.completed <= tally.kinds["full"] + tally.kinds["partial"]
        assert tally["resumed_completed"] <= tally.kinds["resumed"]
    assert sum((record.total for record in files.values()), Tally()) == totals.tally
    for path, record in files.items():
        assert sum(record.days.values(), Tally()) == record.total, path
    site = store.contents()[0]
    days: dict[int, Tally] = {}
    for hour, tally in site.hours.items():
        days[hour // 24] = days.get(hour // 24, Tally()) + tally
    assert days == site.days
    assert totals.today == site.days.get(int(clock.now) // DAY, Tally())
    assert totals.hour == site.hours.get(int(clock.now) // HOUR, Tally())
    assert store.directory("/").tally == totals.tally
    assert totals.files == len(files) == store.directory("/").files


@pytest.mark.parametrize("seed", range(4))
def test_all_sums_agree_at_every_moment(store: CountingStore, clock: Clock, seed: int) -> None:
    given = list(answers(seed, 120))
    for begin in range(0, len(given), 20):
        run(store, given[begin : begin + 20], clock)
        assert_sums_agree(store, clock)
    assert store.totals().tally == expected(given)


def test_every_number_is_the_one_expected(filled: Filled) -> None:
    store, busy, clock = filled
    assert store.totals().tally == expected(busy)
    for path in {answer.path for answer in busy}:
        of_file = [answer for answer in busy if answer.path == path]
        answer = store.file(path)
        assert answer is not None
        assert answer.file.tally == expected(of_file)
        accesses = [one.at for one in of_file if one.kind in ACCESSES]
        assert (answer.file.first, answer.file.last) == (min(accesses), max(accesses))
        assert answer.today == expected(of_file, lambda one: one.at // DAY == int(clock.now) // DAY)
        ahead = [
            other
            for other, record in records_of(store).items()
            if record.total.accesses > len(accesses)
        ]
        assert answer.rank > len(ahead)


# Curves


@pytest.mark.parametrize("path", [None, "/d0/f0.bin", "/d1/f1.bin"])
@pytest.mark.parametrize("unit", ["hour", "day", "month"])
def test_a_curve_has_every_unit_of_its_period_until_now(
    filled: Filled, path: str | None, unit: str
) -> None:
    store, busy, clock = filled
    period = Period(TODAY - 1, TODAY + 5)
    if unit == "hour":
        if path is not None:
            with pytest.raises(ValueError, match="hours"):
                store.series("hour", period, path)
            return
        seconds = HOUR
    else:
        seconds = DAY
    series = store.series(unit, period, path)  # type: ignore[arg-type]
    assert series is not None
    first, last = (TODAY - 1) * DAY // seconds, int(clock.now) // seconds
    units: list[int] = list(range(first, last + 1))
    place: Callable[[int], int] = lambda number: number  # noqa: E731
    if unit == "month":
        units, place = sorted({month_of(day) for day in units}), month_of
    wanted = [answer for answer in busy if path in (None, answer.path)]
    assert [number for number, _ in series.points] == units
    for number, tally in series.points:
        assert tally == expected(wanted, lambda one, at=number: place(one.at // seconds) == at)  # type: ignore[misc]


def test_a_curve_of_a_file_that_was_never_counted(store: CountingStore) -> None:
    assert store.series("day", Period(TODAY, TODAY), "/f") is None
    assert store.file("/f") is None


def test_hours_are_kept_for_ninety_days(store: CountingStore, clock: Clock) -> None:
    for after in (0, 89, 95):
        clock.now = BEGIN + after * DAY
        store.count("/f", "full")
    series = store.series("hour", Period(TODAY, TODAY + 95))
    assert series is not None
    assert series.points[0][0] == (TODAY + 6) * 24
    assert [hour for hour, tally in series.points if tally] == [
        (TODAY + 89) * 24,
        (TODAY + 95) * 24,
    ]
    days = store.series("day", Period(TODAY, TODAY + 95))
    assert days is not None
    assert sum(tally.accesses for _, tally in days.points) == 3


def test_days_that_are_too_old_are_not_shown(
    open_store: Callable[..., CountingStore], clock: Clock
) -> None:
    store = open_store(10)
    for after in (0, 1, 40, 45, 49):
        clock.now = BEGIN + after * DAY
        store.count("/f", "full")
        store.count(f"/{after}", "full")
    kept = [TODAY + 40, TODAY + 45, TODAY + 49]
    for path in (None, "/f"):
        for unit in ("day", "month"):
            series = store.series(unit, Period(TODAY, TODAY + 49), path)
            assert series is not None
            assert sum(tally.accesses for _, tally in series.points) == (6 if path is None else 3)
        days = store.series("day", Period(TODAY, TODAY + 49), path)
        assert days is not None
        assert days.points[0][0] == TODAY + 40
        assert [day for day, tally in days.points if tally] == kept
    assert paths_of(store.ranked("path", Period(TODAY, TODAY + 49))) == ["/40", "/45", "/49", "/f"]
    assert store.totals().tally.accesses == 10
    assert tally_of(store, "/f").accesses == 5
    site, records = store.contents()
    assert sorted(site.days) == kept
    assert sorted(dict(records)["/f"].days) == kept


# Lists


def value_of(
    record: FileRecord, tally: Tally, order: Order, classes: frozenset[Class] | None
) -> int:
    if order == "accesses":
        return tally.accesses_of(classes)
    numbers = {"completed": tally.completed, "bytes": tally.sent_bytes, "clients": tally["clients"]}
    return {**numbers, "last": record.last, "first": -record.first, "path": 0}[order]


CLASSES_ASKED_FOR: list[frozenset[Class] | None] = [
    None,
    frozenset({"people"}),
    frozenset({"tools", "robots", "own"}),
]
PERIODS = [None, Period(TODAY, TODAY), Period(TODAY + 1, TODAY + 9), Period(0, 1)]


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_a_list(filled: Filled, order: Order) -> None:
    records = records_of(filled.store)
    for classes, period in product(CLASSES_ASKED_FOR, PERIODS):
        listed = []
        for path, record in records.items():
            tally = record.total
            if period is not None:
                days = (
                    day_tally
                    for day, day_tally in record.days.items()
                    if period.first <= day <= period.last
                )
                tally = sum(days, Tally())
            if tally.accesses_of(classes) or (period is None and classes is None):
                listed.append((-value_of(record, tally, order, classes), path, tally))
        listed.sort()
        ranking = filled.store.ranked(order, period, classes=classes)
        assert paths_of(ranking) == [path for _, path, _ in listed], (classes, period)
        assert [row.tally for row in ranking.rows] == [tally for _, _, tally in listed]
        assert [row.rank for row in ranking.rows] == list(range(1, len(listed) + 1))
        assert (ranking.matched, ranking.next, ranking.period) == (len(listed), "", period)


@pytest.mark.parametrize("days", [3, 200])
def test_rows_have_curves_of_their_own(filled: Filled, days: int) -> None:
    store = filled.store
    period = Period(TODAY + 3 - days, TODAY + 2)
    ranking = store.ranked(period=period)
    assert ranking.unit == ("day" if days == 3 else "month")
    for row in ranking.rows:
        series = store.series(ranking.unit, period, row.path)
        assert series is not None
        assert row.series == tuple(tally.accesses for _, tally in series.points)
        assert sum(row.series) == row.tally.accesses
    assert all(row.series == () for row in store.ranked().rows)


@pytest.mark.parametrize("order", ORDERS)
def test_pages_are_the_list(filled: Filled, order: Order) -> None:
    for period in (None, Period(TODAY, TODAY + 2)):
        whole = filled.store.ranked(order, period, limit=1000)
        for limit in (1, 3, 5, 1000):
            parts = list(pages(filled.store, limit, order, period))
            assert [row for part in parts for row in part.rows] == list(whole.rows), (limit, period)
            assert {part.matched for part in parts} == {whole.matched}
            assert all(len(part.rows) == limit for part in parts[:-1])


def test_files_of_equal_numbers_come_by_their_paths(store: CountingStore) -> None:
    paths = [f"/{letter}" for letter in "qwertyuiopasdfgh"]
    for path in paths:
        store.count(path, "full")
    assert [row.path for page in pages(store, 3) for row in page.rows] == sorted(paths)


def test_pages_hold_together_while_others_count(store: CountingStore) -> None:
    paths = [f"/f{number:03}" for number in range(120)]
    for place, path in enumerate(paths):
        for _ in range(place % 7 + 1):
            store.count(path, "full")
    going = True

    def count() -> None:
        turn = 0
        while going:
            store.count(paths[turn * 31 % len(paths)], "full")
            turn += 1

    threads = [Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            seen = [row.path for page in pages(store, 10) for row in page.rows]
            assert len(set(seen)) == len(seen), "no file on two pages"
            by_path = [row.path for page in pages(store, 10, "path") for row in page.rows]
            assert by_path == paths, "all files, in an order that does not move"
    finally:
        going = False
        for thread in threads:
            thread.join()


MATCHES = [
    ("", ["/a.iso", "/a.iso.sig", "/b/A%20file.iso", "/b/c.txt"]),
    ("*.iso", ["/a.iso", "/b/A%20file.iso"]),
    ("/a.iso", ["/a.iso", "/a.iso.sig"]),
    ("/b/*", ["/b/A%20file.iso", "/b/c.txt"]),
    ("/?.iso", ["/a.iso"]),
    ("/[ab].iso", ["/a.iso"]),
    ("a file", ["/b/A%20file.iso"]),
    ("A%20FILE", ["/b/A%20file.iso"]),
    ("*a file*", []),
    ("*A file*", ["/b/A%20file.iso"]),
    (".", ["/a.iso", "/a.iso.sig", "/b/A%20file.iso", "/b/c.txt"]),
    ("(", []),
    ("ä", []),
    ("[", []),
    ("[z-a]", []),
]


@pytest.mark.parametrize(("match", "paths"), MATCHES)
def test_what_matches(store: CountingStore, match: str, paths: list[str]) -> None:
    for path in MATCHES[0][1]:
        store.count(path, "full")
    ranking = store.ranked("path", match=match)
    assert (paths_of(ranking), ranking.matched) == (paths, len(paths))


@pytest.mark.parametrize(
    "arguments",
    [
        {"order": "size"},
        {"limit": 0},
        {"limit": 100_001},
        {"classes": frozenset()},
        {"classes": frozenset({"humans"})},
        {"match": "x" * 1001},
        {"after": "x"},
        {"after": "W10"},
        {"after": "bnVsbA"},
        {"after": "\u00e4"},
        {"after": "W10" * 5000},
    ],
)
def test_lists_that_cannot_be(store: CountingStore, arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        store.ranked(**arguments)  # type: ignore[arg-type]


def test_a_place_in_one_list_is_none_in_another(filled: Filled) -> None:
    store = filled.store
    after = store.ranked(limit=2).next
    assert store.ranked(limit=5, after=after).rows[0].rank == 3
    for other in (
        {"order": "bytes"},
        {"period": Period(0, TODAY)},
        {"match": "f"},
        {"classes": frozenset({"own"})},
    ):
        with pytest.raises(ValueError, match="another list"):
            store.ranked(after=after, **other)


# One file, one directory


def test_a_file_over_a_period(filled: Filled) -> None:
    store, busy, _ = filled
    answer = store.file("/d0/f0.bin", Period(TODAY + 1, TODAY + 1))
    assert answer is not None
    of_file = [one for one in busy if one.path == "/d0/f0.bin"]
    assert answer.file.tally == expected(of_file, lambda one: one.at // DAY == TODAY + 1)


def test_the_rank_of_a_file(filled: Filled) -> None:
    store = filled.store
    for row in store.ranked().rows:
        answer = store.file(row.path)
        assert answer is not None
        assert answer.rank == row.rank


def test_directories(store: CountingStore) -> None:
    for path in ("/a/b/c", "/a/b/d", "/a/e", "/ab", "/a%2Fx"):
        store.count(path, "full", None, "people", 10, True)
    sums = {path: store.directory(path) for path in ("/", "/a/", "/a/b/", "/b/")}
    assert {path: found.files for path, found in sums.items()} == {
        "/": 5,
        "/a/": 3,
        "/a/b/": 2,
        "/b/": 0,
    }
    assert all(found.tally.sent_bytes == 10 * found.files for found in sums.values())
    assert (sums["/a/"].first, sums["/a/"].last, sums["/b/"].first) == (BEGIN, BEGIN, 0)
    with pytest.raises(ValueError, match="slash"):
        store.directory("/a")


def test_paths_of_any_length(store: CountingStore) -> None:
    paths = ["/a", "/" + "b/" * 400 + "x", "/" + "b/" * 400 + "y", "/b/c", "/" + "c" * 8000]
    for times, path in enumerate(paths, 1):
        for _ in range(times):
            store.count(path, "full", None, "people", 0, False, at=BEGIN)
            store.sent(path, "full", 5, True, BEGIN)
    assert paths_of(store.ranked("path")) == sorted(paths)
    assert paths_of(store.ranked()) == paths[::-1]
    assert paths_of(store.ranked(match="*x")) == [paths[1]]
    assert [row.path for page in pages(store, 1) for row in page.rows] == paths[::-1]
    assert store.directory("/b/").tally == Tally.of(accesses=9, completed=9, sent_bytes=45)
    answer = store.file(paths[4], Period(TODAY, TODAY))
    assert answer is not None
    assert (answer.rank, answer.file.tally.accesses) == (1, 5)
    other = MemoryCounter()
    other.add(store.contents()[1])
    assert paths_of(other.ranked()) == paths[::-1]
    store.reset([paths[1]])
    assert store.file(paths[1]) is None
    assert paths_of(store.ranked("path")) == sorted([*paths[:1], *paths[2:]])


# What an answer says of itself


def test_when(store: CountingStore, clock: Clock) -> None:
    clock.now = BEGIN + 5.7
    assert store.totals().as_of == BEGIN + 5
    assert store.ranked().as_of == BEGIN + 5


def test_what_went_uncounted_is_in_the_answers_for_its_time(
    store: CountingStore, clock: Clock
) -> None:
    store.count("/f", "full")
    assert store.totals().exact
    clock.now = BEGIN + 2 * DAY
    store.uncounted(3, 1, BEGIN + DAY)
    totals = store.totals()
    assert (totals.exact, totals.uncounted, totals.uncounted_sent, totals.tally.accesses) == (
        False,
        3,
        1,
        1,
    )
    assert all("\n" not in reason for reason in totals.reasons)
    for period, exact in ((Period(TODAY, TODAY), True), (Period(TODAY, TODAY + 1), False)):
        assert store.ranked(period=period).exact is exact
        series, file = store.series("day", period), store.file("/f", period)
        assert series is not None
        assert file is not None
        assert series.exact is file.exact is exact


def test_an_answer_does_not_change_when_counting_goes_on(store: CountingStore) -> None:
    store.count("/f", "full")
    totals, ranking = store.totals(), store.ranked()
    store.count("/f", "full")
    assert (totals.tally.accesses, ranking.rows[0].tally.accesses) == (1, 1)


# Clients


def test_clients(store: CountingStore, clock: Clock) -> None:
    for after, client in ((0, b"a"), (20, b"a"), (40, b"b"), (3 * HOUR, b"a"), (DAY, b"c")):
        clock.now = BEGIN + after
        store.count("/f", "full", None, "people", 500, True, client, 1000)
    store.count("/f", "full", None, "robots", 500, True)
    period = Period(TODAY - 7, TODAY + 1)
    answer = store.file("/f", period)
    assert answer is not None
    assert answer.file.clients is not None
    clients = answer.file.clients
    assert (clients.mean_per_day, clients.highest, clients.highest_day, clients.is_more) == (
        2,
        2,
        TODAY,
        False,
    )
    [row] = store.ranked("clients", period).rows
    assert row.clients == clients
    series = store.series("day", Period(TODAY, TODAY + 1), "/f")
    assert series is not None
    names = ("clients", "downloads", "total_requests", "unique_requests")
    assert [[tally[name] for name in names] for _, tally in series.points] == [
        [2, 1, 3, 3],
        [1, 0, 1, 1],
    ]


def test_without_clients_there_are_none(filled: Filled) -> None:
    store = filled.store
    assert all(row.clients is None for row in store.ranked(period=Period(TODAY, TODAY + 2)).rows)
    assert MOST_CLIENTS == 100_000


# Moving


def test_a_store_moves_without_loss(
    store: CountingStore, clock: Clock, busy: list[Answered]
) -> None:
    for status in (404, 500, 404):
        store.answered(status)
    store.uncounted(2, 1, int(clock.now))
    other = MemoryCounter(clock=clock)
    site, records = store.contents()
    other.add(records, site)
    assert records_of(other) == records_of(store)
    assert other.contents()[0] == store.contents()[0]
    assert other.totals() == store.totals()
    before = store.totals()
    site, records = other.contents()
    store.add(records, site)
    assert store.totals().tally == before.tally + before.tally
    assert_sums_agree_without_uncounted(store)
    assert (
        store.count("/d0/f0.bin", "full") == 2 * records_of(other)["/d0/f0.bin"].total.accesses + 1
    )


def assert_sums_agree_without_uncounted(store: CountingStore) -> None:
    total = sum((record.total for _, record in records_of(store).items()), Tally())
    site = store.totals().tally
    uncounted = Tally.of(uncounted=site["uncounted"], uncounted_sent=site["uncounted_sent"])
    assert total + uncounted == site


def test_files_that_are_added_without_a_site_make_its_days(
    store: CountingStore, clock: Clock
) -> None:
    tally = Tally.of(accesses=2, unknown=2)
    record = FileRecord(tally + tally, BEGIN - DAY, BEGIN, {TODAY - 1: tally, TODAY: tally})
    store.add([("/f", record)])
    store.add([("/" + "long/" * 200, record)])
    series = store.series("day", Period(TODAY - 1, TODAY))
    assert series is not None
    assert [point.accesses for _, point in series.points] == [4, 4]
    assert store.count("/f", "full") == 5
    assert records_of(store)["/f"].first == BEGIN - DAY


def test_days_before_there_were_classes_are_told(store: CountingStore) -> None:
    record = FileRecord(
        Tally.of(accesses=1, unknown=1), BEGIN, BEGIN, {TODAY - 9: Tally.of(accesses=1, unknown=1)}
    )
    store.add([("/f", record)], SiteRecord(days=dict(record.days), detailed_since=TODAY))
    assert not store.totals().exact
    assert not store.ranked(period=Period(TODAY - 1, TODAY)).exact
    assert store.ranked(period=Period(TODAY, TODAY)).exact


def test_numbers_that_are_too_large_are_refused(store: CountingStore) -> None:
    record = FileRecord(Tally.of(accesses=LIMIT - 1, unknown=LIMIT - 1), 1, 1)
    store.add([("/f", record)])
    with pytest.raises(Exception, match="too many"):
        store.add([("/f", record)])
    assert tally_of(store, "/f") == record.total


def test_reset_of_a_file_leaves_the_others_and_the_curves(
    store: CountingStore, clock: Clock, busy: list[Answered]
) -> None:
    before = store.contents()[0]
    store.reset(["/d0/f0.bin", "/nothing"])
    rest = [answer for answer in busy if answer.path != "/d0/f0.bin"]
    assert store.totals().tally == expected(rest) == store.directory("/").tally
    assert store.file("/d0/f0.bin") is None
    assert "/d0/f0.bin" not in paths_of(store.ranked(period=Period(TODAY, TODAY + 2)))
    assert store.contents()[0] == before
    assert store.count("/d0/f0.bin", "full") == 1
    period = Period(TODAY, TODAY + 2)
    [row] = [row for row in store.ranked(period=period).rows if row.path == "/d0/f0.bin"]
    assert row.tally.accesses == 1, "nothing of what it had before"


def test_reset_of_everything(store: CountingStore, busy: list[Answered]) -> None:
    store.answered(404)
    store.reset()
    totals = store.totals()
    assert (totals.tally, totals.files, totals.statuses, totals.first) == (Tally(), 0, {}, 0)
    assert (list(records_of(store).items()), store.contents()[0]) == ([], SiteRecord())
    assert store.count("/d0/f0.bin", "full") == 1


def test_names_that_are_not_there(store: CountingStore) -> None:
    assert store.missed().names == {}
    store.add_missed({"/b": 2, "/a": 1})
    store.add_missed({"/a": 1, "/c": 7})
    found = store.missed()
    assert list(found.names.items()) == [("/c", 7), ("/a", 2), ("/b", 2)]
    assert found.as_of == store.totals().as_of
    store.reset(["/c"])
    assert store.missed().names == found.names  # they are no files
    store.reset()
    assert store.missed().names == {}


def test_names_that_are_not_there_are_kept_within_bounds(store: CountingStore) -> None:
    often = {f"/often/{number}": 1000 + number for number in range(MOST_NAMES // 2)}
    store.add_missed(often)
    for flood in range(4):
        store.add_missed({f"/flood/{flood}/{number}": 1 for number in range(2 * MOST_NAMES)})
        store.add_missed(dict.fromkeys(often, 1))
    found = store.missed().names
    assert len(found) == MOST_NAMES
    assert {name: found[name] for name in often} == {name: often[name] + 4 for name in often}


def test_close_twice(store: CountingStore) -> None:
    store.count("/f", "full")
    store.close()
    store.close()


# Threads


def test_threads(store: CountingStore, clock: Clock) -> None:
    announced: dict[str, list[int | None]] = {path: [] for path in ("/a", "/b")}
    start = Barrier(8)

    def count(thread: int) -> None:
        start.wait()
        for turn in range(40):
            path = "/a" if turn % 2 else "/b"
            store.count(path, "full", announced[path].append, CLASSES[thread % 5], at=BEGIN)
            store.sent(path, "full", 10, turn % 4 == 0, BEGIN)

    threads = [Thread(target=count, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert announced == {path: list(range(1, 161)) for path in announced}
    assert_sums_agree(store, clock)
    tally = store.totals().tally
    assert (tally.accesses, tally.sent_bytes, tally.completed) == (320, 3200, 80)


def test_tallies_of_some_files(store: CountingStore) -> None:
    paths = ["/a", "/" + "long" * 200, "/ä", "/b"]
    for times, path in enumerate(paths, 1):
        for _ in range(times):
            store.count(path, "full", None, "tools", 5, complete=True)
    store.reset(["/b"])
    asked = ["/none", *paths[::-1], "/a"]
    found = store.tallies(asked)
    rows = {row.path: (row.first, row.last, row.tally) for row in store.ranked("first").rows}
    assert found == [rows.get(path) for path in asked]
    assert [each is None for each in found] == [True, True, False, False, False, False]
    assert store.tallies([]) == []
