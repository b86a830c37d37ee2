"""The face of `app.server`: what a program that embeds the server calls."""

import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.server import AddressError, BindError, Server, make_server, serve
from tests.end_to_end.servers import HOME
from tests.ports import free_port
from tests.server.certificates import make_certificate
from tests.server.serving import plain
from tests.waiting import wait_until


@contextmanager
def run(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("threads", [0, 4])
def test_a_server_in_a_thread_of_the_program(threads: int) -> None:
    bind = f"127.0.0.1:{free_port()}"  # which nobody else takes after the end
    server = make_server(plain, bind=bind, threads=threads, keep_alive=1.0)
    [url] = server.urls
    with run(server), urllib.request.urlopen(url + "some/path", timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"/some/path")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)


def test_several_addresses(tmp_path: Path) -> None:
    server = make_server(plain, bind=["127.0.0.1:0", f"unix:{tmp_path}/socket"])
    with run(server), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(f"{tmp_path}/socket")
        client.sendall(b"GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"\r\n\r\n/x")
    assert not Path(f"{tmp_path}/socket").exists()


def test_tls(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    server = make_server(
        plain,
        bind="127.0.0.1:0",
        certfile=str(certificate.certfile),
        keyfile=str(certificate.keyfile),
    )
    assert [url.partition(":")[0] for url in server.urls] == ["https"]
    trusting = ssl.create_default_context(cafile=str(certificate.certfile))
    with (
        run(server),
        urllib.request.urlopen(server.urls[0] + "x", timeout=10, context=trusting) as answer,
    ):
        assert (answer.status, answer.read()) == (200, b"/x")


def test_what_cannot_be_is_raised_before_anything_is_served() -> None:
    with pytest.raises(AddressError):
        serve(plain, bind="127.0.0.1:http")
    with pytest.raises(TypeError):
        make_server(plain, bind="127.0.0.1:0", thraeds=4)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BindError):
        serve(plain, bind=f"127.0.0.1:{taken.getsockname()[1]}")


PROGRAM = """
import sys
from app.server import serve
from tests.server.serving import plain
status = serve(plain, bind=sys.argv[1], threads=2)
print("ended with", status)
"""


def test_serve_ends_with_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"unix:{path}"], cwd=HOME, stdout=subprocess.PIPE
    ) as process:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                # The file is there a moment before anybody listens.
                wait_until(lambda: client.connect_ex(str(path)) == 0, message="the socket")
                client.sendall(b"GET /y HTTP/1.1\r\nHost: t\r\n\r\n")
                assert client.recv(10_000).endswith(b"\r\n\r\n/y")
                process.send_signal(signal.SIGTERM)
                assert process.communicate(timeout=20)[0] == b"ended with 0\n"
        finally:
            process.kill()
    assert not path.exists()
