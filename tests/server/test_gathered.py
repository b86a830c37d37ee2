"""Answers that wait for each other, and what their applications have left to be done before them."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.before_answer import BEFORE_ANSWER
from app.server import crew
from app.server.crew import Crew
from app.server.loop import Loop
from app.settings import Settings
from app.wsgi import make_app
from tests.server.serving import Running, get, read_answer, serving
from tests.waiting import wait_until

Environ = dict[str, Any]
BODY = b"x" * 1000
CLIENTS = 40


class Work:
    """What is done before answers, and how many were gathered each time."""

    def __init__(self, then: Callable[[Sequence[str]], object] = lambda _: None) -> None:
        self.done: Counter[str] = Counter()
        self.sizes: list[int] = []
        self._then = then
        self.do = self._do  # the same object each time

    def _do(self, targets: Sequence[str]) -> None:
        self._then(targets)
        self.sizes.append(len(targets))
        self.done.update(targets)

    def leave(self, environ: Environ) -> None:
        """Leave it for later, or else do it now, as an application does."""
        target = environ["QUERY_STRING"]
        left = environ.get(BEFORE_ANSWER)
        if left is None:
            self._do([target])
        else:
            left.append((self.do, target))


class Leaving:
    """An application that takes the offer."""

    answers_together_from = 2

    def __init__(self, application: Callable[[Environ, Any], Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        return self._application(environ, start_response)


@contextmanager
def clients(server: Running, number: int = CLIENTS) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        yield [stack.enter_context(server.connect()) for _ in range(number)]


def ask_all(
    connections: Sequence[Any], path: str, turn: int, work: Work, **how: Any
) -> list[bytes]:
    """Ask on all connections, and only then read; return the bodies."""
    for number, connection in enumerate(connections):
        connection.sendall(get(f"{path}?{turn}.{number}", **how))
    bodies = []
    for number, connection in enumerate(connections):
        status, _, body = read_answer(connection, **how)
        assert status == 200
        assert work.done[f"{turn}.{number}"] == 1, "done once, and before the answer arrived"
        bodies.append(body)
    return bodies


def ask_at_once(connections: Sequence[Any], turn: int, work: Work, times: int = 6) -> None:
    """Ask several times on all connections, and only then read."""
    for number, connection in enumerate(connections):
        targets = [f"{turn}.{number}.{time}" for time in range(times)]
        connection.sendall(b"".join(get(f"/?{target}") for target in targets))
    for number, connection in enumerate(connections):
        for time in range(times):
            assert read_answer(connection)[2] == BODY
            assert work.done[f"{turn}.{number}.{time}"] == 1


def leaving(work: Work) -> Leaving:
    """Return an application that leaves work and answers in one piece."""

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        work.leave(environ)
        return one_piece(environ, start_response)

    return Leaving(application)


def one_piece(_: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "1000")])
    return [BODY]


def many_pieces(_: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return (BODY[begin : begin + 100] for begin in range(0, 1000, 100))


def written(_: Environ, start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Length", "1000")])
    write(BODY[:500])
    return [BODY[500:]]


def a_file(environ: Environ, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "1000")])
    wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](BytesIO(BODY))
    return wrapped


@pytest.mark.parametrize("answer", [one_piece, many_pieces, written, a_file])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("threads", [0, 1, 4])
def test_work_is_done_before_any_byte_of_its_answer(
    answer: Callable[[Environ, Any], Iterable[bytes]], method: str, threads: int
) -> None:
    work = Work()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        work.leave(environ)
        return answer(environ, start_response)

    expected = BODY if method == "GET" else b""
    with serving(Leaving(application), threads=threads) as server, clients(server) as connections:
        for turn in range(20):
            bodies = ask_all(connections, "/", turn, work, method=method)
            assert bodies == [expected] * CLIENTS


def test_several_answers_share_their_work() -> None:
    """Up to 64, also those of clients who do not wait for one answer before the next request."""
    work = Work()

    turns = iter(range(10_000))
    with serving(leaving(work), threads=2) as server, clients(server, 150) as connections:

        def is_shared() -> bool:
            ask_all(connections, "/", next(turns), work)
            ask_at_once(connections, next(turns), work)
            return max(work.sizes) > 4

        wait_until(is_shared, message="answers that wait for each other")
        for _ in range(5):
            ask_at_once(connections, next(turns), work)
    assert max(work.sizes) <= 64


def test_answers_do_not_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    ticks = count(step=0.0004)
    monkeypatch.setattr(crew, "monotonic", lambda: next(ticks))

    with serving(leaving(work), threads=2) as server, clients(server) as connections:
        turns = iter(range(10_000))

        def some_waited() -> bool:
            ask_all(connections, "/", next(turns), work)
            ask_at_once(connections, next(turns), work)
            return max(work.sizes) > 1

        wait_until(some_waited, message="answers that wait for each other")
    assert max(work.sizes) <= 3, "a millisecond by a clock that moves with each look"


def test_no_answer_waits_while_the_loop_does_or_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop would take it for sent."""
    work = Work()
    waiting: list[int] = []
    for name in ("_wait", "_begin_stop", "_tick", "_finish"):
        monkeypatch.setattr(Loop, name, _noting(getattr(Loop, name), waiting))

    with serving(leaving(work), threads=2) as server, clients(server) as connections:
        turns = iter(range(10_000))

        def many_waited() -> bool:
            ask_at_once(connections, next(turns), work)
            return work.sizes.count(1) + 20 < len(work.sizes)

        wait_until(many_waited, message="answers that wait for each other")
    assert set(waiting) == {0}


def _noting(step: Callable[..., Any], waiting: list[int]) -> Callable[..., Any]:
    def noted(loop: Loop, *arguments: Any) -> Any:
        waiting.append(len(loop._crew.gathered))
        return step(loop, *arguments)

    return noted


@pytest.mark.parametrize("counts", ["memory:", "lmdb:{}"])
def test_answers_about_files_go_out_together(
    tmp_path: Path, counts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted when they are made, or together: all before the first of them goes out."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www/a.txt").write_bytes(BODY)
    settings = {"TALLY_ROOT": str(tmp_path / "www"), "TALLY_COUNT_LOG": "off"}
    settings["TALLY_COUNTS"] = counts.format(tmp_path / "counts")
    application = make_app(Settings.from_environment(settings))
    application.open()
    sizes: list[int] = []
    send_gathered = Crew.send_gathered

    def seen(crew: Crew) -> bool:
        sizes.append(len(crew.gathered))
        return send_gathered(crew)

    monkeypatch.setattr(Crew, "send_gathered", seen)
    asked = 0
    with serving(application, threads=2) as server, clients(server) as connections:
        paths = ["/a.txt", "/a.txt", "/nothing"]

        def went_out_together() -> bool:
            nonlocal asked
            for number, connection in enumerate(connections):
                connection.sendall(get(paths[number % 3]))
            for number, connection in enumerate(connections):
                status, _, body = read_answer(connection)
                assert (status, body == BODY) == ((404, False) if number % 3 == 2 else (200, True))
                asked += 1
                statuses = application.counts().totals().statuses
                assert statuses[200] + statuses.get(404, 0) >= asked, "counted before it arrived"
            return max(sizes, default=0) >= 24

        wait_until(went_out_together, message="answers that wait for each other")
    totals = application.counts().totals()
    assert sum(totals.statuses.values()) == asked
    assert totals.tally.accesses == totals.statuses[200]
    application.close()


def test_large_answers_are_not_piled_up() -> None:
    work, body = Work(), b"x" * 100_000

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        work.leave(environ)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    turns = iter(range(10_000))
    with serving(Leaving(application), threads=2) as server, clients(server) as connections:

        def some_waited() -> bool:
            assert ask_all(connections, "/", next(turns), work) == [body] * CLIENTS
            return max(work.sizes) > 1

        wait_until(some_waited, message="answers that wait for each other")
    assert max(work.sizes) <= 3


def test_work_that_is_left_while_the_answer_is_made() -> None:
    """Before each piece of it, and after the last one."""
    work = Work()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        work.leave(environ)
        yield BODY[:500]
        environ["QUERY_STRING"] += ".second"
        work.leave(environ)
        yield BODY[500:]
        environ["QUERY_STRING"] += ".third"
        work.leave(environ)

    with serving(Leaving(application), threads=2) as server, clients(server) as connections:
        for turn in range(20):
            assert ask_all(connections, "/", turn, work) == [BODY] * CLIENTS
        wait_until(lambda: len(work.done) == 20 * CLIENTS * 3, message="the last of the work")
    assert set(work.done.values()) == {1}


def test_work_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def fail(targets: Sequence[str]) -> None:
        tried.append(len(targets))
        raise ValueError("out of order")

    work = Work(fail)

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        left = environ.get(BEFORE_ANSWER)
        if left is not None:
            left.append((work.do, ""))
        return one_piece(environ, start_response)

    with serving(Leaving(application), threads=2) as server, clients(server) as connections:

        def is_shared() -> bool:
            for connection in connections:
                connection.sendall(get("/"))
            assert [read_answer(connection)[2] for connection in connections] == [BODY] * CLIENTS
            return max(tried, default=0) > 1

        wait_until(is_shared, message="answers that wait for each other")
    assert any("out of order" in str(record.exc_info) for record in caplog.records)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_slow_work_holds_up_no_other_client() -> None:
    """Nor does it lose the answers that wait for it."""
    go_on, begun = threading.Event(), threading.Event()

    def wait(_: Sequence[str]) -> None:
        begun.set()
        assert go_on.wait(30)

    work = Work(wait)

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            work.leave(environ)
        return one_piece(environ, start_response)

    # As many threads as there can be groups: each holds one while the store does not answer.
    with (
        serving(Leaving(application), threads=CLIENTS + 2) as server,
        clients(server) as connections,
    ):
        try:
            for number, connection in enumerate(connections):
                connection.sendall(get(f"/slow?0.{number}"))
            assert begun.wait(30)
            with server.connect() as other:
                for _ in range(50):
                    other.sendall(get("/quick"))
                    assert read_answer(other)[0] == 200
            assert not work.done
        finally:
            go_on.set()
        for connection in connections:
            assert read_answer(connection)[2] == BODY
        assert work.done == Counter(f"0.{number}" for number in range(CLIENTS))
        for turn in range(1, 5):  # and all of them go on
            ask_all(connections, "/slow", turn, work)


def test_a_call_that_takes_long_holds_up_no_answer_that_was_made_before() -> None:
    go_on = threading.Event()
    work = Work()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/long":
            assert go_on.wait(30)
        work.leave(environ)
        return one_piece(environ, start_response)

    with serving(Leaving(application), threads=4) as server, clients(server) as connections:
        for turn in range(20):
            with server.connect() as long:
                for number, connection in enumerate(connections):
                    if number == CLIENTS // 2:
                        long.sendall(get(f"/long?long.{turn}"))
                    connection.sendall(get(f"/?{turn}.{number}"))
                for connection in connections:
                    assert read_answer(connection)[2] == BODY
                assert not work.done[f"long.{turn}"]
                go_on.set()
                assert read_answer(long)[2] == BODY
                assert work.done[f"long.{turn}"] == 1
                go_on.clear()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_pipelined_requests_of_many_clients(version: str) -> None:
    work = Work()

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        work.leave(environ)
        body = environ["QUERY_STRING"].encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def ask(client: int) -> None:
        targets = [f"{client}.{number}" for number in range(60)]
        fields = ["Connection: keep-alive"] if version == "HTTP/1.0" else []
        request = b"".join(get(f"/?{target}", *fields) for target in targets)
        with server.connect() as connection:
            connection.sendall(request.replace(b"HTTP/1.1", version.encode()))
            assert [read_answer(connection)[2].decode() for _ in targets] == targets

    with serving(Leaving(application), threads=2) as server, ThreadPoolExecutor(8) as pool:
        for _ in pool.map(ask, range(40)):
            pass
    assert set(work.done.values()) == {1}
    assert len(work.done) == 40 * 60


def test_only_who_takes_the_offer_gets_it() -> None:
    offered: list[bool] = []

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        offered.append(BEFORE_ANSWER in environ)
        return one_piece(environ, start_response)

    with serving(application, threads=2) as server, clients(server) as connections:
        for _ in range(20):
            for connection in connections:
                connection.sendall(get("/"))
            for connection in connections:
                assert read_answer(connection)[2] == BODY
    assert offered == [False] * 20 * CLIENTS


def test_clients_that_leave_before_their_answer() -> None:
    work = Work()

    with serving(leaving(work), threads=2) as server:
        for turn in range(30):
            with clients(server) as connections:
                for number, connection in enumerate(connections):
                    connection.sendall(get(f"/?{turn}.{number}"))
        wait_until(lambda: len(work.done) == 30 * CLIENTS, message="the work of all requests")
        with server.connect() as connection:
            connection.sendall(get("/?last"))
            assert read_answer(connection)[2] == BODY
    assert set(work.done.values()) == {1}


def test_a_stop_loses_no_answer_that_waits() -> None:
    work = Work()

    for _ in range(5):
        with serving(leaving(work), threads=2) as server, clients(server) as connections:
            ask_all(connections, "/", 0, work)
            for number, connection in enumerate(connections):
                connection.sendall(get(f"/?1.{number}"))
            server.server.stop(linger=10.0)
            for number, connection in enumerate(connections):
                assert read_answer(connection)[2] == BODY
                assert work.done[f"1.{number}"] == 1
        work.done.clear()
