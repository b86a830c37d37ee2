"""A writer in place under load: no answer of the middle of a write may outlive the write.

    python -m tests.end_to_end.written_in_place [--minutes 5] [--busy 2]

The kernel stamps a write's time before it copies the bytes, so that a server can read half a write
under a status that does not change any more. Beside loops that keep the processors busy, a writer
writes two versions of the same size in turn and then rests; readers fetch all the time. When the
writer rests, every answer must become the file as it lies there, a 304 may only be given for a tag
that came with these very bytes, and no tag may stand for two contents.
"""

import argparse
import contextlib
import hashlib
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.end_to_end.client import Client
from tests.end_to_end.servers import BUILTIN, GUNICORN, running
from tests.end_to_end.threads import meanwhile
from tests.waiting import wait_until

SIZE = 60_000
READERS = 3


def busy() -> None:
    while True:
        sum(range(10_000))


def write(path: str, seconds: float) -> None:
    """Write whole versions in place, one after the other, each by a single call."""
    end = time.monotonic() + seconds
    with open(path, "r+b", buffering=0) as file:
        while time.monotonic() < end:
            file.seek(0)
            file.write(random.choice(b"abcdefgh").to_bytes() * SIZE)


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    loops = [
        multiprocessing.get_context("spawn").Process(target=busy, daemon=True)
        for _ in range(processes)
    ]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()


class Readers:
    """Fetches the file and remembers which bytes came with which tag."""

    def __init__(self, port: int) -> None:
        self.tags: dict[str, set[str]] = {}
        self.answers = 0
        self._port = port

    def read(self, is_over: Callable[[], bool]) -> None:
        with Client(self._port) as client:
            while not is_over():
                self.note(client)

    def note(self, client: Client) -> bytes:
        answer = client.ask("GET", "/file.bin")
        if answer.status == 200:
            self.tags.setdefault(answer["etag"], set()).add(hashlib.sha256(answer.body).hexdigest())
            self.answers += 1
        return answer.body


def one_round(path: Path, port: int, readers: Readers, rest: float) -> list[str]:
    writer = multiprocessing.get_context("spawn").Process(
        target=write, args=(str(path), random.uniform(0.2, 1.5))
    )
    writer.start()
    writer.join()
    wait_until(
        lambda: time.time() - path.stat().st_ctime > rest, message="the writer to have rested"
    )
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    faults = []
    with Client(port) as client:
        if readers.note(client) != content:
            faults.append(f"{rest} s after the last write the answer is not the file")
        for tag, contents in list(readers.tags.items()):
            if len(contents) > 1:
                faults.append(f"the tag {tag} stands for {len(contents)} contents")
            if (
                digest not in contents
                and client.ask("GET", "/file.bin", [("If-None-Match", tag)]).status == 304
            ):
                faults.append(f"304 for {tag}, which never came with these bytes")
    return faults


def run(kind: str, minutes: float, loops: int, rest: float = 3.5) -> tuple[int, int, list[str]]:
    """Return the rounds, the answers and the faults."""
    faults: list[str] = []
    rounds = 0
    end = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory() as scratch, load(loops):
        root = Path(scratch) / "root"
        root.mkdir()
        path = root / "file.bin"
        path.write_bytes(bytes(SIZE))
        with running(kind, root=root) as server:
            readers = Readers(server.port)
            with meanwhile(readers.read, READERS):
                while time.monotonic() < end or not rounds:
                    faults += one_round(path, server.port, readers, rest)
                    rounds += 1
        return rounds, readers.answers, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--busy",
        type=int,
        default=os.cpu_count() or 2,
        help="how many loops keep the processors busy",
    )
    chosen = parser.parse_args()
    found = False
    for kind in (BUILTIN, GUNICORN):
        rounds, answers, faults = run(kind, chosen.minutes, chosen.busy)
        print(
            f"{kind}: {rounds} rounds, {answers} answers, {len(faults)} faults",
            *sorted(set(faults)),
            sep="\n  ",
        )
        found = found or bool(faults)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
