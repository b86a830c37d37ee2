"""HTTP inside of TLS: whole answers and clean ends, and handshakes that hold nobody up."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from app.server.tls import load_context
from app.server.tls_stream import TLSStream
from tests.server.certificates import make_certificate
from tests.server.serving import Running, get, plain, read_all, read_answer, serving
from tests.waiting import wait_until

Environ = dict[str, Any]
Connect = Callable[[Running], Any]
MODELS = pytest.mark.parametrize("threads", [2, 0], ids=["loop", "thread-per-connection"])
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    server = load_context(str(certificate.certfile), str(certificate.keyfile))
    return server, ssl.create_default_context(cafile=str(certificate.certfile))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def connect(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], request: pytest.FixtureRequest
) -> Connect:
    context = contexts[1]

    @contextmanager
    def connecting(running: Running) -> Iterator[ssl.SSLSocket]:
        context.maximum_version = request.param
        with (
            running.connect(receive_buffer=8192) as plain_socket,
            # An end without notice is an error: it could be an attacker's.
            context.wrap_socket(
                plain_socket, server_hostname="localhost", suppress_ragged_eofs=False
            ) as client,
        ):
            yield client

    return connecting


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_records_that_arrive_together_are_all_read(
    version: ssl.TLSVersion, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """Of what arrived before the last read epoll does not tell again."""
    contexts[1].maximum_version = version
    here, there = socket.socketpair()
    for end in (here, there):
        end.setblocking(False)
    stream = TLSStream(here, contexts[0])
    with contexts[1].wrap_socket(
        there, server_hostname="localhost", do_handshake_on_connect=False
    ) as client:
        while not stream.established:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            stream.handshake()
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()  # with 1.2, the last word is the server's
        assert stream.receive() is None
        records = [b"1", b"2" * 16384, b"3" * 100]
        for record in records:
            client.send(record)
        stream.readable = True
        received = []
        while stream.readable:
            received.append(stream.receive())
        assert received == records
    stream.shut()


@MODELS
def test_answers_end_as_they_should(threads: int, contexts: Any, connect: Connect) -> None:
    with serving(plain, threads=threads, tls=contexts[0]) as running:
        with connect(running) as client:
            client.sendall(get("/1") + get("/2") * 40 + get("/3", close=True))
            assert [read_answer(client)[2] for _ in range(42)] == [b"/1", *[b"/2"] * 40, b"/3"]
            assert client.recv(1) == b""
        with connect(running) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_all(client).endswith(b"\r\n\r\n/")


@MODELS
def test_a_refusal_arrives_while_the_client_is_still_sending(
    threads: int, contexts: Any, connect: Connect
) -> None:
    with serving(plain, threads=threads, tls=contexts[0]) as running, connect(running) as client:
        client.sendall(b"GET / HTTP/1.1\r\nNo host\r\n\r\n")
        for _ in range(20):
            client.sendall(b"x" * 4096)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
@MODELS
def test_large_bodies_pass_in_both_directions(
    threads: int, contexts: Any, connect: Connect
) -> None:
    body = bytes(range(256)) * (4 * MEBIBYTE // 256)

    def echo(environ: Environ, start_response: Any) -> Iterator[bytes]:
        received = environ["wsgi.input"].read()
        write = start_response("200 OK", [("Content-Length", str(2 * len(received)))])
        write(received)
        yield received[:1000]
        yield received[1000:]

    with serving(echo, threads=threads, tls=contexts[0]) as running, connect(running) as client:
        for _ in range(2):
            client.sendall(
                b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            client.sendall(body)
            assert read_answer(client)[2] == body * 2


@pytest.mark.slow
@MODELS
def test_handshakes_that_hang_hold_nobody_up_and_end(
    threads: int, contexts: Any, connect: Connect
) -> None:
    with (
        serving(plain, threads=threads, tls=contexts[0], header_timeout=3.0) as running,
        ExitStack() as stack,
    ):
        hanging = [stack.enter_context(running.connect()) for _ in range(10)]
        for number, client in enumerate(hanging):
            client.sendall(b"\x16\x03\x01\x02\x00\x01"[:number])
        with connect(running) as client:
            client.sendall(get("/quick", close=True))
            assert read_answer(client)[2] == b"/quick"
        for client in hanging:
            assert client.recv(100) == b""


@MODELS
@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", b"\x16\x03\x01\x00\x05rubbish"]
)
def test_what_is_no_handshake_ends_at_once(threads: int, data: bytes, contexts: Any) -> None:
    with serving(plain, threads=threads, tls=contexts[0]) as running, running.connect() as client:
        client.sendall(data)
        with suppress(ConnectionResetError):
            assert b"200" not in read_all(client)


@MODELS
def test_a_stop_does_not_wait_for_handshakes(threads: int, contexts: Any) -> None:
    with serving(plain, threads=threads, tls=contexts[0]) as running, running.connect() as hanging:
        hanging.sendall(b"\x16\x03")
        wait_until(lambda: threading.active_count() >= 3)
        running.server.stop(linger=0.0)
        with suppress(ConnectionResetError):
            assert read_all(hanging)[:1] in (b"", b"\x15")  # at most an alert
        running.thread.join(20)
        assert running.status == 0


@MODELS
def test_a_reader_that_leaves_ends_its_answer(
    threads: int, contexts: Any, connect: Connect
) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            return b"x" * 65536

        def close(self) -> None:
            closed.set()

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Endless()

    with serving(application, threads=threads, tls=contexts[0]) as running:
        with connect(running) as client:
            client.sendall(get())
            assert client.recv(100)
        assert closed.wait(10)
