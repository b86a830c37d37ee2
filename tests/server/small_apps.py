"""Applications that the tests of processes run: `--app tests.server.small_apps:NAME`."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any


def process(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Say which process answers; `/die` kills it, `/wait/FIFO` answers once something was written
    into that fifo.
    """
    path = environ["PATH_INFO"]
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()
    if path.startswith("/wait/"):
        with open(path.removeprefix("/wait").encode("latin-1"), "rb") as fifo:
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
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(64 << 20))]
    )
    for _ in range(64 << 4):
        yield b"x" * (1 << 16)


def forks(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Fork a child that stays, with all that it inherits, and say its process id."""
    child = os.fork()
    if child == 0:
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                    os.close(
                        int(name)
                    )  # who started the server waits for the end of what it prints
        while True:
            signal.pause()
    body = str(child).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def orphans(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Leave a process behind whose parent has ended, and say how many zombies there are."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
    zombies = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    zombies += file.read().rpartition(b")")[2].split()[0] == b"Z"
            except OSError:
                continue  # it has ended meanwhile
    body = str(zombies).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


not_callable = 5
