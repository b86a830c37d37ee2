"""The bundled load generator: checks the status and the length of every answer.

Runs as a process of its own (`python -m app.comparison.load ORDER-FILE`), pinned away from the
server, and prints one JSON object. Each client is a generator that yields what it waits for: an
epoll event, or a moment. It sends its next request when it has the answer to the last, or, with a
rate, when it is due. A Python program cannot load a fast server fully: the report says which
generator was used.
"""

import contextlib
import json
import re
import select
import socket
import sys
import time
from array import array
from collections.abc import Generator
from dataclasses import asdict
from typing import TypeVar

from .exchange import IncompleteError, NotHttpError, read_answer
from .load_order import LoadOrder, LoadReport, percentiles

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[^\r]*close", re.IGNORECASE)
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_MOST_FAULTS = 1000
T = TypeVar("T")
#: Yields a mask of events (int) or the time at which to go on (float).
Steps = Generator[int | float, None, T]


class _FaultError(Exception):
    """What was wrong with an answer: its kind, and an example."""

    def __init__(self, kind: str, example: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.example = example


class _Client:
    __slots__ = ("begun", "events", "has_head", "served", "socket", "steps", "wakes")

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.events = 0  # that epoll watches its socket for
        self.served = 0  # answers on this connection
        self.wakes = 0.0  # 0: it waits for its socket
        self.begun = 0.0  # 0: nothing is asked
        self.has_head = False  # of the answer to what is asked
        self.steps: Steps[None]


class Load:
    """One run. Not reusable."""

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._asks = [
            (*head.encode("latin-1").partition(order.cookie.encode()), status, length)
            for head, status, length in order.asks
        ]
        self._epoll = select.epoll()
        self._clients: set[_Client] = set()
        self._by_descriptor: dict[int, _Client] = {}
        self._latencies = array("d")
        self._report = LoadReport()
        self._room = memoryview(bytearray(524288))
        self._sent = 0
        self._last_answer = 0.0
        self._stopping = False

    def run(self) -> LoadReport:
        order = self._order
        start, cpu = time.perf_counter(), time.process_time()
        for number in range(order.connections):
            client = _Client()
            client.wakes = start + (number / order.rate if order.rate else 0.0)
            client.steps = self._live(client, client.wakes)
            self._clients.add(client)
        self._loop(start)
        now = time.perf_counter()
        report = self._report
        report.requests = len(self._latencies)
        report.seconds = (self._last_answer or now) - start
        report.latency = percentiles(self._latencies)
        report.cpu_share = (time.process_time() - cpu) / max(now - start, 1e-9)
        return report

    def _loop(self, start: float) -> None:
        end = start + self._order.seconds
        sweep = start
        while self._clients and sum(self._report.faults.values()) < _MOST_FAULTS:
            now = time.perf_counter()
            self._stopping = now >= end
            if now >= sweep:
                sweep = now + 0.05
                self._give_up_on_silent(now)
            asleep = [client for client in self._clients if client.wakes]
            for client in asleep:
                if self._stopping or client.wakes <= now:
                    self._advance(client)
            for descriptor, _events in self._epoll.poll(0.005 if asleep else 0.05):
                if ready := self._by_descriptor.get(descriptor):
                    self._drop(ready) if ready.wakes else self._advance(ready)

    def _give_up_on_silent(self, now: float) -> None:
        for client in list(self._clients):
            if client.begun and now - client.begun > self._order.patience:
                kind = "wrong length" if client.has_head else "no answer"
                fault = _FaultError(kind, f"not whole after {self._order.patience:g} s")
                self._advance(client, fault)

    def _advance(self, client: _Client, fault: _FaultError | None = None) -> None:
        """Let the client go on to where it waits again."""
        client.wakes = 0.0
        try:
            wanted = client.steps.throw(fault) if fault else next(client.steps)
        except StopIteration:
            self._clients.discard(client)
            self._drop(client)
            return
        if isinstance(wanted, float):
            client.wakes = wanted
        elif wanted != client.events and client.socket:
            client.events = wanted
            self._epoll.modify(client.socket.fileno(), wanted)

    def _live(self, client: _Client, due: float) -> Steps[None]:
        """Ask one request after another, the first when it is *due*."""
        order = self._order
        while not self._stopping:
            index = order.order[self._sent % len(order.order)]
            try:
                yield from self._ask(client, index)
            except _FaultError as fault:
                target = " ".join(order.asks[index][0].split(" ", 2)[:2])
                self._report.add_fault(fault.kind, 1, f"{target}: {fault.example}")
                self._drop(client)
                client.begun = 0.0
                yield time.perf_counter() + 0.01
            client.begun = 0.0
            if order.rate:
                due = max(due + order.connections / order.rate, time.perf_counter() - 1.0)
                yield due

    def _ask(self, client: _Client, index: int) -> Steps[None]:
        """Send a request, and take and check its answer."""
        before, cookie, after, status, length = self._asks[index]
        self._sent += 1
        request = before + (b"%016x" % (self._sent * 0x9E3779B1) if cookie else b"") + after
        client.begun = time.perf_counter()
        client.has_head = False
        data = yield from self._first_bytes(client, request)
        while (end := data.find(b"\r\n\r\n")) < 0:
            count = yield from self._more(client)
            if not count:
                raise _cut_short()
            data += self._room[:count]
        head, client.has_head = data[: end + 2], True
        if not data.startswith(b"HTTP/1.") or not data[9:12].isdigit():
            raise _FaultError("wrong status", f"not HTTP/1.1: {data[:30]!r}")
        found = int(data[9:12])
        if named := _CONTENT_LENGTH.search(head):
            size = int(named[1]) if found != 304 else 0
            yield from self._content(client, size - (len(data) - end - 4))
        else:
            size = yield from self._unsized(client, data)
        if found != status:
            raise _FaultError("wrong status", f"{found} instead of {status}")
        if length not in (size, -1):
            raise _FaultError("wrong length", f"{size} bytes instead of {length}")
        self._last_answer = time.perf_counter()
        self._latencies.append((self._last_answer - client.begun) * 1000)
        client.served += 1
        if client.served == self._order.reuse or _CLOSES.search(head):
            self._drop(client)

    def _first_bytes(self, client: _Client, request: bytes) -> Steps[bytes]:
        """Send the request; return the beginning of its answer.

        A server may close a kept-alive connection between two requests: then it is sent anew.
        """
        while True:
            kept = client.socket is not None
            connection = client.socket or self._connect(client)
            why = "the connection was closed without an answer"
            try:
                if not kept:
                    yield _WRITE
                unsent = request
                while unsent := unsent[connection.send(unsent) :]:
                    yield _WRITE
                yield _READ
                if data := connection.recv(65536):
                    return data
            except OSError as error:
                why = error.strerror or why
            self._drop(client)
            if not kept:
                raise _FaultError("no answer", why)

    def _more(self, client: _Client) -> Steps[int]:
        """Receive into the room; return how many bytes, 0 at the end of the connection."""
        yield _READ
        assert client.socket
        with contextlib.suppress(OSError):
            return client.socket.recv_into(self._room)
        return 0

    def _content(self, client: _Client, left: int) -> Steps[None]:
        """Receive the *left* bytes of an answer, and no more, without keeping them."""
        while left > 0:
            count = yield from self._more(client)
            if not count:
                raise _cut_short()
            left -= count
        if left:
            raise _FaultError("wrong length", f"{-left} bytes behind the end of an answer")

    def _unsized(self, client: _Client, data: bytes) -> Steps[int]:
        """Receive an answer that does not say its length; return that of its content."""
        count = 1
        while True:
            # Chunks end so, and no content: there is no use in looking through them before.
            if not count or data.endswith(b"\r\n\r\n"):
                try:
                    answer, rest = read_answer(data, "GET", at_end=not count)
                    if answer.ends_connection:
                        self._drop(client)
                    if rest:
                        raise _FaultError("wrong length", "bytes behind the end of an answer")
                    return len(answer.body)
                except NotHttpError as error:
                    raise _FaultError("wrong length", str(error)) from None
                except IncompleteError:
                    if not count:
                        raise _cut_short() from None
            count = yield from self._more(client)
            data += self._room[:count]

    def _connect(self, client: _Client) -> socket.socket:
        opened = client.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect_ex(("127.0.0.1", self._order.port))
        client.served = 0
        client.events = _WRITE
        self._by_descriptor[opened.fileno()] = client
        self._epoll.register(opened.fileno(), _WRITE)
        return opened

    def _drop(self, client: _Client) -> None:
        if client.socket is not None:
            del self._by_descriptor[client.socket.fileno()]
            client.socket.close()
            client.socket = None


def _cut_short() -> _FaultError:
    return _FaultError("wrong length", "the connection was closed in the middle of an answer")


def main() -> None:
    with open(sys.argv[1], encoding="latin-1") as file:
        order = LoadOrder(**json.load(file))
    print(json.dumps(asdict(Load(order).run())), flush=True)


if __name__ == "__main__":
    main()
