"""The stores under test, each fresh, and opened as often as a test asks."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.counters import open_counter
from app.counters.reading import CountingStore
from app.counters.redis.sender import Sender
from app.counters.redis.store import RedisStore
from tests.counters.cutting_proxy import CuttingProxy
from tests.counters.redis_server import RedisServer, redis_running

Open = Callable[[], CountingStore]


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    with redis_running("--appendfsync", "no") as server:
        yield server


@pytest.fixture
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """One server for many tests, empty at the start of each, and of which none sees another."""
    server: RedisServer = request.getfixturevalue("_shared_redis")
    server.ask("FLUSHALL")
    with server.by_another_name() as named:
        yield named


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[CuttingProxy]:
    between = CuttingProxy(redis_server.path, redis_server.path + ".proxy")
    yield between
    between.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may stop and start."""
    directory = tempfile.mkdtemp(prefix="tally-redis-")
    # With less than this a Redis that is killed may forget what it has answered.
    server = RedisServer(directory, "--appendfsync", "always")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.fixture(params=["lmdb", "redis"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that several processes can share."""
    if request.param == "lmdb":
        return f"lmdb:{tmp_path / 'counts'}"
    return str(request.getfixturevalue("redis_server").url)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Redis may take longer than the quarter of a second after which an access
    has no number. Where that is tested, the time is given.
    """
    defaults = RedisStore.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout", 10.0)


@pytest.fixture(autouse=True)
def _no_courier_goes_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that fails closes none of its counters, whose threads would go on in all that follow."""
    senders: list[Sender] = []
    start = Sender._start_courier

    def noted(sender: Sender) -> None:
        senders.append(sender)
        start(sender)

    monkeypatch.setattr(Sender, "_start_courier", noted)
    yield
    for sender in senders:
        sender.close()


@pytest.fixture
def open_shared(shared_url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens the shared store once more."""
    opened: list[CountingStore] = []

    def once_more() -> CountingStore:
        opened.append(open_counter(shared_url, journal=str(tmp_path / "journal")))
        return opened[-1]

    yield once_more
    for counter in opened:
        counter.close()


@pytest.fixture(params=["memory", "lmdb", "redis"])
def counter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CountingStore]:
    """An empty counter of each backend."""
    if request.param == "memory":
        url = "memory:"
    elif request.param == "lmdb":
        url = f"lmdb:{tmp_path / 'counts'}"
    else:
        url = request.getfixturevalue("redis_server").url
    opened = open_counter(url, journal=str(tmp_path / "journal"))
    yield opened
    opened.close()
