"""Request bodies as applications meet them: their length, their coding, and both sides sending at
once.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.server.serving import get, read_all, read_answer, serving
from tests.waiting import wait_until

BIG = 5_000_000


def environ_of(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Say what tells of the body's framing, and what can be read by its Content-Length alone, as
    Django does.
    """
    length = environ.get("CONTENT_LENGTH")
    read = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read()
    body = f"{length}|{environ.get('HTTP_TRANSFER_ENCODING')}|{len(read)}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def chunks(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


LARGE = 300_000
CASES: dict[str, tuple[bytes, bytes]] = {
    "a length": (get("/", "Content-Length: 5", method="POST") + b"hello", b"5|None|5"),
    "no body": (get("/", method="POST"), b"None|None|0"),
    "a length of nothing": (get("/", "Content-Length: 0", method="POST"), b"0|None|0"),
    "chunks": (
        get("/", "Transfer-Encoding: chunked", method="POST") + chunks(b"hello" * 9, 7),
        b"45|None|45",
    ),
    "chunks of nothing": (
        get("/", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        b"0|None|0",
    ),
    "chunks with a GET": (
        get("/", "Transfer-Encoding: chunked") + chunks(b"hello", 2),
        b"5|None|5",
    ),
    "with extensions and trailers": (
        get("/", "Transfer-Encoding: chunked", method="PUT")
        + b"5;a=b\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"5|None|5",
    ),
    "more than is collected": (
        get("/", "Transfer-Encoding: Chunked", method="POST") + chunks(b"x" * LARGE, 10_000),
        b"None|None|%d" % LARGE,
    ),
}


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("threads", [0, 2])
def test_length_and_coding_of_what_is_read(sent: bytes, expected: bytes, threads: int) -> None:
    if not threads and b"chunked" in sent.lower():
        # A thread for each connection does not collect the body before the call.
        expected = b"None|None|" + expected.rpartition(b"|")[2]
    with serving(environ_of, threads=threads) as server, server.connect() as client:
        client.sendall(sent + get("/next"))
        assert read_answer(client)[2] == expected
        assert read_answer(client)[2] == b"None|None|0"


# Both send


def ignoring(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", str(BIG))])
    return [b"x" * BIG]


def in_pieces(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", str(BIG))])
    return [b"x" * 50_000] * (BIG // 50_000)


def generated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", str(BIG))])
    for _ in range(BIG // 50_000):
        yield b"x" * 50_000


def written(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Length", str(BIG))])
    for _ in range(BIG // 500_000):
        write(b"x" * 500_000)
    return []


@pytest.mark.parametrize("application", [ignoring, in_pieces, generated, written])
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_client_that_sends_all_before_it_reads(
    application: Any, threads: int, framing: str
) -> None:
    body = b"y" * BIG
    if framing == "length":
        request = get("/", f"Content-Length: {BIG}", method="POST") + body
    else:
        request = get("/", "Transfer-Encoding: chunked", method="POST") + chunks(body, 100_000)
    begin = time.monotonic()
    with (
        serving(application, threads=threads, write_timeout=20) as server,
        server.connect(timeout=30) as client,
    ):
        client.sendall(request)
        assert read_answer(client)[2] == b"x" * BIG
    assert time.monotonic() - begin < 20, "neither waits for the other until its time is over"


@pytest.mark.parametrize("threads", [0, 2])
def test_what_an_application_reads_late_is_all_there_or_an_error(threads: int) -> None:
    """It begins its answer first, and then copies the body into it."""
    size = 3_000_000

    def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", str(size))])
        yield environ["wsgi.input"].read(10_000)
        while data := environ["wsgi.input"].read(10_000):
            yield data

    body = bytes(range(256)) * (size // 256 + 1)
    with serving(echo, threads=threads) as server, server.connect(timeout=30) as client:
        sender = threading.Thread(
            target=client.sendall,
            args=(get("/", f"Content-Length: {size}", method="POST") + body[:size],),
        )
        sender.start()
        assert read_answer(client)[2] == body[:size]
        sender.join()


class _Endless:
    """A body without an end, that remembers when it was given up."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def __iter__(self) -> "_Endless":
        return self

    def __next__(self) -> bytes:
        return b"x" * 50_000

    def close(self) -> None:
        self.closed.set()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("writes", [False, True])
def test_a_client_that_stops_reading_is_cut_at_its_time(threads: int, writes: bool) -> None:
    # On a busy machine a measurement comes late; of three, one is in time.
    assert any(0.8 < _seconds_until_cut(threads, writes) < 1.4 for _ in range(3))


def _seconds_until_cut(threads: int, writes: bool) -> float:
    """Return how long a client that stopped reading was kept, of a time of one second."""
    bodies: list[_Endless] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        bodies.append(_Endless())
        write = start_response("200 OK", [])
        try:
            while writes:
                write(next(bodies[-1]))
        finally:
            if writes:
                bodies[-1].close()
        return bodies[-1]

    with (
        serving(application, threads=threads, write_timeout=1.0) as server,
        server.connect(timeout=20) as client,
    ):
        client.sendall(get())
        for _ in range(3):  # so that it takes something a while after the first look
            moment = time.monotonic() + 0.15
            wait_until(lambda moment=moment: time.monotonic() >= moment, message="a moment")  # type: ignore[misc]
            for _ in range(100):
                client.recv(65536)
        begin = time.monotonic()
        assert bodies[-1].closed.wait(20)
        return time.monotonic() - begin


def test_what_was_refused_is_read_to_its_end() -> None:
    with serving(ignoring) as server, server.connect(timeout=20) as client:
        client.sendall(
            get("/", "Content-Length: 9", "Content-Length: 8", method="POST") + b"y" * 200_000
        )
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
