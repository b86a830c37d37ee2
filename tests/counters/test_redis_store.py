"""Reading and moving counts in Redis while others count, and when it breaks off."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from threading import Event, Thread
from typing import Any

import pytest
import redis

from app.counters import CounterError
from app.counters.periods import Period, first_day_of, month_of
from app.counters.reading import FileRecord, SiteRecord, Totals
from app.counters.redis import scripts as script
from app.counters.redis.entries import Entry
from app.counters.redis.server import RemoteAwayError
from app.counters.redis.store import RedisStore
from app.counters.tally import LIMIT, Tally
from tests.counters.redis_server import RedisServer, accesses

DAY = 86400


class BreakingStore(RedisStore):
    """Loses its server after some batches."""

    batches = 1

    def apply(
        self, writer: str, first: int, entries: Sequence[Entry], *, patient: bool = False
    ) -> list[int]:
        if not self.batches:
            raise RemoteAwayError("counts: away")
        self.batches -= 1
        return super().apply(writer, first, entries, patient=patient)


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    opened = RedisStore(redis_server.url, timeout=5.0, kept_seconds=0)
    yield opened
    opened.close()


def tally_of(times: int) -> Tally:
    return Tally.of(accesses=times, robots=times, sent_bytes=3 * times)


def many_files() -> dict[str, FileRecord]:
    days = {20_000 + day: tally_of(1 + day) for day in range(30)}
    record = FileRecord(tally_of(465), 20_000 * DAY, 20_029 * DAY, days)
    return {f"/{name}": replace(record, days=dict(days)) for name in range(50)}


def many_of_site() -> SiteRecord:
    days = {day: sum([tally] * 50, Tally()) for day, tally in many_files()["/0"].days.items()}
    days[20_003] += Tally.of(uncounted=2, uncounted_sent=1)
    hours = {20_000 * 24 + hour: tally_of(hour) for hour in range(1, 5)}
    return SiteRecord(hours, days, {404: 7}, 19_999)


def files_of(store: RedisStore) -> dict[str, FileRecord]:
    return dict(store.contents()[1])


def test_each_file_is_read_as_of_one_moment_while_others_count(
    redis_server: RedisServer, store: RedisStore
) -> None:
    paths = [f"/{name}" for name in range(60)]
    ended = Event()

    def write(number: int) -> None:
        writer = RedisStore(redis_server.url)
        day = count(20_000)
        for first in count(1, len(paths)):
            if ended.is_set():
                break
            # New days in each batch; after a while old ones that come late.
            entries = [
                ("full", path, "people 2 1", str((1 + next(day) % 900) * DAY)) for path in paths
            ]
            writer.apply(f"w-{number}", first, entries, patient=True)
        writer.close()

    threads = [Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        before = 0
        for _ in range(8):
            counts = files_of(store)
            for record in counts.values():
                assert sum(record.days.values(), Tally()) == record.total
                assert record.total.sent_bytes == 2 * record.total.accesses
            total = sum(record.total.accesses for record in counts.values())
            assert total >= before
            before = total
            totals = store.totals()
            assert totals.tally.accesses == totals.tally.completed >= before
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    files, totals = files_of(store), store.totals()
    assert sum((record.total for record in files.values()), Tally()) == totals.tally
    days = store.contents()[0].days
    for day, tally in days.items():
        assert tally == sum((record.days.get(day, Tally()) for record in files.values()), Tally())


def test_counts_whose_days_are_incomplete_can_be_read(store: RedisStore) -> None:
    counts = {
        "/f": FileRecord(tally_of(5), 1, 20_000 * DAY, {3: tally_of(1)}),
        "/wide": FileRecord(tally_of(5), 1, 253_402_300_799, {3: tally_of(1)}),
        "/head": FileRecord(Tally.of(head=1)),
    }
    store.add(counts.items())
    assert files_of(store) == counts


@pytest.mark.parametrize("day", [4, 6])
def test_a_day_outside_the_times_is_forgotten_with_its_file(
    redis_server: RedisServer, store: RedisStore, day: int
) -> None:
    record = FileRecord(tally_of(2), 5 * DAY, 5 * DAY + 1, {day: tally_of(2)})
    store.add([("/f", record)])
    assert files_of(store) == {"/f": record}
    store.reset(["/f"])
    assert redis_server.ask("EXISTS", f"{script.MONTH}{1970 * 12}") == b":0\r\n"


def test_an_import_that_broke_off_goes_on(redis_server: RedisServer, store: RedisStore) -> None:
    breaking = BreakingStore(redis_server.url)
    with pytest.raises(CounterError, match="repeat it"):
        breaking.add(many_files().items(), many_of_site())
    breaking.close()
    arrived = files_of(store)
    assert 0 < len(arrived) < 50
    assert all(arrived[path] == many_files()[path] for path in arrived), "no file half"
    store.add(many_files().items(), many_of_site())
    assert files_of(store) == many_files()
    assert store.contents()[0] == many_of_site()
    assert store.totals().uncounted == 2


@pytest.mark.parametrize("each", [False, True])
def test_an_import_that_broke_off_begins_anew_after_a_reset(
    redis_server: RedisServer, store: RedisStore, each: bool
) -> None:
    breaking = BreakingStore(redis_server.url)
    with pytest.raises(CounterError):
        breaking.add(many_files().items())
    breaking.close()
    store.reset(list(files_of(store)) if each else None)
    store.add(many_files().items())
    assert files_of(store) == many_files()
    assert store.totals().tally == sum([tally_of(465)] * 50, Tally())


def test_nothing_is_added_when_its_source_fails_or_it_is_too_much(store: RedisStore) -> None:
    def failing() -> Iterator[tuple[str, FileRecord]]:
        yield from many_files().items()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        store.add(failing())
    half = FileRecord(Tally.of(accesses=LIMIT // 2, own=LIMIT // 2), 1, 1)
    with pytest.raises(CounterError, match="too many"):
        store.add([*many_files().items(), ("/a", half), ("/b", half)])
    assert files_of(store) == {}


def test_large_numbers_stay_exact(store: RedisStore) -> None:
    large = LIMIT - 10
    tally = Tally.of(accesses=large, own=large - 1, sent_bytes=large)
    store.add([("/f", FileRecord(tally, 1, DAY, {1: tally})), ("/g", FileRecord())])
    assert store.apply("w", 1, [("full", "/f", "people 3 0", str(DAY))]) == [large + 1]
    assert store.apply("w", 1, [("full", "/f", "people 3 0", str(DAY))]) == [large + 1]
    record = files_of(store)["/f"]
    assert record.total == record.days[1] == tally + Tally.of(accesses=1, sent_bytes=3)
    assert [row.tally.accesses for row in store.ranked().rows] == [large + 1, 0]
    assert store.accesses(["/f"]) == {"/f": large + 1}
    assert store.ranked(limit=1).next
    [row] = store.ranked(limit=1, after=store.ranked(limit=1).next).rows
    assert row.path == "/g"


def test_a_reset_does_not_forget_who_counts(store: RedisStore) -> None:
    entries = [("full", "/f", "1", "0")]
    store.apply("w-1", 1, entries)
    store.reset()
    store.apply("w-1", 1, entries)
    assert files_of(store) == {}


def test_an_import_leaves_nothing_behind(redis_server: RedisServer, store: RedisStore) -> None:
    few = {"/f": FileRecord(tally_of(1), 1, 1, {0: tally_of(1)})}
    for added in (few, many_files()):
        store.add(added.items())
    for command, key in (
        ("HLEN", script.WRITERS),
        ("HLEN", script.REPLIES),
        ("ZCARD", script.SEEN),
    ):
        assert redis_server.ask(command, key) == b":0\r\n"
    store.add(few.items())
    assert files_of(store)["/f"].total.accesses == 2


def test_a_list_is_kept_for_a_while(redis_server: RedisServer) -> None:
    now = [20_000.0 * DAY]
    store = RedisStore(redis_server.url, clock=lambda: now[0], kept_seconds=60)
    store.apply("w", 1, [("full", "/f", "people", str(20_000 * DAY))])
    first = store.ranked("bytes")
    directory = store.directory("/")
    now[0] += 1
    store.apply("w", 2, [("full", "/g", "people 3 0", str(20_000 * DAY))])
    again = store.ranked("bytes")
    assert (again, again.as_of) == (first, 20_000 * DAY), "as of the moment that it says"
    assert store.directory("/") == directory
    assert [row.path for row in store.ranked("completed").rows] == ["/f"], "of the same moment"
    assert store.directory("/g/").files == 0
    assert store.ranked().matched == 2, "this one costs nothing"
    store.reset(["/f"])
    assert [row.path for row in store.ranked("bytes").rows] == ["/g"]
    store.close()


@pytest.mark.parametrize("path", ["/a*/", "/[b]/", "/c?/", "/d\\/", "/e^-f/"])
def test_a_directory_whose_name_is_a_pattern(store: RedisStore, path: str) -> None:
    for number, name in enumerate((f"{path}x", "/ab/x", "/b/x", "/cc/x", "/d/x", "/e/x"), 1):
        store.apply("w", number, [("full", name, "people", str(DAY))])
    assert store.directory(path).files == 1


def test_a_page_of_equal_files_begins_where_the_last_one_was(store: RedisStore) -> None:
    """Even when that one is gone, or has more accesses now."""
    paths = [f"/{number:03}" for number in range(100)]
    store.apply("w", 1, [("full", path, "people", str(DAY)) for path in paths])
    page = store.ranked(limit=30)
    assert [row.path for row in page.rows] == paths[:30]
    store.apply("w", 101, [("full", "/029", "people", str(DAY))])
    rest = store.ranked(after=page.next).rows
    assert [row.path for row in rest] == paths[30:]
    assert rest[0].rank == 31
    store.reset(["/029"])
    assert [row.path for row in store.ranked(after=page.next).rows] == paths[30:]


def test_reading_does_not_disturb_what_is_kept(
    redis_server: RedisServer, store: RedisStore
) -> None:
    store.add(many_files().items(), many_of_site())

    client = redis.Redis(unix_socket_path=redis_server.path)

    def everything() -> dict[object, object]:
        return {key: client.dump(key) for key in client.keys("*")}

    before = everything()
    period = Period(20_000, 20_029)
    answers: list[Any] = [
        store.totals(),
        store.series("day", period),
        store.series("month", period, "/1"),
        store.ranked("bytes", period),
        store.file("/1", period),
        store.directory("/"),
    ]
    assert isinstance(answers[0], Totals)
    assert None not in answers
    list(store.contents()[1])
    assert accesses(redis_server.url)["/1"] == 465
    assert everything() == before
    assert len(before) > 8
    client.close()


def test_days_that_are_not_kept_are_deleted(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url, keep_days=40, kept_seconds=0)
    days = [20_000, 20_030, 20_100, 20_101, 20_130]
    store.apply("w", 1, [("full", "/f", "people", str(day * DAY)) for day in days])
    shown = store.contents()[0].days, files_of(store)
    assert sorted(shown[0]) == days[2:]
    store.forget_old_days()
    assert (store.contents()[0].days, files_of(store)) == shown
    all_of_it = RedisStore(redis_server.url)
    assert sorted(all_of_it.contents()[0].days) == days[2:]
    assert sorted(files_of(all_of_it)["/f"].days) == days[2:]
    assert store.totals().tally.accesses == 5
    for one in (store, all_of_it):
        one.close()


def test_each_day_is_in_its_month(redis_server: RedisServer, store: RedisStore) -> None:
    """The script has a calendar of its own."""
    firsts = [first_day_of(1970 * 12 + month) for month in range(1, 12 * 140)]
    days = sorted({*firsts, *(day - 1 for day in firsts)})
    one = Tally.of(accesses=1)
    record = FileRecord(sum([one] * len(days), Tally()), 1, 1, dict.fromkeys(days, one))
    store.add([("/f", record)])
    assert files_of(store)["/f"] == record
    client = redis.Redis(unix_socket_path=redis_server.path)
    months = [int(month) for month in client.hkeys(script.MONTHS)]
    assert sorted(months) == sorted({month_of(day) for day in days})
    for month in months:
        kept = json.loads(client.hget(f"{script.MONTH}{month}", "/f") or "")
        assert {month_of(day) for day, _ in kept} == {month}
    client.close()
