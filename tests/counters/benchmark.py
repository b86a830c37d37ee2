"""What a count costs: `python -m tests.counters.benchmark [--clients] [URL...]` (default: `memory:`
and a fresh `lmdb:` directory).

CPU time of one process alone, in microseconds a count, and counts a second of four processes at
once (none for `memory:`), each the best of five rounds; the totals are checked against the store.
"""

import os
import sys
import tempfile
import time

from app.counters import open_counter
from app.counters.reading import CountingStore

#: Filled with `--clients`.
CLIENTS: list[bytes] = []
PATHS = [f"/pages/{number}.html" for number in range(20)]
TIMES = 40_000
PROCESSES = 4
ROUNDS = 5


def count(counter: CountingStore, times: int) -> None:
    paths, clients = len(PATHS), len(CLIENTS)
    for turn in range(times):
        client = CLIENTS[turn % clients] if clients else None
        counter.count(
            PATHS[turn % paths], "full", _announce, "people", 12_345, True, client, 10_000
        )


def _announce(number: int | None) -> None:
    pass


def cpu_alone(counter: CountingStore) -> float:
    began = time.process_time()
    count(counter, TIMES)
    return (time.process_time() - began) / TIMES * 1e6


def together(counter: CountingStore) -> float:
    """Return the counts a second of forked processes, from the moment that all of them are ready."""
    ready, begin = os.pipe(), os.pipe()
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if not child:
            count(counter, 1)
            os.write(ready[1], b".")
            os.close(begin[1])
            os.read(begin[0], 1)
            count(counter, TIMES)
            os._exit(0)  # leaving the store is not measured
        children.append(child)
    for _ in children:
        os.read(ready[0], 1)
    began = time.perf_counter()
    for descriptor in (*ready, *begin):
        os.close(descriptor)
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    seconds = time.perf_counter() - began
    assert not failed
    return PROCESSES * TIMES / seconds


def measure(url: str) -> None:
    counter = open_counter(url)
    alone = min(cpu_alone(counter) for _ in range(ROUNDS))
    made = ROUNDS * TIMES
    print(f"{url.partition(':')[0]}: {alone:.2f} us CPU a count alone", end="", flush=True)
    if not url.startswith("memory:"):
        most = max(together(counter) for _ in range(ROUNDS))
        made += ROUNDS * PROCESSES * (TIMES + 1)
        print(f", {most:,.0f} counts a second from {PROCESSES} processes", end="")
    print()
    counted = counter.totals().tally.accesses
    counter.close()
    if counted != made:
        sys.exit(f"{made} counts were made, the store holds {counted}")


def main() -> None:
    urls = sys.argv[1:]
    if "--clients" in urls:
        urls.remove("--clients")
        CLIENTS.extend(b"192.0.2.%d|Mozilla/5.0" % number for number in range(199))
    if urls:
        for url in urls:
            measure(url)
        return
    measure("memory:")
    with tempfile.TemporaryDirectory() as directory:
        measure(f"lmdb:{directory}/counts")


if __name__ == "__main__":
    main()
