"""A process that counts: `python -m tests.counters.counting_process URL JOURNAL TIMES THREADS
PATH...`.

For each access it writes one line, `PATH NUMBER`, after `count` returned, to standard output: what
was answered. With TIMES 0 it goes on until it is killed.
"""

import os
import sys
from threading import Thread

from app.counters import open_counter
from app.counters.contract import Counter
from app.counters.redis.store import RedisStore


def _count(counter: Counter, times: int, paths: list[str]) -> None:
    done = 0
    while not times or done < times:
        path = paths[done % len(paths)]
        number = counter.count(path, "full")
        os.write(1, f"{path} {number}\n".encode())
        done += 1


def main() -> None:
    url, journal, times, threads, *paths = sys.argv[1:]
    # As in conftest.py: Redis may take longer than usual before an access has no number.
    defaults = RedisStore.__init__.__kwdefaults__
    assert defaults is not None
    defaults["timeout"] = 10.0
    counter = open_counter(url, journal=journal)
    counting = [
        Thread(target=_count, args=(counter, int(times), paths)) for _ in range(int(threads))
    ]
    for thread in counting:
        thread.start()
    for thread in counting:
        thread.join()
    counter.close()


if __name__ == "__main__":
    main()
