"""Stores of format 1 are converted in place: nothing is lost and nothing doubled, whenever it stops."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
import redis

from app.counters import CounterError
from app.counters.periods import Period
from app.counters.reading import FileRecord
from app.counters.redis import scripts as script
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry
from app.counters.redis.journal import Journal
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.format_1_store import Format1Program
from tests.counters.redis_server import RedisServer, accesses
from tests.waiting import wait_until

DAY = 86400
TODAY = 20_777
KINDS = ("full", "partial", "not_modified", "resumed", "head")

#: Converts one part after another, and dies within the one that it is told.
CONVERTING = """
import os, signal, sys
from app.counters.redis import store
store._AT_ONCE = 7
url, steps = sys.argv[1], int(sys.argv[2])
opened = store.RedisStore(url)
run, done = opened._server.run, 0
def counted_run(client, script, arguments):
    global done
    done += script is store.scripts.CONVERT
    if done > steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(client, script, arguments)
opened._server.run = counted_run
opened.convert()
"""


@pytest.fixture
def program(redis_server: RedisServer) -> Iterator[Format1Program]:
    opened = Format1Program(redis_server)
    yield opened
    opened.close()


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    opened = RedisStore(
        redis_server.url, timeout=5.0, clock=lambda: TODAY * DAY + 5, kept_seconds=0
    )
    yield opened
    opened.close()


def fill(program: Format1Program, times: int = 2000) -> dict[str, FileRecord]:
    """Count in the old format; return what is to be found of it in the new one."""
    dice = random.Random(times)
    entries: list[Entry] = []
    expected: dict[str, FileRecord] = {}
    for _ in range(times):
        path, kind = f"/d{dice.randrange(3)}/{dice.randrange(60)}", dice.choice(KINDS)
        at = dice.randrange((TODAY - 80) * DAY, (TODAY + 1) * DAY)
        entries.append((kind, path, "1", str(at)))
        record = expected.setdefault(path, FileRecord())
        if kind in KINDS[:3]:
            access = Tally.of(accesses=1, unknown=1)
            other = Tally.of(**({kind: 1} if kind != "full" else {}))
            record.add(FileRecord(access + other, at, at, {at // DAY: access}))
        else:
            record.add(FileRecord(Tally.of(**{kind: 1})))
    entries.append(("status", "404", "3", "0"))
    for begin in range(0, len(entries), 500):
        program.apply("old-1", begin + 1, entries[begin : begin + 500])
    return expected


def assert_holds(store: RedisStore, expected: dict[str, FileRecord]) -> None:
    site, records = store.contents()
    assert dict(records) == expected
    total = sum((record.total for record in expected.values()), Tally())
    totals = store.totals()
    assert (totals.tally, totals.files, site.statuses) == (total, len(expected), {404: 3})
    assert totals.first == min(record.first for record in expected.values() if record.first)
    assert totals.last == max(record.last for record in expected.values())
    days: dict[int, Tally] = {}
    for record in expected.values():
        for day, tally in record.days.items():
            days[day] = days.get(day, Tally()) + tally
    assert site.days == days
    by_accesses = sorted((-record.total.accesses, path) for path, record in expected.items())
    assert [row.path for row in store.ranked(limit=1000).rows] == [path for _, path in by_accesses]


def test_it_is_converted(
    redis_server: RedisServer, program: Format1Program, store: RedisStore
) -> None:
    expected = fill(program)
    assert_holds(store, expected)
    assert store.contents()[0].detailed_since == TODAY
    assert not store.totals().exact
    assert store.ranked(period=Period(TODAY, TODAY)).exact
    assert redis_server.ask("EXISTS", script.OLD_FILES, script.OLD_DAYS) == b":0\r\n"
    assert redis_server.ask("GET", script.FORMAT_KEY) == b"$1\r\n3\r\n"


def test_an_empty_store_has_details_from_the_first_access_on(
    program: Format1Program, store: RedisStore
) -> None:
    assert store.totals().detailed_since is None
    store.apply("w", 1, [("full", "/f", "people", str(TODAY * DAY))])
    assert store.totals().exact


def test_killed_three_times_on_the_way(
    redis_server: RedisServer, program: Format1Program, store: RedisStore
) -> None:
    expected = fill(program)
    for steps in (0, 5, 40):
        command = [sys.executable, "-c", CONVERTING, redis_server.url, str(steps)]
        assert subprocess.run(command, check=False).returncode == -9
        waiting = redis_server.ask("EXISTS", script.OLD_FILES, script.OLD_DAYS)
        assert waiting in (b":1\r\n", b":2\r\n")
    assert_holds(store, expected)


def test_several_convert_while_others_count(
    redis_server: RedisServer, program: Format1Program, store: RedisStore
) -> None:
    expected = fill(program, 6000)
    paths = sorted(expected)
    stores = [RedisStore(redis_server.url) for _ in range(3)]
    threads = [Thread(target=one.convert) for one in stores]
    stores[0].check()
    for thread in threads:
        thread.start()
    at = TODAY * DAY + 5
    for number, path in enumerate(paths, 1):
        [its] = store.apply("new", number, [("full", path, "robots 9 1", str(at))])
        assert its == expected[path].total.accesses + 1, "the numbers go on"
        assert store.accesses([path]) == {path: its}
        new = Tally.of(accesses=1, robots=1, sent_bytes=9, completed=1)
        expected[path].add(FileRecord(new, at, at, {TODAY: new}))
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()
    assert_holds(store, expected)


def test_a_reset_while_it_is_converted(program: Format1Program, store: RedisStore) -> None:
    expected = fill(program)
    store.check()
    path = min(expected)
    store.reset([path])
    del expected[path]
    assert dict(store.contents()[1]) == expected
    assert store.totals().tally == sum((record.total for record in expected.values()), Tally())
    assert store.apply("w", 1, [("full", path, "people", str(TODAY * DAY))]) == [1]


def test_a_program_that_knows_format_1_is_refused(
    program: Format1Program, store: RedisStore
) -> None:
    expected = fill(program)
    store.check()
    entries: list[Entry] = [("full", "/d0/1", "1", str(DAY)), ("status", "404", "1", "0")]
    for some in (entries, entries[1:]):
        for _ in range(2):
            with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
                program.apply("old-1", 2002, some)
    assert_holds(store, expected)
    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        program.apply("check", 1, [])  # as it does to see whether the store is back
    # The program of today delivers what the old one has in its journal.
    old = Tally.of(accesses=1, unknown=1)
    number = expected["/d0/1"].total.accesses + 1
    assert store.apply("old-1", 2002, entries[:1]) == [number]
    assert store.apply("old-1", 2002, entries[:1]) == [number]
    expected["/d0/1"].add(FileRecord(old, DAY, DAY, {1: old}))
    assert_holds(store, expected)


def test_a_batch_that_was_applied_before_the_change_is_not_applied_after_it(
    program: Format1Program, store: RedisStore
) -> None:
    entries: list[Entry] = [("full", "/f", "1", str(DAY)), ("head", "/f", "1", str(DAY))]
    assert program.apply("old", 1, entries) == [1, 0]
    store.check()
    assert store.apply("old", 1, entries) == [1, 0]
    assert dict(store.contents()[1])["/f"].total == Tally.of(accesses=1, unknown=1, head=1)


def test_an_old_journal_is_delivered(
    redis_server: RedisServer, program: Format1Program, tmp_path: Path
) -> None:
    fill(program, 100)
    before = accesses(redis_server.url)
    journal = Journal(str(tmp_path / RedisStore(redis_server.url).identity))
    writer = journal.register()
    entries: list[Entry] = [(kind, "/f", "1", str(TODAY * DAY)) for kind in KINDS]
    journal.append(writer, 1, [*entries, ("status", "500", "2", str(TODAY * DAY))])
    journal.abandon(writer)
    journal.close()
    counter = JournaledCounter(RedisStore(redis_server.url), str(tmp_path))
    wait_until(lambda: "/f" in counter.accesses(["/f"]) and counter.accesses(["/f"])["/f"] == 3)
    assert accesses(redis_server.url) == {**before, "/f": 3}
    record = dict(counter.contents()[1])["/f"]
    assert record.total.kinds == {**dict.fromkeys(KINDS, 1), "probe": 0}
    assert record.total.classes["unknown"] == 3
    assert counter.totals().statuses[500] == 2
    counter.close()


def test_a_newer_format_is_left_alone(redis_server: RedisServer, store: RedisStore) -> None:
    redis_server.ask("SET", script.FORMAT_KEY, "4")
    for question in (store.check, store.check_format, store.totals, store.reset):
        with pytest.raises(CounterError, match="format 4"):
            question()
    assert redis_server.ask("DBSIZE") == b":1\r\n"


def test_a_day_that_is_counted_on_before_it_is_converted(
    store: RedisStore, program: Format1Program
) -> None:
    program.apply("old", 1, [("full", "/f", "1", str(TODAY * DAY))] * 5)
    store.check()
    store.apply("w", 1, [("full", "/f", "people", str(TODAY * DAY + 1))])
    answer = store.file("/f", Period(TODAY, TODAY))
    assert answer is not None
    assert (answer.file.tally.accesses, answer.today.accesses) == (6, 6)
    store.apply("w", 2, [("full", "/f", "people", str((TODAY + 1) * DAY + 1))])
    record = dict(store.contents()[1])["/f"]
    assert {day: tally.accesses for day, tally in record.days.items()} == {TODAY: 6, TODAY + 1: 1}
