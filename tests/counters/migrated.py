"""What a migration brings over that is killed on the way: `python -m tests.counters.migrated`.

Counts a million accesses (`--accesses`) into an LMDB store and into a Redis of format 1, as its
programs did. Then a process brings each into today's format. It is killed three times: where it has
come to a given step, and each time another starts anew. Then one may end. Every number of every file
is compared with what was counted.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.counters import open_counter
from app.counters.format_1 import KINDS
from app.counters.reading import Contents, FileRecord
from app.counters.redis.entries import Entry
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.format_1_directory import Format1Directory
from tests.counters.format_1_store import Format1Program
from tests.counters.kept import days_of
from tests.counters.redis_server import redis_running
from tests.end_to_end.servers import HOME

DAY, TODAY, DAYS = 86400, 20_777, 100
#: So many accesses a file has on average.
_A_FILE = 100
_STATUSES = 100
_AT_ONCE = 500

#: Opens the store, waits to be killed at a step, and says so.
LMDB = """
import signal, sys
from app.counters import open_counter
from app.counters.lmdb import past_days, row_moving

url, *step = sys.argv[1:]

def reached(*its):
    if [str(word) for word in its] == step:
        print("reached", flush=True)
        signal.pause()

def add(rows, files, *others, add=row_moving.add):
    def each():
        for number, file in enumerate(files):
            reached("row", number)
            yield file
    add(rows, each(), *others)

def write(*arguments, write=past_days._write):
    write(*arguments)
    reached("history", 0)

past_days._write, row_moving.add = write, add
open_counter(url).close()
"""
REDIS = """
import signal, sys
from app.counters.redis import scripts, store

url, *step = sys.argv[1:]
opened = store.RedisStore(url)
done = {"files": 0, "days": 0}

def run(client, script, arguments, run=opened._server.run):
    answer = run(client, script, arguments)
    if script is scripts.CONVERT:
        done[arguments[0]] += len(arguments) - 1
        if step and arguments[0] == step[0] and done[step[0]] >= int(step[1]):
            print("reached", flush=True)
            signal.pause()
    return answer

opened._server.run = run
opened.convert()
opened.close()
"""


@dataclass
class Counted:
    """What a file is to have."""

    kinds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    days: dict[int, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0

    def count(self, kind: str, at: int) -> None:
        self.kinds[kind] += 1
        if kind in KINDS[:3]:
            self.days[at // DAY] = self.days.get(at // DAY, 0) + 1
            self.first, self.last = min(self.first or at, at), max(self.last, at)

    def is_kept_in(self, record: FileRecord) -> bool:
        total, accesses = record.total, sum(self.days.values())
        return (
            {kind: total.kinds[kind] for kind in KINDS} == self.kinds
            and total.accesses == total.classes["unknown"] == accesses
            and days_of(record) == self.days
            and (record.first, record.last) == (self.first, self.last)
        )


@dataclass
class Outcome:
    accesses: int = 0
    files: int = 0
    kills: int = 0
    lost: int = 0
    doubled: int = 0
    #: Files, statuses and sums of the site that are not what was counted.
    wrong: int = 0

    @property
    def is_exact(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        return (
            f"{self.accesses:,} accesses of {self.files:,} files, {self.kills} kills,"
            f" lost {self.lost:,}, doubled {self.doubled:,}, other numbers wrong {self.wrong:,}"
        )


def asked(accesses: int) -> Iterator[tuple[str, str, int]]:
    """Yield path, kind and time, of so many accesses and of some answers that are none."""
    dice = random.Random(accesses)
    files = max(20, accesses // _A_FILE)
    begin, end = (TODAY - DAYS + 1) * DAY, (TODAY + 1) * DAY
    while accesses:
        kind = dice.choice(KINDS)
        accesses -= kind in KINDS[:3]
        number = int(files * dice.random() ** 2)  # some are asked for more than others
        yield f"/d{number // 100}/{number}.txt", kind, dice.randrange(begin, end)


def counted(accesses: int) -> dict[str, Counted]:
    found: dict[str, Counted] = {}
    for path, kind, at in asked(accesses):
        found.setdefault(path, Counted()).count(kind, at)
    return found


def migrated_lmdb(accesses: int) -> Outcome:
    expected = counted(accesses)
    with tempfile.TemporaryDirectory(prefix="tally-migrated-") as scratch:
        store = Format1Directory(Path(scratch))
        for path, kind, at in asked(accesses):
            store.count(path, kind, at)
        for _ in range(_STATUSES):
            store.answered(404)
        store.close()
        half, end = len(expected) // 2, len(expected) - 1
        steps = [["history", "0"], ["row", str(half)], ["row", str(end)]]
        kills = migrate(LMDB, f"lmdb:{scratch}", steps)
        counter = open_counter(f"lmdb:{scratch}")
        try:
            return compared(expected, counter.contents(), counter.totals().tally, kills)
        finally:
            counter.close()


def migrated_redis(accesses: int) -> Outcome:
    expected = counted(accesses)
    with redis_running("--appendonly", "no") as server:
        program, applied = Format1Program(server), 0
        for batch in _batches(asked(accesses)):
            program.apply("old", applied + 1, batch)
            applied += len(batch)
        program.apply("old", applied + 1, [("status", "404", str(_STATUSES), "0")])
        program.close()
        days = sum(len(its.days) for its in expected.values())
        steps = [
            ["files", str(len(expected) // 2)],
            ["days", str(days // 3)],
            ["days", str(days // 3)],
        ]
        kills = migrate(REDIS, server.url, steps)
        store = RedisStore(server.url)
        try:
            return compared(expected, store.contents(), store.totals().tally, kills)
        finally:
            store.close()


def _batches(counts: Iterable[tuple[str, str, int]]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for path, kind, at in counts:
        batch.append((kind, path, "1", str(at)))
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    yield batch


def migrate(program: str, url: str, steps: list[list[str]]) -> int:
    """Migrate, with a kill at each of *steps*; return how many there were."""
    kills = 0
    for step in (*steps, []):
        with subprocess.Popen(
            [sys.executable, "-c", program, url, *step], cwd=HOME, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            if process.stdout.readline():
                process.kill()
                kills += 1
        if step and process.returncode == 0:
            raise RuntimeError(f"the migration ended before {' '.join(step)}")
    if process.returncode:
        raise RuntimeError("the migration failed")
    return kills


def compared(expected: dict[str, Counted], contents: Contents, total: Tally, kills: int) -> Outcome:
    outcome = Outcome(files=len(expected), kills=kills)
    site, records = contents
    found = dict(records)
    of_days: dict[int, int] = {}
    for path in expected.keys() | found.keys():
        its, record = expected.get(path, Counted()), found.get(path, FileRecord())
        days = days_of(record)
        for day in its.days.keys() | days.keys():
            wanted, got = its.days.get(day, 0), days.get(day, 0)
            outcome.accesses += wanted
            outcome.lost += max(0, wanted - got)
            outcome.doubled += max(0, got - wanted)
            of_days[day] = of_days.get(day, 0) + wanted
        outcome.wrong += not its.is_kept_in(record)
    outcome.wrong += site.statuses != {404: _STATUSES}
    outcome.wrong += {day: tally.accesses for day, tally in site.days.items()} != of_days
    outcome.wrong += total.accesses != outcome.accesses
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.counters.migrated")
    parser.add_argument("--accesses", type=int, default=1_000_000)
    chosen = parser.parse_args()
    well = True
    for name, migrated in (("lmdb", migrated_lmdb), ("redis", migrated_redis)):
        outcome = migrated(chosen.accesses)
        print(f"{name}: {outcome}", flush=True)
        well = well and outcome.is_exact
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main())
