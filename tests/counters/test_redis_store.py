"""Reading and moving counts in Redis while others count, and when it breaks off."""

from collections.abc import Iterator, Sequence
from itertools import count
from threading import Event, Thread

import pytest
from app.counters.report import as_json, from_json

from app.counters import CounterError
from app.counters.contract import Counts, FileRecord
from app.counters.redis import scripts as script
from app.counters.redis.store import Entry, RedisStore, RemoteAwayError
from tests.counters.redis_server import RedisServer


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
    opened = RedisStore(redis_server.url)
    yield opened
    opened.close()


def many_counts() -> Counts:
    days = {20_000 + day: 1 + day for day in range(30)}
    times = {"first": 20_000 * 86400, "last": 20_029 * 86400}
    return Counts(
        {f"/{name}": FileRecord(full=465, days=dict(days), **times) for name in range(50)}, {404: 7}
    )


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
            entries = [("full", path, "1", str((1 + next(day) % 900) * 86400)) for path in paths]
            writer.apply(f"w-{number}", first, entries, patient=True)
        writer.close()

    threads = [Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        before = 0
        for _ in range(10):
            counts = store.counts()
            accesses = sum(record.accesses for record in counts.files.values())
            assert [
                path
                for path, kept in counts.files.items()
                if sum(kept.days.values()) != kept.accesses
            ] == []
            assert accesses >= before
            before = accesses
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    counts = store.counts()
    assert from_json(as_json(counts, sorted(counts.files))) == counts


def test_a_day_that_begins_while_it_is_read_is_not_missed(redis_server: RedisServer) -> None:
    class Interrupted(RedisStore):
        """Counts once more, on a new day, after each look at the server."""

        turn = 0

        def _scan(self, key: str) -> Iterator[tuple[str, str]]:
            yield from super()._scan(key)
            self.turn += 1
            self.apply("w-1", self.turn, [("full", "/f", "1", str(self.turn * 86400))])

    store = Interrupted(redis_server.url)
    store.apply("w-0", 1, [("full", "/f", "1", "0")])
    record = store.counts().files["/f"]
    assert record.days == dict.fromkeys(range(record.accesses), 1)
    store.close()


def test_counts_whose_days_are_incomplete_can_be_read(store: RedisStore) -> None:
    counts = Counts({
        "/f": FileRecord(full=5, first=1, last=20_000 * 86400, days={3: 1}),
        "/wide": FileRecord(full=5, first=1, last=253_402_300_799, days={3: 1}),
        "/head": FileRecord(head=1),
    })  # fmt: skip
    store.add(counts)
    assert store.counts() == counts


def test_a_day_outside_the_times_is_forgotten_with_its_file(
    redis_server: RedisServer, store: RedisStore
) -> None:
    store.add(
        Counts({"/f": FileRecord(full=2, first=5 * 86400, last=5 * 86400 + 1, days={4: 1, 6: 1})})
    )
    assert store.counts().files["/f"].days == {4: 1, 6: 1}
    store.reset(["/f"])
    assert redis_server.ask("HLEN", script.DAYS) == b":0\r\n"


def test_an_import_that_broke_off_goes_on(redis_server: RedisServer, store: RedisStore) -> None:
    breaking = BreakingStore(redis_server.url)
    with pytest.raises(CounterError, match="repeat it"):
        breaking.add(many_counts())
    breaking.close()
    arrived = store.counts().files
    assert arrived
    assert all(arrived[path] == many_counts().files[path] for path in arrived), "no file half"
    store.add(many_counts())
    assert store.counts() == many_counts()


@pytest.mark.parametrize("each", [False, True])
def test_an_import_that_broke_off_begins_anew_after_a_reset(
    redis_server: RedisServer, store: RedisStore, each: bool
) -> None:
    breaking = BreakingStore(redis_server.url)
    with pytest.raises(CounterError):
        breaking.add(many_counts())
    breaking.close()
    store.reset(list(store.counts().files) if each else None)
    store.add(many_counts())
    assert store.counts() == many_counts()


def test_a_reset_does_not_forget_who_counts(store: RedisStore) -> None:
    entries = [("full", "/f", "1", "0")]
    store.apply("w-1", 1, entries)
    store.reset()
    store.apply("w-1", 1, entries)
    assert store.counts() == Counts()


def test_an_import_leaves_nothing_behind(redis_server: RedisServer, store: RedisStore) -> None:
    few = Counts({"/f": FileRecord(full=1, first=1, last=1, days={0: 1})})
    for added in (few, many_counts()):
        store.add(added)
    for command, key in (
        ("HLEN", script.WRITERS),
        ("HLEN", script.REPLIES),
        ("ZCARD", script.SEEN),
    ):
        assert redis_server.ask(command, key) == b":0\r\n"
    store.add(few)
    assert store.counts().files["/f"].accesses == 2
