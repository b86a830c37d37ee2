"""A Redis cluster: the node with our keys is found, and found again when it is another one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.counters import CounterError, open_counter
from app.counters.periods import Period
from app.counters.redis import address, scripts
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.store import RedisStore
from tests.counters.far_away import far_away
from tests.counters.redis_server import RedisServer
from tests.ports import free_port
from tests.waiting import wait_until

DAY = 86400


class Cluster:
    """Two nodes; the first has all slots, the second is its replica."""

    def __init__(self, directory: Path) -> None:
        self.nodes: list[RedisServer] = []
        self.ports = [free_port(), free_port()]
        buses = [free_port(), free_port()]
        for number, port in enumerate(self.ports):
            home = directory / str(number)
            home.mkdir()
            self.nodes.append(
                RedisServer(
                    str(home), "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
                    "--cluster-port", str(buses[number]), "--cluster-node-timeout", "2000",
                    "--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0",
                ).start()
            )  # fmt: skip
        first, second = self.nodes
        assert first.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == b"+OK\r\n"
        second.ask("CLUSTER", "MEET", "127.0.0.1", str(self.ports[0]), str(buses[0]))
        its_id = first.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        wait_until(
            lambda: second.ask("CLUSTER", "REPLICATE", its_id) == b"+OK\r\n",
            message="the cluster",
            timeout=30,
        )
        wait_until(
            lambda: b"cluster_state:ok" in first.ask("CLUSTER", "INFO"),
            message="its state",
            timeout=30,
        )

    def url(self, *numbers: int) -> str:
        places = ",".join(f"127.0.0.1:{self.ports[number]}" for number in numbers)
        return f"redis+cluster://{places}"

    def close(self) -> None:
        for node in self.nodes:
            node.stop()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    directory = tempfile.mkdtemp(prefix="tally-cluster-")
    opened = Cluster(Path(directory))
    yield opened
    opened.close()
    shutil.rmtree(directory)


def test_counting_goes_on_when_another_node_has_the_keys(cluster: Cluster, tmp_path: Path) -> None:
    master, replica = cluster.nodes
    store = RedisStore(cluster.url(1, 0), timeout=5.0, kept_seconds=0)
    counter = JournaledCounter(store, str(tmp_path), retry=0.02)
    for number in range(1, 6):  # five days, with clients: keys that the scripts name themselves
        at = number * DAY
        assert counter.count("/f", "full", None, "people", 9, True, b"ann", 5, at) == number
    series = counter.series("day", Period(1, 5), "/f")
    assert series is not None
    assert [tally.accesses for _, tally in series.points] == [1] * 5
    assert counter.ranked("bytes", Period(2, 3)).rows[0].tally.sent_bytes == 18
    wait_until(
        lambda: (
            b"master_link_status:up" in replica.ask("INFO", "replication")
            and replica.ask("READONLY") == b"+OK\r\n"
            and replica.ask("DBSIZE") == master.ask("DBSIZE")
        ),
        message="the replica",
        timeout=30,
    )
    master.stop()
    assert counter.count("/f", "full") is None
    assert replica.ask("CLUSTER", "FAILOVER", "TAKEOVER") == b"+OK\r\n"
    answered = 6

    def is_numbered() -> bool:
        nonlocal answered
        answered += 1
        return counter.count("/f", "full") is not None

    wait_until(is_numbered, message="numbers from the other node", timeout=40)
    wait_until(lambda: counter.accesses(["/f"]) == {"/f": answered}, message="delivery")
    counter.close()


@pytest.mark.slow
def test_a_node_that_is_far_away_is_slow_not_away(cluster: Cluster, tmp_path: Path) -> None:
    with far_away(cluster.ports[0], 0.3) as port:
        store = RedisStore(f"redis+cluster://127.0.0.1:{port}", timeout=0.25)
        counter = JournaledCounter(store, str(tmp_path), retry=0.02)
        assert counter.count("/f", "full") is None

        def is_delivered() -> bool:
            return b"/f" in cluster.nodes[0].ask("HKEYS", scripts.RECORDS)

        wait_until(is_delivered, message="delivery")
        counter.close()


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis+cluster://a", (("a", 6379),)),
        ("redis+cluster://u:p@a:1,b:2/0?protocol=3", (("a", 1), ("b", 2))),
        ("redis+cluster://a,[::1]:7,[fe80::2]", (("a", 6379), ("::1", 7), ("fe80::2", 6379))),
    ],
)
def test_urls(url: str, nodes: tuple[tuple[str, int], ...]) -> None:
    place = address.parse(url)
    assert place.nodes == nodes
    place.client(1.0)


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://", "redis+cluster://a/1", "redis+cluster://a?db=1", "redis+cluster://a:x/0"],
)
def test_urls_that_are_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(CounterError):
        open_counter(url, journal=str(tmp_path))
