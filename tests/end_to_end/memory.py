"""Memory stays bounded: 1,000,000 names that do not exist, and 100,000 files at random.

    python -m tests.end_to_end.memory [--missing 1000000] [--files 100000] [--requests 600000]

The README names a bound for what a process takes beyond its start: one for files and work, and with
counts in memory some bytes for each file that was counted. In LMDB the counts are in pages of the
kernel's. The memory of all processes (PSS), their own and that of mapped files, is told after each
step, beside the bound that their own must keep to.
"""

import argparse
import multiprocessing
import random
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

from tests.end_to_end.codings_cost import connected, family
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running

CLIENTS = 2
#: What the allocator may keep of a million names that are missing: 8 bytes for each.
AFTER_MISSING = 8 << 20
#: The bound that is named everywhere, and what is added to it for the count of a file in memory.
BOUND, PER_COUNT = 96 << 20, 660
TEXT = b"The quick brown fox jumps over the lazy dog, and the dog does not care. "


class Memory(NamedTuple):
    """The bytes of all processes of a server, shared ones once: their own, and those of files that
    they have mapped, which are the kernel's to keep or to drop.
    """

    own: int
    mapped: int

    @classmethod
    def of(cls, server: LiveServer) -> Self:
        own = mapped = 0
        for pid in family(server.process.pid):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found = {
                name: int(kilobytes) * 1024
                for name, kilobytes in re.findall(r"^(Pss\w*): +(\d+) kB", text, re.MULTILINE)
            }
            own += found["Pss_Anon"]
            mapped += found["Pss"] - found["Pss_Anon"]
        return cls(own, mapped)


def make_tree(root: Path, files: int) -> None:
    source = random.Random(1)
    for number in range(files):
        directory = root / str(number % 100)
        directory.mkdir(exist_ok=True)
        size = int(2 ** source.uniform(6, 14))
        content = b"%d " % number + TEXT * (size // len(TEXT) + 1)
        (directory / f"{number}.html").write_bytes(content[:size])


def ask_for_missing(port: int, first: int, end: int) -> None:
    """Ask for distinct names, on one connection."""
    with connected(port) as connection:
        for number in range(first, end):
            connection.get(f"/{number % 50}/missing-{number}.html?{number}", "gzip, br", 404)


def ask_at_random(port: int, files: int, requests: int, seed: int) -> None:
    """Ask for files, a fifth of them over and over, so that these are compressed."""
    source = random.Random(seed)
    with connected(port) as connection:
        for _ in range(requests):
            number = source.randrange(files // 5 if source.random() < 0.5 else files)
            connection.get(f"/{number % 100}/{number}.html", source.choice(["", "gzip", "br"]))


def run(kind: str, counts: str, root: Path, chosen: argparse.Namespace) -> bool:
    """Print the memory after each step; return whether it kept to the bounds."""
    spawn = multiprocessing.get_context("spawn")
    with running(kind, root=root, TALLY_COUNT_LOG="off", TALLY_COUNTS=counts) as server:

        def in_processes(work: object, *arguments: tuple[int, ...]) -> Memory:
            clients = [
                spawn.Process(target=work, args=(server.port, *each))  # type: ignore[arg-type]
                for each in arguments
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            assert not any(client.exitcode for client in clients)
            return Memory.of(server)

        # Once around, so that all that is made once is there.
        began = in_processes(ask_for_missing, (0, 5000))
        print(
            f"{kind}, counts in {counts.partition(':')[0]}: {began.own / 2**20:.1f} MiB at the start,"
            f" and {began.mapped / 2**20:.1f} of files",
            flush=True,
        )
        kept = []

        def step(what: str, after: Memory, bound: int) -> None:
            grown, mapped = after.own - began.own, after.mapped - began.mapped
            print(
                f"  {what:30} {grown / 2**20:+7.1f} MiB of at most {bound / 2**20:.1f},"
                f" and {mapped / 2**20:+6.1f} of files",
                flush=True,
            )
            kept.append(grown <= bound)

        share = chosen.missing // CLIENTS
        parts = [(5000 + n * share, 5000 + (n + 1) * share) for n in range(CLIENTS)]
        after = in_processes(ask_for_missing, *parts)
        step(f"{chosen.missing:,} missing names", after, AFTER_MISSING)
        share = chosen.requests // 3 // CLIENTS
        for turn in range(3):
            seeds = range(turn * CLIENTS, (turn + 1) * CLIENTS)
            after = in_processes(ask_at_random, *((chosen.files, share, seed) for seed in seeds))
            asked = chosen.requests * (turn + 1) // 3
            step(
                f"{asked:,} requests at random",
                after,
                BOUND + PER_COUNT * chosen.files * counts.startswith("memory"),
            )
        assert server.stop() == 0, server.printed()
    return all(kept)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.memory")
    parser.add_argument("--missing", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=600_000)
    parser.add_argument("--only", choices=[BUILTIN, GUNICORN])
    parser.add_argument("--counts", choices=["memory", "lmdb"], default="")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-memory-") as home:
        root = Path(home, "files")
        root.mkdir()
        make_tree(root, chosen.files)
        kept = [
            run(kind, counts, root, chosen)
            for kind in (BUILTIN, GUNICORN)
            if chosen.only in (None, kind)
            for counts in ("memory:", f"lmdb:{home}/{kind}")
            if counts.startswith(chosen.counts)
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
