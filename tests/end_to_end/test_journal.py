"""What a killed server left in its journal."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.counters.open_counter import open_store
from app.counters.reading import Store
from tests.counters.kept import accesses_of
from tests.counters.redis_server import RedisServer
from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, running
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Not started yet."""
    directory = tempfile.mkdtemp(prefix="tally-redis-")
    server = RedisServer(directory)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("kind", "options"), [(BUILTIN, ()), (GUNICORN, ("-w", "2")), (GUNICORN, ("--preload",))]
)
def test_it_is_delivered_when_the_next_server_starts(
    redis_server: RedisServer, kind: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("a")
    counts = {"TALLY_COUNTS": redis_server.url, "TALLY_COUNTS_JOURNAL": str(tmp_path / "journal")}
    with running(kind, *options, root=tmp_path / "root", **counts) as server:
        for _ in range(3):
            assert fetch(server.port, "/a.txt").status == 200
        server.kill()
    redis_server.start()
    with running(
        kind, *options, root=tmp_path / "root", **counts
    ) as server:  # and nobody asks it for anything
        store = open_store(redis_server.url, create=False)
        # Each worker had a journal of its own, and they are delivered one after the other.
        wait_until(lambda: accesses(store) >= 3, message="the accesses of before")
        assert accesses(store) == 3
        store.close()
        assert server.stop() == 0


def accesses(store: Store) -> int:
    return accesses_of(store, "/a.txt")
