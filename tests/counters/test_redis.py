"""Exactly once through Redis: cut replies, outages, kills, refusals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from app.counters import CounterError, open_counter
from app.counters.redis import scripts as script
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.store import RedisStore
from tests.counters.cutting_proxy import CuttingProxy
from tests.counters.redis_server import RedisServer, accesses
from tests.waiting import wait_until

Connect = Callable[..., JournaledCounter]


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens counters whose courier looks often, so that nobody waits."""
    monkeypatch.setattr("app.counters.redis.sender._ADOPT_SECONDS", 0.1)
    opened: list[JournaledCounter] = []

    def connected(url: str, journal: str = "journal", **options: object) -> JournaledCounter:
        store = RedisStore(url)
        counter = JournaledCounter(store, str(tmp_path / journal), retry=0.02, **options)  # type: ignore[arg-type]
        opened.append(counter)
        return counter

    yield connected
    for counter in opened:
        counter.close()


def test_a_lost_reply_is_not_doubled_and_the_number_is_known_all_the_same(
    proxy: CuttingProxy, connect: Connect
) -> None:
    counter = connect(f"unix://{proxy.path}")
    numbers = []
    for turn in range(30):
        proxy.cut_replies = turn % 2
        numbers.append(counter.count("/f", "full"))
    assert proxy.cut == 15
    assert numbers == list(range(1, 31))


def test_replies_that_are_lost_again_and_again_are_not_doubled(
    proxy: CuttingProxy, redis_server: RedisServer, connect: Connect
) -> None:
    counter = connect(f"unix://{proxy.path}")
    numbers = []
    for turn in range(30):
        proxy.cut_replies = 2 if turn % 3 == 0 else 0
        numbers.append(counter.count("/f", "full"))
    known = [number for number in numbers if number is not None]
    assert len(known) < 30, "some were answered without a number"
    assert len(set(known)) == len(known)
    wait_until(lambda: accesses(redis_server.url).get("/f", 0) >= 30, message="delivery")
    counter.close()
    assert accesses(redis_server.url) == {"/f": 30}


def test_an_outage_under_threads_with_two_servers(own_redis: RedisServer, connect: Connect) -> None:
    counters = [connect(own_redis.url, "one"), connect(own_redis.url, "two")]
    answered: list[int | None] = []
    going = [True]

    def count(counter: JournaledCounter) -> None:
        while going[0]:
            answered.append(counter.count("/f", "full"))

    threads = [Thread(target=count, args=(counter,)) for counter in counters for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(answered) > 100, message="counts")
    own_redis.stop()
    wait_until(lambda: answered[-20:] == [None] * 20, message="the outage")
    own_redis.start()
    wait_until(lambda: all(answered[-20:]), message="numbers again")
    going[0] = False
    for thread in threads:
        thread.join()
    for counter in counters:
        counter.close()
    known = [number for number in answered if number is not None]
    assert len(set(known)) == len(known), "no number twice"
    # What they had no time for at their end is delivered by the next ones.
    for name in ("one", "two"):
        connect(own_redis.url, name)
    wait_until(lambda: accesses(own_redis.url) == {"/f": len(answered)}, message="delivery")


def test_a_server_that_hangs_is_not_waited_for_twice(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    counter = JournaledCounter(RedisStore(own_redis.url, timeout=2.0), str(tmp_path), retry=0.02)
    assert counter.count("/f", "full") == 1
    own_redis.pause()
    numbers = [counter.count("/f", "full") for _ in range(500)]
    own_redis.resume()
    assert numbers == [None] * 500
    wait_until(lambda: counter.count("/g", "full"), message="numbers again")
    wait_until(lambda: accesses(own_redis.url)["/f"] >= 501, message="delivery")
    counter.close()
    assert accesses(own_redis.url)["/f"] == 501


@pytest.mark.parametrize("others", ["a survivor", "the next start"])
def test_killed_during_an_outage(
    own_redis: RedisServer, connect: Connect, tmp_path: Path, others: str
) -> None:
    journal = tmp_path / "journal"
    survivor = connect(own_redis.url) if others == "a survivor" else None
    command = [
        sys.executable,
        "-m",
        "tests.counters.counting_process",
        own_redis.url,
        str(journal),
        "0",
        "2",
        "/f",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    own_redis.stop()
    while "None" not in lines[-1]:
        lines.append(process.stdout.readline())
    lines += [process.stdout.readline() for _ in range(100)]
    process.kill()
    with process.stdout:
        lines += [line for line in process.stdout.readlines() if line.endswith("\n")]
    process.wait()
    own_redis.start()
    if survivor is None:
        survivor = connect(own_redis.url)
    wait_until(lambda: survivor.count("/g", "full"), message="numbers again")
    wait_until(lambda: not tokens(journal, survivor), message="the dead process's entries")
    # Two threads may have counted what they did not come to tell.
    assert len(lines) <= accesses(own_redis.url)["/f"] <= len(lines) + 2
    known = [line for line in lines if "None" not in line]
    assert len(set(known)) == len(known), "no number twice"


def tokens(journal: Path, survivor: JournaledCounter) -> list[Path]:
    own = survivor._sender._writer.token if survivor._sender._writer else ""
    return [path for path in journal.glob("*/*.journal") if path.stem != own]


def test_exactly_what_was_answered_is_delivered_after_a_kill(
    own_redis: RedisServer, connect: Connect, tmp_path: Path
) -> None:
    own_redis.stop()
    journal = tmp_path / "journal"
    code = (
        "import os, signal, sys; from app.counters import open_counter\n"
        "counter = open_counter(sys.argv[1], journal=sys.argv[2])\n"
        "for number in range(1000): counter.count(f'/{number % 7}', 'full')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", code, own_redis.url, str(journal)], check=False,
                                stderr=subprocess.PIPE)  # fmt: skip
        assert killed.returncode == -signal.SIGKILL
    own_redis.start()
    counter = connect(own_redis.url)
    assert counter.count("/other", "full") == 1
    wait_until(lambda: not tokens(journal, counter), message="the dead processes' entries")
    counted = accesses(own_redis.url)
    del counted["/other"]
    assert counted == {f"/{number}": 2 * len(range(number, 1000, 7)) for number in range(7)}


def test_delivering_the_same_entries_twice_adds_nothing(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url)
    entries = [
        ("full", "/f", "1", "86400"),
        ("head", "/f", "1", "86400"),
        ("status", "404", "3", "0"),
    ]
    assert store.apply("w-1", 1, entries) == [1, 0, 0]
    assert store.apply("w-1", 1, entries) == [1, 0, 0], "the same numbers"
    assert store.apply("w-1", 2, [*entries[1:], entries[0]]) == [0, 0, 2], (
        "what is new in a batch, and that alone"
    )
    assert store.apply("w-1", 1, entries) == [0, 0, 0], "numbers that are long gone"
    site, records = store.contents()
    kinds = dict(records)["/f"].total.kinds
    assert (kinds["full"], kinds["head"], site.statuses) == (2, 1, {404: 3})
    store.close()


def test_midnight_divides_the_accesses_of_two_days(
    redis_server: RedisServer, connect: Connect
) -> None:
    now = [20_000 * 86400 - 2.0]
    counter = connect(redis_server.url, clock=lambda: now[0])
    for _ in range(5):
        counter.count("/f", "full")
        now[0] += 1
    record = dict(counter.contents()[1])["/f"]
    assert {day: tally.accesses for day, tally in record.days.items()} == {19_999: 2, 20_000: 3}
    assert (record.first, record.last) == (20_000 * 86400 - 2, 20_000 * 86400 + 2)


def test_accesses_that_cannot_be_asked_for_are_left_out(
    own_redis: RedisServer, connect: Connect
) -> None:
    counter = connect(own_redis.url)
    assert counter.count("/f", "full") == 1
    assert counter.accesses(["/f", "/g"]) == {"/f": 1, "/g": 0}
    own_redis.stop()
    assert counter.accesses(["/g"]) == {}


def test_writers_leave_nothing_behind_for_good(redis_server: RedisServer, connect: Connect) -> None:
    for _ in range(3):
        counter = connect(redis_server.url)
        counter.count("/f", "full")
        counter.close()
    store = RedisStore(redis_server.url)
    assert redis_server.ask("HLEN", script.REPLIES) == b":0\r\n"
    assert redis_server.ask("ZCARD", script.SEEN) == b":3\r\n"
    # An hour and a month later, as Redis sees it.
    for writer in redis_server.ask("ZRANGE", script.SEEN, "0", "-1").split()[2::2]:
        redis_server.ask("ZINCRBY", script.SEEN, str(-3600 - 60), writer.decode())
    store.apply("new", 1, [("full", "/f", "1", "0")])
    assert redis_server.ask("HLEN", script.WRITERS) == b":1\r\n"
    assert redis_server.ask("ZCARD", script.SEEN) == b":1\r\n"
    store.close()


def test_a_flush_of_data_and_scripts_begins_anew(
    redis_server: RedisServer, connect: Connect
) -> None:
    counter = connect(redis_server.url)
    assert [counter.count("/f", "full") for _ in range(2)] == [1, 2]
    redis_server.ask("SCRIPT", "FLUSH")
    assert counter.count("/f", "full") == 3
    redis_server.ask("FLUSHALL")
    assert [counter.count("/f", "full") for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    ("refuse", "allow"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
        ),
    ],
    ids=["out of memory", "read-only", "no replicas"],
)
def test_refused_writes_wait(
    own_redis: RedisServer, connect: Connect, refuse: tuple[str, ...], allow: tuple[str, ...]
) -> None:
    counter = connect(own_redis.url)
    assert counter.count("/f", "full") == 1
    own_redis.ask(*refuse)
    assert [counter.count("/f", "full") for _ in range(5)] == [None] * 5
    own_redis.ask(*allow)
    wait_until(lambda: counter.count("/g", "full"), message="numbers again")
    wait_until(lambda: accesses(own_redis.url)["/f"] == 6, message="delivery")


def test_wrong_credentials_are_refused_at_the_start_and_never_shown(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.ask("CONFIG", "SET", "requirepass", "right")
    url = f"unix://someone:hunter2@{own_redis.path}"
    with pytest.raises(CounterError) as refused:
        open_counter(url, journal=str(tmp_path))
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)
    counter = open_counter(f"unix://:right@{own_redis.path}", journal=str(tmp_path))
    assert counter.count("/f", "full") == 1
    counter.close()


def test_an_outage_is_told_without_credentials(
    own_redis: RedisServer, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    own_redis.ask("CONFIG", "SET", "requirepass", "hunter2")
    counter = connect(f"unix://:hunter2@{own_redis.path}")
    assert counter.count("/f", "full") == 1
    own_redis.stop()
    assert counter.count("/f", "full") is None
    own_redis.start()
    wait_until(lambda: counter.count("/f", "full"), message="numbers again")
    counter.close()
    lines = capfd.readouterr().err.splitlines()
    assert "hunter2" not in "".join(lines)
    assert ["wait in" in line for line in lines] == [True, False]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host:port/0", "redis://h/notadb", "redis://[::1/0", "redis://:hunter2@h/0?foo=1",
        "redis://h/0?decode_responses=1", "unix:///path?db=0&socket_timeout=100", "redis://h/0?ssl_ca_certs=/path",
        "redis://h/0?hunter2=1", "redis://h/0?protocol=hunter2", "redis://h/0?protocol=7",
        "rediss://h/0?ssl_cert_reqs=hunter2", "rediss://h/0?ssl_foo=1",
    ],
)  # fmt: skip
def test_urls_that_are_none_are_refused_without_being_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(CounterError) as refused:
        open_counter(url, journal=str(tmp_path))
    assert "hunter2" not in str(refused.value)


def test_a_newer_format_is_refused(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.ask("SET", script.FORMAT_KEY, "4")
    with pytest.raises(CounterError, match="format 4, this program knows format 3"):
        open_counter(redis_server.url, journal=str(tmp_path))


def test_a_start_while_redis_is_away_serves_and_delivers_later(
    own_redis: RedisServer, connect: Connect
) -> None:
    own_redis.stop()
    counter = connect(own_redis.url)
    assert [counter.count("/f", "full") for _ in range(3)] == [None] * 3
    own_redis.start()
    wait_until(lambda: counter.count("/f", "full"), message="numbers")
    wait_until(lambda: len(os.listdir(counter._sender.directory)) > 0, message="the journal")
    total = wait_until(lambda: accesses(own_redis.url).get("/f", 0) >= 4, message="delivery")
    assert total


def test_a_journal_that_cannot_be_written_is_refused_at_the_start(
    redis_server: RedisServer,
) -> None:
    with pytest.raises(CounterError, match="Not a directory"):
        open_counter(redis_server.url, journal="/dev/null/journal")
