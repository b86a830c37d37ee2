"""Who leads and who works: hand-overs, places, and moments that only a stand-in can bring about."""

import select
import socket
import sys
import threading
from contextlib import ExitStack
from time import sleep
from typing import Any, cast

import pytest

from app.server.call import Call
from app.server.connection import Connection
from app.server.crew import Crew, HeldUp, Term
from app.server.gateway import Gateway
from app.server.loop import Loop
from app.server.options import ServerOptions
from app.server.phase import Phase
from app.server.stream import Stream
from tests.server.serving import get, plain, read_answer, serving
from tests.waiting import wait_until

Environ = dict[str, Any]


def a_loop(threads: int) -> Loop:
    """A loop that does not run."""
    gateway = Gateway(plain, multithread=True, multiprocess=False)
    return Loop([], gateway, ServerOptions(threads=threads), None, 10)


@pytest.fixture
def crew() -> Crew:
    """Two threads that have not started."""
    return a_loop(2)._crew


def test_what_arrives_while_a_read_goes_on_stays_noted() -> None:
    ours, theirs = socket.socketpair()

    class Late:
        """A socket to which more comes once a read has found all that there was."""

        def fileno(self) -> int:
            return ours.fileno()

        def recv(self, size: int) -> bytes:
            try:
                return ours.recv(size)
            finally:
                theirs.send(b"more")
                stream.note(select.EPOLLIN)  # in another thread

    with ours, theirs:
        ours.setblocking(False)
        stream = Stream(cast("socket.socket", Late()))
        assert stream.receive() is None
        assert stream.readable
        assert stream.receive() == b"more"
        assert stream.readable


def test_connections_that_end_elsewhere_do_not_stop_the_leader() -> None:
    loop = a_loop(2)

    class Ending:
        busy = False
        deadline = 0.0

        def __init__(self, number: int) -> None:
            self.number = number

        @property
        def phase(self) -> Phase:
            loop._connections.pop(self.number, None)  # a thread of the crew has closed it
            return Phase.ANSWER

    for number in range(10):
        loop._connections[number] = cast("Connection", Ending(number))
    assert not loop._make_room()


def test_a_wait_aside_meets_a_leader_whose_call_ends(crew: Crew) -> None:
    crew._running = 1
    crew.term = Term()
    crew.term.enter(cast("Call", object()))
    crew.term.leave()
    with crew.aside(cast("Call", object())):
        assert crew._running == 0
    assert crew._running == 1


def test_a_call_is_taken_out_once() -> None:
    term, call = Term(), cast("Call", object())
    assert (term.call, term.leave()) == (None, False)
    term.enter(call)
    assert term.call is call
    assert [term.leave(), term.leave()] == [True, False]
    assert term._inside == []


@pytest.mark.parametrize(
    ("every", "too_much_after"),
    [(0.0, 6), (0.005, 6), (0.05, 8), (0.1, 14), (0.2, None), (1.0, None)],
)
def test_slow_calls_take_a_share_of_the_time(every: float, too_much_after: int | None) -> None:
    """A call of 8 ms comes every so many seconds."""
    held_up = HeldUp()
    found = [held_up.add(0.008, 1000 + number * every) for number in range(100)]
    assert (found.index(True) if True in found else None) == too_much_after
    assert not held_up.add(0.008, 1100 + 100 * every)  # what was long ago is forgotten


@pytest.mark.parametrize("seconds", [0.005, 0.007, 0.009, 0.015, 0.03])
@pytest.mark.parametrize("quick", [0, 9], ids=["all slow", "nine of ten quick"])
def test_slow_calls_run_at_the_same_time(seconds: float, quick: int) -> None:
    """However short they are: the watchdog at its own pace sees that they are slow."""
    inside, most = [0], [0]
    lock = threading.Lock()

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            sleep(seconds)
            with lock:
                inside[0] -= 1
        return plain(environ, start_response)

    def ask(client: socket.socket) -> None:
        while most[0] < 3 and not given_up.is_set():
            for path in ["/quick"] * quick + ["/slow"]:
                client.sendall(get(path))
                read_answer(client)

    given_up = threading.Event()
    with serving(application, threads=8) as running, ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(8)]
        askers = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for asker in askers:
            asker.start()
        try:
            wait_until(lambda: most[0] >= 3, message="three slow calls at once")
        finally:
            given_up.set()
            for asker in askers:
                asker.join()


def test_two_calls_at_once_wake_two_threads(crew: Crew) -> None:
    with crew._lock:
        crew._threads = 3
        crew._idle = 2
        woken: list[None] = []
        crew._work.notify = lambda n=1: woken.append(None)  # type: ignore[method-assign]
        crew._call_a_thread()
        crew._call_a_thread()
        assert (len(woken), crew._idle) == (2, 0)
        crew._add_thread = lambda: woken.append(None)  # type: ignore[method-assign]
        crew._aside = 1
        crew._call_a_thread()  # none is left to be woken: it takes a new one
        assert len(woken) == 3


def test_there_is_always_one_to_lead() -> None:
    """One call has waited for its client and runs again, while the leader is inside of another: who
    leads now?
    """
    opened = threading.Event()
    inside = threading.Semaphore(0)

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read()
            inside.release()
            assert opened.wait(20)
        elif environ["PATH_INFO"] == "/slow":
            inside.release()
            assert opened.wait(20)
        return plain(environ, start_response)

    with serving(application, threads=1) as running, ExitStack() as stack:
        upload, slow, late = (stack.enter_context(running.connect()) for _ in range(3))
        upload.sendall(
            b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n" + b"x" * 90_000
        )
        loop = cast("Loop", running.server._runner)
        wait_until(lambda: loop._crew._aside == 1)
        slow.sendall(get("/slow"))
        assert inside.acquire(timeout=10)
        upload.sendall(b"x" * 10_000)
        # Whether the upload's call runs beside or has to wait: the loop goes on, and takes new
        # clients in.
        before = len(loop._connections)
        more = [stack.enter_context(running.connect()) for _ in range(5)]
        wait_until(lambda: len(loop._connections) >= before + 5)
        opened.set()
        late.sendall(get("/late"))
        for client in (upload, slow, late):
            assert read_answer(client)[0] == 200
        for client in more:
            client.sendall(get())
            assert read_answer(client)[0] == 200


def test_the_leader_has_a_thread_beyond_those_that_run() -> None:
    crew = a_loop(1)._crew
    with crew._lock:
        added: list[None] = []
        crew._add_thread = lambda: added.append(None)  # type: ignore[method-assign]
        crew._threads = 2
        # The one that waited for its client has its place back, beside the leader's own.
        crew._running = 2
        crew._new_leader()
        assert added


def test_calls_that_were_begun_come_before_those_in_the_queue(crew: Crew) -> None:
    with crew._lock:
        crew._queue.append(cast("Connection", object()))
        crew._running = 1
        assert crew._may_run()
        crew._resuming = 1
        assert not crew._may_run()


def test_a_failure_of_the_loop_is_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(plain, threads=2) as running, running.connect() as client:
        loop = cast("Loop", running.server._runner)
        client.sendall(get())
        assert read_answer(client)[0] == 200
        ticks: list[None] = []

        def failing(term: Term) -> bool:
            ticks.append(None)
            monkeypatch.undo()
            raise GeneratorExit("cannot be")

        monkeypatch.setattr(loop, "_tick", failing)
        wait_until(lambda: ticks)
        client.sendall(get("/after"))
        assert read_answer(client)[2] == b"/after"
    assert "the loop failed" in caplog.text


def test_a_connection_that_pipelines_without_end_leaves_the_others_their_turn() -> None:
    order: list[str] = []

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        order.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/first":
            both_sent.wait(10)
        return plain(environ, start_response)

    both_sent = threading.Event()
    with (
        serving(application, threads=1) as running,
        running.connect() as greedy,
        running.connect() as modest,
    ):
        # Both are there before either is answered
        greedy.sendall(get("/first") + get("/greedy") * 1000)
        wait_until(lambda: order)
        modest.sendall(get("/modest"))
        both_sent.set()
        assert read_answer(modest)[2] == b"/modest"
        for _ in range(1001):
            read_answer(greedy)
    assert order.index("/modest") < 200


@pytest.mark.parametrize("threads", [2, 0])
def test_a_turn_that_is_over_is_not_the_end(threads: int) -> None:
    with serving(plain, threads=threads) as running, running.connect() as client:
        client.sendall(get("/x") * 100)
        for _ in range(100):
            assert read_answer(client)[2] == b"/x"
        # A body of many tiny chunks has more pieces than one turn takes
        chunks = b"1\r\nx\r\n" * 3000
        client.sendall(
            b"POST /y HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunks
            + b"0\r\n\r\n"
        )
        assert read_answer(client)[2] == b"/y"


def test_a_thread_that_computes_gives_the_lock_up_soon() -> None:
    with serving(plain):
        wait_until(lambda: sys.getswitchinterval() <= 0.001)
