"""An application that forks a child hands it every open connection: no client may wait until that
child ends.
"""

import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.server.tls import load_context
from tests.end_to_end.servers import BUILTIN, started
from tests.ports import free_port
from tests.server.certificates import make_certificate
from tests.server.serving import get, read_all, read_answer, serving
from tests.waiting import wait_until


class Forking:
    """Each call forks a child that holds what it has inherited, until the end of the test."""

    def __init__(self) -> None:
        self.children: list[int] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        child = os.fork()
        if child == 0:
            while True:
                signal.pause()
        self.children.append(child)
        framing = [] if environ["PATH_INFO"] == "/until-close" else [("Content-Length", "4")]
        start_response("200 OK", framing)
        return [b"bo", b"dy"]

    def end(self) -> None:
        for child in self.children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@contextmanager
def forking() -> Iterator[Forking]:
    application = Forking()
    try:
        yield application
    finally:
        application.end()


def closes(client: socket.socket) -> None:
    read_all(client)


def keeps_alive(client: socket.socket) -> None:
    assert read_answer(client)[2] == b"body"
    assert read_all(client) == b""


# The request, and what the client then sees without a long wait
WAYS: dict[str, tuple[bytes, Callable[[socket.socket], object]]] = {
    "closed at once": (get(close=True), closes),
    "an HTTP/1.0 body until the end": (b"GET /until-close HTTP/1.0\r\n\r\n", closes),
    "kept alive, until it expires": (get(), keeps_alive),
    "refused afterwards": (get() + b"nonsense\r\n\r\n", closes),
}


@pytest.mark.parametrize(("request_", "sees"), WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_the_client_sees_the_end(
    tmp_path: Path,
    request_: bytes,
    sees: Callable[[socket.socket], object],
    threads: int,
    tls: bool,
) -> None:
    context = None
    if tls:
        certificate = make_certificate(tmp_path / "tls")
        context = load_context(str(certificate.certfile), str(certificate.keyfile))
    with (
        forking() as application,
        serving(application, threads=threads, keep_alive=0.3, tls=context) as server,
    ):
        client = server.connect(timeout=8)
        if tls:
            trusting = ssl.create_default_context()
            trusting.check_hostname = False
            trusting.verify_mode = ssl.CERT_NONE
            client = trusting.wrap_socket(client, suppress_ragged_eofs=True)
        with client:
            client.sendall(request_)
            sees(client)
        assert application.children


@pytest.mark.parametrize("threads", ["0", "2"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_nobody_waits_at_the_listener_of_a_child_that_outlives_the_server(
    threads: str, workers: str
) -> None:
    from tests.end_to_end.servers import command_of

    bind = f"127.0.0.1:{free_port()}"  # which nobody else takes after the end
    command = command_of(BUILTIN, "--bind", bind, "--threads", threads, "-w", workers)
    command += ["--app", "tests.server.small_apps:forks"]
    with started(command) as server:
        port = wait_until(server.port_named, timeout=20, message="the address")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(get(close=True))
            child = int(read_all(client).rpartition(b"\r\n\r\n")[2])
        try:
            assert server.stop() == 0
            with pytest.raises(ConnectionError):
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
        finally:
            os.kill(child, signal.SIGKILL)
