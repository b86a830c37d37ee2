"""Memory stays bounded: 1,000,000 names that do not exist, and 100,000 files at random.

    python -m tests.end_to_end.memory [--missing 1000000] [--files 100000] [--requests 300000]

What is held of files is at most 64 MiB, and each file that was accessed has a count. What a server
takes beyond that must not grow with the names that it is asked for. The memory of all its processes
(PSS) is told after each step, beside the bound that it must keep to.
"""

import argparse
import multiprocessing
import random
import re
import sys
import tempfile
from pathlib import Path

from app.files.catalog import HELD_TOTAL
from tests.end_to_end.codings_cost import connected, family
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running

CLIENTS = 2
#: What the allocator may keep of a million names that are missing: 8 bytes for each.
AFTER_MISSING = 8 << 20
#: What the count of a file takes: it stays, as long as the server runs.
PER_COUNT = 500
#: Beside what is held and counted: copies in flight, fragments of the allocator, threads' stacks.
SLACK = 48 << 20
TEXT = b"The quick brown fox jumps over the lazy dog, and the dog does not care. "


def memory_of(server: LiveServer) -> int:
    """Return the bytes of memory of all processes, shared ones once."""
    total = 0
    for pid in family(server.process.pid):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
        assert found
        total += int(found[1]) * 1024
    return total


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


def run(kind: str, root: Path, chosen: argparse.Namespace) -> bool:
    """Print the memory after each step; return whether it kept to the bounds."""
    spawn = multiprocessing.get_context("spawn")
    with running(kind, root=root, TALLY_COUNT_LOG="off") as server:

        def in_processes(work: object, *arguments: tuple[int, ...]) -> int:
            clients = [
                spawn.Process(target=work, args=(server.port, *each))  # type: ignore[arg-type]
                for each in arguments
            ]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            assert not any(client.exitcode for client in clients)
            return memory_of(server)

        # Once around, so that all that is made once is there.
        began = in_processes(ask_for_missing, (0, 5000))
        print(f"{kind}: {began / 2**20:.1f} MiB at the start", flush=True)
        kept = []

        def step(what: str, after: int, bound: int) -> None:
            grown = (after - began) / 2**20
            print(
                f"  {what:30} {after / 2**20:7.1f} MiB, {grown:+7.1f}"
                f" of at most {bound / 2**20:.1f}",
                flush=True,
            )
            kept.append(after - began <= bound)

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
                HELD_TOTAL + PER_COUNT * chosen.files + SLACK,
            )
        assert server.stop() == 0, server.printed()
    return all(kept)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.memory")
    parser.add_argument("--missing", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--only", choices=[BUILTIN, GUNICORN])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tally-memory-") as home:
        make_tree(Path(home), chosen.files)
        kept = [
            run(kind, Path(home), chosen)
            for kind in (BUILTIN, GUNICORN)
            if chosen.only in (None, kind)
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
