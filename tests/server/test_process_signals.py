"""Signals that others send: logrotate's USR1, a second one at the very end, Ctrl-C at the very
start; and process 1.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, running
from tests.programs import is_thorough, program
from tests.server.serving import get, read_all
from tests.waiting import wait_until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "index.html").write_text("hello")
    return root


def lines_in(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def all_lines_of(log: Path) -> int:
    """Return the lines of a log and of all that it was before."""
    return sum(map(lines_in, log.parent.glob(f"{log.name}*")))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [(BUILTIN, True), (BUILTIN, False), (GUNICORN, False)],
    ids=["USR1", "by itself", "by itself under gunicorn"],
)
def test_logs_that_were_renamed_are_begun_anew(
    tmp_path: Path, root: Path, kind: str, workers: str, told: bool
) -> None:
    counts, accesses = tmp_path / "counts.log", tmp_path / "access.log"
    options = ["--access-logfile", str(accesses)] if kind == BUILTIN else []
    names = [counts, accesses] if kind == BUILTIN else [counts]
    with running(kind, "-w", workers, *options, root=root, TALLY_COUNT_LOG=str(counts)) as server:
        asked = 0

        def ask(times: int) -> None:
            nonlocal asked
            for _ in range(times):
                fetch(server.port)
            asked += times

        def wait_for_all() -> None:
            wait_until(
                lambda: all(all_lines_of(name) == asked for name in names), message="all lines"
            )

        def rename(number: int) -> None:
            for name in names:
                with suppress(FileNotFoundError):  # nobody has begun a new one
                    name.rename(name.with_name(f"{name.name}.{number}"))

        def goes_on_at_once(number: int) -> bool:
            rename(number)
            server.send(signal.SIGUSR1)
            ask(10)
            wait_for_all()
            return all(lines_in(name) == 10 for name in names)

        def is_noticed() -> bool:
            ask(1)
            return all(map(lines_in, names))

        ask(10)
        wait_for_all()
        if told:
            # On a busy machine a worker may write a line before it hears of it; and once in a
            # second it notices by itself.
            assert sum(map(goes_on_at_once, (1, 2, 3))) >= 2
        else:
            rename(1)
            wait_until(is_noticed, timeout=20, message="the new files")
            # A worker that has not noticed yet still writes to the former file.
            ask(10)
            wait_for_all()
        assert server.stop() == 0
        assert [all_lines_of(name) for name in names] == [asked] * len(names)
        assert [line for line in server.err if "rror" in line] == []


RECIPE = """"%s" {
    rotate 3
    size 1
    missingok
    create 644
    su %s %s
    postrotate
        kill -USR1 %d
    endscript
}
"""


def test_a_real_logrotate(tmp_path: Path, root: Path) -> None:
    logrotate = program("logrotate", "/usr/sbin/logrotate")
    import grp
    import pwd

    log = tmp_path / "counts.log"
    with running(BUILTIN, root=root, TALLY_COUNT_LOG=str(log)) as server:
        fetch(server.port)
        wait_until(lambda: lines_in(log) == 1, message="the line")
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        recipe = tmp_path / "recipe"
        recipe.write_text(RECIPE % (log, user, group, server.process.pid))
        recipe.chmod(0o644)

        def goes_on_at_once(number: int) -> bool:
            command = [logrotate, "-f", "-s", str(tmp_path / "state"), str(recipe)]
            subprocess.run(command, check=True, timeout=30)
            fetch(server.port)
            wait_until(lambda: all_lines_of(log) == 1 + number, message="all lines")
            return lines_in(log) == 1 and lines_in(tmp_path / "counts.log.1") >= 1

        # On a busy machine it may write a line before it hears of it; and once in a second it
        # notices by itself.
        assert sum(map(goes_on_at_once, (1, 2, 3))) >= 2
        assert server.stop() == 0


@pytest.mark.parametrize("options", [("-w", "1"), ("-w", "2"), ("--threads", "0")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_signals_until_the_very_end(
    root: Path, options: tuple[str, ...], number: signal.Signals
) -> None:
    with running(BUILTIN, *options, root=root) as server:
        server.send(number)

        def has_ended() -> bool:
            with suppress(ProcessLookupError):
                server.send(number)
            return server.process.poll() is not None

        wait_until(has_ended, timeout=20, message="the end")
        assert server.wait() == 0
        assert server.err == []


def test_control_c_at_the_start(tmp_path: Path, root: Path) -> None:
    """From the first line of ours on; what the interpreter does before it is out of reach."""
    for number in range(12) if is_thorough() else (0, 3, 5, 8):
        output = tmp_path / f"output-{number}"
        command = [
            sys.executable,
            "run_builtin.py",
            str(root),
            "-b",
            "127.0.0.1:0",
            "-w",
            str(1 + number % 2),
        ]
        with (
            output.open("wb") as stdout,
            subprocess.Popen(
                command, cwd=HOME, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE
            ) as process,
        ):
            # The interpreter has a handler of its own, which our first lines take away. On a busy
            # machine both moments may pass between two looks; then the server's first line of
            # output says that they are over.
            for caught in (True, False):

                def is_reached(
                    pid: int = process.pid, caught: bool = caught, output: Path = output
                ) -> bool:
                    return _catches_control_c(pid) is caught or output.stat().st_size > 0

                wait_until(is_reached, timeout=30, message="our first lines")
            moment = time.monotonic() + number * 0.01
            wait_until(lambda moment=moment: time.monotonic() >= moment, message="the moment")  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        assert process.returncode in (0, -signal.SIGINT)
        assert errors == b""


def _catches_control_c(pid: int) -> bool:
    found = re.search(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return bool(int(found[1], 16) >> (signal.SIGINT - 1) & 1)


def test_the_first_process_of_a_container_waits_for_orphans(tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        unshare[1:1] = ["--user", "--map-root-user"]
    unshare[0] = program("unshare")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no process-id namespace can be made here")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        server = [sys.executable, "run_builtin.py", "-b", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(
            [*unshare, *server, "--app", "tests.server.small_apps:orphans"],
            cwd=HOME,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[listener.fileno()],
        )
        port = listener.getsockname()[1]
    with process:
        try:
            for _ in range(5):
                _ask(port)
            wait_until(lambda: _ask(port) <= 1, message="the orphans to be waited for")
            server_in_it = _descendant(process.pid)
            os.kill(server_in_it, signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            process.kill()


def _ask(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(get(close=True))
        return int(read_all(client).rpartition(b"\r\n\r\n")[2])


def _descendant(pid: int) -> int:
    """Return the only child of *pid*, which is process 1 of its namespace."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
