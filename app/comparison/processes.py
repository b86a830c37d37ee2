"""Trees of processes: started, pinned, measured and ended as a whole.

Each runs in a session of its own, so that its workers are found by session or by descent and a
Ctrl-C at the terminal reaches only the comparison, which then ends them all; the guard does so when
the comparison dies. Linux only.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psutil


class Guard:
    """The pipe to the process that cleans up after this one. Close it last."""

    def __init__(self) -> None:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard.py")
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-S", "-E", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def write(self, line: str) -> None:
        """Tell the guard of a process group or a directory, as guard.py has it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    @contextlib.contextmanager
    def temporary_directory(self) -> Iterator[str]:
        """A directory that is removed at the end, by the guard if need be. Any user may read it."""
        path = tempfile.mkdtemp(prefix="comparison-")
        self.write(f"dir {path}")
        os.chmod(path, 0o755)  # noqa: S103 - it holds generated files only
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        """Let the guard end what is left, and wait for it."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._process.communicate(timeout=10)


@dataclass(frozen=True)
class Usage:
    """The *living* processes of a tree, the CPU *seconds* it has used, and its *pss* in bytes.

    The seconds include ended children that were reaped. The proportional set size divides shared
    pages among those who share them.
    """

    living: frozenset[int]
    seconds: float
    pss: int


class ProcessTree:
    """A command in a session of its own, with all that it starts.

    *cores* are the CPUs it is bound to (empty: any); its output goes to the file *output*.
    Raises OSError when the command cannot be run. Not thread-safe: start it from one thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        guard: Guard,
        output: str,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        cores: frozenset[int] = frozenset(),
    ) -> None:
        self._guard = guard
        self._output = output
        before = os.sched_getaffinity(0)
        # A child inherits the affinity of the thread that starts it: no code runs between fork and
        # exec.
        os.sched_setaffinity(0, cores or before)
        try:
            with open(output, "wb") as file:
                self._process = subprocess.Popen(  # noqa: S603 - running commands is the purpose
                    list(command),
                    env={**os.environ, **(environment or {})},
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        finally:
            os.sched_setaffinity(0, before)
        self.pid = self._process.pid
        guard.write(f"+{self.pid}")

    def wait(self, timeout: float = 0.0) -> int | None:
        """Return the exit status, negative for a signal, or None after *timeout* seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def interrupt(self) -> None:
        """Send SIGINT to the first process alone."""
        self._process.send_signal(signal.SIGINT)

    def output(self) -> str:
        """Return what was printed so far, at most the last 64 KiB."""
        with open(self._output, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65536))
            return file.read().decode("utf-8", "replace")

    def last_lines(self, count: int = 8) -> list[str]:
        return [line.rstrip() for line in self.output().splitlines() if line.strip()][-count:]

    def usage(self) -> Usage:
        """Look at the tree once. A look takes milliseconds, on the core of whoever looks."""
        members = tree_members(self.pid)
        seconds, pss = 0.0, 0
        for process in members:
            with contextlib.suppress(psutil.Error):
                seconds += _cpu_seconds(process)
                pss += process.memory_full_info().pss
        return Usage(frozenset(process.pid for process in members), seconds, pss)

    def stop(self, patience: float = 2.0) -> None:
        """End the tree, by SIGKILL where SIGTERM does not within *patience* seconds.

        Later calls do nothing.
        """
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 2.0)):
            for group in {_group_of(process.pid) for process in tree_members(self.pid)} - {0}:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
            deadline = time.monotonic() + seconds
            while self._lives() and time.monotonic() < deadline:
                time.sleep(0.01)
        # A first thread that has ended looks like a zombie while others of its process still go.
        self.wait(2)
        self._guard.write(f"-{self.pid}")

    def _lives(self) -> bool:
        """Whether anything of the tree does; the first process is reaped, and mostly the answer."""
        return self._process.poll() is None or bool(tree_members(self.pid))


def tree_members(root: int) -> list[psutil.Process]:
    """Return the living processes of session *root* and the descendants of its first.

    Zombies are left out: in a container nobody may reap them.
    """
    found = {process for process in psutil.process_iter() if _session_of(process.pid) == root}
    with contextlib.suppress(psutil.NoSuchProcess):
        found |= set(psutil.Process(root).children(recursive=True))
    return [process for process in found if _is_living(process)]


def _session_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return 0


def _group_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return 0


def _is_living(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    reaped = times.children_user + times.children_system
    try:
        # The process's own CPU clock, in nanoseconds: what psutil reads are ticks of 10 ms. The id
        # of the clock is made as clock_getcpuclockid(3) does, which Python lacks.
        return reaped + time.clock_gettime_ns((~process.pid << 3) | 2) / 1e9
    except OSError:
        return reaped + times.user + times.system
