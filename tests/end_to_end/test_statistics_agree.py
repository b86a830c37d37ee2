"""The page, JSON, CSV, metrics, badges and the command line say the same, and what clients know."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Literal, NamedTuple

import pytest

from tests.counters.redis_server import RedisServer, redis_running
from tests.end_to_end.agreement import NUMBERS, SITE, TOKEN, Numbers, Sources, UnreadableError
from tests.end_to_end.client import Client, fetch
from tests.end_to_end.servers import LiveServer, running
from tests.waiting import wait_until

BIG = 300_000
SIZES = {"/small.txt": 4000, "/big.bin": BIG, "/gr%C3%B6%C3%9Fe%20%3Cb%3E.txt": 70_000}
PATHS = list(SIZES)
#: Rows and metrics are given again for a moment: seconds by which they may be behind.
BEHIND = {"page": 10.0, "a file's page": 10.0, "live": 10.0, "metrics": 3.0}


class Asked(NamedTuple):
    """A request, and what it adds to the file's numbers."""

    path: str
    method: str
    fields: tuple[tuple[str, str], ...]
    status: int
    accesses: int
    completed: int
    sent_bytes: int


def requests() -> list[Asked]:
    """Return one request of each kind for each file."""
    found = []
    for path, size in SIZES.items():
        found += [
            Asked(path, "GET", (), 200, 1, 1, size),
            Asked(path, "GET", (("Range", "bytes=0-9"),), 206, 1, 0, 10),
            Asked(path, "GET", (("Range", "bytes=0-1"),), 206, 0, 0, 2),
            Asked(path, "GET", (("Range", "bytes=100-"),), 206, 0, 0, size - 100),
            Asked(path, "GET", (("If-None-Match", "*"),), 304, 1, 0, 0),
            Asked(path, "HEAD", (), 200, 0, 0, 0),
            Asked(path + ".none", "GET", (), 404, 0, 0, 0),
        ]
    return found


class Clients:
    """Threads that ask, and know what they began and what they were answered."""

    def __init__(self, server: LiveServer) -> None:
        self._lock = Lock()
        self._port = server.port
        self._asked = requests()
        self._begun: Counter[tuple[str, str]] = Counter()
        self._answered: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self._end = Event()
        self._threads = [Thread(target=self._ask, args=(number,)) for number in range(4)]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()

    def known(self) -> tuple[Numbers, Numbers]:
        """Return what was answered, and what was begun."""
        with self._lock:
            return dict(self._answered), dict(self._begun)

    def _ask(self, number: int) -> None:
        turn = number
        with Client(self._port) as client:
            while not self._end.is_set():
                asked = self._asked[turn % len(self._asked)]
                turn += 1
                self._add(self._begun, asked)
                answer = client.ask(asked.method, asked.path, asked.fields)
                if answer.status != asked.status:
                    self.faults.append(f"{asked}: {answer.status}")
                self._add(self._answered, asked)

    def _add(self, numbers: Counter[tuple[str, str]], asked: Asked) -> None:
        with self._lock:
            for name in NUMBERS:
                if asked.path in SIZES:
                    more = getattr(asked, name)
                    numbers[asked.path, name] += more
                    numbers[SITE, name] += more


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    for name, size in zip(("small.txt", "big.bin", "größe <b>.txt"), SIZES.values(), strict=True):
        (root / name).write_bytes(b"x" * size)
    return root


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_running("--appendfsync", "always") as server:
        yield server


@contextmanager
def served(kind: str, root: Path, counts: str) -> Iterator[tuple[LiveServer, Sources]]:
    with running(
        kind, "-w", "4", root=root, TALLY_STATS_TOKEN=TOKEN, TALLY_COUNTS=counts,
        TALLY_BADGE="/*", TALLY_COUNT_LOG="off", TALLY_NO_COMPRESSION="1",
        TALLY_COUNTS_JOURNAL=str(root.with_name("journal")),
    ) as server:  # fmt: skip
        yield server, Sources(server, counts, PATHS)


def of(expected: Numbers, found: Numbers) -> Numbers:
    return {key: expected[key] for key in found}


def assert_all_say(sources: Sources, expected: Numbers) -> None:
    """Wait until each way to read says just that."""
    for name, read in sources.all.items():

        def says() -> bool:
            try:
                found = read()  # noqa: B023 - it is asked here
            except UnreadableError:
                return False
            assert found
            return found == of(expected, found)

        wait_until(says, message=f"{name} to say {expected}")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_during_load_and_after_it(kind: str, root: Path, tmp_path: Path) -> None:
    with served(kind, root, f"lmdb:{tmp_path / 'counts'}") as (server, sources):
        clients = Clients(server)
        #: Of each source the numbers before; and what clients knew at which time.
        before: dict[str, Numbers] = {}
        known: list[tuple[float, Numbers]] = [(-1e9, {})]
        with clients.at_work():
            wait_until(
                lambda: all(clients.known()[0].get((path, "accesses")) for path in PATHS),
                message="accesses to every file",
            )
            for _ in range(2):
                for name, read in sources.all.items():
                    answered, _ = clients.known()
                    known.append((time.monotonic(), answered))
                    latest = time.monotonic() - BEHIND.get(name, 0.0)
                    least = next(numbers for at, numbers in reversed(known) if at <= latest)
                    found = read()
                    _, begun = clients.known()
                    assert {path for path, _ in found} <= {SITE, *PATHS}
                    for key, number in found.items():
                        assert number <= begun[key], (name, key)
                        if key[1] == "accesses":  # the others may end after the answer
                            assert number >= least.get(key, 0), (name, key)
                        if name not in BEHIND:
                            assert number >= before.get(name, {}).get(key, 0), (name, key)
                    before[name] = found
        assert clients.faults == []
        answered, begun = clients.known()
        assert answered == begun
        assert answered[SITE, "accesses"] > 20
        assert_all_say(sources, answered)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_while_redis_is_away_they_say_so(kind: str, root: Path, own_redis: RedisServer) -> None:
    with served(kind, root, own_redis.url) as (server, sources):
        clients = Clients(server)
        with clients.at_work():
            wait_until(
                lambda: clients.known()[0].get((SITE, "accesses"), 0) > 40, message="accesses"
            )
        expected, _ = clients.known()
        assert_all_say(sources, expected)
        own_redis.stop()
        for _ in range(8):
            assert fetch(server.port, "/small.txt").status == 200
        for name, read in sources.all.items():
            turns = 1 if name == "command line" else 6  # other workers' turns, too
            said = wait_until(
                lambda read=read, turns=turns: all_say_so(read, turns),  # type: ignore[misc]
                message=f"{name} to say so",
            )
            assert all(has_no_other_number(text, expected) for text in said), name
        wait_until(
            lambda: b"tally_counts_store_up 0.0" in sources.ask("metrics").body,
            message="the metric to say so",
        )
        own_redis.start()
        more = {"accesses": 8, "completed": 8, "sent_bytes": 8 * SIZES["/small.txt"]}
        for path in (SITE, "/small.txt"):
            for name, number in more.items():
                expected[path, name] += number
        assert_all_say(sources, expected)


def said_by(read: Callable[[], Numbers]) -> str:
    """Return what a source says of a store that is away, "" when it has numbers."""
    try:
        read()
    except UnreadableError as said:
        return str(said)
    return ""


def all_say_so(read: Callable[[], Numbers], turns: int) -> list[str] | Literal[False]:
    """Return what is said, if it is said each time: a worker keeps metrics for a second."""
    said = [said_by(read) for _ in range(turns)]
    return said if all(said) else False


def has_no_other_number(text: str, expected: Numbers) -> bool:
    """Return whether an answer has no number of accesses, or the one from before."""
    headline = [part.partition("<")[0] for part in text.split('data-live="accesses"')[1:]]
    numbers = {part.partition(">")[2].replace(",", "") for part in headline}
    return numbers <= {str(expected[key]) for key in expected if key[1] == "accesses"}
