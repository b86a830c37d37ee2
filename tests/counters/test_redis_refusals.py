"""A Redis that refuses, is slow, is another one, or has forgotten."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from app.counters import CounterError, open_counter
from app.counters.redis import scripts as script
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry
from app.counters.redis.server import RemoteAwayError, RemoteRefusedError
from app.counters.redis.store import RedisStore
from tests.counters.redis_server import RedisServer, accesses, redis_running
from tests.waiting import wait_until

Connect = Callable[..., JournaledCounter]


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Opens counters whose courier looks often."""
    monkeypatch.setattr("app.counters.redis.sender._ADOPT_SECONDS", 0.1)
    opened: list[JournaledCounter] = []

    def connected(url: str, *, timeout: float = 10.0) -> JournaledCounter:
        opened.append(
            JournaledCounter(
                RedisStore(url, timeout=timeout), str(tmp_path / "journal"), retry=0.02
            )
        )
        return opened[-1]

    yield connected
    for counter in opened:
        counter.close()


def contents_of(store: RedisStore) -> dict[str, object]:
    """Return everything that is kept of files and of the site."""
    site, records = store.contents()
    ranked = [(row.path, row.rank, row.tally) for row in store.ranked().rows]
    return {"site": site, "files": dict(records), "ranked": ranked, "totals": store.totals()}


class Relay:
    """An address that leads to one server after another; connections stay with the server that they
    began with.

    An answer comes `delay` seconds late. `said` is answered to everything instead, if it is not
    empty.
    """

    def __init__(self, path: str, target: str) -> None:
        self.path, self.target = path, target
        self.delay = 0.0
        self.said = b""
        self.connections = 0
        self._closed = Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._serve, args=(client, self.target), daemon=True).start()

    def _serve(self, client: socket.socket, target: str) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(target)
                Thread(target=self._pass_replies, args=(server, client), daemon=True).start()
                while request := client.recv(1 << 20):
                    if self.said and b"EVAL" in request:
                        client.sendall(self.said)
                    else:
                        server.sendall(request)
                server.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _pass_replies(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while reply := server.recv(1 << 20):
                self._closed.wait(self.delay)
                client.sendall(reply)
            client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@pytest.fixture
def relay(redis_server: RedisServer) -> Iterator[Relay]:
    between = Relay(redis_server.path + ".relay", redis_server.path)
    yield between
    between.close()
    Path(between.path).unlink()


# ---------------------------------------------------------------------- another server


ANSWERS = [
    "READONLY You can't write against a read only replica.",
    "MOVED 4242 127.0.0.1:7001",
    "ASK 4242 127.0.0.1:7001",
    "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CROSSSLOT Keys in request don't hash to the same slot",
    "NOREPLICAS Not enough good replicas to write.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to"
    " disk.",
    "OOM command not allowed when used memory > 'maxmemory'.",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "UNKILLABLE whatever a server of tomorrow says",
    "ERR max number of clients reached",
]


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_server_that_refuses_is_left_and_its_name_looked_up_again(
    redis_server: RedisServer,
    relay: Relay,
    connect: Connect,
    answer: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = connect(f"unix://{relay.path}")
    assert counter.count("/f", "full") == 1
    relay.said = f"-{answer}\r\n".encode()
    assert counter.count("/f", "full") is None
    assert answer.rstrip(".") in capfd.readouterr().err, "whole"
    before = relay.connections
    wait_until(lambda: relay.connections > before, message="a new connection")
    relay.said = b""
    wait_until(lambda: counter.count("/g", "full"), message="numbers again")
    wait_until(lambda: accesses(redis_server.url).get("/f") == 2, message="delivery")


def test_a_failover_behind_one_address_goes_on(
    redis_server: RedisServer, own_redis: RedisServer, connect: Connect, tmp_path: Path
) -> None:
    relay = Relay(own_redis.path + ".relay", own_redis.path)
    counter = connect(f"unix://{relay.path}")
    assert counter.count("/f", "full") == 1
    # The old server lives on as a replica, and answers on every connection that it has.
    relay.target = redis_server.path
    own_redis.ask("REPLICAOF", "127.0.0.1", "1")
    assert counter.count("/f", "full") is None
    wait_until(lambda: counter.count("/g", "full"), message="numbers again")
    wait_until(lambda: accesses(redis_server.url).get("/f"), message="delivery")
    assert accesses(redis_server.url).get("/f") == 1
    relay.close()


# ---------------------------------------------------------------------- refused in the middle

ALL_RIGHTS = ("ACL", "SETUSER", "counting", "on", "nopass", "allkeys", "allcommands")


def _without(rights: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ("ACL", "SETUSER", "counting", *rights.split()), ALL_RIGHTS


ACCOUNT_KEYS = (
    *script.KEYS,
    script.ID_KEY,
    *(f"{prefix}*" for prefix in (script.MONTH, script.CLIENTS, script.SALT)),
)

#: What makes Redis refuse, and what ends it. Each breaks a batch somewhere, if the batch comes
#: there.
REFUSALS = {
    "memory": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "read-only": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "replicas": (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    **{
        rights: _without(rights)
        for rights in ("-eval -evalsha", "-hset", "-hget", "-hmget", "-hdel", "-hkeys", "-hincrby", "-zadd", "-zrem",
                       "-zrangebyscore", "-exists", "-expire", "-time", "-@write", "-@hash", "-@sortedset")
    },
    **{
        f"no key {lacking}": _without("resetkeys " + " ".join(f"~{key}" for key in ACCOUNT_KEYS if key != lacking))
        for lacking in (*script.KEYS, f"{script.MONTH}*", f"{script.CLIENTS}*")
    },
    **{f"a text at {key}": (("SET", key, "text"), ("DEL", key)) for key in (script.SITE_DAYS, script.STATUSES)},
}  # fmt: skip
BATCHES: dict[str, list[Entry]] = {
    "access": [("full", "/f", "1", "86400")],
    "four": [("full", "/f", "1", "86400"), ("head", "/g", "1", "0"), ("status", "404", "2", "0"),
             ("full", "/f", "1", "172800")],
    "status": [("status", "404", "2", "0")],
    "import": [("record", "/f", "[86400,86400,[6,0,0,6],[[1,[6,0,0,6]]]]", "0"),
               ("site_day", "1", "[6,0,0,6]", "0"), ("site_hour", "24", "[6,0,0,6]", "0")],
    "clients": [("full", "/f", "people 5 1 0123456789abcdef 3", "172800"), ("full", "/g", "robots", "172800"),
                ("sent", "/g", "full 10 1", "172800"), ("uncounted", "", "2 1", "172800")],
    "hundred": [("full", f"/{number}", "1", "86400") for number in range(100)],
}  # fmt: skip


@pytest.fixture(scope="module")
def refusing_redis() -> Iterator[RedisServer]:
    with redis_running("--appendfsync", "no") as server:
        yield server


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(
            name, marks=[pytest.mark.slow] if name in ("four", "hundred", "import") else []
        )
        for name in BATCHES
    ],
)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_batch_changes_nothing_or_everything(
    refusing_redis: RedisServer, refusal: str, batch: str
) -> None:
    redis, entries = refusing_redis, BATCHES[batch]
    refuse, allow = REFUSALS[refusal]
    # A reply that comes late would look like a refusal.
    store = RedisStore(f"unix://counting:secret@{redis.path}", timeout=5.0)
    reader = RedisStore(redis.url, timeout=5.0, clock=lambda: 200_000.0, kept_seconds=0)

    def begin() -> None:
        redis.ask("FLUSHALL")
        redis.ask(*ALL_RIGHTS)
        reader.check()  # makes it a store of this format
        if "a text" not in refusal:
            store.apply("before", 1, [("full", "/f", "1", "86400")])

    begin()
    before = contents_of(reader)
    store.apply("w", 1, entries)
    expected = contents_of(reader)
    for writer in ("w", "before"):  # one that is new, and one that is known
        begin()
        redis.ask(*refuse)
        first = 2 if writer == "before" and "a text" not in refusal else 1
        for _ in range(2):
            try:
                store.apply(writer, first, entries)
            except (RemoteAwayError, RemoteRefusedError):
                if "a text" not in refusal:
                    assert contents_of(reader) == before
        redis.ask(*allow)
        store.apply(writer, first, entries)  # as the courier will
        assert contents_of(reader) == expected
    store.close()
    reader.close()


@pytest.mark.parametrize("rights", [name for name in REFUSALS if name.startswith(("-", "no key"))])
def test_an_account_that_lacks_a_right_is_told_at_the_start(
    refusing_redis: RedisServer, rights: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refusing_redis.ask("FLUSHALL")
    refusing_redis.ask(*ALL_RIGHTS)
    refusing_redis.ask(*REFUSALS[rights][0])
    url = f"unix://counting:secret@{refusing_redis.path}"
    if rights == "-hincrby":
        open_counter(url, journal=str(tmp_path)).close()  # it is not needed
        return
    with pytest.raises(CounterError, match=r"permissions|can't (run|access)"):
        open_counter(url, journal=str(tmp_path))


def test_a_right_that_is_taken_away_is_told_once(
    refusing_redis: RedisServer,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    refusing_redis.ask("FLUSHALL")
    refusing_redis.ask(*ALL_RIGHTS)
    counter = connect(f"unix://counting:secret@{refusing_redis.path}")
    assert counter.count("/f", "full") == 1
    refusing_redis.ask("ACL", "SETUSER", "counting", "-evalsha", "-eval")
    checks = []
    check = counter._remote.check

    def counted_check(*, quick: bool = False) -> float:
        checks.append(quick)
        return check(quick=quick)

    monkeypatch.setattr(counter._remote, "check", counted_check)
    assert counter.count("/f", "full") is None
    wait_until(lambda: len(checks) > 5, message="checks")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "NOPERM" in lines[0]
    refusing_redis.ask(*ALL_RIGHTS)
    wait_until(lambda: counter.count("/g", "full"), message="numbers again")
    wait_until(lambda: accesses(refusing_redis.url).get("/f") == 2, message="delivery")


# ---------------------------------------------------------------------- slow, renamed, set back


@pytest.mark.slow
def test_slow_is_not_away(
    redis_server: RedisServer, relay: Relay, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    relay.delay = 0.26
    counter = connect(f"unix://{relay.path}", timeout=0.25)
    asked = 0

    def seconds_of_500() -> float:
        nonlocal asked
        begun = monotonic()
        for _ in range(500):
            assert counter.count("/f", "full") is None
            asked += 1
        return monotonic() - begun

    # On a busy machine it may be held up by others; of three times, not each.
    assert any(seconds_of_500() < 0.25 for _ in range(3)), "no request waits"
    # More and more comes while the store is slow, and it arrives all the same.
    numbers: list[int | None] = []
    told = [""]

    def count_until_told() -> bool:
        numbers.append(counter.count("/g", "full"))
        told[0] += capfd.readouterr().err
        return "longer than a request may wait" in told[0] and "/g" in accesses(redis_server.url)

    def count_until_numbered() -> bool:
        numbers.append(counter.count("/g", "full"))
        return numbers[-1] is not None

    wait_until(count_until_told, message="delivery")
    relay.delay = 0.0
    wait_until(count_until_numbered, message="numbers again")
    counter.close()
    told[0] += capfd.readouterr().err
    assert told[0].count("longer than a request may wait") == 1
    assert told[0].count("works again") == 1
    connect(redis_server.url)  # delivers what a closing counter had no time for
    wait_until(lambda: accesses(redis_server.url).get("/f") == asked, message="delivery")
    wait_until(lambda: accesses(redis_server.url).get("/g") == len(numbers), message="delivery")


def test_what_waits_under_another_name_is_delivered(
    redis_server: RedisServer, relay: Relay, connect: Connect
) -> None:
    counter = connect(f"unix://{relay.path}")
    assert counter.count("/f", "full") == 1
    wait_until(lambda: counter._sender._delivery._store_id, message="the store's id")
    relay.said = b"-READONLY\r\n"
    assert [counter.count("/f", "full") for _ in range(3)] == [None] * 3
    counter.close()
    connect(redis_server.url)  # nobody asks it for anything
    wait_until(lambda: accesses(redis_server.url).get("/f") == 4, message="delivery")


def test_a_journal_of_the_former_format_is_told(
    redis_server: RedisServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = RedisStore(redis_server.url)
    former = tmp_path / store.identity / "data.mdb"
    former.parent.mkdir()
    former.write_bytes(b"LMDB")
    counter = JournaledCounter(store, str(tmp_path))
    told = [""]

    def is_told() -> bool:
        told[0] += capfd.readouterr().err
        return f"{former} is a journal of an earlier version" in told[0]

    wait_until(is_told, message="a line")
    counter.close()
    assert former.exists()


def test_what_waits_for_another_store_is_told_at_each_start(
    redis_server: RedisServer,
    own_redis: RedisServer,
    connect: Connect,
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = connect(own_redis.url)
    own_redis.stop()
    assert [counter.count("/f", "full") for _ in range(3)] == [None] * 3
    counter.close()
    capfd.readouterr()
    for _ in range(2):
        other = connect(redis_server.url)
        told = [""]

        def is_told(told: list[str] = told) -> bool:
            told[0] += capfd.readouterr().err
            return "3 accesses wait" in told[0]

        wait_until(is_told, message="a line")
        other.close()
    own_redis.start()
    connect(own_redis.url)
    wait_until(lambda: accesses(own_redis.url).get("/f"), message="delivery")
    assert accesses(own_redis.url).get("/f") == 3
    assert accesses(redis_server.url) == {}


@pytest.mark.parametrize("files", [1, 3])
def test_going_back_is_told_once(
    redis_server: RedisServer, connect: Connect, files: int, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = connect(redis_server.url)
    paths = [f"/{number}" for number in range(files)]
    for path in paths * 5:
        counter.count(path, "full")
    redis_server.ask("FLUSHALL")
    for path in paths * 3:
        counter.count(path, "full")
    (line,) = capfd.readouterr().err.splitlines()
    assert "went back by 20" in line
    assert "/0 from 5 to 1" in line
