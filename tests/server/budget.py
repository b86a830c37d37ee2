"""Where the time of one request goes: `python -m tests.server.budget`.

Microseconds of CPU, in one thread, the median of several runs. First each stage alone, with the
request that Chrome sends and a file of 8 KiB. Then each kind of answer as a whole, from the bytes of
the request to those of the answer: with the kernel's part, but over a socket pair and without the
loop that waits for clients. Everything is in the processor's caches here; with a thousand files and
clients it is not, and a request takes about twice as long.
"""

import io
import itertools
import os
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from time import thread_time
from typing import Any

from app.clock import date_header
from app.counters import CountLog, open_counter
from app.counters.contract import Kind
from app.files import FileApplication
from app.http11 import Receiver, Request
from app.http11.response import Framing, ResponseHead, encode_head
from app.server.call import Call
from app.server.gateway import Gateway, make_environ

from .instructions import COUNTED, browser_request, write_site
from .instructions import stages as answer_stages

_ROUNDS = 7
_CALLS = 20_000
REQUESTS = [
    browser_request(n, "Accept-Encoding: gzip, deflate, br, zstd", path="/page.html")
    for n in range(1000)
]


class _NoChannel:
    sends_files = True

    def may_persist(self) -> bool:
        return True

    def transmit(self, data: bytes) -> None:
        raise AssertionError

    def receive_body(self) -> bytes:
        raise AssertionError


def microseconds(stage: Callable[[int], object]) -> float:
    """Return the CPU time of one call of *stage*."""
    results = []
    for _ in range(_ROUNDS):
        begin = thread_time()
        for number in range(_CALLS):
            stage(number)
        results.append((thread_time() - begin) / _CALLS * 1e6)
    return statistics.median(results)


def kinds() -> list[tuple[str, float]]:
    """Return what each kind of answer costs, of files that have been there for a while."""
    with tempfile.TemporaryDirectory() as directory:
        write_site(directory)
        time.time = itertools.repeat(time.time() + 1000.0).__next__
        return [
            (name, microseconds(lambda number, act=act: act(number % COUNTED)))  # type: ignore[misc]
            for name, act in answer_stages(directory)
        ]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "www")
        root.mkdir()
        (root / "page.html").write_bytes(b"x" * 8192)
        os.utime(root / "page.html", (1_700_000_000, 1_700_000_000))
        for name, cost in stages(str(root), f"{directory}/count.log"):
            sys.stdout.write(f"{name:<34}{cost:7.2f} us\n")
    sys.stdout.write("\n")
    for name, cost in kinds():
        sys.stdout.write(f"{name:<34}{cost:7.2f} us\n")


def stages(root: str, log_path: str) -> list[tuple[str, float]]:
    receiver = Receiver()

    def parse(number: int) -> Request:
        receiver.feed(REQUESTS[number % 1000])
        request = receiver.next_event()
        assert isinstance(request, Request)
        return request

    silent = FileApplication(root, counter=_NoCounter(), count_line=None)
    gateway = Gateway(silent, multithread=True, multiprocess=False)
    base = gateway.base_environ("127.0.0.1", "8080", tls=False)
    request = parse(0)
    environ = make_environ(base, request, "127.0.0.1", "50000")
    environ["wsgi.input"] = io.BytesIO()
    fields: list[Any] = []

    def keep(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        fields[:] = headers

    silent(environ, keep)
    channel = _NoChannel()

    def encode(_: int) -> bytes:
        head = ResponseHead("200 OK", fields)
        return encode_head(head, Framing.LENGTH, 8192, date_header(), "HTTP/1.1", True, "Tally")

    def answer(_: int) -> object:
        return Call(gateway, request, dict(environ), channel).next_output()

    application = microseconds(lambda _: silent(environ, keep))
    memory = open_counter("memory:")
    log = CountLog(log_path)
    counted = microseconds(lambda _: memory.count("/page.html", "full", lambda n: None))
    logged = microseconds(lambda _: log.write("/page.html", "127.0.0.1", "50000", 1))
    log.close()
    encoded = microseconds(encode)
    whole_call = microseconds(answer)
    return [
        ("parse", microseconds(parse)),
        ("environ", microseconds(lambda _: make_environ(base, request, "127.0.0.1", "50000"))),
        ("application", application),
        ("count (memory:)", counted),
        ("log", logged),
        ("encode", encoded),
        ("gateway, the rest of a call", whole_call - application - encoded),
        *_kernel(),
    ]


def _kernel() -> list[tuple[str, float]]:
    """Return what the system calls of one exchange cost, over loopback, with the client's part not
    counted.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with listener, client, server:
        server.setblocking(False)
        epoll = select.epoll()
        epoll.register(server.fileno(), select.EPOLLIN | select.EPOLLET)
        answer = b"x" * 8600
        spent = {"poll": 0.0, "receive": 0.0, "send": 0.0}
        for number in range(_CALLS):
            client.sendall(REQUESTS[number % 1000])
            begin = thread_time()
            epoll.poll(1)
            polled = thread_time()
            server.recv(65536)
            received = thread_time()
            server.send(answer)
            sent = thread_time()
            spent["poll"] += polled - begin
            spent["receive"] += received - polled
            spent["send"] += sent - received
            client.recv(65536)
        epoll.close()
    return [(name, seconds / _CALLS * 1e6) for name, seconds in spent.items()]


class _NoCounter:
    def count(self, path: str, kind: Kind, *details: object) -> int:
        return 1

    def sent(self, path: str, kind: Kind, *details: object) -> None:
        pass

    def answered(self, status: int) -> None:
        pass

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        return {}

    def close(self) -> None:
        pass


if __name__ == "__main__":
    main()
