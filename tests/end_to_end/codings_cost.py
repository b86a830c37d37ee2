"""What content codings save and cost on a site of 2,000 text files, beside nginx with `gzip on`.

    python -m tests.end_to_end.codings_cost [--files 2000] [--rounds 5]

Bytes of all bodies, and CPU time of the server for a request once every form is there, best of the
rounds, in which the codings take turns. Then fresh starts: the time until the first page is there,
and the mean time of all files' first answers.
"""

import argparse
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.caches import nginx_of_files
from tests.end_to_end.servers import BUILTIN, HOME, running

CODINGS = ["", "gzip", "br", "zstd", "gzip, deflate, br, zstd"]
TICK = 1 / os.sysconf("SC_CLK_TCK")


def make_site(root: Path, files: int) -> list[str]:
    """Write text files of 0.5 to 32 KB, cut from pages and sources; return their targets."""
    source = random.Random(1)
    texts = {
        ".html": b"".join(path.read_bytes() for path in sorted((HOME / "www").rglob("*.html"))),
        ".js": b"".join(path.read_bytes() for path in sorted((HOME / "app").rglob("*.py"))),
        ".css": b"".join(path.read_bytes() for path in sorted(HOME.rglob("www/assets/*.css"))) * 9,
    }
    targets = []
    for number in range(files):
        extension = source.choice(list(texts))
        text = texts[extension]
        size = int(2 ** source.uniform(9, 15))
        start = source.randrange(max(1, len(text) - size))
        target = f"/{number % 40}/{number}{extension}"
        path = root / target[1:]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"/* {number} */\n".encode() + text[start : start + size])
        targets.append(target)
    return targets


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def get(self, target: str, accepted: str, status: int = 200) -> tuple[str, int]:
        """Return the coding of the answer, and the bytes of its body."""
        field = f"Accept-Encoding: {accepted}\r\n" if accepted else ""
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n{field}\r\n".encode())
        data = self._socket.recv(1 << 17)
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(1 << 17)
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        assert f" {status} " in lines[0], lines[0]
        fields = dict(line.split(": ", 1) for line in lines[1:])
        length = int(fields["content-length"]) if "content-length" in fields else -1
        have = len(body)
        while have != length and not (length < 0 and body.endswith(b"0\r\n\r\n")):
            piece = self._socket.recv(1 << 17)
            assert piece, "the connection has ended"
            body = body[-8:] + piece
            have += len(piece)
        return fields.get("content-encoding", ""), have


@contextmanager
def connected(port: int) -> Iterator[Connection]:
    connection = Connection(port)
    try:
        yield connection
    finally:
        connection.close()


def cpu_of(pids: Sequence[int]) -> float:
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) * TICK
    return total


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


class Measured:
    """One server in one coding."""

    def __init__(self, name: str, port: int, pid: int, accepted: str) -> None:
        self.name, self.port, self.pid, self.accepted = name, port, pid, accepted
        self.bytes = 0
        self.best = float("inf")

    def measure(self, targets: Sequence[str], passes: int) -> None:
        """Ask for every file *passes* times."""
        pids = family(self.pid)
        with connected(self.port) as connection:
            before = cpu_of(pids)
            for _ in range(passes):
                self.bytes = sum(connection.get(target, self.accepted)[1] for target in targets)
            used = cpu_of(pids) - before
        self.best = min(self.best, used / (passes * len(targets)))


def make_forms(port: int, targets: Sequence[str]) -> float:
    """Ask until all files come in all codings; return the seconds that it took."""
    began = time.monotonic()
    with connected(port) as connection:
        missing = {(target, coding) for target in targets for coding in CODINGS[1:4]}
        while missing and time.monotonic() - began < 120:
            missing -= {
                (target, coding)
                for target, coding in missing
                if connection.get(target, coding)[0] == coding
            }
    if missing:
        print(f"{len(missing)} forms are not made, as they do not save 64 bytes")
    return time.monotonic() - began


def first_pages(root: Path, targets: Sequence[str], starts: int) -> None:
    """Print what the first answers of a fresh start take, in milliseconds."""
    first: dict[str, list[float]] = {"": [], CODINGS[-1]: []}
    mean: dict[str, list[float]] = {"": [], CODINGS[-1]: []}
    for number in range(2 * starts):
        accepted = ["", CODINGS[-1]][number % 2]
        with (
            running(BUILTIN, root=root, TALLY_COUNT_LOG="off") as server,
            connected(server.port) as connection,
        ):
            began = time.perf_counter()
            connection.get(targets[0], accepted)
            first[accepted].append((time.perf_counter() - began) * 1000)
            for target in targets[1:]:
                connection.get(target, accepted)
            mean[accepted].append((time.perf_counter() - began) * 1000 / len(targets))
    print(f"\nfresh start, {starts} times each, median of milliseconds:")
    for accepted in first:
        print(
            f"  {accepted or 'identity':26} first page {statistics.median(first[accepted]):6.2f}"
            f"   mean of all files' first answers {statistics.median(mean[accepted]):6.3f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.codings_cost")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-codings-") as home:
        root = Path(home) / "root"
        root.mkdir()
        targets = make_site(root, chosen.files)
        scratch = Path(home) / "nginx"
        scratch.mkdir()
        with (
            running(BUILTIN, root=root, TALLY_COUNT_LOG="off") as ours,
            nginx_of_files(root, scratch) as (plain, packed, pid),
        ):
            time.sleep(2.1)  # what was just written is not held
            print(f"{chosen.files} files; all forms made in {make_forms(ours.port, targets):.1f} s")
            rows = [
                *(Measured("Tally", ours.port, ours.process.pid, coding) for coding in CODINGS),
                Measured("nginx", plain, pid, ""),
                Measured("nginx, gzip on", packed, pid, "gzip"),
            ]
            for _ in range(chosen.rounds):
                for row in rows:
                    row.measure(targets, 3)
        print(f"\n{'server':15} {'Accept-Encoding':26} {'bytes':>11} {'share':>6}"
              f" {'CPU µs':>7} {'ratio':>6}")  # fmt: skip
        identity = {"Tally": rows[0], "nginx": rows[len(CODINGS)]}
        for row in rows:
            to = identity[row.name.partition(",")[0]]
            print(
                f"{row.name:15} {row.accepted or 'none':26} {row.bytes:11,}"
                f" {row.bytes / to.bytes:6.1%} {row.best * 1e6:7.1f} {row.best / to.best:6.2f}"
            )
        first_pages(root, targets, chosen.starts)
        dearest = max(row.best for row in rows[: len(CODINGS)]) / rows[0].best
    return 0 if dearest <= 1.2 else 1


if __name__ == "__main__":
    sys.exit(main())
