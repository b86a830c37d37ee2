"""What slow, silent, greedy and vanishing clients cannot do: hold a thread, delay the others, stay
for ever.
"""

import errno
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote, unquote

import pytest

from app.http11 import Limits
from app.server import accept, channel, connection, crew, loop, thread_per_connection
from app.server.phase import Phase
from app.server.stream import Stream
from app.server.thread_per_connection import ThreadPerConnection
from tests.server.serving import get, plain, read_all, read_answer, serving
from tests.waiting import wait_until

Environ = dict[str, Any]
MODELS = pytest.mark.parametrize("threads", [2, 0], ids=["loop", "thread-per-connection"])
MEBIBYTE = 1 << 20


class Gate:
    """An application whose calls to /wait stay inside until `opened` is set, and that notes how
    many are inside.
    """

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/wait":
            with self.lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            assert self.opened.wait(20)
            with self.lock:
                self.inside -= 1
        return plain(environ, start_response)


def test_a_slow_call_does_not_delay_the_others() -> None:
    gate = Gate()
    with serving(gate, threads=2) as running, running.connect() as slow, running.connect() as quick:
        slow.sendall(get("/wait"))
        wait_until(lambda: gate.inside == 1)
        for _ in range(20):
            quick.sendall(get("/quick"))
            assert read_answer(quick)[2] == b"/quick"
        gate.opened.set()
        assert read_answer(slow)[2] == b"/wait"
        slow.sendall(get("/again"))
        assert read_answer(slow)[2] == b"/again"


def test_calls_run_side_by_side_up_to_the_number_of_threads() -> None:
    gate = Gate()
    with serving(gate, threads=3) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(6)]
        for client in clients:
            client.sendall(get("/wait"))
        wait_until(lambda: gate.inside == 3)
        late = stack.enter_context(running.connect())
        late.sendall(get("/late"))  # has to wait for a thread, and is not lost
        gate.opened.set()
        for client in [*clients, late]:
            assert read_answer(client)[0] == 200
    assert gate.most == 3


def test_pipelined_behind_a_slow_call() -> None:
    gate = Gate()
    with serving(gate, threads=2) as running, running.connect() as client:
        client.sendall(get("/wait") + get("/1") + get("/2"))
        wait_until(lambda: gate.inside == 1)
        client.sendall(get("/3"))
        gate.opened.set()
        assert [read_answer(client)[2] for _ in range(4)] == [b"/wait", b"/1", b"/2", b"/3"]


@pytest.mark.slow
def test_every_request_is_called_for_once_while_calls_change_threads() -> None:
    calls: Counter[str] = Counter()
    lock = threading.Lock()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        with lock:
            calls[path] += 1
        if int(path.rpartition("/")[2]) % 40 == 0:
            threading.Event().wait(
                0.012
            )  # long enough to be taken off the leader, and to have calls given to the pool
        return plain(environ, start_response)

    def ask(number: int) -> None:
        delays = random.Random(number)
        with running.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for n in range(0, 160, 8):
                paths = [f"/{number}/{n + ahead}" for ahead in range(8)]
                for path in paths:
                    client.sendall(get(path))
                    # The next one arrives while the call for this one ends.
                    threading.Event().wait(delays.random() * 0.0003)
                assert [read_answer(client)[2].decode() for _ in paths] == paths

    with serving(application, threads=4) as running, ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(calls) == 8 * 160
    assert set(calls.values()) == {1}


def named(file: Path) -> str:
    """Return the field that names the file for /file."""
    return f"X-File: {quote(str(file))}"


def large(environ: Environ, start_response: Any) -> Any:
    """Answers /file by the kernel, /pieces from a generator, everything else at once."""
    if environ["PATH_INFO"] == "/file":
        start_response("200 OK", [("Content-Length", str(16 * MEBIBYTE))])
        return environ["wsgi.file_wrapper"](Path(unquote(environ["HTTP_X_FILE"])).open("rb"))
    if environ["PATH_INFO"] == "/write":
        write = start_response("200 OK", [])
        for _ in range(16):
            write(b"x" * MEBIBYTE)
        return []
    if environ["PATH_INFO"] == "/pieces":
        start_response("200 OK", [])
        return (bytes([n % 256]) * 65536 for n in range(256))
    return plain(environ, start_response)


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "large"
    path.write_bytes(bytes(range(256)) * (16 * MEBIBYTE // 256))
    return path


@MODELS
def test_slow_readers_hold_no_thread(threads: int, large_file: Path) -> None:
    with serving(large, threads=threads) as running, ExitStack() as stack:
        readers = [stack.enter_context(running.connect(receive_buffer=4096)) for _ in range(6)]
        for number, reader in enumerate(readers):
            reader.sendall(get("/file" if number % 2 else "/pieces", named(large_file), close=True))
        quick = stack.enter_context(running.connect())
        for _ in range(20):
            quick.sendall(get("/quick"))
            assert read_answer(quick)[2] == b"/quick"
            for reader in readers:
                assert reader.recv(64)
        assert len(read_all(readers[1])) > 15 * MEBIBYTE  # and an answer goes on to its end
        assert read_all(readers[0]).endswith(b"\r\n0\r\n\r\n")


@MODELS
def test_slow_uploads_hold_no_thread(threads: int) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            environ["PATH_INFO"] = f"/{len(environ['wsgi.input'].read())}"
        return plain(environ, start_response)

    with serving(application, threads=threads) as running, ExitStack() as stack:
        uploads = [stack.enter_context(running.connect()) for _ in range(12)]
        for number, upload in enumerate(uploads):
            # A small body that dribbles, and a large one that stalls inside of the application
            size = 3 if number % 2 else 100_000
            upload.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size)
            upload.sendall(b"a" if number % 2 else b"a" * 90_000)
        quick = stack.enter_context(running.connect())
        for _ in range(20):
            quick.sendall(get("/quick"))
            assert read_answer(quick)[2] == b"/quick"
        for number, upload in enumerate(uploads):
            upload.sendall(b"aa" if number % 2 else b"a" * 10_000)
            assert read_answer(upload)[2] == (b"/3" if number % 2 else b"/100000")


@MODELS
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"", b""),
        (b"G", b"HTTP/1.1 408 "),
        (b"GET / HTTP/1.1\r\nHost: te", b"HTTP/1.1 408 "),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 408 "),
        (get("/first"), b"HTTP/1.1 200 "),
    ],
    ids=["silent", "a byte", "half a head", "half a body", "idle after an answer"],
)
def test_who_is_too_slow_is_sent_away(threads: int, sent: bytes, expected: bytes) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        return plain(environ, start_response)

    # Long enough that what is sent at once comes in time on a busy machine, too.
    times: dict[str, Any] = {"header_timeout": 1.0, "body_timeout": 1.0, "keep_alive": 1.0}
    with serving(application, threads=threads, **times) as running:
        begin = monotonic()
        with running.connect() as client:
            client.sendall(sent)
            answer = read_all(client)
        assert answer[: len(expected)] == expected
        assert 0.9 < monotonic() - begin < 10


@MODELS
@pytest.mark.parametrize(
    "sent", [b"HEAD / HTTP/1.1\r\n\r\n", b"HEAD /a b HTTP/1.1\r\n", b"HEAD / HT"]
)
def test_a_refused_head_is_answered_without_content(threads: int, sent: bytes) -> None:
    with serving(plain, threads=threads, header_timeout=1.0) as running:
        head, _, body = running.exchange(sent).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    assert b"\r\nContent-Length: " in head
    assert body == b""


@MODELS
def test_a_dribbled_head_has_one_deadline(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connection, channel):
        monkeypatch.setattr(module, "LINGER_PAUSE", 0.2)
    with (
        serving(plain, threads=threads, header_timeout=0.5) as running,
        running.connect() as client,
    ):
        begin = monotonic()
        pause = threading.Event()
        with pytest.raises(OSError, match=r".+"):  # noqa: PT012 - the very moment does not matter
            while monotonic() - begin < 8:
                client.sendall(b"X")
                pause.wait(0.02)
        assert monotonic() - begin < 5


@MODELS
@pytest.mark.parametrize("path", ["/file", "/pieces", "/write"])
def test_a_reader_that_stops_is_cut_off_and_a_slow_one_is_not(
    threads: int, path: str, large_file: Path
) -> None:
    with (
        serving(large, threads=threads, write_timeout=1.0) as running,
        running.connect(receive_buffer=4096) as client,
    ):
        client.sendall(get(path, named(large_file)))
        pause = threading.Event()
        taken = 0
        for _ in range(12):
            taken += len(client.recv(65536))
            pause.wait(0.1)  # in all longer than may pass without progress
        rest = client.recv(100)
        assert rest
        # From here on it takes nothing: the server ends it, and the answer stays short.
        runner = running.server._runner
        wait_until(lambda: not runner._connections, message="the end")
        total = taken + len(rest)
        try:
            while more := client.recv(1 << 20):
                total += len(more)
        except ConnectionResetError:
            pass
        assert total < 16 * MEBIBYTE


@MODELS
def test_bytes_that_are_no_request_get_an_answer_and_a_close(threads: int) -> None:
    with serving(plain, threads=threads, limits=Limits(field_size=1000)) as running:
        for data, status in [
            (b"GET / HTTP/1.1\r\n\r\n", b"400"),
            (get("/", "X: " + "x" * 2000), b"431"),
            (b"GET / HTTP/3.0\r\nHost: test\r\n\r\n", b"505"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
            (get("/ok") + b"rubbish\r\n\r\n", b"400"),
        ]:
            answer = running.exchange(data)
            before, _, last = answer.rpartition(b"HTTP/1.1 " + status)
            assert not before or before.endswith(b"/ok"), answer
            assert b"\r\nConnection: close\r\n" in last
            assert last.count(b"\r\nDate: ") == 1
        assert running.exchange(get("/alive", close=True)).endswith(b"/alive")


@MODELS
def test_idle_connections_make_room_when_there_are_too_many(threads: int) -> None:
    with serving(plain, threads=threads, max_connections=10) as running, ExitStack() as stack:
        for number in range(12):
            stack.enter_context(running.connect())  # never says a word
            client = stack.enter_context(running.connect())
            client.sendall(get(f"/{number}"))
            assert read_answer(client)[2] == b"/%d" % number


@MODELS
def test_a_burst_beyond_the_limit_loses_no_request(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a request comes long after its connection, which is not idle for that.
    for module in (accept, thread_per_connection):
        monkeypatch.setattr(module, "SETTLED", 60.0)
    with serving(plain, threads=threads, max_connections=10) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(100)]
        for client in clients:
            client.sendall(get("/all", close=True))
        for client in clients:
            assert read_all(client).endswith(b"/all")


def test_a_connection_whose_request_was_not_read_yet_does_not_give_way() -> None:
    with ExitStack() as stack:
        pairs = [[stack.enter_context(one) for one in socket.socketpair()] for _ in range(3)]
        idle: list[Any] = [
            SimpleNamespace(
                phase=Phase.IDLE,
                busy=False,
                idle_since=0.0,
                deadline=-number,
                stream=Stream(server),
            )
            for number, (server, _) in enumerate(pairs)
        ]
        pairs[1][1].sendall(b"G")
        assert list(accept.idle_first(idle, 1.0)) == [idle[2], idle[0]]


@MODELS
def test_the_limit_holds_while_nobody_leaves(threads: int, large_file: Path) -> None:
    with serving(large, threads=threads, max_connections=5) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.connect(receive_buffer=4096)) for _ in range(30)]
        for client in clients:
            client.setblocking(False)
            client.sendall(get("/file", named(large_file)))

        def begun() -> int:
            answered = 0
            for client in clients:
                with suppress(BlockingIOError):
                    answered += len(client.recv(1, socket.MSG_PEEK))
            return answered

        wait_until(lambda: begun() == 5)
        threading.Event().wait(1.2)  # time enough for one more to be let in, again and again
        assert begun() == 5


def test_while_others_wait_answers_end_their_connections() -> None:
    gate = Gate()
    with serving(gate, max_connections=2, threads=4) as running, ExitStack() as stack:
        working = [stack.enter_context(running.connect()) for _ in range(2)]
        for client in working:
            client.sendall(get("/wait"))
        wait_until(lambda: gate.inside == 2)
        waiting = stack.enter_context(running.connect())
        waiting.sendall(get("/later"))
        wait_until(lambda: running.server._runner.crowded)
        gate.opened.set()
        with working[0]:
            assert b"\r\nConnection: close\r\n" in read_all(working[0])
        assert read_answer(waiting)[2] == b"/later"


def test_calls_that_wait_for_bodies_do_not_hold_up_the_deadlines_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)
    over = threading.Event()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read()
        return plain(environ, start_response)

    def upload(client: socket.socket) -> None:
        while not over.wait(0.01):
            client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\na")
            over.wait(0.7)  # the call begins meanwhile
            client.sendall(b"b")
            read_answer(client)

    with (
        serving(application, threads=8, header_timeout=0.5) as running,
        ExitStack() as stack,
        ThreadPoolExecutor(16) as uploaders,
    ):
        uploads = [
            uploaders.submit(upload, stack.enter_context(running.connect())) for _ in range(16)
        ]
        slow = stack.enter_context(running.connect(timeout=4))
        slow.sendall(b"GET / HTT")
        try:
            assert slow.recv(12) == b"HTTP/1.1 408"
        finally:
            over.set()
        for future in uploads:
            future.result(10)


def test_an_upload_that_dribbles_gives_way_when_others_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crew, "_UPLOADS", 1)
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)
    monkeypatch.setattr(channel, "_GRACE", 0.2)
    monkeypatch.setattr(channel, "_LEAST_RATE", 1_000_000)
    inside = threading.Event()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        inside.set()
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"%d" % len(body)]

    with (
        serving(application, threads=2) as running,
        running.connect() as slow,
        running.connect() as quick,
    ):
        slow.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\nExpect:"
            b" 100-continue\r\n\r\n"
        )
        assert inside.wait(10)
        assert read_answer(slow)[0] == 100
        quick.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
        )
        quick.setblocking(False)

        def served() -> bool:
            with suppress(BrokenPipeError, ConnectionResetError):
                slow.sendall(b"a")
            with suppress(BlockingIOError):
                return bool(quick.recv(1, socket.MSG_PEEK))
            return False

        wait_until(served)
        quick.settimeout(10)
        assert read_answer(quick)[2] == b"300000"
        assert read_answer(slow)[0] == 408


def test_connections_beyond_the_limit_wait_while_all_are_at_work() -> None:
    gate = Gate()
    with serving(gate, max_connections=2, threads=4) as running, ExitStack() as stack:
        working = [stack.enter_context(running.connect()) for _ in range(2)]
        for client in working:
            client.sendall(get("/wait", close=True))
        wait_until(lambda: gate.inside == 2)
        waiting = stack.enter_context(running.connect())
        waiting.sendall(get("/later"))
        gate.opened.set()
        assert read_answer(waiting)[2] == b"/later"


@MODELS
def test_stop_finishes_what_is_under_way(threads: int, large_file: Path) -> None:
    gate = Gate()

    def application(environ: Environ, start_response: Any) -> Any:
        return (large if environ["PATH_INFO"] == "/file" else gate)(environ, start_response)

    with serving(application, threads=threads) as running, ExitStack() as stack:
        download, call, idle = (stack.enter_context(running.connect()) for _ in range(3))
        idle.sendall(get("/idle"))
        assert read_answer(idle)[0] == 200
        download.sendall(get("/file", named(large_file)))
        call.sendall(get("/wait"))
        wait_until(lambda: gate.inside == 1)
        assert download.recv(1)
        running.server.stop(status=7)
        assert idle.recv(1) == b""
        assert running.thread.is_alive()
        assert len(read_all(download)) > 16 * MEBIBYTE
        wait_until(running.refuses)
        gate.opened.set()
        with call:
            status, head, _ = read_answer(call)
            assert status == 200
            assert threads == 0 or b"Connection: close" in head
        running.thread.join(10)
        assert running.status == 7


def test_an_idle_connection_may_ask_once_more_while_the_server_lingers() -> None:
    with serving(plain) as running, running.connect() as idle:
        idle.sendall(get("/1"))
        assert read_answer(idle)[2] == b"/1"
        running.server.stop(linger=20)
        wait_until(lambda: running.refuses())
        with idle:
            idle.sendall(get("/2"))
            _, head, body = read_answer(idle)
            assert body == b"/2"
            assert b"Connection: close" in head
        running.thread.join(15)
        assert running.status == 0


@MODELS
def test_the_end_of_patience(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (loop, thread_per_connection):
        monkeypatch.setattr(module, "_LAST_CLOSES", 0.1)
    gate = Gate()
    with (
        serving(gate, threads=threads, graceful_timeout=0.3) as running,
        running.connect() as client,
    ):
        client.sendall(get("/wait"))
        wait_until(lambda: gate.inside == 1)
        running.server.stop()
        running.thread.join(20)
        assert running.status == 0
        gate.opened.set()


def test_who_waits_in_the_backlog_is_served_at_the_end() -> None:
    gate = Gate()
    with serving(gate, threads=1) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(10)]
        running.server.stop(linger=20)
        for client in clients:
            client.sendall(get("/late"))
            assert read_answer(client)[2] == b"/late"


@MODELS
def test_a_file_that_changes_under_way_is_not_sent_on(threads: int, tmp_path: Path) -> None:
    changed = threading.Event()

    class Changing:
        """A file that says when it has changed."""

        def __init__(self, path: Path) -> None:
            self.file = path.open("rb")
            self.fileno, self.read, self.tell, self.close = (
                self.file.fileno,
                self.file.read,
                self.file.tell,
                self.file.close,
            )

        def unchanged(self) -> bool:
            return not changed.is_set()

    path = tmp_path / "file"
    with path.open("wb") as sparse:
        sparse.truncate(64 * MEBIBYTE)  # much more than lies in buffers

    def application(environ: Environ, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", str(64 * MEBIBYTE))])
        return environ["wsgi.file_wrapper"](Changing(path))

    with serving(application, threads=threads) as running:
        with running.connect() as client:
            client.sendall(get())
            received = 0
            while received < MEBIBYTE:
                received += len(client.recv(65536))
            changed.set()
            assert len(read_all(client)) < 60 * MEBIBYTE
        changed.clear()
        path.write_bytes(b"short")
        assert running.exchange(get()).endswith(b"\r\n\r\nshort")


@MODELS
@pytest.mark.parametrize(("offset", "length"), [(0, 0), (0, 5), (100, 1), (3, 70_000)])
def test_a_slice_of_a_file(threads: int, offset: int, length: int, large_file: Path) -> None:
    def application(environ: Environ, start_response: Any) -> Any:
        file = large_file.open("rb")
        file.seek(offset)
        start_response("206 Partial Content", [("Content-Length", str(length))])
        return environ["wsgi.file_wrapper"](file)

    expected = (bytes(range(256)) * 300)[offset : offset + length]
    with serving(application, threads=threads) as running, running.connect() as client:
        for _ in range(2):
            client.sendall(get())
            assert read_answer(client)[2] == expected


def test_write_waits_for_a_slow_reader_without_holding_the_others() -> None:
    def application(environ: Environ, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/write":
            for _ in range(64):
                write(b"w" * 65536)
        return iter([b"end"])

    with serving(application, threads=1) as running, ExitStack() as stack:
        slow = stack.enter_context(running.connect(receive_buffer=4096))
        slow.sendall(get("/write", close=True))
        assert slow.recv(10)
        quick = stack.enter_context(running.connect())
        for _ in range(5):
            quick.sendall(get())
            assert read_answer(quick)[2] == b"end"
        assert read_all(slow).endswith(b"\r\n3\r\nend\r\n0\r\n\r\n")


def test_uploads_beyond_the_places_for_them_wait_outside_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crew, "_UPLOADS", 1)
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        environ["PATH_INFO"] = f"/{len(environ['wsgi.input'].read())}"
        return plain(environ, start_response)

    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
    size = 64 * MEBIBYTE
    with (
        serving(application) as running,
        running.connect() as first,
        running.connect() as second,
    ):
        first.sendall(head % 100_000 + b"x" * 90_000)
        host = cast("loop.Loop", running.server._runner)
        wait_until(lambda: not host.may_upload())
        sent = second.send(head % size)
        second.settimeout(0.3)
        total = 0
        with pytest.raises(TimeoutError):  # noqa: PT012 - which of them does not matter
            while True:
                total += second.send(b"x" * MEBIBYTE)
        assert total < size // 2  # the rest of it has not been taken
        first.sendall(b"x" * 10_000)
        assert read_answer(first)[2] == b"/100000"
        second.settimeout(30)
        second.sendall(b"x" * (size - total))
        assert sent
        assert read_answer(second)[2] == b"/%d" % size


@MODELS
@pytest.mark.parametrize(
    ("framing", "rest", "status"),
    [
        (b"Content-Length: 100000\r\n\r\n", None, b"400"),  # ends too soon
        (b"Content-Length: 100000\r\n\r\n", b"", b"408"),
        (b"Transfer-Encoding: chunked\r\n\r\n15f90\r\n", b"zz\r\n", b"400"),
    ],
    ids=["cut short", "stalled", "malformed"],
)
def test_an_upload_that_fails_inside_of_the_call(
    threads: int,
    framing: bytes,
    rest: bytes | None,
    status: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    inside = threading.Event()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        inside.set()
        environ["wsgi.input"].read()
        return plain(environ, start_response)

    with (
        serving(application, threads=threads, body_timeout=1.0) as running,
        running.connect() as client,
    ):
        client.sendall(b"POST / HTTP/1.1\r\nHost: test\r\n" + framing + b"x" * 90_000)
        assert inside.wait(10)
        if rest is None:
            client.shutdown(socket.SHUT_WR)
        else:
            client.sendall(rest)
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"\r\nConnection: close\r\n" in answer
        assert running.exchange(get("/alive", close=True)).endswith(b"/alive")
    assert not caplog.records  # it is not the application's failure


class Exhausted:
    """A listening socket for which there are no descriptors at first."""

    def __init__(self, sock: socket.socket, times: int) -> None:
        self.sock = sock
        self.times = times
        self.asked = 0
        self.fileno, self.close = sock.fileno, sock.close

    def accept(self) -> Any:
        self._ask()
        return self.sock.accept()

    def _accept(self) -> Any:
        self._ask()
        return self.sock._accept()  # type: ignore[attr-defined]

    def _ask(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise OSError(errno.EMFILE, "too many open files")


@MODELS
def test_running_out_of_descriptors_neither_spins_nor_ends_it(threads: int) -> None:
    with serving(plain, threads=threads) as running:
        runner = running.server._runner
        doors = runner._doors if isinstance(runner, loop.Loop) else None
        wait_until(lambda: doors is None or doors.are_open)
        [listener] = (doors or cast("ThreadPerConnection", runner))._listeners.values()
        exhausted = Exhausted(listener.socket, times=2)
        listener.socket = cast("socket.socket", exhausted)
        assert running.exchange(get("/late", close=True)).endswith(b"/late")
        assert exhausted.asked < 10


@MODELS
def test_a_slow_upload_gets_its_large_answer(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)
    called = threading.Event()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        called.set()
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"x" * 16 * MEBIBYTE]

    with (
        serving(application, threads=threads) as running,
        running.connect(receive_buffer=4096) as client,
    ):
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nConnection: close\r\n\r\nx"
        )
        assert called.wait(10)
        client.sendall(b"x")
        assert len(read_all(client)) > 16 * MEBIBYTE


@MODELS
def test_a_long_call_does_not_use_up_the_time_of_the_next_request(threads: int) -> None:
    def application(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/long":
            threading.Event().wait(0.8)
        return plain(environ, start_response)

    with (
        serving(application, threads=threads, keep_alive=0.7) as running,
        running.connect() as client,
    ):
        for path in ("/long", "/next"):
            client.sendall(get(path))
            assert read_answer(client)[2] == path.encode()
        assert client.recv(1) == b""


@MODELS
def test_who_never_sends_an_unread_body_is_not_reset(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_DRAIN_TIME", 0.05)
    monkeypatch.setattr(connection, "_PATIENCE", 0.05)
    seconds = 30.0 if threads else 0.1
    with (
        serving(plain, threads=threads, body_timeout=seconds) as running,
        running.connect() as client,
    ):
        client.sendall(b"POST /1 HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nx")
        assert read_answer(client)[2] == b"/1"
        assert client.recv(1) == b""
        for _ in range(3):
            client.sendall(b"x")
            error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            assert error == 0


def test_a_client_that_resets_harms_nobody() -> None:
    with serving(large) as running:
        for _ in range(20):
            client = running.connect()
            client.sendall(get("/pieces") * 3)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        assert running.exchange(get("/alive", close=True)).endswith(b"/alive")
