"""Both servers as processes of their own, on ports that the system picks."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO

from tests.end_to_end.starts import HOME as HOME
from tests.end_to_end.starts import AnyProcess, start
from tests.waiting import wait_until

BUILTIN = "builtin"
GUNICORN = "gunicorn"


class LiveServer:
    """A server as a process: its port, and what it has printed so far."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int] = (),
        directory: Path = HOME,
    ) -> None:
        self.process = start(command, environ, inherited, directory)
        self.port = 0
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            Thread(target=_gather, args=(stream, lines))
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    def printed(self) -> str:
        return "\n".join([*self.out, *self.err])

    def port_named(self) -> int:
        """Return the port in the address that the server has printed, 0 before that.

        AssertionError if it has ended.
        """
        for line in [*self.out, *self.err]:
            if found := re.search(r"https?://[^/\s]*:([1-9][0-9]*)", line):
                return int(found[1])
        assert self.process.poll() is None, f"the server ended early:\n{self.printed()}"
        return 0

    def refusal(self) -> str:
        """Return the one line with which the server refused to start, gunicorn's progress apart."""
        [line] = [line for line in self.err if " [INFO] " not in line]
        return line

    def counted(self, at_least: int = 0) -> list[tuple[str, str, str, str]]:
        """Return the count lines as (path, client address, client port, number), once there are
        *at_least* so many.
        """
        return wait_until(
            lambda: len(lines := self._count_lines()) >= at_least and (lines,),
            message=f"{at_least} count lines",
        )[0]

    def _count_lines(self) -> list[tuple[str, str, str, str]]:
        found = (re.fullmatch(r"(/[^|]*)\|([^|]*)\|(\d+)\|(\d+|\?)", line) for line in self.out)
        return [(match[1], match[2], match[3], match[4]) for match in found if match]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 20) -> int:
        """Wait for the end; return the exit status."""
        status = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """End the whole process group, whatever state it is in."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _gather(stream: IO[bytes], lines: list[str]) -> None:
    for line in stream:
        # Each line is to be seen as soon as it is there.
        lines.append(  # noqa: PERF401
            line.decode("utf-8", "backslashreplace").rstrip("\n")
        )


def workers_of(server: "LiveServer | AnyProcess", master: int | None = None) -> set[int]:
    """Return the worker processes of *master* (the server's own, unless it is given)."""
    pid = master or (server.process if isinstance(server, LiveServer) else server).pid
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def open_files(pid: int) -> list[Path]:
    """Return the files that the process *pid* has open, as far as they have names."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(link.readlink())
    return found


def open_below(directory: Path) -> list[Path]:
    """Return the files below *directory* that this process has open. The number of all its
    descriptors says less: threads of former tests may still close some.
    """
    return [path for path in open_files(os.getpid()) if path.is_relative_to(directory)]


def command_of(kind: str, *options: str, application: str = "") -> list[str]:
    """Return the command that starts the server *kind* with *application* ("": ours), on its
    default address.
    """
    if kind == BUILTIN:
        return [
            sys.executable,
            "run_builtin.py",
            *(("--app", application) if application else ()),
            *options,
        ]
    # Not `-m gunicorn`: at USR2 it starts what it was started as, and its own modules would hide
    # the library's.
    gunicorn = Path(sys.executable).with_name("gunicorn")
    # A worker that is told to stop in its first moments does not hear it, and is killed after this
    # time.
    return [
        str(gunicorn),
        "--no-control-socket",
        "--graceful-timeout",
        "5",
        *options,
        application or "wsgi:app",
    ]


@contextmanager
def started(command: Sequence[str], **environ: str) -> Iterator[LiveServer]:
    """Start *command*; all its processes are gone when the block ends."""
    server = LiveServer(command, environ)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running(
    kind: str, *options: str, root: str | os.PathLike[str], application: str = "", **environ: str
) -> Iterator[LiveServer]:
    """Start the server *kind* for *root* on a loopback port of the system's choice, and wait until
    it listens.
    """
    command = command_of(kind, "--bind", "127.0.0.1:0", *options, application=application)
    with started(command, TALLY_ROOT=os.fspath(root), **environ) as server:
        server.port = wait_until(server.port_named, timeout=20, message="the server's address")
        yield server


@contextmanager
def running_quietly(
    kind: str, *options: str, root: str | os.PathLike[str], **environ: str
) -> Iterator[LiveServer]:
    """Start the server *kind* on a listening socket that it inherits, so that it need not name its
    address.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        environ["TALLY_ROOT"] = os.fspath(root)
        server = LiveServer(
            command_of(kind, "--bind", f"fd://{number}", *options), environ, [number]
        )
        try:
            server.port = listener.getsockname()[1]
            yield server
        finally:
            server.kill()
