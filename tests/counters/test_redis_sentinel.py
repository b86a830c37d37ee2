"""Redis with sentinels: found by them, and found again after a failover."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.sentinel import MasterNotFoundError

from app.counters import CounterError, open_counter
from app.counters.redis import address, scripts
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.sentinels import MostSentinels
from app.counters.redis.store import RedisStore
from tests.counters.far_away import far_away
from tests.counters.redis_server import RedisServer, accesses
from tests.ports import free_port
from tests.programs import program
from tests.waiting import wait_until


class Sentinels:
    """A master, its replica, and a sentinel that watches both."""

    def __init__(self, directory: Path) -> None:
        self.servers: list[RedisServer] = []
        self.ports = [free_port(), free_port()]
        for number, port in enumerate(self.ports):
            home = directory / str(number)
            home.mkdir()
            options = [
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--repl-diskless-sync-delay",
                "0",
            ]
            if number:
                options += ["--replicaof", "127.0.0.1", str(self.ports[0])]
            self.servers.append(RedisServer(str(home), *options).start())
        self.port = free_port()
        config = directory / "sentinel.conf"
        config.write_text(
            f'port {self.port}\nbind 127.0.0.1\ndir "{directory}"\n'
            f"sentinel monitor counts 127.0.0.1 {self.ports[0]} 1\n"
            "sentinel down-after-milliseconds counts 1000\n"
            "sentinel failover-timeout counts 3000\n"
        )
        self._process = subprocess.Popen(
            [program("redis-server", "valkey-server"), str(config), "--sentinel"],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._knows_both, message="the sentinel", timeout=30)

    def ask(self, *words: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(" ".join(words).encode() + b"\r\n")
            return client.recv(65536)

    def _knows_both(self) -> bool:
        try:
            replicas = self.ask("SENTINEL", "REPLICAS", "counts")
        except OSError:
            return False
        return b"master-link-status\r\n$2\r\nok" in replicas

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for server in self.servers:
            server.stop()


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    directory = tempfile.mkdtemp(prefix="tally-sentinel-")
    opened = Sentinels(Path(directory))
    yield opened
    opened.close()
    shutil.rmtree(directory)


def test_counting_goes_on_after_a_failover(sentinels: Sentinels, tmp_path: Path) -> None:
    url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinels.port}/counts/0"
    counter = JournaledCounter(RedisStore(url, timeout=5.0), str(tmp_path), retry=0.02)
    assert [counter.count("/f", "full", None, "people") for _ in range(5)] == [1, 2, 3, 4, 5]
    master, replica = sentinels.servers
    wait_until(
        lambda: (
            master.ask("DBSIZE") == replica.ask("DBSIZE")
            and replica.ask("HGET", scripts.RECORDS, "/f")
            == master.ask("HGET", scripts.RECORDS, "/f")
            != b"$-1\r\n"
        ),
        message="the replica",
    )
    master.stop()
    answered = 5
    numbers: list[int | None] = []

    def is_numbered() -> bool:
        nonlocal answered
        answered += 1
        numbers.append(counter.count("/f", "full", None, "people"))
        return numbers[-1] is not None

    assert not is_numbered()
    wait_until(is_numbered, message="numbers from the other server", timeout=40)

    def is_delivered() -> bool:
        with suppress(CounterError):
            people = counter.totals().tally.classes["people"]
            return (counter.accesses(["/f"]), people) == ({"/f": answered}, answered)
        return False

    wait_until(is_delivered, message="delivery")
    counter.close()
    assert accesses(replica.url) == {"/f": answered}


@pytest.mark.slow
def test_a_sentinel_that_is_far_away_is_slow_not_away(sentinels: Sentinels, tmp_path: Path) -> None:
    with far_away(sentinels.port, 0.3) as port:
        store = RedisStore(f"redis+sentinel://127.0.0.1:{port}/counts", timeout=0.25)
        counter = JournaledCounter(store, str(tmp_path), retry=0.02)
        assert counter.count("/f", "full") is None
        url = sentinels.servers[0].url
        wait_until(lambda: accesses(url).get("/f") == 1, message="delivery")
        counter.close()


def test_no_master_is_told_and_accesses_wait(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"redis+sentinel://:hunter2@127.0.0.1:{free_port()}/counts?sentinel_password=hunter3"
    counter = open_counter(url, journal=str(tmp_path))
    assert counter.count("/f", "full") is None
    with pytest.raises(CounterError):
        counter.totals()
    counter.close()
    told = capfd.readouterr().err
    assert "accesses wait in" in told
    assert "hunter" not in told


@pytest.mark.parametrize(
    ("url", "hosts", "service", "db"),
    [
        ("redis+sentinel://a/mymaster", (("a", 26379),), "mymaster", 0),
        ("redis+sentinel://a:1,b,[::1]:3/m/4", (("a", 1), ("b", 26379), ("::1", 3)), "m", 4),
        ("redis+sentinel://u:p%40@a:1/m%2Fx/0?protocol=3", (("a", 1),), "m/x", 0),
    ],
)
def test_urls(url: str, hosts: tuple[tuple[str, int], ...], service: str, db: int) -> None:
    place = address.parse(url)
    assert (place.sentinels, place.service, place.options["db"]) == (hosts, service, db)
    assert "p@" not in place.name
    place.client(1.0)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://hunter2", "redis+sentinel://hunter2/", "redis+sentinel:///m", "redis+sentinel://a:hunter2/m",
        "redis+sentinel://a,,b/m", "redis+sentinel://a/m/hunter2", "redis+sentinel://a/m?hunter2",
        "redis+sentinel://a/m?foo=hunter2", "redis+sentinel://a/m?socket_timeout=100", "redis+sentinel://a/m?db=1",
        "redis+sentinel://a/m?protocol=hunter2", "redis+sentinel://a/m?protocol=7", "redis+sentinel://a/m?wait_replicas=hunter2",
        "redis+sentinel://a:99999/m",
    ],
)  # fmt: skip
def test_urls_that_are_none_are_refused_without_being_shown(url: str, tmp_path: Path) -> None:
    with pytest.raises(CounterError) as refused:
        open_counter(url, journal=str(tmp_path))
    assert "hunter2" not in str(refused.value)


class _Told:
    """A sentinel that says who the master is, or does not answer."""

    def __init__(self, address: str, epoch: int = 1, *, is_down: bool = False) -> None:
        self.asked = 0
        self._address = address
        self._epoch = epoch
        self._is_down = is_down

    def sentinel_masters(self) -> dict[str, dict[str, object]]:
        self.asked += 1
        if not self._address:
            raise redis.exceptions.TimeoutError
        state = {"ip": self._address, "port": 1, "config-epoch": self._epoch, "is_master": True}
        down = {"is_sdown": self._is_down, "is_odown": False, "num-other-sentinels": 2}
        return {"counts": {**state, **down}}


@pytest.mark.parametrize(
    ("told", "master"),
    [
        ([_Told("old"), _Told("new", 2), _Told("new", 2)], "new"),
        ([_Told(""), _Told("old"), _Told("new", 2)], "new"),
        ([_Told("new", 2), _Told("old"), _Told("")], "new"),
        ([_Told("old", is_down=True), _Told(""), _Told("new", 2)], "new"),
        ([_Told("old"), _Told("old"), _Told("new", 2)], "old"),
        ([_Told(""), _Told("old"), _Told("")], "old"),
        ([_Told("old", is_down=True), _Told(""), _Told("")], None),
    ],
)
def test_most_sentinels_or_the_newest_word(told: list[_Told], master: str | None) -> None:
    asked: Any = MostSentinels([])  # type: ignore[no-untyped-call]
    asked.sentinels = told
    if master is None:
        with pytest.raises(MasterNotFoundError):
            asked.discover_master("counts")
    else:
        assert asked.discover_master("counts") == (master, 1)


def test_those_who_answer_are_asked_first_the_next_time() -> None:
    silent, a, b = _Told(""), _Told("a"), _Told("b", 2)
    asked: Any = MostSentinels([])  # type: ignore[no-untyped-call]
    asked.sentinels = [silent, a, b]
    for _ in range(3):
        assert asked.discover_master("counts") == ("b", 1)
    assert asked.sentinels == [a, b, silent]


@pytest.mark.slow
def test_an_access_is_answered_with_a_number_when_a_replica_has_it(
    sentinels: Sentinels, tmp_path: Path
) -> None:
    url = f"redis+sentinel://127.0.0.1:{sentinels.port}/counts/0"
    counter = JournaledCounter(
        RedisStore(f"{url}?wait_replicas=1", timeout=2.0), str(tmp_path), retry=0.02
    )
    master, replica = sentinels.servers
    answered = 0

    def count() -> int | None:
        nonlocal answered
        answered += 1
        return counter.count("/f", "full", None, "people")

    assert [count() for _ in range(3)] == [1, 2, 3]
    assert replica.ask("ZSCORE", scripts.TOP, "/f") == b"$2\r\n-3\r\n"
    replica.pause()
    assert count() is None, "only the master has it"
    assert master.ask("ZSCORE", scripts.TOP, "/f") == b"$2\r\n-4\r\n"
    replica.resume()
    wait_until(count, message="numbers")
    wait_until(lambda: counter.totals().pending == 0, message="delivery")
    assert counter.accesses(["/f"]) == {"/f": answered}, "what came again was known"
    counter.close()
