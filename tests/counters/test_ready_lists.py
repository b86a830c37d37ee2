"""Lists that are made ahead say what every file has, as of when they were read, and no longer than
that is true.
"""

import random
from collections.abc import Iterator
from threading import Event

import pytest

from app.counters.contract import CLASSES, Class
from app.counters.periods import Period
from app.counters.reading import ORDERS, Ranking
from app.counters.redis import kept_answers, ready_lists
from app.counters.redis import scripts as script
from app.counters.redis.entries import Entry, count_entry
from app.counters.redis.ready_lists import packed, unpacked
from app.counters.redis.store import RedisStore
from tests.counters.redis_server import RedisServer

DAY = 86400
TODAY = 20_777
NOW = TODAY * DAY + 5000
SOME_CLASSES: list[frozenset[Class] | None] = [
    None,
    frozenset(["people"]),
    frozenset(["tools", "robots"]),
]
PERIODS = [None, *(Period(TODAY - days + 1, TODAY) for days in (1, 7, 30, 90, 365))]


def open_store(server: RedisServer, at: int, kept_seconds: float) -> RedisStore:
    return RedisStore(server.url, timeout=5.0, clock=lambda: at, kept_seconds=kept_seconds)


@pytest.fixture
def writer(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisStore]:
    """Counts, makes lists ahead of ever so few files, and reads what there is now."""
    monkeypatch.setattr(ready_lists, "MANY_FILES", 1)
    opened = open_store(redis_server, NOW, 0)
    opened.check()
    yield opened
    opened.close()


@pytest.fixture
def reader(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisStore]:
    """A process that has not looked yet, some time later, and makes nothing in the background."""
    monkeypatch.setattr(kept_answers, "_LOOK_SECONDS", 3600)
    opened = open_store(redis_server, NOW + 60, 3600)
    yield opened
    opened.close()


def fill(store: RedisStore) -> None:
    """Count on days that are packed, in texts, and in records."""
    dice = random.Random(1)
    entries: list[Entry] = []
    for _ in range(1500):
        path = f"/d{dice.randrange(3)}/{dice.randrange(200)}"
        at = (TODAY - int(dice.expovariate(1 / 40))) * DAY + dice.randrange(5000)
        sent = dice.choice((0, 7, 1 << 40))
        class_ = dice.choice(CLASSES)
        client = dice.randbytes(8) if dice.randrange(2) else None
        entries.append(count_entry(path, "full", class_, sent, sent > 7, client, 0, at))
    for begin in range(0, len(entries), 500):
        store.apply("w", begin + 1, entries[begin : begin + 500])
    assert store._packing.pack(TODAY - 2)


def count(store: RedisStore, number: int, path: str = "/new") -> None:
    store.apply("later", number, [count_entry(path, "full", "people", 7, True, None, 0, NOW)])


def shown(ranking: Ranking) -> object:
    return ranking.rows, ranking.matched, ranking.next


@pytest.mark.parametrize("period", PERIODS)
def test_they_are_what_is_kept(
    writer: RedisStore, reader: RedisStore, period: Period | None
) -> None:
    fill(writer)
    writer.make_lists(Event())
    for order in ORDERS:
        for classes in SOME_CLASSES:
            if (order, period, classes) != ("accesses", None, None):
                question = (order, period, "", "", 20, classes)
                found = reader.ranked(*question)
                assert shown(found) == shown(writer.ranked(*question)), question
                assert found.as_of == NOW, "when it was read"
    assert reader.ranked("bytes", period, "/d1/*").matched


def test_directories_are_ready(writer: RedisStore, reader: RedisStore) -> None:
    fill(writer)
    writer.make_lists(Event())
    wanted = writer.directory("/d1/")
    count(writer, 1, "/d1/new")
    assert reader.directory("/d1/") == wanted


def test_who_goes_on_looking_gets_one_that_was_just_read(
    writer: RedisStore, reader: RedisStore
) -> None:
    fill(writer)
    writer.make_lists(Event())
    count(writer, 1)
    found = reader.ranked("bytes", match="/new")
    assert (found.matched, found.as_of) == (0, NOW)
    kept = reader._reader._kept
    for key, answer in list(kept._kept.items()):
        assert answer.is_due(answer.made, 3600)
        kept._make_anew(key, answer)
        assert not answer.is_due(answer.made, 3600)
    found = reader.ranked("bytes", match="/new")
    assert (found.matched, found.as_of) == (1, NOW + 60)


def test_another_period_is_read(writer: RedisStore, reader: RedisStore) -> None:
    fill(writer)
    writer.make_lists(Event())
    count(writer, 1)
    found = reader.ranked(period=Period(TODAY - 3, TODAY), match="/new")
    assert (found.matched, found.as_of) == (1, NOW + 60)


@pytest.mark.parametrize("paths", [None, ["/d1/1"]])
def test_a_reset_forgets_them(
    writer: RedisStore, reader: RedisStore, paths: list[str] | None
) -> None:
    fill(writer)
    writer.make_lists(Event())
    writer.reset(paths)
    assert shown(reader.ranked("bytes")) == shown(writer.ranked("bytes"))


@pytest.mark.parametrize("when", ["_add_texts", "_add_blocks"])
def test_a_reset_while_they_are_made(
    writer: RedisStore, reader: RedisStore, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(writer)
    made = getattr(ready_lists._Making, when)

    def after_a_reset(*arguments: object) -> None:
        made(*arguments)
        writer.reset()

    monkeypatch.setattr(ready_lists._Making, when, after_a_reset)
    writer.make_lists(Event())
    assert reader.ranked("bytes").matched == 0


def test_nothing_is_kept_when_days_are_packed_meanwhile(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(writer)
    made = ready_lists._Making._add_texts

    def after_packing(*arguments: object) -> None:
        assert writer._packing.pack(TODAY - 1)
        made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ready_lists._Making, "_add_texts", after_packing)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS) == b":0\r\n"


def test_one_makes_them_and_they_expire(writer: RedisStore, redis_server: RedisServer) -> None:
    fill(writer)
    writer.make_lists(Event())
    before = redis_server.ask("HGET", script.LISTS, "about")
    writer.make_lists(Event())
    assert redis_server.ask("HGET", script.LISTS, "about") == before, "it is not time yet"
    for key in (script.LISTS, script.MAKING):
        assert 0 < int(redis_server.ask("PTTL", key)[1:]) < 200_000


def test_few_files_are_not_worth_it(
    writer: RedisStore, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_lists, "MANY_FILES", 2)
    count(writer, 1)
    writer.make_lists(Event())
    assert redis_server.ask("EXISTS", script.LISTS, script.MAKING) == b":0\r\n"


def test_a_process_that_ends_leaves_it_to_others(
    writer: RedisStore, redis_server: RedisServer
) -> None:
    fill(writer)
    end = Event()
    end.set()
    writer.make_lists(end)
    assert redis_server.ask("EXISTS", script.LISTS, script.MAKING) == b":0\r\n"


@pytest.mark.parametrize("numbers", [[], [0], [0, 1, 255], [1 << 52, 0, 3], list(range(1000))])
def test_columns(numbers: list[int]) -> None:
    assert list(unpacked(packed(numbers))) == numbers
