"""Starts servers as forks of a process that has their imports behind it, which are nearly all that
a start takes: some 150 ms of computing for each of some two hundred servers.

A fork runs the same file with the same arguments, environment, descriptors and session as a process
that is started anew. With TALLY_CI=1 or TALLY_SLOW=1, outside of pytest, and wherever the
interpreter itself is to begin differently, servers are started anew.
"""

import array
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO

from tests.programs import is_thorough

HOME = Path(__file__).resolve().parent.parent.parent


class ForkedProcess:
    """What `subprocess.Popen` is, for a process whose parent is another one: a watcher, which
    writes its process id and its exit status into a pipe.
    """

    def __init__(self, stdout: int, stderr: int, watched: int) -> None:
        self.stdout: IO[bytes] = open(stdout, "rb")  # noqa: SIM115 - closed by who started it
        self.stderr: IO[bytes] = open(stderr, "rb")  # noqa: SIM115
        self.returncode: int | None = None
        self._watched = watched
        self.pid = self._read()

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._watched], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status; subprocess.TimeoutExpired after *timeout* seconds."""
        if self.returncode is None:
            if not select.select([self._watched], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked server", timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # the watcher has waited for it at this very moment
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self) -> None:
        self.returncode = self._read()
        os.close(self._watched)

    def _read(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._watched, 1)
            assert byte, "the watcher of a forked server ended"
            line += byte
        return int(line)


class _Forker:
    """The process that forks servers of one kind, started when the first one is asked for."""

    def __init__(self, program: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("forker.py"), str(theirs.fileno()), program],
                cwd=HOME,
                env=_clean_environ(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # as the servers' are; their streams are made before the fork
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )  # fmt: skip
        self._lock = Lock()
        atexit.register(self._close)

    def start(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        directory: Path,
    ) -> ForkedProcess:
        pipes = [os.pipe() for _ in range(3)]
        theirs = [writing for _, writing in pipes]
        request = json.dumps(
            {
                "arguments": [*arguments],
                "environ": {**environ},
                "inherited": [*inherited],
                "directory": os.fspath(directory),
            }
        ).encode()
        with self._lock:
            descriptors = array.array("i", [*theirs, *inherited])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            self._socket.sendmsg([len(request).to_bytes(4, "big")], ancillary)
            self._socket.sendall(request)
        for descriptor in theirs:
            os.close(descriptor)
        return ForkedProcess(*(reading for reading, _ in pipes))

    def _close(self) -> None:
        self._socket.close()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()  # not read to the end: a server that a test left behind may hold it, too
        self._process.wait(10)


AnyProcess = subprocess.Popen[bytes] | ForkedProcess

_forkers: dict[str, _Forker] = {}


def start(
    command: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int], directory: Path
) -> AnyProcess:
    """Start *command* in a session of its own, with pipes for what it prints; *environ* is added to
    the environment that servers have under test.
    """
    program, arguments = _forkable(command)
    is_as_here = all(name.startswith("TALLY_") for name in environ)
    if program and is_as_here and "PYTEST_CURRENT_TEST" in os.environ and not is_thorough():
        if program not in _forkers:
            _forkers[program] = _Forker(program)
        everything = {**_clean_environ(), **environ}
        return _forkers[program].start(arguments, everything, inherited, directory)
    return start_anew(command, environ, inherited, directory)


def start_anew(
    command: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int], directory: Path
) -> "subprocess.Popen[bytes]":
    """Start *command* as `start` does, but by an interpreter of its own."""
    return subprocess.Popen(
        command,
        cwd=directory,
        env={**_clean_environ(), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        pass_fds=inherited,
    )


def _clean_environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TALLY_", "GUNICORN_", "PYTEST_"))
    }


def _forkable(command: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the program that *command* runs, "" for one that has no forker, and its arguments."""
    if command[0] == sys.executable and command[1] in ("run_builtin.py", f"{HOME}/run_builtin.py"):
        return command[1], command[2:]
    if command[0] == os.path.join(os.path.dirname(sys.executable), "gunicorn"):
        return command[0], command[1:]
    return "", ()
