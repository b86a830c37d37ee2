"""Servers and load generators as trees of processes: started, pinned, measured and ended as a
whole.

Each runs in a session of its own, so that its workers are found by session or by descent and a
Ctrl-C at the terminal reaches only the comparison, which then ends them all; the guard does so when
the comparison dies. CPU time comes from each process's own CPU clock (nanoseconds, ended threads
included) plus what its ended children used, because the ticks of /proc/PID/stat are 10 ms long.
Linux only.
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

_TICKS = os.sysconf("SC_CLK_TCK")


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
        )

    def began(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def ended(self, group: int) -> None:
        self._tell(f"-{group}\n")

    @contextlib.contextmanager
    def temporary_directory(self) -> Iterator[str]:
        """A directory that is removed at the end, by the guard if need be. Any user may read it."""
        path = tempfile.mkdtemp(prefix="comparison-")
        self._tell(f"dir {path}\n")
        os.chmod(path, 0o755)  # noqa: S103 - it holds generated files only
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Let the guard end what is left, and wait for it."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.write(line.encode())
            pipe.flush()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        self.command = list(command)
        self._guard = guard
        self._output = output
        before = os.sched_getaffinity(0)
        # A child inherits the affinity of the thread that starts it: no code runs between fork and
        # exec.
        os.sched_setaffinity(0, cores or before)
        try:
            with open(output, "wb") as file:
                self._process = subprocess.Popen(  # noqa: S603 - running commands is the purpose
                    self.command,
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
        guard.began(self.pid)

    def exit_status(self) -> int | None:
        """Return the status of the first process, negative for a signal, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """Return the exit status, or None if the process still runs after *timeout* seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def caught_signals(self) -> set[int]:
        """Return the signals that the first process has handlers for."""
        with (
            contextlib.suppress(OSError),
            open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file,
        ):
            for line in file:
                if line.startswith("SigCgt:"):
                    mask = int(line.split()[1], 16)
                    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
        return set()

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

    def members(self) -> list[int]:
        """Return the ids of the processes in the tree: of its session, or descended from one that
        is.
        """
        return tree_members(self.pid)

    def cpu_seconds(self) -> float:
        """Return the user and system time that the tree has used, ended and reaped children
        included.
        """
        return sum(map(_cpu_seconds, self.members()))

    def pss_bytes(self) -> int:
        """Return the tree's proportional set size: shared pages are divided among those who share
        them.
        """
        return sum(map(_pss_bytes, self.members()))

    def stop(self, patience: float = 2.0) -> None:
        """End the tree, by SIGKILL where SIGTERM does not within *patience* seconds.

        Later calls do nothing.
        """
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 2.0)):
            groups = {_group_of(pid) for pid in self.living()} - {0}
            for group in groups:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
            deadline = time.monotonic() + seconds
            while self.living() and time.monotonic() < deadline:
                time.sleep(0.005)
        # A first thread that has ended looks like a zombie while others of its process still go.
        self.wait(2)
        self._guard.ended(self.pid)

    def living(self) -> list[int]:
        """Return the members that have not ended."""
        self._process.poll()  # reaps the first process
        return [pid for pid in self.members() if _stat_fields(pid)[:1] not in ([], ["Z"])]


def tree_members(root: int) -> list[int]:
    """Return the living processes of session *root* and their descendants, in ascending order."""
    parents: dict[int, int] = {}
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = _stat_fields(int(name))
        if not fields:
            continue
        parents[int(name)] = int(fields[1])
        if int(fields[3]) == root or int(name) == root:
            found.add(int(name))
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return sorted(found)


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on (proc(5): state, ppid, pgrp, session,
    ...).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    return text[text.rfind(")") + 2 :].split()


def _cpu_seconds(pid: int) -> float:
    fields = _stat_fields(pid)
    if not fields:
        return 0.0
    reaped = (int(fields[13]) + int(fields[14])) / _TICKS
    try:
        # The clock id of another process's CPU time: clock_getcpuclockid(3), which Python does not
        # offer.
        return reaped + time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return reaped + (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _group_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return 0
