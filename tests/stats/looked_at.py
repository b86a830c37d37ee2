"""What it costs to be looked at: `python -m tests.stats.looked_at [--lookers 10] [STORE]`.

Serves a file as fast as it can from a server with 100,000 counted files and a year of days, in
turns with and without people who have the page open, each with a view of their own. As the page's
script does, each asks for the numbers every two seconds, and reads curve and list anew every ten.

Prints, for both, requests a second and the CPU time of the server for a request; the share of a
processor that looking takes by itself; and what the page itself takes. Fails when that share is 5 %
or more, since a server that is busy through and through has so much less for its files, or when a
page or an answer is not within its bounds. The comparison holds on a machine that does nothing
else: on a busy one fewer requests share what looking costs.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from app.comparison.load import Load
from app.comparison.load_order import LoadOrder
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
MOST_SHARE = 0.05
MOST_PAGE_BYTES, MOST_PAGE_SECONDS, MOST_LIVE_BYTES = 200_000, 0.2, 2048
_TICKS = os.sysconf("SC_CLK_TCK")
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
    """Return the seconds of CPU that all its processes have taken."""
    total = 0
    for pid in family(server.process.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def load(port: int, seconds: float, told: "Connection[object, object]") -> None:
    """Ask for the file as often as can be; tell how often that was."""
    ask = request("GET", "/page.html").decode()
    report = Load(LoadOrder(port, 8, seconds, [(ask, 200, 8192)], [0], "-")).run()
    if report.faults:
        raise SystemExit(f"wrong answers: {report.examples}")
    told.send((report.requests, report.seconds))


def look(port: int, lookers: int, end: "Connection[object, object]") -> None:
    """Have the page open, *lookers* times, until the other end is closed."""
    eyes = [Looker(port, number, number / lookers) for number in range(lookers)]
    while True:
        due = min(eyes, key=lambda one: one.wakes)
        if end.poll(max(0.0, due.wakes - time.monotonic())):
            return
        due.look()


class Looker:
    """One who looks, *phase* of two seconds after the first one."""

    def __init__(self, port: int, number: int, phase: float) -> None:
        self._port = port
        self._client: Client | None = None
        self._view = VIEWS[number % len(VIEWS)]
        self._since = ""
        self.wakes = time.monotonic() + phase * LIVE_SECONDS
        self._reads = self.wakes + phase * PAGE_SECONDS

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


def turn(server: LiveServer, seconds: float, lookers: int) -> Turn:
    told, telling = _SPAWN.Pipe(duplex=False)
    ended, ending = _SPAWN.Pipe(duplex=False)
    loading = _SPAWN.Process(target=load, args=(server.port, seconds, telling))
    looking = _SPAWN.Process(target=look, args=(server.port, lookers, ended))
    if lookers:
        looking.start()
    before = cpu_of(server)
    loading.start()
    telling.close()
    requests, took = told.recv()
    cpu = cpu_of(server) - before
    loading.join()
    if lookers:
        ending.send(None)
        looking.join()
        assert looking.exitcode == 0
    return Turn(requests, took, cpu)


def compare(server: LiveServer, chosen: argparse.Namespace) -> bool:
    """Print what a request costs with and without people who look; return whether that will do."""
    with Client(server.port) as client:  # what is made once is made
        for address in dict.fromkeys(VIEWS):
            assert client.ask("GET", PREFIX + address, BEARER).status == 200
    turn(server, 2, chosen.lookers)
    turns: dict[int, list[Turn]] = {0: [], chosen.lookers: []}
    for number in range(chosen.rounds):
        for lookers in sorted(turns, reverse=bool(number % 2)):
            turns[lookers].append(turn(server, chosen.seconds, lookers))
    for lookers, each in turns.items():
        rate = statistics.median(one.rate for one in each)
        cost = statistics.median(one.cost for one in each)
        print(f"  {lookers:2} look: {rate:8,.0f} requests a second, {cost:6.1f} us CPU each")
    pairs = zip(turns[0], turns[chosen.lookers], strict=True)
    more = statistics.median(looked.cost / alone.cost for alone, looked in pairs) - 1
    print(f"  a request costs {100 * more:+.1f} % while they look")
    share = share_of_looking(server, chosen.lookers)
    print(f"  looking takes {100 * share:.1f} % of a processor")
    return share < MOST_SHARE


def share_of_looking(server: LiveServer, lookers: int) -> float:
    """Return the seconds of CPU that looking takes in a second."""
    ended, ending = _SPAWN.Pipe(duplex=False)
    looking = _SPAWN.Process(target=look, args=(server.port, lookers, ended))
    looking.start()
    shares = []
    for _ in range(2):  # the first is not counted: they all begin
        before, begun = cpu_of(server), time.monotonic()
        looking.join(2 * PAGE_SECONDS)
        shares.append((cpu_of(server) - before) / (time.monotonic() - begun))
    ending.send(None)
    looking.join()
    assert looking.exitcode == 0
    return shares[-1]


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stats.looked_at")
    parser.add_argument("store", nargs="?", help="a directory; it is made if there is none")
    parser.add_argument("--lookers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--only", choices=[BUILTIN, GUNICORN])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-looked-at-") as scratch:
        directory = chosen.store or os.path.join(scratch, "counts")
        if not os.path.exists(directory):
            make(directory)
        kept = [
            run(kind, directory, chosen)
            for kind in (BUILTIN, GUNICORN)
            if chosen.only in (None, kind)
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
