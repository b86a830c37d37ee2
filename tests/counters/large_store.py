"""What a large LMDB store costs to read: `python -m tests.counters.large_store [DIR]`.

Makes a store of 100,000 files with 365 days each, and prints the disk that it takes, and the time
and the memory of opening it and of each reading call. The month blocks of a few files are made from
random days and stand for all: they are as long as others would be.
"""

import os
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Transaction
from app.counters.lmdb.rows import (
    BATCH,
    BLOCK_KEY,
    FOLDED,
    NUMBER,
    STORE_ID,
    SUMMED,
    SUMS,
    number_at,
)
from app.counters.month_block import FILES, MonthBlock
from app.counters.month_sums import BLOCKS, packed_sums
from app.counters.periods import SECONDS_PER_DAY, Period, first_day_of, month_of
from app.counters.reading import FileRecord
from app.counters.tally import Tally

MANY = 100_000
DAYS = 365
#: So many blocks of a month are made, those of one row of sums; the others are copies.
DIFFERENT = BLOCKS
ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(scratch, "counts")
        if not os.path.exists(directory):
            make(directory)
        measure(directory)


def day(dice: random.Random, size: int) -> Tally:
    """Return a day of a file of *size* bytes that is fetched now and then, by all sorts."""
    accesses = int(dice.expovariate(0.2)) + 1
    tools, robots = dice.randrange(accesses + 1) // 2, dice.randrange(accesses + 1) // 4
    completed = dice.randrange(accesses + 1)
    return Tally.of(
        accesses=accesses,
        completed=completed,
        sent_bytes=completed * size,
        not_modified=accesses - completed,
        tools=tools,
        robots=robots,
    )


def make(directory: str) -> None:
    dice = random.Random(1)
    today = int(time.time()) // SECONDS_PER_DAY
    days = range(today - DAYS + 1, today)
    counter = LmdbCounter(directory)
    for begin in range(0, MANY, 5000):
        counter.add(
            (
                f"/releases/{number // 100}/file-{number}.tar.gz",
                FileRecord(
                    day(dice, 1000), days[0] * SECONDS_PER_DAY, days[-1] * SECONDS_PER_DAY, {}
                ),
            )
            for number in range(begin, begin + 5000)
        )
    history = counter._past._created()
    for month in range(month_of(days[0]), month_of(days[-1]) + 1):
        packed = [block(dice, month, days) for _ in range(DIFFERENT)]
        history.transact(put_blocks, month, packed)
    store_id, batch = counter._environment.read(lambda rows: (rows.get(STORE_ID), rows.get(BATCH)))
    history.transact(begin_history, store_id or b"", number_at(batch, 1))
    counter._environment.transact(end_batch, number_at(batch, 1))
    counter._past.make_rests(today)
    counter.close()


def block(dice: random.Random, month: int, days: range) -> bytes:
    made = MonthBlock()
    for file in range(FILES):
        size = dice.randrange(1000, 50_000_000)
        for at in days:
            if month_of(at) == month:
                made.add(at - first_day_of(month), file, day(dice, size).lanes)
    return made.pack()


def put_blocks(transaction: Transaction, month: int, packed: list[bytes]) -> None:
    numbers = range(-(-MANY // FILES))
    for number in numbers:
        transaction.put(BLOCK_KEY.pack(month, number), packed[number % len(packed)])
    for group in range(-(-len(numbers) // BLOCKS)):
        its = [packed[number % len(packed)] for number in numbers[group * BLOCKS :][:BLOCKS]]
        sums = packed_sums([MonthBlock(block) for block in its])
        transaction.put(SUMS + BLOCK_KEY.pack(month, group), sums)


def begin_history(transaction: Transaction, store_id: bytes, batch: int) -> None:
    transaction.put(STORE_ID, store_id)
    transaction.put(FOLDED, NUMBER.pack(batch))
    transaction.put(SUMMED, NUMBER.pack(batch))


def end_batch(transaction: Transaction, batch: int) -> None:
    transaction.put(BATCH, NUMBER.pack(batch + 1))


def measure(directory: str) -> None:
    disk = sum(path.stat().st_blocks * 512 for path in Path(directory).rglob("*") if path.is_file())
    print(f"{MANY:,} files of {DAYS} days: {disk / 1e6:,.0f} MB on the disk")
    begun = time.perf_counter()
    counter = LmdbCounter(directory, create=False, guest=True)
    counter.totals()  # opens the history too
    print(f"opened, and asked for the totals, in {1000 * (time.perf_counter() - begun):,.0f} ms")
    today = counter._today()
    week, year = Period(today - 6, today), Period(today - DAYS + 1, today)
    path = "/releases/500/file-50000.tar.gz"
    calls: dict[str, Callable[[], object]] = {
        "totals": counter.totals,
        "series by day, the site, a year": lambda: counter.series("day", year),
        "series by day, a file, a year": lambda: counter.series("day", year, path),
        "file": lambda: counter.file(path),
        "file, a week": lambda: counter.file(path, week),
        "directory": lambda: counter.directory("/releases/500/"),
        "ranked": counter.ranked,
        "ranked by bytes": lambda: counter.ranked("bytes"),
        "ranked, *7*": lambda: counter.ranked(match="*7*"),
        "ranked, people": lambda: counter.ranked(classes=frozenset({"people"})),
        "ranked, a week": lambda: counter.ranked(period=week),
        "ranked, a year": lambda: counter.ranked(period=year),
        "ranked by bytes, a year": lambda: counter.ranked("bytes", year),
    }
    print(f"{'call':34}{'ms':>8}{'MB':>8}")
    for name, call in calls.items():
        best = min(took(call) for _ in range(ROUNDS))
        print(f"{name:34}{1000 * best:8.1f}{allocated(call):8.1f}")
    counter.close()


def took(call: Callable[[], object]) -> float:
    begun = time.thread_time()
    call()
    return time.thread_time() - begun


def allocated(call: Callable[[], object]) -> float:
    """Return the most memory that a call allocates, in MB.

    Pages of the store that are mapped do not count: they are the system's, which has them anyway.
    """
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


if __name__ == "__main__":
    main()
