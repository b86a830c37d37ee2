"""Applications that the tests of processes run: `--app tests.server.small_apps:NAME`."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any


def process(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Say which process answers; `/die` kills it, `/wait/FIFO` answers once something was written into that fifo."""
    path = environ["PATH_INFO"]
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()
    if path.startswith("/wait/"):
        with open(path.removeprefix("/wait"), "rb") as fifo:
            fifo.read()
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def client(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Say who asks, and how."""
    names = ("REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT")
    body = "|".join(str(environ.get(name)) for name in names).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def large(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Answer with 64 MB, made as the client takes them."""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(64 << 20))])
    for _ in range(64 << 4):
        yield b"x" * (1 << 16)


not_callable = 5
