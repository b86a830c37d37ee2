"""Two servers in two process-id namespaces on one LMDB directory: exact together, or the second is
refused.

    python -m tests.counters.two_namespaces [--requests 2000]

LMDB tells its readers apart by their process ids, which two containers may well have in common.
Needs `unshare`.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.counters.lmdb.counter import LmdbCounter
from tests.counters.kept import accesses_of
from tests.end_to_end.client import Client
from tests.end_to_end.servers import HOME
from tests.waiting import wait_until

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def missing() -> str:
    """Return why this cannot run here, or ""."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        return "no process-id namespace can be made here"
    return ""


class Contained:
    """A server in a namespace of its own, on a socket that it inherits."""

    def __init__(self, root: Path, counts: str, workers: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.set_inheritable(True)
        self.port: int = self._listener.getsockname()[1]
        number = self._listener.fileno()
        options = [
            "-b",
            f"fd://{number}",
            "-w",
            str(workers),
            "--counts",
            counts,
            "--count-log",
            "off",
        ]
        self.process = subprocess.Popen(
            [*UNSHARE, sys.executable, "run_builtin.py", str(root), *options],
            cwd=HOME,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[number],
        )

    def fetch(self, times: int) -> int:
        with Client(self.port) as client:
            return sum(client.ask("GET", "/index.html").status == 200 for _ in range(times))

    def refusal(self) -> str:
        """Wait for an end at the start; return what was said."""
        self.process.wait(20)
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def stop(self) -> int:
        children = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.close()
        if self.process.stderr is not None:
            self.process.stderr.close()


@contextlib.contextmanager
def contained(root: Path, counts: str, workers: int) -> Iterator[Contained]:
    server = Contained(root, counts, workers)
    try:
        yield server
    finally:
        server.kill()


def run(requests: int, first_workers: int, second_workers: int) -> tuple[str, bool]:
    """Return a report, and whether the second server was refused in one line and the first counted
    exactly.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        root.mkdir()
        (root / "index.html").write_text("hello")
        store = Path(name) / "counts"
        with contained(root, f"lmdb:{store}", first_workers) as first:
            answered = first.fetch(1)
            with contained(root, f"lmdb:{store}", second_workers) as second:
                said = second.refusal()
                status = second.process.returncode
            answered += first.fetch(requests)
            ended = first.stop()
        # When the first has gone, the store is free.
        with contained(root, f"lmdb:{store}", second_workers) as second:
            answered += wait_until(
                lambda: second.fetch(requests), timeout=20, message="the second server"
            )
            ended = ended or second.stop()
        counter = LmdbCounter(str(store), guest=True)
        counted = accesses_of(counter, "/index.html")
        counter.close()
    well = (
        status == 2
        and said.count("\n") == 1
        and "namespace" in said
        and answered == counted
        and not ended
    )
    report = (
        f"{first_workers} and {second_workers} workers: the second ended with status {status}:"
        f" {said.strip()}\n"
        f"  {answered} answered, {counted} counted"
    )
    return report, well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    chosen = parser.parse_args()
    if reason := missing():
        print(f"not run: {reason}")
        return 0
    well = True
    for workers in ((1, 1), (2, 2), (1, 2), (2, 1)):
        report, fine = run(chosen.requests, *workers)
        print(report)
        well = well and fine
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
