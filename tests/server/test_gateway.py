"""PEP 3333, over a real socket: whatever the application does, the client gets one whole answer, or
notices.
"""

import asyncio
import gzip
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from app.http11.response import Framing, ResponseHead, encode_head
from app.server.call import ClientError
from app.server.request_body import RequestBody
from tests.server.serving import Application, get, plain, read_all, read_answer, serving
from tests.waiting import wait_until

Environ = dict[str, Any]

MODELS = pytest.mark.parametrize("threads", [8, 0], ids=["loop", "thread-per-connection"])


def answering(body: Callable[[Environ, Any], Any]) -> Application:
    """An application that has begun a 200 with no length, and goes on as *body* does."""

    def application(environ: Environ, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        return body(environ, write)

    return application


@MODELS
@pytest.mark.parametrize(
    ("body", "framing", "expected"),
    [
        (lambda e, w: [b"hello"], b"Content-Length: 5", b"hello"),
        (lambda e, w: (b"hello",), b"Content-Length: 5", b"hello"),
        (lambda e, w: [], b"Content-Length: 0", b""),
        (lambda e, w: [b""], b"Content-Length: 0", b""),
        (lambda e, w: iter([]), b"Content-Length: 0", b""),
        (lambda e, w: [b"a", b"", b"b"], b"Transfer-Encoding: chunked", b"ab"),
        (lambda e, w: (c for c in (b"", b"a", b"b")), b"Transfer-Encoding: chunked", b"ab"),
        (
            lambda e, w: [w(b"written "), b"returned"][1:],
            b"Transfer-Encoding: chunked",
            b"written returned",
        ),
        (lambda e, w: [w(b"written")][1:], b"Transfer-Encoding: chunked", b"written"),
        (lambda e, w: [b"x" * 1_000_000], b"Content-Length: 1000000", b"x" * 1_000_000),
        (
            lambda e, w: (b"y" * 50_000 for _ in range(60)),
            b"Transfer-Encoding: chunked",
            b"y" * 3_000_000,
        ),
    ],
)
def test_bodies(threads: int, body: Any, framing: bytes, expected: bytes) -> None:
    with serving(answering(body), threads=threads) as running, running.connect() as client:
        for _ in range(3):
            client.sendall(get())
            status, head, received = read_answer(client)
            assert (status, received) == (200, expected)
            assert framing in head
        client.sendall(get(method="HEAD") + get(close=True))
        assert read_answer(client, method="HEAD")[0] == 200
        assert read_answer(client)[2] == expected
        assert client.recv(1) == b""


@MODELS
def test_http_1_0(threads: int) -> None:
    with serving(answering(lambda e, w: (b"ab" for _ in range(2))), threads=threads) as running:
        answer = running.exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"Connection: close\r\n\r\nabab")
    with serving(plain, threads=threads) as running, running.connect() as client:
        client.sendall(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, head, body = read_answer(client)
        assert b"Connection: keep-alive\r\n" in head
        assert body == b"/1"
        client.sendall(b"GET /2 HTTP/1.0\r\n\r\n")
        assert read_all(client).endswith(b"\r\n\r\n/2")


@MODELS
def test_pipelined_requests_are_answered_in_order(threads: int) -> None:
    stream = b"".join(get(f"/{n}") for n in range(50)) + get("/last", close=True)
    with serving(plain, threads=threads) as running:
        with running.connect() as client:
            client.sendall(stream)
            assert [read_answer(client)[2] for _ in range(50)] == [b"/%d" % n for n in range(50)]
            assert read_answer(client)[2] == b"/last"
        with running.connect() as client:
            for byte in get("/slow") + get("/slower"):
                client.sendall(bytes([byte]))
            assert [read_answer(client)[2] for _ in range(2)] == [b"/slow", b"/slower"]


@MODELS
def test_the_environ(threads: int) -> None:
    seen: list[Environ] = []

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        seen.append(environ)
        return list(plain(environ, start_response))

    with serving(application, threads=threads) as running, running.connect() as client:
        client.sendall(
            b"POST /caf%C3%A9/%2e?q=%20&r HTTP/1.1\r\nHost: example.org:81\r\nX-One: 1\r\nx-one:"
            b" 2\r\nX_One: 3\r\n"
            b"Content-Type: text/x\r\nContent-Length: 2\r\n\r\nhi"
        )
        assert read_answer(client)[2] == "/café/.".encode()
        port = str(client.getsockname()[1])
    environ = seen[0]
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\xc3\xa9/.",
        "QUERY_STRING": "q=%20&r",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "2",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(running.port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": port,
        "HTTP_HOST": "example.org:81",
        "HTTP_X_ONE": "1, 2",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: environ[name] for name in expected} == expected


@MODELS
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda i: i.read(), b"one\ntwo\nthree"),
        (
            lambda i: i.read(5) + b"|" + i.read(0) + b"|" + i.read(100) + b"|" + i.read(1),
            b"one\nt||wo\nthree|",
        ),
        (
            lambda i: b"|".join(
                [i.readline(), i.readline(2), i.readline(), i.readline(-1), i.readline()]
            ),
            None,
        ),
        (lambda i: b"|".join(i), b"one\n|two\n|three"),
        (lambda i: b"|".join(i.readlines()), b"one\n|two\n|three"),
        (lambda i: b"|".join(i.readlines(4)), b"one\n"),
        (lambda i: b"", b""),
    ],
)
@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 13\r\n\r\none\ntwo\nthree",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\non\r\n7\r\ne\ntwo\nt\r\n4;x=y\r\nhree\r\n0\r\nT:"
        b" dropped\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
def test_the_input(
    threads: int, framed: bytes, read: Callable[[Any], bytes], expected: bytes | None
) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        body = read(environ["wsgi.input"])
        start_response("200 OK", [])
        return [body]

    request = b"POST / HTTP/1.1\r\nHost: test\r\n" + framed
    with serving(application, threads=threads) as running, running.connect() as client:
        for pieces in ([request], [request[:n] for n in [60]] + [request[60:]]):
            for piece in pieces:
                client.sendall(piece)
            assert read_answer(client)[2] == (
                b"one\n|tw|o\n|three|" if expected is None else expected
            )


@MODELS
@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_upload_arrives_whole(threads: int, chunked: bool) -> None:
    body = bytes(range(256)) * 20_000

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        total = bytearray()
        while piece := environ["wsgi.input"].read(100_000):
            total += piece
        start_response("200 OK", [])
        return [b"same" if bytes(total) == body else b"different"]

    framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if chunked:
        pieces = [body[n : n + 70_000] for n in range(0, len(body), 70_000)]
        framed = b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%b\r\n" % (len(p), p) for p in pieces
        )
        framed += b"0\r\n\r\n"
    with serving(application, threads=threads) as running, running.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\n" + framed)
        assert read_answer(client)[2] == b"same"
        client.sendall(get("/after"))
        assert read_answer(client)[0] == 200


@MODELS
def test_100_continue_is_sent_when_the_application_reads(threads: int) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read() if environ["PATH_INFO"] == "/read" else b"unread"
        start_response("200 OK", [])
        return [body]

    head = b"POST %b HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with serving(application, threads=threads) as running:
        with running.connect() as client:
            client.sendall(head % b"/read")
            assert read_answer(client)[:2] == (100, b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"hello")
            assert read_answer(client)[2] == b"hello"
            client.sendall(head % b"/ignore")
            _, answer, body = read_answer(client)
            assert body == b"unread"
            assert b"Connection: close" in answer
            assert client.recv(1) == b""
        with running.connect() as client:
            client.sendall(head % b"/read" + b"hello")
            status, _, body = read_answer(client)
            if status == 100:
                status, _, body = read_answer(client)
            assert (status, body) == (200, b"hello")


@MODELS
@pytest.mark.parametrize(("size", "stays"), [(10, True), (60_000, True), (5_000_000, False)])
def test_an_unread_body_is_never_taken_for_a_request(threads: int, size: int, stays: bool) -> None:
    body = (get("/smuggled") * (size // 10))[:size]
    with serving(plain, threads=threads) as running, running.connect() as client:
        client.sendall(b"POST /first HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size)
        client.sendall(body)
        assert read_answer(client)[2] == b"/first"
        if stays:
            client.sendall(get("/second"))
            assert read_answer(client)[2] == b"/second"
        else:
            assert read_all(client) == b""


@MODELS
@pytest.mark.parametrize(
    ("declared", "pieces", "received"),
    [
        (3, [b"hello"], b"hel"),
        (3, [b"he", b"llo", b"more"], b"hel"),
        (0, [b"hello"], b""),
        (5, [b"he", b"llo"], b"hello"),
    ],
)
def test_a_longer_body_is_cut_at_its_length(
    threads: int, declared: int, pieces: list[bytes], received: bytes
) -> None:
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", str(declared))])
        return iter(pieces)

    with serving(application, threads=threads) as running, running.connect() as client:
        for _ in range(2):
            client.sendall(get())
            assert read_answer(client)[2] == received


@MODELS
@pytest.mark.parametrize("pieces", [[b"hel"], [b"h", b"el"], []])
def test_a_shorter_body_ends_the_connection(threads: int, pieces: list[bytes]) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return pieces

    with serving(application, threads=threads) as running:
        answer = running.exchange(get() + get())
        assert answer.count(b"HTTP/1.1 ") <= 1
        assert answer.rpartition(b"\r\n\r\n")[2] == b"".join(pieces)


def failing_before(environ: Environ, start_response: Any) -> list[bytes]:
    raise RuntimeError("before the head")


def failing_at_first(environ: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b""
    raise RuntimeError("before the head has left")


def leaving(environ: Environ, start_response: Any) -> list[bytes]:
    raise SystemExit(3)


def cancelled(environ: Environ, start_response: Any) -> list[bytes]:
    raise asyncio.CancelledError


def silent(environ: Environ, start_response: Any) -> list[bytes]:
    return [b"no start_response"]


def texting(environ: Environ, start_response: Any) -> list[Any]:
    start_response("200 OK", [])
    return ["text"]


def nothing(environ: Environ, start_response: Any) -> Any:
    start_response("200 OK", [])


def injecting(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-Evil", "a\r\nSet-Cookie: b=c\r\n\r\nHTTP/1.1 200 OK")])
    return [b"x"]


def starting_twice(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"x"]


@MODELS
@pytest.mark.parametrize(
    "application",
    [
        failing_before,
        failing_at_first,
        leaving,
        cancelled,
        silent,
        texting,
        nothing,
        injecting,
        starting_twice,
    ],
    ids=lambda application: application.__name__,
)
def test_a_failure_before_the_head_is_a_logged_500(
    threads: int, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.ERROR, "tally.server"),
        serving(application, threads=threads) as running,
    ):
        for request in (get(), get(method="HEAD"), get()):
            answer = running.exchange(request)
            assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
            assert b"Set-Cookie" not in answer
            assert b"Traceback" not in answer
        wait_until(lambda: len(caplog.records) == 3)
        assert all(record.exc_info for record in caplog.records)


@MODELS
def test_a_failure_after_the_head_cuts_the_connection(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        raise RuntimeError("too late")

    with serving(application, threads=threads) as running:
        answer = running.exchange(get() + get("/next"))
        assert answer.count(b"HTTP/1.1 ") == 1
        assert answer.endswith(b"5\r\nbegun\r\n")  # and no last chunk
        with running.connect() as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                read_all(client)
    wait_until(lambda: "too late" in caplog.text)


@MODELS
def test_exc_info_replaces_an_answer_that_has_not_left(threads: int) -> None:
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        import sys

        start_response("200 OK", [("X-First", "1")])
        try:
            raise RuntimeError("changed its mind")
        except RuntimeError:
            start_response("503 Service Unavailable", [("X-Second", "2")], sys.exc_info())
        yield b"sorry"

    with serving(application, threads=threads) as running:
        answer = running.exchange(get(close=True))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"X-Second" in answer
        assert b"X-First" not in answer


class Closing:
    """An iterable that notes when it is closed."""

    def __init__(self, pieces: Iterator[bytes], closed: list[bool]) -> None:
        self.pieces = pieces
        self.closed = closed

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed.append(True)


@MODELS
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fails", [False, True])
def test_close_is_called_once_whatever_happens(threads: int, method: str, fails: bool) -> None:
    closed: list[bool] = []

    def pieces() -> Iterator[bytes]:
        yield b"one"
        if fails:
            raise RuntimeError("in the middle")
        yield b"two"

    with serving(answering(lambda e, w: Closing(pieces(), closed)), threads=threads) as running:
        running.exchange(get(method=method, close=True))
        wait_until(lambda: closed)
    assert closed == [True]


@MODELS
def test_close_is_called_when_the_client_leaves(threads: int) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    with serving(answering(lambda e, w: Closing(endless(), closed)), threads=threads) as running:
        with running.connect() as client:
            client.sendall(get())
            client.recv(1000)
        wait_until(lambda: closed)
        assert running.exchange(get(method="HEAD", close=True))
        wait_until(lambda: len(closed) == 2)
    assert closed == [True, True]


@MODELS
def test_close_is_called_when_the_server_ends(threads: int) -> None:
    closed: list[bool] = []
    with serving(
        answering(lambda e, w: Closing(iter([b"x" * (32 << 20)]), closed)), threads=threads
    ) as running:
        client = running.connect(receive_buffer=4096)
        client.sendall(get())
        assert client.recv(10)
    client.close()
    wait_until(lambda: closed)
    assert closed == [True]


def test_a_close_that_takes_long_holds_nobody_up(tmp_path: Path) -> None:
    gate = threading.Event()
    path = tmp_path / "file"
    path.write_bytes(b"x" * (8 << 20))

    class Slow:
        def __init__(self) -> None:
            self.file = path.open("rb")
            self.fileno, self.read, self.tell = self.file.fileno, self.file.read, self.file.tell

        def close(self) -> None:
            self.file.close()
            closed.append(True)
            assert gate.wait(20)

    def application(environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/slow":
            return plain(environ, start_response)
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](Slow())

    closed: list[bool] = []
    with (
        serving(application, threads=2) as running,
        running.connect(receive_buffer=4096) as slow,
        running.connect() as quick,
    ):
        slow.sendall(get("/slow", close=True))
        reader = threading.Thread(target=read_all, args=(slow,))
        reader.start()
        wait_until(lambda: closed)
        quick.sendall(get("/quick"))
        assert read_answer(quick)[2] == b"/quick"
        gate.set()
        reader.join(10)


@MODELS
def test_write_after_the_end_is_an_error(threads: int) -> None:
    kept: list[Any] = []

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        kept.append(start_response("200 OK", []))
        return [b"all of it"]

    with serving(application, threads=threads) as running, running.connect() as client:
        # An answer is there before its end is noted; when the next one comes, it is.
        for _ in range(2):
            client.sendall(get())
            assert read_answer(client)[2] == b"all of it"
        with pytest.raises(RuntimeError, match="after the end"):
            kept[0](b"HTTP/1.1 200 OK\r\n\r\n")
        client.sendall(get())
        assert read_answer(client)[2] == b"all of it"


# Method, status, declared length and body; the Content-Length that the client is told
WITHOUT_A_BODY: list[tuple[str, str, str, list[bytes], bytes | None]] = [
    ("HEAD", "200 OK", "9", [], b"9"),
    ("HEAD", "200 OK", "9", [b""], b"9"),
    ("HEAD", "200 OK", "9", [b"five!"], b"9"),
    ("HEAD", "200 OK", "", [b"five!"], b"5"),
    ("HEAD", "200 OK", "", [], None),
    ("GET", "304 Not Modified", "", [], None),
    ("GET", "304 Not Modified", "", [b"five!"], None),
    ("GET", "204 No Content", "", [], None),
    ("GET", "200 OK", "", [], b"0"),
]


@MODELS
@pytest.mark.parametrize(("method", "status", "declared", "body", "length"), WITHOUT_A_BODY)
def test_answers_without_a_body(
    threads: int, method: str, status: str, declared: str, body: list[bytes], length: bytes | None
) -> None:
    def application(environ: Environ, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/next":
            return plain(environ, start_response)
        start_response(status, [("Content-Length", declared)] if declared else [])
        return body

    with serving(application, threads=threads) as running, running.connect() as client:
        client.sendall(get(method=method) + get("/next", close=True))
        code, head, _ = read_answer(client, method=method)
        assert code == int(status[:3])
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert (found[1] if found else None) == length
        assert read_all(client).endswith(b"\r\n\r\n/next")  # nothing of a body in between


def test_a_304_with_a_body_says_no_length_of_it() -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("304 Not Modified", [("ETag", '"x"')])
        return [b"should not be here"]

    with serving(application) as running:
        answer = running.exchange(get(close=True))
    assert b"Content-Length" not in answer
    assert answer.endswith(b"\r\n\r\n")


@MODELS
def test_a_file_that_transforms_what_it_reads_is_not_sent_by_the_kernel(
    threads: int, tmp_path: Path
) -> None:
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"unpacked"))
    body = answering(lambda environ, _: environ["wsgi.file_wrapper"](gzip.open(path)))  # noqa: SIM115
    with serving(body, threads=threads) as running, running.connect() as client:
        client.sendall(get())
        assert read_answer(client)[2] == b"unpacked"


@MODELS
def test_the_validator_finds_nothing(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        body = (
            environ["wsgi.input"].read(3)
            + environ["wsgi.input"].readline()
            + b"".join(environ["wsgi.input"])
        )
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        )
        return [body]

    request = b"POST /x?y=z HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\nhello\nworld"
    with serving(validator(application), threads=threads) as running, running.connect() as client:
        for _ in range(2):
            client.sendall(request)
            assert read_answer(client)[2] == b"hello\nworld"
    assert caplog.records == []


@MODELS
def test_nothing_follows_a_write_that_failed(threads: int) -> None:
    failed = threading.Event()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/next":
            return plain(environ, start_response)
        write = start_response("200 OK", [("Content-Length", "8000000")])
        try:
            write(b"a" * 8_000_000)
        except OSError:
            failed.set()
        return []

    with (
        serving(application, threads=threads, write_timeout=0.2) as running,
        running.connect() as client,
    ):
        client.sendall(get("/") + get("/next"))
        assert failed.wait(30)  # the client takes nothing meanwhile
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert len(answer) < 8_000_000


@MODELS
def test_text_given_to_write_is_the_applications_failure(
    threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(answering(lambda e, w: w("text")), threads=threads) as running:
        assert running.exchange(get(close=True)).startswith(b"HTTP/1.1 500 ")
    wait_until(lambda: "not of str" in caplog.text)


@MODELS
def test_a_body_that_breaks_after_its_answer_gets_no_second_one(threads: int) -> None:
    with serving(plain, threads=threads) as running, running.connect() as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"
        )
        assert read_answer(client)[0] == 200
        client.sendall(b"deZZ\r\n")
        assert client.recv(100) == b""


@MODELS
def test_options_for_the_server_as_a_whole_has_no_path(threads: int) -> None:
    @validator
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['PATH_INFO']!r} {environ['REQUEST_URI']}".encode()]

    with serving(application, threads=threads) as running:
        answer = running.exchange(b"OPTIONS * HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert b"'' *" in answer


def test_encoding_a_head_leaves_it_as_it_was() -> None:
    head = ResponseHead("200 OK", [("Content-Type", "text/plain")])
    first, second = (
        encode_head(head, Framing.LENGTH, 5, "now", "HTTP/1.1", False, "S") for _ in range(2)
    )
    assert first == second
    assert first.count(b"Date: now\r\n") == 1


def test_what_arrived_before_the_body_broke_off_can_still_be_read() -> None:
    pieces = iter([b"one\nt", b"wo"])

    def receive() -> bytes:
        for piece in pieces:
            return piece
        raise ClientError(400, "broken off")

    body = RequestBody(receive)
    with pytest.raises(ClientError):
        body.read()
    assert body.read(5) == b"one\nt"
    assert body.readline(2) == b"wo"
    with pytest.raises(ClientError):
        body.read(1)
