"""One process and several: what signals do, and that no client notices more than it must."""

import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.end_to_end.client import Client, fetch, request
from tests.end_to_end.servers import HOME, LiveServer, started
from tests.waiting import wait_until

PROCESS = "tests.server.small_apps:process"


@contextmanager
def running(*options: str, app: str = PROCESS, **environ: str) -> Iterator[LiveServer]:
    command = [sys.executable, "run_builtin.py", "--bind", "127.0.0.1:0", "--app", app, *options]
    with started(command, **environ) as server:
        server.port = wait_until(server.port_named, message="the server's address")
        yield server


def children(pid: int) -> set[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child) for child in listed.split()}


def state(pid: int) -> str:
    """Return the letter that the system has for a process's state, X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def is_alive(pid: int) -> bool:
    return state(pid) not in "ZX"


def serving_pid(port: int) -> int:
    return int(fetch(port).body)


def polls(pid: int) -> bool:
    """Tell whether a worker has come so far that it waits for connections."""
    try:
        opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:  # it has ended; of one that has not been waited for, a user may not even look
        return False
    return "anon_inode:[eventpoll]" in opened


def pids_that_serve(server: LiveServer, count: int) -> set[int]:
    """Return the workers, once there are *count* that serve."""

    def workers() -> set[int]:
        found = children(server.process.pid)
        return found if len(found) == count and all(map(polls, found)) else set()

    return wait_until(workers, message=f"{count} workers that serve")


BOTH = pytest.mark.parametrize("workers", ["1", "2"])


# The end


def open_for_writing(fifo: Path) -> int:
    """Return a descriptor, 0 while nobody reads."""
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_is_finished(
    workers: str, number: signal.Signals, tmp_path: Path
) -> None:
    with (
        running("-w", workers, app="tests.server.small_apps:large") as server,
        Client(server.port) as client,
    ):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(request("GET", "/"))
        assert client.socket.recv(1, socket.MSG_PEEK)
        server.send(number)
        wait_until(lambda: refuses(server.port), message="new connections to be refused")
        assert server.process.poll() is None
        assert len(client.read().body) == 64 << 20
        assert server.wait() == 0
        assert server.err == []


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionError:  # refused, or reset by the listener's end at this very moment
        return True
    return False


def is_cut(client: Client) -> bool:
    try:
        return client.socket.recv(1) == b""
    except ConnectionResetError:
        return True


@BOTH
def test_a_second_interrupt_ends_at_once(workers: str) -> None:
    with (
        running("-w", workers, app="tests.server.small_apps:large") as server,
        Client(server.port) as client,
    ):
        client.send(request("GET", "/"))
        assert client.socket.recv(1)
        server.send(signal.SIGINT)
        wait_until(lambda: refuses(server.port), message="new connections to be refused")
        server.send(signal.SIGINT)
        assert server.wait() == 0
        assert "Traceback" not in server.printed()


@BOTH
def test_what_is_not_finished_in_time_is_cut(workers: str) -> None:
    options = ("-w", workers, "--graceful-timeout", "0.2")
    with (
        running(*options, app="tests.server.small_apps:large") as server,
        Client(server.port) as client,
    ):
        client.send(request("GET", "/"))
        assert client.socket.recv(1)
        assert server.stop() == 0


@BOTH
def test_an_application_call_that_never_returns_does_not_hold_the_end(
    workers: str, tmp_path: Path
) -> None:
    with running("-w", workers, "--graceful-timeout", "0.2") as server:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        with Client(server.port) as client:
            client.send(request("GET", f"/wait{quote(str(fifo))}"))
            writer = wait_until(
                lambda: open_for_writing(fifo), message="the application to be called"
            )
            assert server.stop() == 0
            os.close(writer)


def test_control_c_in_a_terminal_reaches_every_process_and_prints_nothing() -> None:
    with running("-w", "2") as server:
        pids_that_serve(server, 2)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait() == 0
        assert server.err == []


def test_control_c_while_workers_start() -> None:
    command = [
        sys.executable,
        "run_builtin.py",
        "-b",
        "127.0.0.1:0",
        "-w",
        "2",
        "--app",
        "tests.server.slow_to_load:app",
    ]
    with started(command) as server:
        wait_until(lambda: "loading" in server.printed(), message="a worker to load")
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait() == 0
        assert server.err == []


def test_a_stop_that_comes_while_a_finalizer_runs_is_obeyed_in_silence() -> None:
    server = ended("--app", "tests.server.told_in_a_finalizer:app")
    assert (server.process.returncode, server.printed()) == (0, "")


@pytest.mark.parametrize(
    ("app", "status", "last_line"),
    [("none", 2, "no 'none'"), ("broken", 3, "told_at_the_end.BrokenError")],
)
@BOTH
def test_no_signal_disturbs_the_end_of_a_process_that_cannot_start(
    app: str, status: int, last_line: str, workers: str
) -> None:
    server = ended("--app", f"tests.server.told_at_the_end:{app}", "-w", workers)
    assert server.process.returncode == status, server.printed()
    assert server.err[-1].endswith(last_line), server.printed()
    assert "Exception ignored" not in server.printed()
    assert server.printed().count("Traceback") == (app == "broken")


def test_a_worker_told_to_end_ends_and_is_replaced() -> None:
    with running("-w", "2") as server:
        before = pids_that_serve(server, 2)
        os.kill(min(before), signal.SIGTERM)
        wait_until(lambda: not is_alive(min(before)), message="the worker to end")
        assert max(before) in pids_that_serve(server, 2)
        assert server.stop() == 0
        assert server.err == []


def test_workers_end_when_the_supervisor_is_killed() -> None:
    with running("-w", "2") as server:
        workers = pids_that_serve(server, 2)
        server.send(signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, workers)), message="the workers to end")


def test_an_idle_supervisor_takes_no_time() -> None:
    with running("-w", "2") as server:
        pids_that_serve(server, 2)

        def switches() -> int:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            return sum(
                int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line
            )

        def is_idle() -> bool:
            before = switches()
            for _ in range(50):
                fetch(server.port)
            return switches() - before < 5

        # At first it may not be done with the start yet.
        wait_until(is_idle, message="an idle supervisor")


# Reload


def test_a_reload_replaces_every_worker_and_answers_on_idle_connections() -> None:
    # An idle connection is kept for half of it, in which new workers start on the slowest machine.
    with running("-w", "2", "--graceful-timeout", "120") as server:
        before = pids_that_serve(server, 2)
        with Client(server.port) as idle:
            assert idle.ask("GET", "/").status == 200
            server.send(signal.SIGHUP)
            wait_until(
                lambda: len(children(server.process.pid) - before) == 2, message="new workers"
            )
            wait_until(
                lambda: all(serving_pid(server.port) not in before for _ in range(8)),
                message="new answers",
            )
            last = idle.ask("GET", "/")
            assert int(last.body) in before
            assert last["connection"] == "close"
        wait_until(lambda: not any(map(is_alive, before)), message="the old workers to end")
        assert len(pids_that_serve(server, 2)) == 2
        assert server.stop() == 0
        assert server.err == []


def test_a_stop_does_not_wait_for_idle_connections_of_retired_workers() -> None:
    with running("-w", "2") as server:
        before = pids_that_serve(server, 2)
        with Client(server.port) as idle:
            assert idle.ask("GET", "/").status == 200
            server.send(signal.SIGHUP)
            wait_until(
                lambda: sum(map(polls, children(server.process.pid) - before)) == 2,
                message="new workers",
            )
            wait_until(
                lambda: len(children(server.process.pid)) == 3,
                message="only the idle connection's worker to stay",
            )
            server.send(signal.SIGTERM)
            # Well below the graceful timeout of 30 s
            assert server.wait(8) == 0


def test_new_workers_run_new_code_and_broken_code_leaves_the_old_ones(tmp_path: Path) -> None:
    code = tmp_path / "changing.py"

    def write(text: str) -> None:
        code.write_text(
            "def app(environ, start_response):\n    start_response('200 OK', [])\n    return"
            f" [{text}]\n"
        )

    write("b'first'")
    with running(
        "-w", "2", app="changing:app", PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"
    ) as server:
        assert fetch(server.port).body == b"first"
        # Not before both have loaded it.
        wait_until(
            lambda: sum(map(polls, children(server.process.pid))) == 2, message="both workers"
        )
        workers = children(server.process.pid)
        write("syntax error")
        server.send(signal.SIGHUP)
        wait_until(
            lambda: any("the old workers go on" in line for line in server.err),
            message="the refusal",
        )
        assert any("SyntaxError" in line for line in server.err)
        assert children(server.process.pid) == workers
        assert fetch(server.port).body == b"first"
        write("b'third'")
        server.send(signal.SIGHUP)
        wait_until(
            lambda: all(fetch(server.port).body == b"third" for _ in range(8)),
            message="the new code",
        )
        assert server.stop() == 0


@BOTH
def test_logs_are_reopened(workers: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running("-w", workers, "--access-logfile", str(log)) as server:
        fetch(server.port)
        wait_until(lambda: log.read_text().count("\n") == 1, message="the first line")
        log.rename(tmp_path / "log.1")
        server.send(signal.SIGHUP)

        def in_new_file() -> bool:
            fetch(server.port)
            return log.exists() and log.read_text() != ""

        wait_until(in_new_file, message="lines in the new file")
        assert server.stop() == 0
    written = log.read_text() + (tmp_path / "log.1").read_text()
    assert all(line.startswith("127.0.0.1 - - [") for line in written.splitlines())


# Clients while workers come and go


class Load:
    """Clients that ask all the time on kept-alive connections, and note what fails."""

    def __init__(self, port: int, clients: int = 8) -> None:
        self._port = port
        self._end = threading.Event()
        self.answered: Counter[int] = Counter()
        self.failed: list[
            tuple[bool, str]
        ] = []  # whether the connection had answered before, and why
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self._end.is_set():
            answered = False
            try:
                with Client(self._port, timeout=10) as client:
                    closing = False
                    while not closing and not self._end.is_set():
                        answer = client.ask("GET", "/")
                        assert answer.status == 200
                        self.answered[int(answer.body)] += 1
                        answered = True
                        closing = ("connection", "close") in answer.fields
            except (OSError, ValueError, AssertionError) as error:
                self.failed.append((answered, repr(error)))

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(20)


def test_no_request_fails_while_workers_are_replaced_again_and_again() -> None:
    with running("-w", "2") as server:
        load = Load(server.port)
        try:
            for _ in range(6):
                before = pids_that_serve(server, 2)
                server.send(signal.SIGHUP)
                wait_until(
                    lambda before=before: not before & children(server.process.pid),  # type: ignore[misc]
                    message="other workers",
                )
        finally:
            load.stop()
        assert load.failed == []
        assert len(load.answered) > 2
        assert server.stop() == 0
        assert server.err == []


def test_only_requests_in_flight_fail_when_a_worker_is_killed() -> None:
    clients = 8
    with running("-w", "2") as server:
        load = Load(server.port, clients)
        try:
            for _ in range(4):
                victim = max(pids_that_serve(server, 2))
                os.kill(victim, signal.SIGKILL)
                wait_until(lambda: not is_alive(victim), message="the end of a worker")  # noqa: B023
        finally:
            load.stop()
        # A connection that waited in the backlog, or was made anew, found another worker.
        assert len(load.failed) <= 4 * clients
        assert [why for answered, why in load.failed if not answered and "refused" in why] == []
        # A server that is stopped before it has heard of the last death would have nothing to
        # replace.
        wait_until(
            lambda: len([line for line in server.err if "was killed by SIGKILL" in line]) == 4
        )
        assert server.stop() == 0


def test_a_connection_in_the_backlog_outlives_a_worker() -> None:
    with running("-w", "2") as server:
        workers = pids_that_serve(server, 2)
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        wait_until(
            lambda: {state(pid) for pid in workers} == {"T"}, message="the workers to stand still"
        )
        with Client(server.port) as waiting:
            waiting.send(request("GET", "/"))
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            assert int(waiting.read().body) not in workers
        assert server.stop() == 0


# What cannot start

BROKEN = [
    ("no_such_module:app", 2, "there is no module 'no_such_module'"),
    ("tests.server.no_such:app", 2, "there is no module 'tests.server.no_such'"),
    ("tests.server.small_apps:nothing", 2, "has no 'nothing'"),
    ("tests.server.small_apps:not_callable", 2, "is not callable"),
    ("tests.server.small_apps", 2, "is not MODULE:CALLABLE"),
    (":app", 2, "is not MODULE:CALLABLE"),
]


def ended(*options: str, **environ: str) -> LiveServer:
    with started(
        [sys.executable, "run_builtin.py", "-b", "127.0.0.1:0", *options], **environ
    ) as server:
        server.wait()
    return server


@pytest.mark.parametrize(
    ("app", "status", "said", "workers"),
    [*((*row, "1") for row in BROKEN), *((*row, "2") for row in BROKEN[:1])],
)
def test_an_application_that_is_not_there_is_one_line(
    app: str, status: int, said: str, workers: str
) -> None:
    server = ended("--app", app, "-w", workers)
    assert (server.process.returncode, server.out, len(server.err)) == (status, [], 1), (
        server.printed()
    )
    assert said in server.err[0]


@BOTH
def test_an_application_that_raises_shows_its_traceback_once(workers: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_dependency\n")
    server = ended("--app", "broken:app", "-w", workers, PYTHONPATH=str(tmp_path))
    assert server.process.returncode == 3
    assert server.out == []
    assert server.err[0].startswith("Traceback")
    assert [line for line in server.err if line.startswith("ModuleNotFoundError")] == [
        "ModuleNotFoundError: No module named 'no_such_dependency'"
    ]


def test_workers_that_die_silently_at_the_start_are_given_up(tmp_path: Path) -> None:
    (tmp_path / "dying.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    server = ended("--app", "dying:app", "-w", "2", PYTHONPATH=str(tmp_path))
    assert (server.process.returncode, server.out, len(server.err)) == (3, [], 1), server.printed()
    assert "killed by SIGKILL" in server.err[0]


def test_workers_that_die_early_are_replaced_ever_more_slowly(tmp_path: Path) -> None:
    with running("-w", "2") as server:
        for _ in range(4):
            pids_that_serve(server, 2)
            with Client(server.port) as client:
                client.send(request("GET", "/die"))
                assert is_cut(client)
        # It is still there, and still answers.
        assert len(pids_that_serve(server, 2)) == 2
        assert server.stop() == 0


# Terminals


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_is_closed_ends_the_server(workers: str) -> None:
    script = f"exec {shlex.quote(sys.executable)} run_builtin.py -b 127.0.0.1:0 --app {PROCESS} -w {workers}"
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(HOME)
        os.execv("/bin/sh", ["sh", "-c", script])
    shown = b""
    while b"Ctrl-C" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command: Sequence[str] = [
        sys.executable,
        "run_builtin.py",
        "-b",
        "127.0.0.1:0",
        "--app",
        PROCESS,
    ]
    with open(out, "wb") as stream:
        server = subprocess.Popen(
            ["nohup", *command], cwd=HOME, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL
        )
    try:
        wait_until(lambda: "Serving " in out.read_text(), message="the banner")
        server.send_signal(signal.SIGHUP)
        port = int(out.read_text().partition("127.0.0.1:")[2].partition("/")[0])
        assert serving_pid(port) == server.pid
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()


# Signals at the worst moment

EARLY_SIGNALS = """
import os, signal, threading
from app.server.serving import wait_for_signals_and
for _ in range(100):
    handled = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: handled.set())
    def run():
        os.kill(os.getpid(), signal.SIGTERM)  # while the main thread is on its way to its wait
        return 0 if handled.wait(5) else 1
    assert wait_for_signals_and(run) == 0, "a signal was not handled"
"""


def test_a_signal_that_comes_while_the_main_thread_begins_to_wait_is_handled() -> None:
    subprocess.run([sys.executable, "-c", EARLY_SIGNALS], cwd=HOME, timeout=25, check=True)


def test_what_the_server_raises_ends_the_process_with_its_traceback(tmp_path: Path) -> None:
    code = (
        "from app.server.serving import wait_for_signals_and\n"
        "def run(): raise RuntimeError('broken')\n"
        "wait_for_signals_and(run)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, timeout=20, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "RuntimeError: broken" in ended.stderr
