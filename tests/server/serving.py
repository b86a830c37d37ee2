"""Runs a `Server` in a thread of the test's own process, and speaks to it in raw bytes."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from app.server.addresses import parse_bind
from app.server.listeners import open_listeners
from app.server.options import ServerOptions
from app.server.server import Server

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Running:
    """A server under test, its port, and the status that `run` returned."""

    def __init__(
        self, application: Application, options: ServerOptions, tls: ssl.SSLContext | None
    ) -> None:
        listeners = open_listeners([parse_bind("127.0.0.1:0")], backlog=128, tls=tls)
        self.port: int = listeners[0].socket.getsockname()[1]
        self.server = Server(listeners, application, options)
        self.status: int | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.status = self.server.run()

    def connect(self, *, timeout: float = 30.0, receive_buffer: int = 0) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(timeout)
        try:
            client.connect(("127.0.0.1", self.port))
        except OSError:
            client.close()
            raise
        return client

    def refuses(self) -> bool:
        """Tell whether nobody listens any more."""
        try:
            self.connect().close()
        except ConnectionError:  # refused, or reset by the listener's end at this very moment
            return True
        return False

    def exchange(self, data: bytes) -> bytes:
        """Send *data* on a connection of its own, and return all that comes back until the server
        closes.
        """
        with self.connect() as client:
            client.sendall(data)
            return read_all(client)


@contextmanager
def serving(
    application: Application, *, tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Running]:
    running = Running(application, ServerOptions(**options), tls)
    try:
        yield running
    finally:
        running.server.stop_now()
        running.thread.join(10)
        assert not running.thread.is_alive()


def get(path: str = "/", *fields: str, method: str = "GET", close: bool = False) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: test",
        *fields,
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_all(client: socket.socket) -> bytes:
    parts = []
    while data := client.recv(65536):
        parts.append(data)
    return b"".join(parts)


def read_answer(client: socket.socket, *, method: str = "GET") -> tuple[int, bytes, bytes]:
    """Read one answer and nothing behind it: its status, head and body (chunks joined)."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _exactly(client, 1)
    status = int(head[9:12])
    if method == "HEAD" or status in (204, 304) or status < 200:
        return status, head, b""
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length:
        return status, head, _exactly(client, int(length[1]))
    assert b"chunked" in head.lower(), head
    body = b""
    while size := int(_line(client), 16):
        body += _exactly(client, size)
        assert _exactly(client, 2) == b"\r\n"
    assert _exactly(client, 2) == b"\r\n"
    return status, head, body


def _line(client: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\r\n"):
        line += _exactly(client, 1)
    return line


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise EOFError(f"closed after {data!r}")
        data += more
    return data


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application that answers every request with its own path."""
    body = environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
