"""How both servers begin and end: one line and a status for what cannot be, a clean end for
signals.
"""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.end_to_end.client import Client, fetch
from tests.end_to_end.servers import (
    BUILTIN,
    GUNICORN,
    LiveServer,
    command_of,
    running,
    started,
    workers_of,
)
from tests.waiting import wait_until


def ended(command: Sequence[str], **environ: str) -> LiveServer:
    """Run *command* to its end."""
    with started(command, **environ) as server:
        server.wait()
    return server


def test_the_root_does_not_exist(kind: str) -> None:
    server = ended(command_of(kind), TALLY_ROOT="/does/not/exist")
    assert server.process.returncode == 2
    assert server.out == []
    assert "/does/not/exist" in server.refusal()


def test_the_root_given_by_position_does_not_exist() -> None:
    server = ended(command_of(BUILTIN, "/does/not/exist"))
    assert (server.process.returncode, server.out, len(server.err)) == (2, [], 1)


def test_the_root_is_a_file(kind: str) -> None:
    server = ended(command_of(kind), TALLY_ROOT=__file__)
    assert (server.process.returncode, server.out) == (2, [])
    assert ascii(__file__) in server.refusal()


# What is wrong with the variables, and what the line names
WRONG = [
    ({"TALLY_THREADS": "many"}, "TALLY_THREADS"),
    ({"TALLY_COUNT_HEADER": "yes"}, "TALLY_COUNT_HEADER"),
    ({"TALLY_COUNTS": "abacus:1"}, "abacus"),
    ({"TALLY_COUNTS": "lmdb:/dev/null/counts"}, "/dev/null/counts"),
    ({"TALLY_COUNT_LOG": "/does/not/exist/log"}, "/does/not/exist/log"),
]


@pytest.mark.parametrize(("environ", "named"), WRONG)
def test_settings_that_cannot_be_used(
    kind: str, environ: Mapping[str, str], named: str, tmp_path: Path
) -> None:
    server = ended(command_of(kind, "--bind", "127.0.0.1:0"), TALLY_ROOT=str(tmp_path), **environ)
    assert server.process.returncode == 2, server.printed()
    assert server.out == []
    assert named in server.refusal()


def test_a_thread_for_each_connection_is_not_to_be_had_under_gunicorn(tmp_path: Path) -> None:
    server = ended(command_of(GUNICORN), TALLY_ROOT=str(tmp_path), TALLY_THREADS="0")
    assert (server.process.returncode, server.out, len(server.err)) == (2, [], 1)
    assert "TALLY_THREADS" in server.err[0]


def test_the_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = ended(command_of(BUILTIN, "--bind", f"127.0.0.1:{port}", str(tmp_path)))
    assert (server.process.returncode, server.out, len(server.err)) == (1, [], 1)
    assert str(port) in server.err[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("options", [(), ("-w", "2")])
def test_a_signal_ends_it_with_status_0(
    kind: str, number: signal.Signals, options: Sequence[str], tmp_path: Path
) -> None:
    with running(kind, *options, root=tmp_path) as server, Client(server.port) as client:
        assert client.ask("GET", "/missing").status == 404
        assert server.stop(number) == 0
        assert "Traceback" not in server.printed()
        # Gunicorn does not wait for a worker that it has to kill: one that was told to stop in its
        # first moments.
        wait_until(lambda: not any_left(server.process.pid), message="the last process to end")


def any_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("closed", "workers"),
    [
        ("0<&- 1>&- 2>&-", "1"),
        ("0<&- 1>&- 2>&-", "2"),
        ("1>&-", "1"),
        ("2>&-", "1"),
        pytest.param("1>&-", "2", marks=pytest.mark.slow),
        pytest.param("2>&-", "2", marks=pytest.mark.slow),
    ],
)
def test_closed_standard_streams(closed: str, workers: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("a")
    options = (
        str(tmp_path / "root"),
        "-w",
        workers,
        "--counts",
        f"lmdb:{tmp_path / 'counts'}",
        "--count-header",
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = command_of(BUILTIN, *options, "--bind", f"fd://{listener.fileno()}")
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *command]
        server = LiveServer(shell, {}, [listener.fileno()])
        try:
            assert fetch(listener.getsockname()[1], "/a.txt")["tally-count"] == "1"
            for pid in (server.process.pid, *workers_of(server)):
                for number in re.findall("[012](?=[<>])", closed):
                    assert os.readlink(f"/proc/{pid}/fd/{number}") == os.devnull
            assert server.stop() == 0
        finally:
            server.kill()


def test_the_banner_names_addresses_that_answer(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    with started(command_of(BUILTIN, str(tmp_path))) as server:
        # Without options: all interfaces, both IP versions, a port of the system's choice.
        port = wait_until(server.port_named, message="the banner")
        assert fetch(port, "/").body == b"hello"
        with socket.create_connection(("::1", port), 5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(4096), b""))
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"hello")
        assert server.stop() == 0


def test_help_and_version_need_no_root() -> None:
    for option in ("--help", "--version"):
        shown = subprocess.run(
            command_of(BUILTIN, option, "/does/not/exist"),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        assert "ally" in shown.stdout
        assert shown.stderr == ""
