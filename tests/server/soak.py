"""A day in small: `python -m tests.server.soak [--requests 200000] [--seed 1] [-- OPTIONS]`.

Requests of all kinds, aborts and garbage on a real server, seeded. After each tenth its threads,
open files and memory are told; the status is 1 when the last tenth shows growth over the first, or
when an answer that was read was wrong.
"""

import argparse
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.server.crowd import start_tally
from tests.waiting import wait_until

_LARGE = 8 << 20
_RESET = b"\1\0\0\0\0\0\0\0"


class Soak:
    """One client that does, again and again, one of the things that clients do."""

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.random = random.Random(seed)
        self.connections: list[socket.socket] = []
        self.done = 0
        self.wrong = 0
        self._kinds: list[tuple[int, Callable[[], None]]] = [
            (60, self.ask),
            (8, self.pipeline),
            (6, self.post),
            (6, self.garbage),
            (5, self.leave_half_way),
            (3, self.abort_download),
            (2, self.reset),
        ]

    def step(self) -> None:
        weights, kinds = zip(*self._kinds, strict=True)
        self.random.choices(kinds, weights)[0]()

    def ask(self) -> None:
        request, status = self.random.choice(
            [
                (
                    b"GET /%d.html HTTP/1.1\r\nHost: soak\r\n\r\n" % self.random.randrange(50),
                    b"200",
                ),
                (b"HEAD /0.html HTTP/1.1\r\nHost: soak\r\n\r\n", b"200"),
                (
                    b"GET /missing-%d HTTP/1.1\r\nHost: soak\r\n\r\n"
                    % self.random.randrange(10**9),
                    b"404",
                ),
                (b"GET /1.html HTTP/1.1\r\nHost: soak\r\nRange: bytes=5-9\r\n\r\n", b"206"),
                (b"GET /1.html HTTP/1.1\r\nHost: soak\r\nRange: bytes=1-2,7-9\r\n\r\n", b"206"),
                (b"GET /1.html HTTP/1.1\r\nHost: soak\r\nRange: bytes=99999999-\r\n\r\n", b"416"),
                (b"GET /2.html HTTP/1.1\r\nHost: soak\r\nIf-None-Match: *\r\n\r\n", b"304"),
                (
                    b"GET /%%2e%%2e/%d HTTP/1.1\r\nHost: soak\r\n\r\n" % self.random.randrange(9),
                    b"404",
                ),
                (b"OPTIONS * HTTP/1.1\r\nHost: soak\r\n\r\n", b"204"),
                (b"DELETE /1.html HTTP/1.1\r\nHost: soak\r\n\r\n", b"405"),
                (
                    b"GET /3.html HTTP/1.1\r\nHost: soak\r\nCookie: %032x\r\nX-%d: y\r\n\r\n"
                    % (self.random.getrandbits(128), self.random.randrange(10**6)),
                    b"200",
                ),
            ]
        )
        connection = self._connection()
        connection.sendall(request)
        self._expect(connection, status, has_body=not request.startswith(b"HEAD"))
        self._keep(connection)

    def pipeline(self) -> None:
        connection = self._connection()
        connection.sendall(
            b"".join(b"GET /%d.html HTTP/1.1\r\nHost: soak\r\n\r\n" % n for n in range(10))
        )
        for _ in range(10):
            self._expect(connection, b"200", has_body=True)
        self._keep(connection)

    def post(self) -> None:
        connection = self._connection()
        body = b"x" * self.random.randrange(20_000)
        if self.random.random() < 0.5:
            framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        else:
            framed = b"Transfer-Encoding: chunked\r\n\r\n" + (
                b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            )
            framed += b"0\r\n\r\n"
        connection.sendall(b"POST /1.html HTTP/1.1\r\nHost: soak\r\n" + framed)
        self._expect(connection, b"405", has_body=True)
        self._keep(connection)

    def garbage(self) -> None:
        self.done += 1
        connection = self._connection()
        connection.sendall(
            self.random.choice(
                [
                    self.random.randbytes(self.random.randrange(1, 300)),
                    b"GET / HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\nHost: soak\n\n",
                    b"\x16\x03\x01\x02\x00" + self.random.randbytes(200),
                    b"POST / HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                    b"GET / HTTP/1.1\r\nHost: soak\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
                ]
            )
        )
        if self.random.random() < 0.5:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.recv(65536)
        connection.close()

    def leave_half_way(self) -> None:
        self.done += 1
        connection = self._connection()
        connection.sendall(
            b"POST /1.html HTTP/1.1\r\nHost: soak\r\nContent-Length: 9\r\n\r\nabc"[
                : self.random.randrange(1, 70)
            ]
        )
        connection.close()

    def abort_download(self) -> None:
        self.done += 1
        connection = self._connection()
        connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: soak\r\n\r\n")
        connection.recv(self.random.choice([100, 100_000]))
        connection.close()

    def reset(self) -> None:
        self.done += 1
        connection = self._connection()
        connection.sendall(b"GET /1.html HTTP/1.1\r\nHost: soak\r\n\r\n" * 3)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections.clear()

    def _connection(self) -> socket.socket:
        if self.connections and self.random.random() < 0.9:
            return self.connections.pop(self.random.randrange(len(self.connections)))
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _keep(self, connection: socket.socket) -> None:
        if len(self.connections) < 50:
            self.connections.append(connection)
        else:
            connection.close()

    def _expect(self, connection: socket.socket, status: bytes, *, has_body: bool) -> None:
        self.done += 1
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            found = connection.recv(65536, socket.MSG_PEEK)
            end = found.find(b"\r\n\r\n")
            more = connection.recv(end + 4 if end >= 0 else len(found))
            if not more:
                break
            head += more
        if not head.startswith(b"HTTP/1.1 " + status):
            self.wrong += 1
            sys.stdout.write(f"expected {status!r}, got {head[:60]!r}\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if has_body and length and status not in (b"304", b"204"):
            left = int(length[1])
            while left:
                left -= len(connection.recv(left))


def readings(pid: int) -> tuple[int, int, int]:
    """Return the threads, the open files, and the private memory in KiB of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    threads = int(re.findall(r"^Threads:\s+(\d+)", status, re.MULTILINE)[0])
    memory = int(re.findall(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)[0])
    return threads, len(os.listdir(f"/proc/{pid}/fd")), memory


def run(process: subprocess.Popen[str], soak: Soak, requests: int) -> bool:
    """Return whether nothing grew and nothing was wrong."""
    tenths = []
    soak.ask()
    soak.close()
    idle = readings(process.pid)[1]
    for tenth in range(1, 11):
        while soak.done < requests * tenth // 10:
            soak.step()
        soak.close()
        wait_until(
            lambda: readings(process.pid)[1] <= idle,
            timeout=40,
            message="the connections to be closed",
        )
        tenths.append(readings(process.pid))
        threads, files, memory = tenths[-1]
        sys.stdout.write(
            f"{soak.done} requests: {threads} threads, {files} open files, {memory} KiB\n"
        )
    first, last = tenths[0], tenths[-1]
    grown = last[0] > first[0] + 1 or last[1] > first[1] + 1 or last[2] > first[2] * 1.05 + 512
    sys.stdout.write(f"{'grown' if grown else 'not grown'}, {soak.wrong} wrong answers\n")
    return not grown and not soak.wrong


def main() -> int:
    parser = argparse.ArgumentParser(description="A day in small.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="options of run_builtin.py, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number in range(50):
            (root / f"{number}.html").write_bytes(b"x" * (100 + number * 300))
        (root / "large.bin").write_bytes(b"x" * _LARGE)
        subject = start_tally(root, arguments.options)
        try:
            return (
                0
                if run(subject.process, Soak(subject.port, arguments.seed), arguments.requests)
                else 1
            )
        finally:
            subject.process.terminate()
            subject.process.wait(60)


if __name__ == "__main__":
    sys.exit(main())
