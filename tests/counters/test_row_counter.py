"""A count in the rows of format 2 is what it is in the definition, the store in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.counters.client_rows import ROW
from app.counters.contract import Class, Count, Kind
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Transaction
from app.counters.lmdb.row_counter import RowCounter
from app.counters.lmdb.rows import (
    CLIENTS,
    DAYS,
    HOURS,
    NUMBER,
    SITE,
    SPILLED,
    SPILLED_KEY,
    FileRow,
    SiteRow,
    unpack_tally,
)
from app.counters.memory import MemoryCounter
from app.counters.salts import MemorySalts
from app.counters.tally import Tally, lanes_of
from tests.counters.traffic import BEGIN, DAY, HOUR, Answered, Clock, answers


class Rows(dict[bytes, bytes]):
    """Transactions of which none is given up."""

    number = 0

    def id(self) -> int:
        self.number += 1
        return self.number

    def put(self, key: bytes, value: bytes) -> bool:
        self[key] = value
        return True

    def file(self, path: str) -> FileRow:
        return FileRow.unpack(self[path.encode()])

    @property
    def site(self) -> SiteRow:
        return SiteRow.unpack(self[SITE])

    def marked(self, mark: bytes) -> Iterator[tuple[bytes, int]]:
        return (
            (key[1:], unpack_tally(value)) for key, value in sorted(self.items()) if key[:1] == mark
        )

    def days_of(self, path: str) -> dict[int, int]:
        """Return a file's tallies by day: those that are over, and its row's."""
        file = self.file(path)
        days = {file.day: file.today} if file.today else {}
        for key, lanes in self.marked(SPILLED):
            file_id, day, _ = SPILLED_KEY.unpack(key)
            if file_id == file.id:
                days[day] = days.get(day, 0) + lanes
        return days

    def hours(self) -> dict[int, int]:
        hours = {NUMBER.unpack(key)[0]: lanes for key, lanes in self.marked(HOURS)}
        hours[self.site.hour] = hours.get(self.site.hour, 0) + self.site.this_hour
        return {hour: lanes for hour, lanes in hours.items() if lanes}

    def days(self) -> dict[int, int]:
        """Return the site's tallies by day: those that are over, and the sum of the hours of the row's."""
        days = {NUMBER.unpack(key)[0]: lanes for key, lanes in self.marked(DAYS)}
        today = self.site.hour // 24
        assert today not in days
        days[today] = sum(lanes for hour, lanes in self.hours().items() if hour // 24 == today)
        return {day: lanes for day, lanes in days.items() if lanes}


def count(
    counter: RowCounter, rows: Rows, answer: Answered, client: bytes | None = None
) -> int | None:
    sent, complete = (0, False) if answer.later else (answer.sent, answer.complete)
    return counter.count(
        rows,
        answer.path,
        ((answer.kind, answer.class_, sent, complete), client, 1000, answer.at),
    )


def end(counter: RowCounter, rows: Rows, answer: Answered) -> None:
    if answer.later:
        counter.sent(
            rows, answer.path, answer.kind, answer.sent, answer.complete, answer.at, None, 0
        )


def assert_same(rows: Rows, store: MemoryCounter) -> None:
    site, contents = store.contents()
    records = dict(contents)
    for path, record in records.items():
        file = rows.file(path)
        assert (Tally(file.total), file.first, file.last) == (
            record.total,
            record.first,
            record.last,
        )
        assert {day: Tally(lanes) for day, lanes in rows.days_of(path).items()} == record.days
    totals = store.totals()
    assert Tally(rows.site.total) == totals.tally
    assert rows.site.total == sum(record.total.lanes for record in records.values())
    assert (rows.site.first, rows.site.last) == (totals.first, totals.last)
    assert rows.site.files == rows.site.next_id == len(records)
    assert {hour: Tally(lanes) for hour, lanes in rows.hours().items()} == site.hours
    assert {day: Tally(lanes) for day, lanes in rows.days().items()} == site.days


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("behind", [0, 5, 2 * HOUR, DAY + 7])
def test_rows_hold_what_the_store_in_memory_holds(seed: int, behind: int) -> None:
    """Two processes count in turn, and the clock of the second is *behind*."""
    rows, clock = Rows(), Clock()
    store, counters = MemoryCounter(clock=clock), [RowCounter(), RowCounter()]
    under_way: list[tuple[RowCounter, Answered]] = []
    for turn, told in enumerate(answers(seed, 300)):
        at = told.at - behind * (turn % 2)
        answer = Answered(
            at, told.path, told.kind, told.class_, told.sent, told.complete, told.later
        )
        clock.now = max(clock.now, at)
        assert count(counters[turn % 2], rows, answer) == answer.count(store)
        under_way.append((counters[turn % 2], answer))
        if len(under_way) > 3:
            counter, earlier = under_way.pop(0)
            end(counter, rows, earlier)
            earlier.end(store)
        if turn % 60 == 0:
            assert_same(rows, store)
    assert_same(rows, store)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("behind", [0, 5, 2 * HOUR, DAY + 7])
@pytest.mark.parametrize("size", [2, 7, 40])
def test_rows_of_answers_that_are_counted_together(seed: int, behind: int, size: int) -> None:
    """Two processes in turn, as above; with clients, some of whom come again."""
    rows, clock, salts = Rows(), Clock(), MemorySalts()
    counters = [RowCounter(), RowCounter()]
    if not behind:  # one process that counts clients: another would have the same salt
        counters = [RowCounter(salts)] * 2
    store = MemoryCounter(clock=clock)
    given = list(answers(seed, 300))
    for turn, begin in enumerate(range(0, len(given), size)):
        group = given[begin : begin + size]
        at = group[0].at - behind * (turn % 2)
        clock.now = max(clock.now, at)
        clients = [None if behind or each.later else b"client %d" % (each.at % 5) for each in group]
        numbers = counters[turn % 2].count_together(
            rows,
            [
                (each.path, each.kind, None, each.class_, each.sent, each.complete, client, 1000)
                for each, client in zip(group, clients, strict=True)
            ],
            at,
        )
        assert numbers == [
            store.count(each.path, each.kind, None, each.class_, each.sent, each.complete, client,
                        1000, at)
            for each, client in zip(group, clients, strict=True)
        ]  # fmt: skip
    assert_same(rows, store)


def test_rows_get_longer_in_the_middle_of_what_is_counted_together() -> None:
    rows, counter, store = Rows(), RowCounter(), MemoryCounter(clock=Clock())
    kinds: list[Kind] = ["full", "full", "head", "full", "probe", "partial", "full"]
    counts: list[Count] = [("/f", kind, None, "robots", 2**50, True, None, 0) for kind in kinds * 3]
    for _ in range(2):
        numbers = counter.count_together(rows, counts, BEGIN)
        assert numbers == [store.count(*each) for each in counts]
        assert_same(rows, store)


@pytest.mark.parametrize("kind", ["full", "partial", "resumed"])
def test_the_end_of_a_transfer_that_is_not_counted_any_more(kind: Kind) -> None:
    rows, counter = Rows(), RowCounter()
    counter.sent(rows, "/f", kind, 100, True, BEGIN, None, 0)
    assert rows == {}
    counter.count(rows, "/f", (("not_modified", "people", 0, False), None, 0, BEGIN))
    before = dict(rows)
    counter.sent(rows, "/f", kind, 100, True, BEGIN, None, 0)
    assert rows == before


def test_the_end_of_a_transfer_on_the_next_day_belongs_to_the_day_before() -> None:
    rows, counter = Rows(), RowCounter()
    at = BEGIN + DAY - 1
    counter.count(rows, "/f", (("full", "people", 0, False), None, 0, at))
    counter.count(rows, "/f", (("full", "people", 7, True), None, 0, at + 2))
    counter.sent(rows, "/f", "full", 100, True, at, None, 0)
    days = rows.days_of("/f")
    assert Tally(days[at // DAY]) == Tally.of(accesses=1, completed=1, sent_bytes=100)
    assert Tally(days[at // DAY + 1]) == Tally.of(accesses=1, completed=1, sent_bytes=7)
    assert rows.hours() == {at // HOUR: days[at // DAY], at // HOUR + 1: days[at // DAY + 1]}


def test_a_row_is_as_long_as_its_numbers_need() -> None:
    rows, counter = Rows(), RowCounter()
    sizes = []
    steps: list[tuple[Kind, Class]] = [("full", "people"), ("full", "robots"), ("head", "people")]
    for kind, class_ in steps:
        counter.count(rows, "/f", ((kind, class_, 10, kind == "full"), None, 0, BEGIN))
        sizes.append(len(rows[b"/f"]))
    assert sizes == [24 + 3 * 16, 24 + 7 * 16, 24 + 13 * 16]


def test_clients_are_counted_in_rows_of_their_own() -> None:
    rows, clock = Rows(), Clock()
    counter, store = RowCounter(MemorySalts()), MemoryCounter(clock=clock)
    visits = [
        (0, b"client a"),
        (10, b"client a"),
        (15, b"client b"),
        (100, b"client a"),
        (HOUR, b"client a"),
        (DAY, b"client a"),
        (DAY + 1, b"client b"),
    ]
    for after, client in visits:
        clock.now = BEGIN + after
        counter.count(rows, "/f", (("full", "people", 600, True), client, 1000, BEGIN + after))
        store.count("/f", "full", None, "people", 600, True, client, 1000)
    assert_same(rows, store)
    days = rows.days_of("/f")
    first, second = Tally(days[BEGIN // DAY]), Tally(days[BEGIN // DAY + 1])
    assert [
        first[name] for name in ("clients", "downloads", "total_requests", "unique_requests")
    ] == [2, 1, 4, 3]
    assert [
        second[name] for name in ("clients", "downloads", "total_requests", "unique_requests")
    ] == [2, 0, 2, 2]
    assert sorted(len(key) for key, _ in rows.items() if key[:1] == CLIENTS) == [17] * 4
    assert all(
        b"client" not in key and len(value) == ROW.size
        for key, value in rows.items()
        if key[:1] == CLIENTS
    )


def test_clients_of_transfers_that_end_later() -> None:
    rows, counter = Rows(), RowCounter(MemorySalts())
    for client, sent in ((b"a", 999), (b"b", 1000), (b"c", 10**9)):
        counter.count(rows, "/f", (("full", "people", 0, False), client, 1000, BEGIN))
        counter.sent(rows, "/f", "full", sent, False, BEGIN, client, 1000)
    assert Tally(rows.file("/f").today)["downloads"] == 2
    counter.sent(rows, "/f", "full", 1, False, BEGIN, b"a", 1000)
    assert Tally(rows.file("/f").today)["downloads"] == 3


def test_what_went_uncounted_is_the_sites_alone() -> None:
    rows, counter = Rows(), RowCounter()
    counter.count(rows, "/f", (("full", "people", 0, False), None, 0, BEGIN + HOUR))
    counter.uncounted(rows, 5, 2, BEGIN)
    lanes = lanes_of(uncounted=5, uncounted_sent=2)
    assert rows.hours()[BEGIN // HOUR] == lanes
    assert rows.site.total == lanes + rows.file("/f").total


def test_an_open_ended_number_does_not_touch_its_neighbours() -> None:
    rows, counter = Rows(), RowCounter()
    for _ in range(4):
        counter.count(rows, "/f", (("partial", "own", 2**52 - 1, False), None, 0, BEGIN))
    assert Tally(rows.file("/f").total) == Tally.of(
        accesses=4, partial=4, own=4, sent_bytes=2**54 - 4
    )


class Aborted(Exception):  # noqa: N818 - it stands for the end of a process's attempt
    pass


def test_nothing_is_kept_of_a_transaction_that_was_given_up(tmp_path: Path) -> None:
    """Whoever wrote instead got its number, and the next one seems to follow."""
    store = LmdbCounter(str(tmp_path), clock=lambda: float(BEGIN))
    environment, counter = store._environment, store._counter
    answer = (("full", "people", 0, True), None, 0, BEGIN)

    def give_up(rows: Transaction) -> None:
        assert counter.count(rows, "/a", answer) == 4  # type: ignore[arg-type]
        raise Aborted

    def elsewhere(rows: Transaction) -> None:
        for _ in range(2):
            RowCounter().count(rows, "/a", answer)  # type: ignore[arg-type]

    assert [store.count("/a", "full", class_="people") for _ in range(3)] == [1, 2, 3]
    with pytest.raises(Aborted):
        environment.transact(give_up)
    environment.transact(elsewhere)
    assert store.count("/a", "full", class_="people") == 6
    assert store.totals().tally.accesses == 6
    store.close()


def test_nothing_is_kept_of_what_others_wrote_over(tmp_path: Path) -> None:
    stores = [LmdbCounter(str(tmp_path), clock=lambda: float(BEGIN)) for _ in range(2)]
    numbers = [stores[turn // 3 % 2].count("/a", "full") for turn in range(20)]
    stores[0].reset(["/a"])
    numbers += [stores[turn % 2].count("/a", "full") for turn in range(4)]
    stores[1].sent("/a", "full", 1000, True, BEGIN)
    numbers += [stores[1].count("/a", "full")]
    assert numbers == [*range(1, 21), 1, 2, 3, 4, 5]
    answer = stores[0].file("/a")
    assert answer is not None
    assert (answer.file.tally.completed, answer.file.tally.sent_bytes) == (1, 1000)
    for store in stores:
        store.close()


def test_rows_are_read_once_while_nobody_else_writes() -> None:
    class Watched(Rows):
        reads = 0

        def get(self, key: bytes, *others: object) -> bytes | None:  # type: ignore[override]
            self.reads += 1
            return super().get(key)

    rows, counter = Watched(), RowCounter()
    for turn in range(50):
        counter.count(rows, f"/{turn % 5}", (("full", "people", 9, True), None, 0, BEGIN))
    before = rows.reads
    for turn in range(50):
        counter.count(rows, f"/{turn % 5}", (("full", "robots", 9, True), None, 0, BEGIN))
    assert rows.reads == before
    assert [rows.file(f"/{number}").total for number in range(5)] == [
        lanes_of(accesses=20, completed=20, sent_bytes=180, robots=10)
    ] * 5
