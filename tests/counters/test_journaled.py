"""What a counter over a remote store does on its own: it delivers, skips numbers, and tells what
went uncounted.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.counters import CounterError, open_counter
from app.counters.contract import KINDS
from app.counters.outage import Outage
from app.counters.periods import Period
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry
from app.counters.redis.journal import Journal, Writer
from app.counters.redis.server import RemoteAwayError
from app.counters.redis.store import RedisStore
from app.counters.redis.waiting import WaitingAccesses
from tests.counters.cutting_proxy import CuttingProxy
from tests.counters.redis_server import RedisServer
from tests.counters.redis_server import accesses as accesses_of_files
from tests.waiting import wait_until


class FillingJournal(Journal):
    """Takes nothing while its disk is full."""

    full = False

    def register(self) -> Writer:
        if self.full:
            raise CounterError("counts: no space")
        return super().register()

    def append(self, writer: Writer, first: int, entries: Sequence[Entry]) -> None:
        if self.full:
            raise CounterError("counts: no space")
        super().append(writer, first, entries)


class LeavingStore(RedisStore):
    """Is not found again before it `is_back`."""

    is_back = True

    def check(self, *, quick: bool = False) -> float:
        if not self.is_back:
            raise RemoteAwayError("counts: away")
        return super().check(quick=quick)


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FillingJournal]]:
    monkeypatch.setattr("app.counters.redis.sender.Journal", FillingJournal)
    yield FillingJournal
    FillingJournal.full = False


def journal_of_a_dead_process(url: str, directory: Path) -> None:
    journal = Journal(str(directory / RedisStore(url).identity))
    writer = journal.register()
    journal.append(writer, 1, [("full", "/f", "1", "86400")] * 3)
    journal.abandon(writer)
    journal.close()


def accesses(url: str) -> int:
    return sum(accesses_of_files(url).values())


def test_what_a_dead_process_left_is_delivered_without_a_request(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    journal_of_a_dead_process(redis_server.url, tmp_path)
    counter = open_counter(redis_server.url, journal=str(tmp_path))
    wait_until(lambda: accesses(redis_server.url) == 3, message="delivery")
    counter.close()
    assert not list(tmp_path.glob("*/*.journal"))


def test_it_is_delivered_when_redis_comes_after_the_start(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    journal_of_a_dead_process(own_redis.url, tmp_path)
    own_redis.stop()
    counter = JournaledCounter(RedisStore(own_redis.url), str(tmp_path), retry=0.02)
    own_redis.start()
    wait_until(lambda: accesses(own_redis.url) == 3, message="delivery")
    assert counter.count("/f", "full") == 4
    counter.close()


def test_a_start_check_leaves_no_thread_and_delivers_nothing(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "app.counters.redis.sender._BEGIN_SECONDS", 60.0
    )  # however slow the machine
    journal_of_a_dead_process(redis_server.url, tmp_path)
    before = threading.enumerate()
    open_counter(redis_server.url, journal=str(tmp_path)).close()
    assert not [thread for thread in threading.enumerate() if thread not in before]
    assert accesses(redis_server.url) == 0


def test_numbers_that_were_sent_are_not_used_for_other_accesses(
    redis_server: RedisServer, proxy: CuttingProxy, tmp_path: Path, filling: type[FillingJournal]
) -> None:
    store = LeavingStore(f"unix://{proxy.path}")
    counter = JournaledCounter(store, str(tmp_path), retry=0.02)
    now = [100.0]
    counter._sender._outage = Outage(clock=lambda: now[0])
    assert counter.count("/f", "full") == 1
    store.is_back = False
    filling.full = True
    proxy.cut_replies = 2  # the request is repeated once
    assert counter.count("/f", "full") is None
    assert accesses(redis_server.url) == 2, "it arrived, but nobody here knows"
    filling.full = False
    now[0] += 10
    assert [counter.count("/f", "full") for _ in range(3)] == [None] * 3
    store.is_back = True
    wait_until(lambda: accesses(redis_server.url) == 5, message="delivery")
    counter.close()
    assert accesses(redis_server.url) == 5


def test_what_went_uncounted_is_told_when_redis_is_back(
    proxy: CuttingProxy,
    tmp_path: Path,
    filling: type[FillingJournal],
    capfd: pytest.CaptureFixture[str],
) -> None:
    store = LeavingStore(f"unix://{proxy.path}")
    counter = JournaledCounter(store, str(tmp_path), retry=0.02)
    assert counter.count("/f", "full") == 1
    store.is_back = False
    filling.full = True
    proxy.cut_replies = 2
    for _ in range(5):
        assert counter.count("/f", "full") is None
    store.is_back = True
    wait_until(lambda: counter.count("/f", "full"), message="numbers again")
    counter.close()
    told = [
        line
        for line in capfd.readouterr().err.splitlines()
        if "not counted" in line and "files are" not in line
    ]
    assert len(told) == 1
    assert "accesses were not counted" in told[0]


def test_what_went_uncounted_is_told_when_the_process_can_register_again(
    redis_server: RedisServer,
    tmp_path: Path,
    filling: type[FillingJournal],
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = JournaledCounter(RedisStore(redis_server.url), str(tmp_path))
    filling.full = True
    assert [counter.count("/f", "full") for _ in range(5)] == [None] * 5
    filling.full = False
    assert counter.count("/f", "full") == 1
    assert "; 5 accesses were not counted" in capfd.readouterr().err
    counter.close()
    assert capfd.readouterr().err == ""


def test_what_went_uncounted_is_told_at_the_end(
    redis_server: RedisServer,
    tmp_path: Path,
    filling: type[FillingJournal],
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = JournaledCounter(RedisStore(redis_server.url), str(tmp_path))
    filling.full = True
    assert [counter.count("/f", "full") for _ in range(5)] == [None] * 5
    counter.close()
    assert capfd.readouterr().err.splitlines()[-1] == "tally: counts: 5 accesses were not counted"


def test_what_went_uncounted_is_recorded_once_it_can_be(
    redis_server: RedisServer, tmp_path: Path, filling: type[FillingJournal]
) -> None:
    counter = JournaledCounter(RedisStore(redis_server.url), str(tmp_path))
    now = [100.0]
    counter._sender._outage = Outage(clock=lambda: now[0])
    filling.full = True
    assert [counter.count("/f", "full") for _ in range(5)] == [None] * 5
    counter.sent("/f", "full", 7, True, 5)
    totals = counter.totals()
    assert (totals.uncounted, totals.uncounted_sent, totals.exact) == (5, 1, False)
    assert RedisStore(redis_server.url).totals().uncounted == 0, "this process alone knows yet"
    filling.full = False
    now[0] += 10
    assert counter.count("/f", "full") == 1
    totals = counter.totals()
    assert (totals.uncounted, totals.uncounted_sent, totals.tally.accesses) == (5, 1, 1)
    counter.close()
    stored = RedisStore(redis_server.url).totals()
    assert (stored.uncounted, stored.uncounted_sent) == (5, 1)


def test_accesses_that_wait_on_this_host_are_told(
    redis_server: RedisServer, proxy: CuttingProxy, tmp_path: Path
) -> None:
    store = LeavingStore(f"unix://{proxy.path}")
    counters = [JournaledCounter(store, str(tmp_path), retry=0.02)]
    counters.append(JournaledCounter(LeavingStore(f"unix://{proxy.path}"), str(tmp_path)))
    assert counters[0].count("/f", "full") == 1
    assert counters[0].totals().pending == 0
    LeavingStore.is_back = False
    try:
        proxy.cut_replies = 2
        assert counters[0].count("/f", "full") is None
        assert counters[1].totals().pending == 1
        for kind in KINDS:
            counters[0].count("/f", kind)
        counters[0].sent("/f", "full", 3, True, 5)
        answers = [
            counters[1].totals(),
            counters[1].ranked(),
            counters[0].directory("/"),
            counters[0].file("/f"),
            counters[0].series("day", Period(0, 1)),
        ]
        assert [answer and answer.pending for answer in answers] == [4] * 5
        assert not any(answer and answer.exact for answer in answers)
    finally:
        LeavingStore.is_back = True
    wait_until(lambda: accesses(redis_server.url) == 5, message="delivery")
    wait_until(lambda: counters[1].totals().pending == 0, message="nothing to wait")
    for counter in counters:
        counter.close()


def test_waiting_accesses_are_counted_up_to_the_last_whole_line(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    waiting = WaitingAccesses(str(tmp_path))
    assert waiting.count() == 0
    writer = journal.register()
    entries: list[Entry] = [(kind, '/"f", "full"', "people", "5") for kind in KINDS]
    journal.append(writer, 1, entries)
    assert waiting.count() == 3
    journal.append(writer, 7, entries)
    assert waiting.count() == 6
    with open(writer.path, "ab") as file:
        file.write(b'0123abcd [13, "full"')
    assert waiting.count() == 6
    first, some, end = journal.waiting(writer, 6)
    assert (first, len(some)) == (1, 6)
    journal.delivered(writer, end)
    assert waiting.count() == 3
    assert WaitingAccesses(str(tmp_path)).count() == 3
    journal.close()
    assert WaitingAccesses(str(tmp_path / "nowhere")).count() == 0
