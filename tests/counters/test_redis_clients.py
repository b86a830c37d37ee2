"""Clients in Redis: the rule of `client_rows.py`, kept by a script; the salt that hosts share."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.counters.client_rows import MOST_CLIENTS
from app.counters.contract import KINDS, Kind
from app.counters.memory import MemoryCounter
from app.counters.reading import FileRecord
from app.counters.redis import scripts as script
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry, count_entry, sent_entry
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.redis_server import RedisServer
from tests.counters.traffic import BEGIN, DAY, Clock
from tests.waiting import wait_until

TODAY = BEGIN // DAY
NAMES = ("clients", "downloads", "total_requests", "unique_requests")


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[RedisStore]:
    opened = RedisStore(redis_server.url, timeout=5.0, clock=Clock(), kept_seconds=0)
    yield opened
    opened.close()


def client_numbers(store: RedisStore | MemoryCounter, path: str = "/f") -> dict[int, list[int]]:
    record = dict(store.contents()[1])[path]
    return {day: [tally[name] for name in NAMES] for day, tally in record.days.items()}


@pytest.mark.parametrize("seed", range(6))
def test_the_rule_is_that_of_the_memory_store(store: RedisStore, seed: int) -> None:
    dice = random.Random(seed)
    memory = MemoryCounter(clock=Clock())
    entries: list[Entry] = []
    at, first = BEGIN + dice.randrange(DAY), 1
    begun: list[tuple[str, Kind, int, bytes, int]] = []
    for turn in range(600):
        at += dice.choice((0, 1, 5, 29, 30, 31, 400, 4000))
        path, client = dice.choice(("/f", "/g")), bytes([dice.randrange(6)])
        if begun and dice.random() < 0.3:
            path, kind, its_at, client, enough = begun.pop(dice.randrange(len(begun)))
            sent, complete = dice.randrange(900), dice.random() < 0.5
            memory.sent(path, kind, sent, complete, its_at, client, enough)
            hashed = client * 8 if its_at // DAY == at // DAY else None
            entries.append(sent_entry(path, kind, sent, complete, hashed, enough, its_at))
        else:
            kind, enough = dice.choice(KINDS), dice.choice((0, 500, 1000))
            sent = dice.choice((0, 0, 300, 1200)) if kind != "not_modified" else 0
            memory.count(path, kind, None, "people", sent, False, client, enough, at)
            entries.append(count_entry(path, kind, "people", sent, False, client * 8, enough, at))
            if sent == 0 and kind in ("full", "partial", "resumed"):
                begun.append((path, kind, at, client, enough))
        if turn % 50 == 49:
            assert store.apply("w", first, entries)
            assert store.apply("w", first, entries), "sent twice adds nothing"
            first, entries = first + len(entries), []
            assert dict(store.contents()[1]) == dict(memory.contents()[1])
    assert store.contents()[0] == memory.contents()[0]


def test_beyond_the_cap_there_are_more_than(store: RedisStore, redis_server: RedisServer) -> None:
    memory = MemoryCounter(clock=Clock())
    many = Tally.of(clients=MOST_CLIENTS - 1, accesses=MOST_CLIENTS - 1)
    for one in (store, memory):
        one.add([("/f", FileRecord(many, BEGIN, BEGIN, {TODAY: many}))])
    clients = [b"a", b"b", b"c", b"a", b"b", b"d"]
    for number, client in enumerate(clients, 1):
        at = BEGIN + 60 * number
        memory.count("/f", "full", None, "people", 10, True, client, 20, at)
        entry = count_entry("/f", "full", "people", 10, True, client * 8, 20, at)
        store.apply("w", number, [entry])
    assert client_numbers(store) == client_numbers(memory) == {TODAY: [MOST_CLIENTS + 1, 1, 2, 1]}
    assert redis_server.ask("HLEN", f"{script.CLIENTS}0:{TODAY}:/f") == b":1\r\n"


def test_rows_expire_and_are_gone_with_a_reset(
    store: RedisStore, redis_server: RedisServer
) -> None:
    entry = count_entry("/f", "full", "people", 10, True, b"12345678", 20, BEGIN)
    key = f"{script.CLIENTS}0:{TODAY}:/f"
    store.apply("w", 1, [entry])
    left = int(redis_server.ask("TTL", key)[1:])
    assert 47 * 3600 < left <= 48 * 3600
    store.reset(["/f"])
    assert redis_server.ask("EXISTS", key) == b":0\r\n"
    store.apply("w", 2, [entry])
    store.reset()
    store.apply("w", 3, [entry])
    assert client_numbers(store) == {TODAY: [1, 0, 1, 1]}, "known to nobody after a reset"


def test_who_comes_late_is_not_counted_again_when_the_rows_are_gone(
    store: RedisStore, redis_server: RedisServer
) -> None:
    """A journal that is delivered days later."""
    old = count_entry("/f", "full", "people", 10, True, b"12345678", 20, BEGIN)
    new = count_entry("/f", "full", "people", 10, True, b"87654321", 20, BEGIN + 3 * DAY)
    store.apply("w", 1, [old, new])
    redis_server.ask("DEL", f"{script.CLIENTS}0:{TODAY}:/f")
    store.apply("w", 3, [old, old])
    assert client_numbers(store) == {TODAY: [1, 0, 1, 1], TODAY + 3: [1, 0, 1, 1]}
    assert dict(store.contents()[1])["/f"].days[TODAY].accesses == 3


def test_hosts_share_the_salt_of_a_day(store: RedisStore, redis_server: RedisServer) -> None:
    other = RedisStore(redis_server.url, clock=Clock(BEGIN + 3600.0))
    redis_server.ask("SET", "day", "1", "PX", str(DAY * 1000 + 999))
    salt = store.salts.of(TODAY)
    redis_server.ask("SET", "longer", "1", "EX", str(DAY + 60))
    assert salt is not None
    assert len(salt) == 32
    assert other.salts.of(TODAY) == salt
    # The last one that is asked for has the least left, however long that takes.
    longer, left, day = (
        int(redis_server.ask("PTTL", key)[1:]) for key in ("longer", f"{script.SALT}{TODAY}", "day")
    )
    assert 0 < day < left <= longer
    assert store.salts.of(TODAY + 1) not in (None, salt)
    assert store.salts.of(TODAY) is None, "it is over here"
    assert other.salts.of(TODAY) == salt, "but not for a clock that is behind"
    assert RedisStore(redis_server.url, clock=Clock(BEGIN + DAY + 61.0)).salts.of(TODAY) is None
    other.close()


def test_without_redis_no_client_is_counted_and_no_time_is_lost(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    clock = Clock()
    store = RedisStore(own_redis.url, clock=clock)
    counter = JournaledCounter(store, str(tmp_path), clock=clock, retry=0.02)
    assert counter.count("/f", "full", None, "people", 9, True, b"ann", 5) == 1
    own_redis.stop()
    assert counter.count("/f", "full", None, "people", 9, True, b"ann", 5) is None
    assert counter.count("/f", "full", None, "people", 9, True, b"bob", 5) is None, "still known"
    clock.now += DAY
    assert counter.count("/f", "full", None, "people", 9, True, b"ann", 5) is None
    own_redis.start()
    wait_until(lambda: counter.accesses(["/f"]) == {"/f": 4}, message="delivery")
    record = dict(counter.contents()[1])["/f"]
    assert [(tally.accesses, tally["clients"]) for tally in record.days.values()] == [
        (3, 2),
        (1, 0),
    ]
    counter.close()


def test_no_client_is_written_anywhere(own_redis: RedisServer, tmp_path: Path) -> None:
    counter = JournaledCounter(RedisStore(own_redis.url), str(tmp_path), retry=60.0)
    client = b"192.0.2.77 Mozilla"
    counter.count("/f", "full", None, "people", 9, True, client, 5)
    own_redis.stop()
    counter.count("/f", "full", None, "people", 9, True, client, 5)
    counter.sent("/f", "full", 9, True, 5, client, 5)
    written = [path for top in (tmp_path, Path(own_redis.path).parent) for path in top.rglob("*")]
    files = [path.read_bytes() for path in written if path.is_file()]
    assert any(b'"/f"' in data for data in files), "the journal"
    assert any(b"{tally}:clients" in data for data in files), "Redis's own file"
    for data in files:
        assert b"192.0.2.77" not in data
        assert b"Mozilla" not in data
        assert b"192.0.2.77".hex().encode() not in data
    counter.close()
