"""Are the numbers exact? `python -m tests.end_to_end.exactness [--requests 200000] [--kill] [--only
NAME ...]`.

64 connections fetch 20 files from each server, with `--count-header`. Without --kill the numbers
that the clients received must be exactly 1..N for each file, each once. With --kill a worker is
killed by SIGKILL every second: then no number may come twice, every answered access must be in the
store, and the store may be ahead by no more than what was in flight.
"""

import argparse
import json
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from tests.end_to_end.servers import HOME, LiveServer
from tests.waiting import wait_until

FILES = 20
CONNECTIONS = 64
_COUNT = re.compile(rb"\r\nTally-Count: (\d+)\r\n")
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)

SERVERS = {
    "run_builtin.py -w 2": ["run_builtin.py", "-w", "2", "-b", "127.0.0.1:0"],
    "run_builtin.py -w 4 --threads 4": ["run_builtin.py", "-w", "4", "--threads", "4", "-b", "127.0.0.1:0"],
    "gunicorn -w 4 --threads 4 wsgi:app": [
        "-m", "gunicorn", "-w", "4", "--threads", "4", "-b", "127.0.0.1:0", "wsgi:app",
    ],
}  # fmt: skip


class Client:
    """One connection that asks for one file after another, and what it is waiting for."""

    def __init__(self, port: int, host: str) -> None:
        self.address = (host, port)
        self.socket = self._connect()
        self.file = -1
        self.data = b""

    def _connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=30)

    def reconnect(self) -> None:
        self.socket.close()
        self.data = b""
        self.socket = wait_until(lambda: self._try() or False)

    def _try(self) -> socket.socket | None:
        try:
            return self._connect()
        except OSError:
            return None

    def ask(self, file: int) -> None:
        self.file = file
        self.data = b""
        self.socket.sendall(b"GET /%d.txt HTTP/1.1\r\nHost: exact\r\n\r\n" % file)

    def answer(self) -> bytes | None:
        """Return the head of a whole answer, None before that.

        Raises ConnectionError when it will never be whole.
        """
        more = self.socket.recv(65536)
        if not more:
            raise ConnectionResetError
        self.data += more
        head, end, body = self.data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        return head + b"\r\n" if end and length and len(body) >= int(length[1]) else None


class Load:
    """Fetches files over many connections at once, and keeps every number that came back."""

    def __init__(
        self,
        port: int,
        requests: int,
        host: str = "127.0.0.1",
        connections: int = CONNECTIONS,
    ) -> None:
        self.requests = requests
        self.numbers: dict[int, list[int]] = defaultdict(list)
        self.may_lack_numbers = False  # while a remote store is away
        self.unnumbered: dict[int, int] = defaultdict(int)
        self.unanswered = 0
        self.wrong: list[bytes] = []
        self._asked = 0
        self._random = random.Random(1)
        self._clients = [Client(port, host) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()

    def run(self, every_second: Callable[[], None] | None = None) -> None:
        for client in self._clients:
            self._next(client)
        due = monotonic() + 1
        while self._selector.get_map():
            for key, _ in self._selector.select(1):
                self._receive(key.data)
            if every_second is not None and monotonic() >= due and self._asked < self.requests:
                every_second()
                due = monotonic() + 1
        for client in self._clients:
            client.socket.close()

    def _next(self, client: Client) -> None:
        while self._asked < self.requests:
            self._asked += 1
            try:
                client.ask(self._random.randrange(FILES))
            except OSError:
                self.unanswered += 1
                client.reconnect()
                continue
            self._selector.register(client.socket, selectors.EVENT_READ, client)
            return

    def _receive(self, client: Client) -> None:
        try:
            head = client.answer()
        except OSError:
            self._selector.unregister(client.socket)
            self.unanswered += 1
            client.reconnect()
            self._next(client)
            return
        if head is None:
            return
        self._selector.unregister(client.socket)
        number = _COUNT.search(head)
        if head[9:12] == b"200" and number:
            self.numbers[client.file].append(int(number[1]))
        elif head[9:12] == b"200" and self.may_lack_numbers:
            self.unnumbered[client.file] += 1
        else:
            self.wrong.append(head[:200])
        if b"connection: close" in head.lower():
            client.reconnect()
        self._next(client)


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def stored_totals(counts: str) -> dict[str, int]:
    shown = subprocess.run(
        [sys.executable, "-m", "app.counters", "show", "--counts", counts, "--json"],
        cwd=HOME, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {file["path"]: file["accesses"] for file in json.loads(shown.stdout)["files"]}


def check(name: str, load: Load, stored: dict[str, int] | None, kills: int) -> bool:
    """Return whether the numbers are exact, and say so."""
    answered = sum(map(len, load.numbers.values()))
    doubled = sum(len(numbers) - len(set(numbers)) for numbers in load.numbers.values())
    missing = 0
    if stored is None:
        missing = sum(
            sorted(numbers) != list(range(1, len(numbers) + 1)) for numbers in load.numbers.values()
        )
    ahead = 0
    if stored is not None:
        for file, numbers in load.numbers.items():
            total = stored.get(f"/{file}.txt", 0)
            missing += max(numbers) > total or len(numbers) > total
            ahead += total - len(numbers)
    exact = not doubled and not missing and not load.wrong and ahead <= load.unanswered
    sys.stdout.write(
        f"{name}: {answered} answered, {load.unanswered} unanswered, {len(load.wrong)} wrong,"
        f" {kills} kills, "
        f"{doubled} doubled, {missing} files with a gap"
        + (f", store ahead by {ahead}" if stored is not None else "")
        + f": {'exact' if exact else 'NOT EXACT'}\n"
    )
    for head in load.wrong[:3]:
        sys.stdout.write(f"  {head!r}\n")
    return exact


def run(name: str, arguments: list[str], requests: int, kill: bool) -> bool:
    kills = 0
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "www")
        root.mkdir()
        for file in range(FILES):
            (root / f"{file}.txt").write_text(f"file {file}\n" * 20)
        environ = {
            "TALLY_ROOT": str(root),
            "TALLY_COUNT_HEADER": "1",
            "TALLY_COUNT_LOG": f"{directory}/count.log",
        }
        counts = f"lmdb:{directory}/counts"
        if kill:
            environ["TALLY_COUNTS"] = counts
        server = LiveServer([sys.executable, *arguments], environ)
        try:
            port = wait_until(server.port_named)
            wait_until(lambda: len(workers_of(server.process.pid)) >= 2)
            load = Load(port, requests)

            def kill_one() -> None:
                nonlocal kills
                workers = workers_of(server.process.pid)
                if workers:
                    os.kill(random.choice(workers), signal.SIGKILL)
                    kills += 1

            load.run(kill_one if kill else None)
        finally:
            server.stop()
        return check(name, load, stored_totals(counts) if kill else None, kills)


def main() -> int:
    parser = argparse.ArgumentParser(description="Are the numbers exact?")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--only", nargs="*", choices=SERVERS, default=list(SERVERS))
    given = parser.parse_args()
    results = [run(name, SERVERS[name], given.requests, given.kill) for name in given.only]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
