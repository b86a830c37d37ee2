"""A forked server is what a server is that was started anew."""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import HOME, command_of, workers_of
from tests.end_to_end.starts import AnyProcess, start, start_anew
from tests.waiting import wait_until


def described(process: AnyProcess) -> dict[str, object]:
    """Return what the system has of *process* and what it inherited."""
    proc = Path(f"/proc/{process.pid}")
    status = (proc / "status").read_text()
    numbers = sorted(int(link.name) for link in (proc / "fd").iterdir())
    return {
        "signals": re.findall(r"^Sig(?:Blk|Ign|Cgt):\t(\w+)", status, re.MULTILINE),
        "leads a session": os.getsid(process.pid) == os.getpgid(process.pid) == process.pid,
        "directory": (proc / "cwd").readlink(),
        "kinds of descriptors": [
            re.sub(r"(?<=.)/.*|:.*", "", os.readlink(proc / "fd" / str(number)))
            for number in numbers
        ],
        "threads": re.findall(r"^Threads:\t(\d+)", status, re.MULTILINE),
    }


@contextmanager
def serving(starting: Callable[..., AnyProcess], kind: str, root: Path) -> Iterator[AnyProcess]:
    """Start a server of two workers; what it ends with and prints is right, or the test fails."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = command_of(kind, "-w", "2", "--bind", f"fd://{listener.fileno()}")
        process = starting(command, {"TALLY_ROOT": str(root)}, [listener.fileno()], HOME)
        assert fetch(listener.getsockname()[1], "/a.txt").body == b"a"
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            yield process
            process.terminate()
            assert process.wait(20) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout.read().count(b"/a.txt|127.0.0.1|") == 1


def test_a_forked_server_is_like_one_that_was_started_anew(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with serving(start, kind, tmp_path) as forked, serving(start_anew, kind, tmp_path) as anew:
        for process in (forked, anew):
            wait_until(lambda pid=process: len(workers_of(pid)) == 2, message="two workers")  # type: ignore[misc]
        seen: list[tuple[dict[str, object], dict[str, object]]] = []

        def are_alike() -> bool:
            seen.append((described(forked), described(anew)))
            return seen[-1][0] == seen[-1][1]

        with suppress(AssertionError):  # what differs is shown below
            wait_until(are_alike)
        assert seen[-1][0] == seen[-1][1]


def test_the_status_of_a_forked_server_that_is_killed(kind: str, tmp_path: Path) -> None:
    process = start(
        command_of(kind, "--bind", "127.0.0.1:0"), {"TALLY_ROOT": str(tmp_path)}, [], HOME
    )
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    process.send_signal(signal.SIGKILL)  # nobody is left, and that is no error
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
