"""The bundled load generator: one epoll loop over raw sockets that checks the status and the length
of every answer.

Runs as a process of its own (`python -m app.comparison.load ORDER-FILE`), pinned away from the
server, and prints one JSON object. Each connection sends its next request when it has the answer to
the last (a closed loop), or, with a *rate*, when it is due. A Python program cannot load a fast
server fully: the report says which generator was used.
"""

import json
import re
import select
import socket
import sys
import time
from array import array
from collections import Counter
from dataclasses import asdict

from .crowd import Crowd
from .load_order import LoadOrder, LoadReport, percentiles

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection:[^\r]*close", re.IGNORECASE)
_UNTIL_CLOSE = -2
_IN_CHUNKS = -3
_NO_HEAD_YET = -1
_MOST_FAULTS = 1000


class _Connection:
    __slots__ = (
        "ask",
        "begun",
        "buffer",
        "due",
        "needed",
        "pending",
        "ready",
        "served",
        "socket",
        "status",
        "watches_out",
        "wrong",
    )

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.due = 0.0
        self.served = 0
        self.watches_out = False
        self.reset()

    def reset(self) -> None:
        self.ask = -1  # nothing asked
        self.begun = 0.0
        self.buffer = b""
        self.needed = _NO_HEAD_YET
        self.status = 0
        self.pending = b""
        self.ready = False
        self.wrong = False


class Generator:
    """One run. Not reusable."""

    def __init__(self, order: LoadOrder) -> None:
        self._order = order
        self._heads = [self._split(head) for head, _status, _length in order.asks]
        self._epoll = select.epoll()
        self._by_descriptor: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._latencies = array("d")
        self._faults: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._room = memoryview(bytearray(524288))
        self._next = 0
        self._last_answer = 0.0
        self._stopping = False

    def _split(self, head: str) -> tuple[bytes, bytes | None]:
        before, marker, after = head.encode("latin-1").partition(self._order.cookie.encode())
        return before, after if marker else None

    def run(self) -> LoadReport:
        order = self._order
        crowd = Crowd(order.crowd, order.crowd_size, order.port, order.small_path, order.large_path)
        held = crowd.gather()
        if order.crowd:
            print(json.dumps({"held": held}), flush=True)
        start = time.perf_counter()
        cpu = time.process_time()
        self._idle = [_Connection() for _ in range(order.connections)]
        if order.rate:
            for number, connection in enumerate(self._idle):
                connection.due = start + number / order.rate
        try:
            self._loop(start, crowd)
        finally:
            crowd.disperse()
            for connection in list(self._by_descriptor.values()):
                self._drop(connection)
        now = time.perf_counter()
        elapsed = (self._last_answer or now) - start
        share = (time.process_time() - cpu) / max(now - start, 1e-9)
        return LoadReport(
            len(self._latencies),
            elapsed,
            percentiles(self._latencies),
            dict(self._faults),
            self._examples,
            share,
            held,
        )

    def _loop(self, start: float, crowd: Crowd) -> None:
        end = start + self._order.seconds
        sweep = start
        while True:
            now = time.perf_counter()
            self._stopping = self._stopping or now >= end
            if self._stopping and (not self._asked() or now >= end + self._order.patience):
                # Whoever has not answered by now has had its time since the last request.
                self._give_up_on_silent(float("inf"))
                return
            if sum(self._faults.values()) >= _MOST_FAULTS:
                return
            if not self._stopping:
                self._begin_due(now)
            if now >= sweep:
                sweep = now + 0.05
                self._give_up_on_silent(now)
                crowd.go_on(now)
            wait = 0.01 if self._order.rate or self._idle else 0.05
            for descriptor, events in self._epoll.poll(wait):
                connection = self._by_descriptor.get(descriptor)
                if connection is None:
                    continue
                if events & select.EPOLLOUT and not connection.ready:
                    self._connected(connection)
                elif events & select.EPOLLOUT:
                    self._send(connection)
                else:
                    self._receive(connection)

    def _asked(self) -> bool:
        return any(connection.ask >= 0 for connection in self._by_descriptor.values())

    def _begin_due(self, now: float) -> None:
        if not self._idle:
            return
        begun = [connection for connection in self._idle if connection.due <= now]
        if begun:
            self._idle = [connection for connection in self._idle if connection.due > now]
            for connection in begun:
                self._begin(connection, now)

    def _begin(self, connection: _Connection, now: float) -> None:
        order = self._order
        connection.reset()
        connection.ask = order.order[self._next % len(order.order)]
        connection.begun = now
        before, after = self._heads[connection.ask]
        connection.pending = (
            before if after is None else before + b"%016x" % (self._next * 0x9E3779B1) + after
        )
        self._next += 1
        if order.rate:
            connection.due = max(connection.due + order.connections / order.rate, now - 1.0)
        if connection.socket is not None:
            connection.ready = True
            self._send(connection)
            return
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect_ex(("127.0.0.1", order.port))
        connection.socket = opened
        connection.served = 0
        connection.watches_out = True
        self._by_descriptor[opened.fileno()] = connection
        self._epoll.register(opened.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _connected(self, connection: _Connection) -> None:
        assert connection.socket is not None
        error = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fail(connection, "no answer", "cannot connect")
            return
        connection.ready = True
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        assert connection.socket is not None
        try:
            sent = connection.socket.send(connection.pending) if connection.pending else 0
        except BlockingIOError:
            sent = 0
        except OSError as error:
            # A server may close a kept-alive connection between two requests: then the request is
            # begun anew.
            self._renew(connection) if connection.served else self._fail(
                connection, "no answer", str(error.strerror)
            )
            return
        connection.pending = connection.pending[sent:]
        if connection.pending or connection.watches_out:
            wanted = select.EPOLLIN | (select.EPOLLOUT if connection.pending else 0)
            connection.watches_out = bool(connection.pending)
            self._epoll.modify(connection.socket.fileno(), wanted)

    def _receive(self, connection: _Connection) -> None:
        assert connection.socket is not None
        try:
            count = connection.socket.recv_into(self._room)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._ended(connection)
        elif connection.ask < 0:
            self._fail(connection, "wrong length", "bytes behind the end of an answer")
        elif connection.needed >= 0:
            connection.needed -= count
            if connection.needed <= 0:
                self._complete(connection, surplus=-connection.needed)
        else:
            self._take(connection, bytes(self._room[:count]))

    def _take(self, connection: _Connection, data: bytes) -> None:
        connection.buffer += data
        if connection.needed == _NO_HEAD_YET:
            self._read_head(connection)
        if connection.needed == _IN_CHUNKS:
            self._read_chunks(connection)

    def _read_head(self, connection: _Connection) -> None:
        data = connection.buffer
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        digits = data[9:12]
        if not data.startswith(b"HTTP/1.") or not digits.isdigit():
            self._fail(connection, "wrong status", f"not HTTP/1.1: {data[:30]!r}")
            return
        connection.status = int(digits)
        head = data[: end + 2]
        if connection.status in (204, 304):
            connection.needed, connection.buffer = 0, b""
            self._check_length(connection, 0)
            self._complete(connection, head=head, surplus=len(data) - end - 4)
            return
        found = _CONTENT_LENGTH.search(data, 0, end + 2)
        if found is None:
            connection.needed = _IN_CHUNKS if _CHUNKED.search(head) else _UNTIL_CLOSE
            connection.buffer = data[end + 4 :]
            return
        length = int(found[1])
        connection.needed = length - (len(data) - end - 4)
        connection.buffer = head if _CLOSES.search(head) else b""
        self._check_length(connection, length)
        if connection.needed <= 0:
            self._complete(connection, head=head, surplus=-connection.needed)

    def _check_length(self, connection: _Connection, length: int) -> None:
        """Count an answer whose status or length is not what was asked for; *ask* keeps which it
        was.
        """
        target, status, expected = self._order.asks[connection.ask]
        if connection.status != status:
            self._count(
                "wrong status", f"{_target(target)}: {connection.status} instead of {status}"
            )
            connection.wrong = True
        elif expected not in (length, -1):
            self._count("wrong length", f"{_target(target)}: {length} bytes instead of {expected}")
            connection.wrong = True

    def _read_chunks(self, connection: _Connection) -> None:
        if not connection.buffer.endswith(b"\r\n\r\n"):
            return
        length, rest = 0, connection.buffer
        while True:
            line, separator, rest = rest.partition(b"\r\n")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                return
            if not separator or len(rest) < size + 2:
                return
            if size == 0:
                break
            length += size
            rest = rest[size + 2 :]
        connection.buffer = b""
        self._check_length(connection, length)
        self._complete(connection)

    def _complete(self, connection: _Connection, head: bytes = b"", surplus: int = 0) -> None:
        now = time.perf_counter()
        if surplus:
            self._fail(connection, "wrong length", f"{surplus} bytes behind the end of an answer")
            return
        if not connection.wrong:
            self._latencies.append((now - connection.begun) * 1000)
        self._last_answer = now
        connection.served += 1
        closes = _CLOSES.search(head or connection.buffer) is not None
        if closes or connection.served == self._order.reuse:
            self._drop(connection)
        connection.ask = -1
        if self._stopping:
            return
        if self._order.rate:
            self._idle.append(connection)
        else:
            self._begin(connection, now)

    def _ended(self, connection: _Connection) -> None:
        if connection.ask < 0:
            self._drop(connection)
        elif connection.needed == _UNTIL_CLOSE:
            self._check_length(connection, len(connection.buffer))
            self._drop(connection)
            self._complete(connection)
        elif connection.needed == _NO_HEAD_YET and not connection.buffer and connection.served:
            self._renew(connection)
        elif connection.needed == _NO_HEAD_YET and not connection.buffer:
            self._fail(connection, "no answer", "the connection was closed without an answer")
        else:
            self._fail(
                connection, "wrong length", "the connection was closed in the middle of an answer"
            )

    def _renew(self, connection: _Connection) -> None:
        self._drop(connection)
        connection.ask = -1
        connection.due = 0.0 if not self._order.rate else connection.due
        self._idle.append(connection)

    def _fail(self, connection: _Connection, kind: str, detail: str) -> None:
        target = _target(self._order.asks[connection.ask][0]) + ": " if connection.ask >= 0 else ""
        self._count(kind, target + detail)
        self._drop(connection)
        connection.ask = -1
        connection.due = max(connection.due, time.perf_counter() + 0.01)
        self._idle.append(connection)

    def _count(self, kind: str, detail: str) -> None:
        self._faults[kind] += 1
        self._examples.setdefault(kind, detail)

    def _give_up_on_silent(self, now: float) -> None:
        for connection in list(self._by_descriptor.values()):
            if connection.ask >= 0 and now - connection.begun > self._order.patience:
                kind = "no answer" if connection.needed == _NO_HEAD_YET else "wrong length"
                self._fail(connection, kind, f"not whole after {self._order.patience:g} s")

    def _drop(self, connection: _Connection) -> None:
        if connection.socket is not None:
            self._by_descriptor.pop(connection.socket.fileno(), None)
            connection.socket.close()
            connection.socket = None


def _target(head: str) -> str:
    return " ".join(head.split(" ", 2)[:2])


def main() -> None:
    with open(sys.argv[1], encoding="latin-1") as file:
        fields = json.load(file)
    fields["asks"] = [tuple(ask) for ask in fields["asks"]]
    print(json.dumps(asdict(Generator(LoadOrder(**fields)).run())), flush=True)


if __name__ == "__main__":
    main()
