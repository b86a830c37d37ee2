"""What it costs to be looked at: `python -m tests.stats.looked_at [--lookers 10] [STORE]`.

Serves a file as fast as it can from a server with 100,000 counted files and a year of days, in
turns of a second with and without people who have the page open, each with a view of their own. As
the page's script does, each asks for the numbers every two seconds, and reads curve and list anew
every ten.

Prints, for both, requests a second and the CPU time of the server for a request, and by how much
they differ; the share of a processor that looking takes; and what the page itself takes. What
looking costs is the same however many requests there are, so on a machine that does other things
too, where there are few, each of them seems much dearer. So it is the share that counts: a server
that is busy through and through has so much less for its files. Fails when it is 5 % or more, by
itself or certainly so beside requests, when requests a second certainly fall by as much, or when a
page or an answer is not within its bounds.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

from app.comparison.load import Load
from app.comparison.load_order import LoadOrder
from app.counters.lmdb.counter import LmdbCounter
from tests.counters.large_store import make
from tests.end_to_end.client import Client, request
from tests.end_to_end.codings_cost import family
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running

TOKEN = "a-token-of-the-tests-own"
BEARER = [("Authorization", f"Bearer {TOKEN}")]
PREFIX = "/-/tally/"
FILE = "file?path=/releases/500/file-50000.tar.gz"
VIEWS = ["", "", "?period=7d", "?period=24h", "?period=90d", "?period=year", "?q=file-7",
         "?class=people", FILE, "dir?path=/releases/500/"]  # fmt: skip
LIVE_SECONDS, PAGE_SECONDS = 2.0, 10.0
#: Who fetch the file at the same time.
CLIENTS = 8
MOST_SHARE = 0.05
MOST_PAGE_BYTES, MOST_PAGE_SECONDS, MOST_LIVE_BYTES = 200_000, 0.2, 2048
_SPAWN = multiprocessing.get_context("spawn")


class Turn(NamedTuple):
    """What happened in one turn."""

    requests: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of CPU for a request."""
        return self.cpu / self.requests * 1e6


def cpu_of(server: LiveServer) -> float:
    """Return the seconds of CPU that all its threads have taken."""
    total = 0
    for pid in family(server.process.pid):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it has ended
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def load(port: int, told: "Connection[tuple[int, float], int]") -> None:
    """Ask for the file as often as can be for each number of seconds that is told; say how often
    that was, and in how many seconds.
    """
    run = run_wrk if shutil.which("wrk") else run_ours
    with suppress(EOFError):
        while True:
            told.send(run(port, told.recv()))


def run_wrk(port: int, seconds: int) -> tuple[int, float]:
    """Load by wrk, which a server has to run for all the time."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", f"http://127.0.0.1:{port}/page.html"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"wrong answers: {text}")
    requests, took = re.findall(r"(\d+) requests in ([\d.]+)s", text)[0]
    return int(requests), float(took)


def run_ours(port: int, seconds: int) -> tuple[int, float]:
    ask = request("GET", "/page.html").decode()
    report = Load(LoadOrder(port, CLIENTS, seconds, [(ask, 200, 8192)], [0], "-")).run()
    if report.faults:
        raise SystemExit(f"wrong answers: {report.examples}")
    return report.requests, report.seconds


def look(port: int, lookers: int, told: "Connection[object, bool]") -> None:
    """Have the page open, *lookers* times, while the last that was told is True."""
    begun = time.monotonic()
    eyes = [Looker(port, number, begun, number / lookers) for number in range(lookers)]
    with suppress(EOFError):
        while told.recv():
            paused = time.monotonic()
            for one in eyes:
                one.skip(paused - begun)
            while not told.poll(max(0.0, min(one.wakes for one in eyes) - time.monotonic())):
                min(eyes, key=lambda one: one.wakes).look()
            begun = time.monotonic()
            assert not told.recv()


class Looker:
    """One who looks, *phase* of two seconds after the first one."""

    def __init__(self, port: int, number: int, begun: float, phase: float) -> None:
        self._port = port
        self._client: Client | None = None
        self._view = VIEWS[number % len(VIEWS)]
        self._since = ""
        self.wakes = begun + phase * LIVE_SECONDS
        self._reads = begun + phase * PAGE_SECONDS

    def skip(self, seconds: float) -> None:
        """Be as far as before, after *seconds* without a look."""
        self.wakes += seconds
        self._reads += seconds

    def look(self) -> None:
        self.wakes += LIVE_SECONDS
        path = self._view.partition("path=")[2] if self._view.startswith("file") else ""
        query = f"?since={self._since}" + (f"&path={path}" if path else "")
        answer = self._ask("api/v1/live" + query)
        if answer:
            self._since = json.loads(answer)["since"]
        if time.monotonic() >= self._reads:
            self._reads += PAGE_SECONDS
            self._ask(self._view)

    def _ask(self, address: str) -> bytes:
        # Not before there is something to ask: a new connection without a request holds a thread
        # of gunicorn's.
        if self._client is None:
            self._client = Client(self._port)
        try:
            answer = self._client.ask("GET", PREFIX + address, BEARER)
        except OSError:  # gunicorn closes a connection that rests for two seconds
            self._client = Client(self._port)
            answer = self._client.ask("GET", PREFIX + address, BEARER)
        assert answer.status in (200, 304), (address, answer.status, answer.body)
        return answer.body


class People:
    """Who looks at *server* and, beside them, who fetches the file: a process each."""

    def __init__(self, server: LiveServer, lookers: int) -> None:
        self._server = server
        self._eyes, eyes = _SPAWN.Pipe()
        self._hands, hands = _SPAWN.Pipe()
        self._processes = [
            _SPAWN.Process(target=look, args=(server.port, lookers, eyes)),
            _SPAWN.Process(target=load, args=(server.port, hands)),
        ]
        for process in self._processes:
            process.start()
        eyes.close()
        hands.close()

    def fetch(self, seconds: int, *, looked_at: bool) -> Turn:
        with self._looking() if looked_at else nullcontext():
            before = cpu_of(self._server)
            self._hands.send(seconds)
            requests, took = self._hands.recv()
            return Turn(requests, took, cpu_of(self._server) - before)

    def look(self, seconds: float) -> float:
        """Look, and do nothing else; return the seconds of CPU that a second of it takes."""
        with self._looking():
            before, begun = cpu_of(self._server), time.monotonic()
            self._processes[0].join(seconds)
            return (cpu_of(self._server) - before) / (time.monotonic() - begun)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        self._eyes.send(True)
        yield
        self._eyes.send(False)

    def leave(self) -> None:
        self._eyes.close()
        self._hands.close()
        for process in self._processes:
            process.join()
            assert process.exitcode == 0


def compare(server: LiveServer, chosen: argparse.Namespace) -> bool:
    """Print what a request costs with and without people who look; return whether that will do."""
    with Client(server.port) as client:  # what is made once is made
        for address in dict.fromkeys(VIEWS):
            assert client.ask("GET", PREFIX + address, BEARER).status == 200
    people = People(server, chosen.lookers)
    people.fetch(2, looked_at=True)
    people.look(PAGE_SECONDS)  # the first is not counted: they all begin
    share = people.look(2 * PAGE_SECONDS)
    turns: dict[bool, list[Turn]] = {False: [], True: []}
    for number in range(chosen.rounds):
        for looked_at in (False, True) if number % 2 else (True, False):
            turns[looked_at].append(people.fetch(chosen.seconds, looked_at=looked_at))
    people.leave()
    for looked_at, each in turns.items():
        a_second = statistics.median(one.rate for one in each)
        each_costs = statistics.median(one.cost for one in each)
        who = chosen.lookers if looked_at else 0
        print(f"  {who:2} look: {a_second:8,.0f} requests a second, {each_costs:6.1f} us CPU each")
    pairs = list(zip(turns[False], turns[True], strict=True))
    taken = Figure.of(pairs, share_of_looking)
    print(f"  a request costs {Figure.of(pairs, dearer)} while they look")
    rate = Figure.of(pairs, fewer)
    print(f"  requests a second: {rate}")
    print(f"  looking takes {taken} of a processor beside requests, {share:.1%} by itself")
    return share < MOST_SHARE and taken.low < MOST_SHARE and rate.high > -MOST_SHARE


#: Two turns, without and with people who look.
Pair = tuple[Turn, Turn]


def sums(pairs: Sequence[Pair]) -> Pair:
    alone, looked = (
        Turn(*map(sum, zip(*turns, strict=True))) for turns in zip(*pairs, strict=True)
    )
    return alone, looked


def dearer(pairs: Sequence[Pair]) -> float:
    alone, looked = sums(pairs)
    return looked.cost / alone.cost - 1


def fewer(pairs: Sequence[Pair]) -> float:
    alone, looked = sums(pairs)
    return looked.rate / alone.rate - 1


def share_of_looking(pairs: Sequence[Pair]) -> float:
    """Return the seconds of CPU that looking takes in a second, with what it costs the requests.

    Unlike what is more for each request, this does not grow when there are fewer requests.
    """
    alone, looked = sums(pairs)
    return (looked.cost - alone.cost) / 1e6 * looked.rate


class Figure(NamedTuple):
    """What comes out of pairs of turns, and between what it lies with a certainty of 95 %."""

    found: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Sequence[Pair], figure: Callable[[Sequence[Pair]], float]) -> Self:
        dice = random.Random(1)
        tries = sorted(figure(dice.choices(pairs, k=len(pairs))) for _ in range(1000))
        return cls(figure(pairs), tries[25], tries[975])

    def __str__(self) -> str:
        return f"{self.found:+.1%} ({self.low:+.1%} to {self.high:+.1%})"


def sizes(server: LiveServer) -> bool:
    """Print what a page takes for who opens it first, and for the next."""
    kept = []
    with Client(server.port) as client:

        def ask(address: str) -> tuple[float, int]:
            before = cpu_of(server)
            answer = client.ask("GET", PREFIX + address, BEARER)
            assert answer.status == 200, answer.body
            return cpu_of(server) - before, len(answer.body)

        ask("dir?path=/releases/1/")  # the library for templates is loaded with the first page
        for address in dict.fromkeys(VIEWS):
            first, size = ask(address)
            again = statistics.fmean(ask(address)[0] for _ in range(20))
            is_kept = size < MOST_PAGE_BYTES and first < MOST_PAGE_SECONDS
            kept.append(is_kept)
            print(
                f"  {address or 'the page':42} {1000 * first:6.1f} ms, then {1000 * again:5.1f} ms,"
                f" {size / 1000:6.1f} kB{'' if is_kept else '  too much'}"
            )
        live = ask("api/v1/live")[1]
        print(f"  {'live':42} {live} bytes")
    return all(kept) and live < MOST_LIVE_BYTES


def run(kind: str, directory: str, chosen: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as root:
        Path(root, "page.html").write_bytes(b"x" * 8192)
        environ = {
            "TALLY_STATS_TOKEN": TOKEN,
            "TALLY_COUNTS": f"lmdb:{directory}",
            "TALLY_COUNT_LOG": "off",
        }
        steps: Sequence[Callable[[LiveServer], bool]] = [
            sizes,
            lambda server: compare(server, chosen),
        ]
        print(kind)
        kept = []
        for step in steps:
            with running(kind, root=root, **environ) as server:
                kept.append(step(server))
    return all(kept)


def make_ready(directory: str) -> None:
    """Do now what the first server does on a new day, which is not what looking costs."""
    counter = LmdbCounter(directory, create=False, guest=True)
    counter.totals()  # opens the history too
    counter._past.make_rests(counter._today())
    counter.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stats.looked_at")
    parser.add_argument("store", nargs="?", help="a directory; it is made if there is none")
    parser.add_argument("--lookers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--only", choices=[BUILTIN, GUNICORN])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-looked-at-") as scratch:
        directory = chosen.store or os.path.join(scratch, "counts")
        if not os.path.exists(directory):
            make(directory)
        make_ready(directory)
        kept = [
            run(kind, directory, chosen)
            for kind in (BUILTIN, GUNICORN)
            if chosen.only in (None, kind)
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
