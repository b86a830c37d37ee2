"""Days that are over are packed, in stores of this format and of format 2: nothing is lost and nothing
doubled, whenever it stops and whoever counts, reads or resets meanwhile.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest
import redis

from app.counters.contract import CounterError
from app.counters.periods import Period, month_of
from app.counters.reading import FileRecord
from app.counters.redis import scripts as script
from app.counters.redis.entries import Entry, count_entry, sent_entry
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters import large_redis
from tests.counters.format_2_store import Format2Program
from tests.counters.redis_server import RedisServer, redis_running

#: These compute for seconds; on a machine that is busy with others for a minute and more.
pytestmark = pytest.mark.timeout(180)

DAY = 86400
TODAY = 20_777
#: The first day that is not packed.
BEFORE = TODAY - 2

#: Packs one block after another, and dies before the one that it is told.
PACKING = """
import os, signal, sys
from app.counters.redis import scripts, store
url, steps, before = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
opened = store.RedisStore(url)
opened.check()
run, done = opened._server.run, 0
def counted_run(client, script, arguments):
    global done
    done += script in (scripts.PACK, scripts.NUMBER)
    if done > steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(client, script, arguments)
opened._server.run = counted_run
opened._packing.pack(before)
"""


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    opened = RedisStore(
        redis_server.url, timeout=5.0, clock=lambda: TODAY * DAY + 5, kept_seconds=0
    )
    yield opened
    opened.close()


@pytest.fixture
def program(redis_server: RedisServer) -> Iterator[Format2Program]:
    opened = Format2Program(redis_server)
    yield opened
    opened.close()


def some_entries(times: int = 3000, files: int = 200) -> tuple[list[Entry], dict[str, FileRecord]]:
    """Return accesses over 80 days, and what is to be found of them."""
    dice = random.Random(times)
    entries: list[Entry] = []
    expected: dict[str, FileRecord] = {}
    for _ in range(times):
        path = f"/d{dice.randrange(3)}/{dice.randrange(files)}"
        at = dice.randrange((TODAY - 80) * DAY, (TODAY + 1) * DAY)
        sent = dice.choice((0, 7, 100_000))
        entries.append(count_entry(path, "full", "tools", sent, sent > 7, None, 0, at))
        one = Tally.of(accesses=1, tools=1, sent_bytes=sent, completed=int(sent > 7))
        expected.setdefault(path, FileRecord()).add(FileRecord(one, at, at, {at // DAY: one}))
    return entries, expected


def apply(to: RedisStore | Format2Program, entries: list[Entry]) -> None:
    for begin in range(0, len(entries), 500):
        to.apply("w", begin + 1, entries[begin : begin + 500])


def texts(server: RedisServer) -> set[int]:
    """Return the days that files still have in texts."""
    client = redis.Redis(unix_socket_path=server.path)
    texts = [text for key in client.keys(script.MONTH + "*") for text in client.hvals(key)]
    client.close()
    return {day for text in texts for day, _ in json.loads(text)}


def pack_now_and_then(store: RedisStore, server: RedisServer) -> int:
    """Have the courier pack, for a second each time, until all is packed; return the first day that
    is not.
    """
    while True:
        server.ask("DEL", script.PACKING)  # as when it expires
        store.pack()
        if (until := server.ask("HGET", script.SITE, "packed_until")) != b"$-1\r\n":
            return int(until.split()[1])


def assert_holds(store: RedisStore, expected: dict[str, FileRecord]) -> None:
    assert dict(store.contents()[1]) == expected
    for period in (Period(TODAY - 80, TODAY), Period(TODAY - 60, TODAY - 1), Period(TODAY, TODAY)):
        accesses: dict[str, int] = {}
        for path, record in expected.items():
            days = [
                tally for day, tally in record.days.items() if period.first <= day <= period.last
            ]
            if number := sum(tally.accesses for tally in days):
                accesses[path] = number
        order = sorted(accesses, key=lambda path: (-accesses[path], path))
        ranking = store.ranked(period=period, limit=1000)
        assert {row.path: row.tally.accesses for row in ranking.rows} == accesses
        assert [row.path for row in ranking.rows] == order
        assert all(sum(row.series) == row.tally.accesses for row in ranking.rows)
    long = store.ranked("bytes", Period(TODAY - 300, TODAY), limit=1000)
    assert long.unit == "month"
    assert {row.path: row.tally for row in long.rows} == {
        path: record.total for path, record in expected.items()
    }
    assert all(sum(row.series) == row.tally.accesses for row in long.rows)
    path = min(expected)
    series = store.series("day", Period(TODAY - 80, TODAY), path)
    assert series is not None
    assert {day: tally for day, tally in series.points if tally} == expected[path].days


@pytest.mark.slow
def test_days_are_packed_and_added_to(redis_server: RedisServer, store: RedisStore) -> None:
    entries, expected = some_entries()
    apply(store, entries)
    assert store._packing.pack(BEFORE)
    assert min(texts(redis_server)) >= BEFORE
    assert_holds(store, expected)
    # What comes late for a day that is packed is a part of its own, and packed too the next time.
    path, at = min(expected), (TODAY - 40) * DAY
    late = Tally.of(accesses=1, robots=1, sent_bytes=9, completed=1)
    [number] = store.apply("late", 1, [count_entry(path, "full", "robots", 9, True, None, 0, at)])
    assert number == expected[path].total.accesses + 1
    expected[path].add(FileRecord(late, at, at, {TODAY - 40: late}))
    assert_holds(store, expected)
    assert store._packing.pack(BEFORE)
    assert min(texts(redis_server)) >= BEFORE
    assert_holds(store, expected)


def test_the_courier_packs_what_is_over_for_two_days(
    redis_server: RedisServer, store: RedisStore
) -> None:
    entries, expected = some_entries()
    apply(store, entries)
    packed_until = pack_now_and_then(store, redis_server)
    assert packed_until == min(texts(redis_server)) == BEFORE
    assert_holds(store, expected)
    packs = store._reader.read().site.packs
    assert pack_now_and_then(store, redis_server) == BEFORE
    assert store._reader.read().site.packs == packs, "there is nothing more"


def test_one_packs_at_a_time(redis_server: RedisServer, store: RedisStore) -> None:
    entries, _ = some_entries(300)
    apply(store, entries)
    redis_server.ask("SET", script.PACKING, "1")
    store.pack()
    assert store._reader.read().site.packs == 0


@pytest.mark.slow
def test_killed_three_times_on_the_way(
    redis_server: RedisServer, program: Format2Program, store: RedisStore
) -> None:
    """A store of format 2, as its program wrote it."""
    entries, expected = some_entries(3000, 300)
    apply(program, entries)
    for steps in (0, 4, 13):
        command = [sys.executable, "-c", PACKING, redis_server.url, str(steps), str(BEFORE)]
        assert subprocess.run(command, check=False).returncode == -9
        assert min(texts(redis_server)) < BEFORE
        assert_holds(store, expected)
    assert store._packing.pack(BEFORE)
    assert min(texts(redis_server)) >= BEFORE
    assert_holds(store, expected)


def test_a_store_of_format_2_goes_on(
    redis_server: RedisServer, program: Format2Program, store: RedisStore
) -> None:
    entries, expected = some_entries()
    apply(program, entries)
    assert_holds(store, expected)
    assert redis_server.ask("GET", script.FORMAT_KEY) == b"$1\r\n3\r\n"
    assert store.totals().tally == sum((its.total for its in expected.values()), Tally())
    assert store.totals().detailed_since is None
    last = entries[-500:]
    assert store.apply("w", len(entries) - 499, last) == [0] * 500, "it came before"
    assert_holds(store, expected)


def test_a_program_that_knows_format_2_is_refused(
    redis_server: RedisServer, program: Format2Program, store: RedisStore
) -> None:
    entries, expected = some_entries(300)
    apply(program, entries)
    store.check()
    for _ in range(2):
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            program.apply("old", 1, entries[:2])
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            program.apply("check", 1, [])  # as it does to see whether the store is back
    assert_holds(store, expected)
    assert redis_server.ask("HGET", script.WRITERS, "old") == b"$-1\r\n"


@pytest.mark.slow
def test_others_count_read_and_reset_meanwhile(
    redis_server: RedisServer, store: RedisStore
) -> None:
    entries, expected = some_entries(4000)
    apply(store, entries)
    stores = [RedisStore(redis_server.url) for _ in range(3)]
    ended = Event()

    def pack(opened: RedisStore) -> None:
        while not ended.is_set():
            opened._packing.pack(BEFORE)

    threads = [Thread(target=pack, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    gone = sorted(expected)[::20]
    store.reset(gone)
    for path in gone:
        del expected[path]
    for number, path in enumerate(gone * 3, 1):
        at = (TODAY - number % 70) * DAY
        store.apply("new", number, [count_entry(path, "full", "tools", 0, False, None, 0, at)])
        one = Tally.of(accesses=1, tools=1)
        expected.setdefault(path, FileRecord()).add(FileRecord(one, at, at, {at // DAY: one}))
        if number % 10 == 0:
            assert dict(store.contents()[1]) == expected
    ended.set()
    for thread in threads:
        thread.join()
    assert_holds(store, expected)
    for opened in stores:
        opened.close()


def test_a_list_is_read_again_when_days_were_packed_in_between(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, expected = some_entries()
    apply(store, entries)
    whole = Period(TODAY - 80, TODAY)
    server, turns = store._server, iter(range(100))
    read = server.read_blocks

    def pack_before_reading(asked: list[str]) -> Iterator[tuple[int, bytes]]:
        store._packing.pack(TODAY - 79 + 10 * next(turns))
        return read(asked)

    store._packing.pack(TODAY - 79)  # so that there are ids, and blocks are looked for
    monkeypatch.setattr(server, "read_blocks", pack_before_reading)
    found = {row.path: row.tally.accesses for row in store.ranked(period=whole, limit=1000).rows}
    assert found == {path: record.total.accesses for path, record in expected.items()}
    store.apply("w2", 1, entries)
    records = store._reader._records()
    monkeypatch.setattr(store._reader, "_read_records", lambda: records)
    with pytest.raises(CounterError, match="packed"):
        store.ranked(period=whole)


def test_a_transfer_that_ends_after_its_day_was_packed(store: RedisStore) -> None:
    at = (TODAY - 20) * DAY
    for path in ("/f", "/g"):
        store.apply(path, 1, [count_entry(path, "full", "tools", 0, False, None, 0, at)])
        store.apply(path, 2, [count_entry(path, "full", "tools", 0, False, None, 0, TODAY * DAY)])
    store._packing.pack(BEFORE)
    store.reset(["/g"])
    store.apply("/g", 3, [count_entry("/g", "full", "tools", 0, False, None, 0, TODAY * DAY)])
    for path in ("/f", "/g"):
        store.apply(path, 4, [sent_entry(path, "full", 700, True, None, 0, at)])
        store.apply(path, 5, [sent_entry(path, "full", 700, True, None, 0, at)])
        store.apply(path, 6, [sent_entry(path, "full", 700, True, None, 0, at)])
    files = dict(store.contents()[1])
    assert files["/f"].total == Tally.of(accesses=2, tools=2, completed=2, sent_bytes=1400)
    assert files["/f"].days[TODAY - 20]["completed"] == 2
    assert files["/g"].total == Tally.of(accesses=1, tools=1), "it was counted before the reset"


def test_what_is_too_old_and_what_is_reset_goes(redis_server: RedisServer) -> None:
    store = RedisStore(
        redis_server.url, keep_days=30, clock=lambda: TODAY * DAY + 5, kept_seconds=0
    )
    entries, expected = some_entries()
    apply(store, entries)
    store._packing.pack(BEFORE)
    client = redis.Redis(unix_socket_path=redis_server.path)

    def months() -> set[int]:
        keys = client.keys(script.PACKED + "*")
        return {int(key.rpartition(b":")[2]) for key in keys if isinstance(key, bytes)}

    assert min(months()) == month_of(TODAY - 80)
    store.forget_old_days()
    assert min(months()) == month_of(TODAY - 29)
    kept = {
        path: {day: tally for day, tally in record.days.items() if day > TODAY - 30}
        for path, record in expected.items()
    }
    assert {path: its.days for path, its in dict(store.contents()[1]).items()} == kept
    store.reset()
    assert months() == set()
    store.apply("new", 1, [entries[0]])
    store._packing.pack(BEFORE)
    assert [record.total.accesses for _, record in store.contents()[1]] == [1]
    client.close()
    store.close()


@pytest.mark.slow
def test_the_large_store_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    """What is measured can be read: `large_redis.py` writes the store by itself."""
    files = 300
    with redis_running("--appendonly", "no", "--slowlog-log-slower-than", "200") as server:
        client = redis.Redis(unix_socket_path=server.path)
        large_redis.make(client, files, as_texts=False)
        large_redis.measure(server, client, files)
        client.close()
        store = RedisStore(server.url)
        today = int(time.time()) // DAY
        ranking = store.ranked(period=Period(today - 364, today))
        assert ranking.matched == files
        for row in ranking.rows[:3]:
            series = store.series("day", Period(today - 364, today), row.path)
            assert series is not None
            assert sum(tally.accesses for _, tally in series.points) == row.tally.accesses
        store.close()
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 39, printed
