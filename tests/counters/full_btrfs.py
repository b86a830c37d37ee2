"""A btrfs that is full under load: nothing dies, what could not be counted is told, and counting
goes on by itself.

    python -m tests.counters.full_btrfs [--seconds 30] [--workers 2]

Needs root, loop devices, mkfs.btrfs and a kernel that knows btrfs. A file system that copies on
write has to find room for each page that is written, whatever was allocated before; where there is
none, a page of a writable map is a SIGBUS. The store lies on the image; clients fetch all the time;
the image is filled to its last byte, stays so, and is emptied again.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from app.counters.lmdb.counter import LmdbCounter
from tests.end_to_end.client import Client
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.end_to_end.threads import meanwhile
from tests.waiting import wait_until

IMAGE_BYTES = 160 << 20
CLIENTS = 4
FILES = 50
#: So many requests without an answer say that there is no server any more.
MOST_FAILED = 1000


def missing() -> str:
    """Return why this cannot run here, or ""."""
    if os.geteuid() != 0:
        return "mounting takes root"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if not shutil.which("mkfs.btrfs", path=path):
        return "mkfs.btrfs is not installed"
    try:
        with tempfile.TemporaryDirectory() as scratch, mounted(Path(scratch)):
            return ""
    except subprocess.CalledProcessError:
        return "no btrfs can be mounted here"


@contextlib.contextmanager
def mounted(scratch: Path) -> Iterator[Path]:
    image, place = scratch / "image", scratch / "btrfs"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    environ = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True, env=environ)
    place.mkdir()
    subprocess.run(
        ["mount", "-o", "loop", image, place], check=True, capture_output=True, env=environ
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True, env=environ)


class Clients:
    """Fetches all the time, and counts what was answered and how often nothing was."""

    def __init__(self, port: int) -> None:
        self.answered: Counter[int] = Counter()
        self.failed = 0
        self._port = port

    @property
    def answers(self) -> int:
        return sum(self.answered.values())

    def fetch(self, is_over: Callable[[], bool]) -> None:
        number = 0
        while not is_over():
            try:
                with Client(self._port, timeout=10) as client:
                    while not is_over():
                        number += 1
                        self.answered[client.ask("GET", f"/{number % FILES}.txt").status] += 1
            except OSError:
                self.failed += 1
                if self.failed > MOST_FAILED:
                    return


def fill(place: Path) -> None:
    """Take all the room that there is, down to the last bytes."""
    for number in range(2000):
        size = (1 << 20) if number < 200 else 4096
        try:
            with (place / f"ballast-{number}").open("wb") as file:
                file.write(os.urandom(size))
                os.fsync(file.fileno())
        except OSError:
            if number > 250:
                return


def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for *condition*, but no longer than *seconds*."""
    with contextlib.suppress(AssertionError):
        wait_until(condition, timeout=seconds)


def deaths(server: LiveServer) -> int:
    return sum("another takes its place" in line or "was killed" in line for line in server.err)


def run(seconds: float, workers: int) -> tuple[str, bool]:
    """Return a report, and whether all was well."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        root = scratch / "root"
        root.mkdir()
        for number in range(FILES):
            (root / f"{number}.txt").write_text("hello")
        with mounted(scratch) as place:
            store = place / "counts"
            options = ["-w", str(workers), "--count-log", "off", "--counts", f"lmdb:{store}"]
            with running(BUILTIN, *options, root=root) as server:
                clients = Clients(server.port)
                with meanwhile(clients.fetch, CLIENTS):
                    _until(lambda: clients.answers > 1000, 10)
                    fill(place)
                    before = clients.answers
                    _until(lambda: clients.failed > MOST_FAILED, seconds)
                    while_full = clients.answers - before
                    for ballast in place.glob("ballast-*"):
                        ballast.unlink()
                    os.sync()
                    before = clients.answers
                    # The store is tried again within a second or two, and may have been by now.
                    _until(
                        lambda: (
                            sum("the store works again" in line for line in server.err) >= workers
                        ),
                        5,
                    )
                    _until(lambda: clients.answers > before, 10)
                    after = clients.answers - before
                status = server.process.poll()
                if status is None:
                    status = server.stop()
            counted = 0
            if store.exists():
                counter = LmdbCounter(str(store), create=False)
                counted = counter.totals().tally.accesses
                counter.close()
            told = sum(
                int(found[1])
                for line in server.err
                if (found := re.search(r"(\d+) accesses", line))
            )
        answered = clients.answered[200]
        well = (
            status == 0 and not deaths(server) and not clients.failed and while_full > 0 and after > 0
            and answered == counted + told and set(clients.answered) == {200}
        )  # fmt: skip
        report = (
            f"{workers} workers: {answered} answered ({while_full} while full, {after} after),"
            f" {clients.failed} without"
            f" an answer, {deaths(server)} deaths, status {status}; {counted} counted, {told} told"
            " as not counted,"
            f" {answered - counted - told} unaccounted for"
        )
        return report + "".join(f"\n  {line}" for line in server.err[:6]), well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    if reason := missing():
        print(f"not run: {reason}")
        return 0
    well = True
    for workers in [chosen.workers] if chosen.workers else [1, 2]:
        report, fine = run(chosen.seconds, workers)
        print(report)
        well = well and fine
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
