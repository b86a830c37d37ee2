"""What the rows of format 2 cost in LMDB: `python -m tests.counters.layout [DIR]`.

Fills two environments as LMDB's store will have them (`app/counters/rows.py`), with 100,000 files of
365 days each, by a mix of clients, and prints the disk that they take, the time and the memory of
each reading call, and the CPU time of a count beside the present store's. The largest figures of
disk and time come from a busy mix; `--quiet` has one access of each file on each day.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from app.counters.counter import Kind as OldKind
from app.counters.data_file import verified_problem
from app.counters.environment import DATA, Environment, Transaction
from app.counters.history import first_day_of
from app.counters.month_block import FILES, MonthBlock
from app.counters.row_counter import RowCounter
from app.counters.row_reader import RowReader
from app.counters.rows import BLOCK_KEY, SITE, FileRow, SiteRow

from app.counters.lmdb import LmdbCounter
from app.counters.periods import Period, month_of
from app.counters.ranking import Query
from app.counters.reading import Order
from app.counters.salts import MemorySalts
from app.counters.tally import lanes_of

MANY = 100_000
KEPT_DAYS = 365
TODAY = 20_782  # 2026-11-25
NOW = TODAY * 86400 + 50_000
#: So many month blocks are made of each month; the others are copies, of the same size.
DIFFERENT = 12
TIMES = 20_000
ROUNDS = 9


class Table:
    """A read transaction on data.mdb."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.get = transaction.get

    def starting(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._transaction.cursor()
        return iter(cursor) if cursor.set_range(key) else iter(())


class Blocks:
    """A read transaction on history/data.mdb."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def block(self, month: int, number: int) -> bytes | None:
        return self._transaction.get(BLOCK_KEY.pack(month, number))

    def months(self) -> list[int]:
        return [
            month
            for month in range(month_of(0), month_of(TODAY) + 1)
            if next(iter(self.of_month(month)), None)
        ]

    def of_month(self, month: int) -> Iterator[tuple[int, bytes]]:
        cursor = self._transaction.cursor()
        if cursor.set_range(BLOCK_KEY.pack(month, 0)):
            for key, packed in cursor:
                its_month, number = BLOCK_KEY.unpack(key)
                if its_month != month:
                    return
                yield number, packed


def numbers_of_a_day(dice: random.Random, mean: float, size: int, *, quiet: bool) -> dict[str, int]:
    if quiet:
        return {"accesses": 1, "completed": 1, "sent_bytes": size}
    accesses = 1 + int(dice.expovariate(1 / mean))
    not_modified, partial = (
        sum(dice.random() < share for _ in range(min(accesses, 50))) for share in (0.1, 0.05)
    )
    begun = max(0, accesses - not_modified)
    completed = max(0, begun - partial - (dice.random() < 0.2))
    return {
        "accesses": accesses,
        "completed": completed,
        "sent_bytes": completed * size + int((begun - completed) * size * dice.random()),
        "not_modified": not_modified,
        "partial": min(partial, begun),
        "tools": int(accesses * 0.3 * dice.random()),
        "robots": int(accesses * 0.2 * dice.random()),
        "head": int(dice.random() < 0.05),
    }


def fill_history(environment: Environment, dice: random.Random, *, quiet: bool) -> float:
    """Return the seconds of CPU that it takes to pack one block."""
    months: dict[int, list[int]] = {}
    for day in range(TODAY - KEPT_DAYS, TODAY):
        months.setdefault(month_of(day), []).append(day)
    packing, packed_blocks = 0.0, 0
    for month, days in months.items():
        packed = []
        for _ in range(DIFFERENT):
            block = MonthBlock()
            for file in range(FILES):
                mean, size = (
                    max(0.5, dice.paretovariate(0.9) - 1),
                    int(dice.lognormvariate(12, 2)) + 200,
                )
                for day in days:
                    numbers = numbers_of_a_day(dice, mean, size, quiet=quiet)
                    block.add(day - first_day_of(month), file, lanes_of(**numbers))
            begun = time.process_time()
            packed.append(block.pack())
            packing += time.process_time() - begun
            packed_blocks += 1

        def put_all(transaction: Transaction, month: int, packed: list[bytes]) -> None:
            for number in range(-(-MANY // FILES)):
                transaction.put(BLOCK_KEY.pack(month, number), packed[number % DIFFERENT])

        environment.transact(put_all, month, packed)
    return packing / packed_blocks


def path_of(number: int) -> str:
    return f"/releases/v{number % 50}/part-{number % 997}/file-{number}.tar.gz"


def fill_rows(environment: Environment, dice: random.Random, *, quiet: bool) -> None:
    ids = list(range(MANY))
    dice.shuffle(ids)
    total = 0

    def put_part(transaction: Transaction, part: list[int]) -> int:
        added = 0
        for file_id in part:
            today = lanes_of(**numbers_of_a_day(dice, 3, 100_000, quiet=quiet))
            whole = today * KEPT_DAYS
            row = FileRow(1, file_id, TODAY, NOW, whole, today)
            transaction.put(path_of(file_id).encode(), row.pack())
            added += whole
        return added

    for begin in range(0, MANY, 500):
        total += environment.transact(put_part, ids[begin : begin + 500])
    site = SiteRow(1, NOW // 3600, NOW, MANY, MANY, total, 0)
    environment.transact(lambda transaction: transaction.put(SITE, site.pack()))


def private_memory() -> float:
    """Return the megabytes that are the process's own."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("RssAnon"))


def timed(name: str, call: Callable[[], object], before: float) -> None:
    call()
    seconds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        seconds.append(time.process_time() - begun)
    print(
        f"  {name:46} {min(seconds) * 1e3:7.1f} ms, median {sorted(seconds)[ROUNDS // 2] * 1e3:7.1f} ms, "
        f"{private_memory() - before:4.0f} MB more"
    )


def measure_reading(rows: Environment, history: Environment) -> None:
    before = private_memory()

    def ask(question: Callable[[RowReader], object]) -> Callable[[], object]:
        def within(transaction: Transaction) -> object:
            return history.read(
                lambda its: question(RowReader(Table(transaction), Blocks(its), 0, NOW))
            )

        return lambda: rows.read(within)

    def ranked(
        order: Order, days: int | None, classes: frozenset[str] | None = None, limit: int = 100
    ) -> object:
        period = None if days is None else Period(TODAY - days + 1, TODAY)
        query = Query.of(order, period, "", "", limit, classes)  # type: ignore[arg-type]
        return ask(lambda reader: reader.ranked(query))

    year = Period(TODAY - 364, TODAY)
    calls: dict[str, object] = {
        "totals": ask(lambda reader: reader.totals()),
        "series of the site, 365 days": ask(lambda reader: reader.series("day", year, None)),
        "series of a file, 365 days": ask(lambda reader: reader.series("day", year, path_of(4711))),
        "file": ask(lambda reader: reader.file(path_of(4711), None)),
        "file, 365 days": ask(lambda reader: reader.file(path_of(4711), year)),
        "directory of 22,000 files": ask(lambda reader: reader.directory("/releases/v1/")),
        "directory of all files": ask(lambda reader: reader.directory("/")),
        "ranked": ranked("accesses", None),
        "ranked by bytes": ranked("bytes", None),
        "ranked by people": ranked("accesses", None, frozenset({"people"})),
        "ranked, today": ranked("accesses", 1),
        "ranked, 7 days": ranked("accesses", 7),
        "ranked, 30 days": ranked("accesses", 30),
        "ranked, 30 days, by people": ranked("accesses", 30, frozenset({"people"})),
        "ranked, 90 days": ranked("accesses", 90),
        "ranked, 365 days": ranked("accesses", 365),
        "ranked, 365 days, 10 rows": ranked("accesses", 365, None, 10),
        "ranked by bytes, 365 days": ranked("bytes", 365),
    }
    for name, call in calls.items():
        assert callable(call)
        timed(name, call, before)


class Counting:
    """A count as LMDB's counter will make it: one transaction, announced in order."""

    def __init__(self, directory: str) -> None:
        self._environment = Environment.shared(directory, first_size=1 << 26)
        self._environment.open()
        self._count_in = RowCounter(MemorySalts()).count
        self._acquire, self._release = (
            self._environment._lock.acquire,
            self._environment._lock.release,
        )

    def count(
        self,
        path: str,
        kind: str,
        class_: str,
        sent: int,
        complete: bool,
        client: bytes | None = None,
    ) -> int:
        at = int(time.time())
        self._acquire()
        try:
            transaction = Transaction(
                self._environment._opened or self._environment._open(), None, None, True
            )
            try:
                number = self._count_in(
                    transaction,
                    path.encode(),
                    kind,
                    class_,
                    sent,
                    complete,
                    client,
                    1000,
                    at,  # type: ignore[arg-type]
                )
                transaction.commit()
            except BaseException:
                transaction.abort()
                raise
        finally:
            self._release()
        return number or 0


def measure_counting(directory: str) -> None:
    paths = [f"/pages/{number}.html" for number in range(20)]
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    clients = [f"10.0.{number // 256}.{number % 256}|{agent}".encode() for number in range(1000)]
    mixed = [
        ("full", "people"),
        ("full", "tools"),
        ("not_modified", "people"),
        ("full", "robots"),
        ("head", "people"),
    ]
    present = LmdbCounter(os.path.join(directory, "present"))
    plain, mix, known = (
        Counting(os.path.join(directory, name)) for name in ("plain", "mix", "known")
    )

    def of_present() -> None:
        for turn in range(TIMES):
            present.count(paths[turn % 20], OldKind.FULL)

    def of_plain() -> None:
        for turn in range(TIMES):
            plain.count(paths[turn % 20], "full", "people", 1234, True)

    def of_mix() -> None:
        for turn in range(TIMES):
            kind, class_ = mixed[turn * 7 // 3 % 5]
            mix.count(paths[turn % 20], kind, class_, 1234, kind == "full")

    def of_known() -> None:
        for turn in range(TIMES):
            known.count(paths[turn % 20], "full", "people", 1234, True, clients[turn * 31 % 1000])

    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for call in (of_present, of_plain, of_mix, of_known):
            begun = time.process_time()
            call()
            taken.setdefault(call.__name__[3:], []).append(
                (time.process_time() - begun) / TIMES * 1e6
            )
    for name, each in taken.items():
        ratio = min(each) / min(taken["present"])
        print(f"  a count, {name:8} {min(each):6.2f} us CPU, {ratio:.2f} times the present store's")


def megabytes(directory: str) -> float:
    return os.stat(os.path.join(directory, DATA)).st_blocks * 512 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.counters.layout")
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--quiet", action="store_true", help="one access of each file on each day")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        dice = random.Random(1)
        rows = Environment.shared(os.path.join(directory, "rows"))
        history = Environment.shared(os.path.join(directory, "history"))
        packing = fill_history(history, dice, quiet=options.quiet)
        fill_rows(rows, dice, quiet=options.quiet)
        used = [
            environment.read(lambda transaction: transaction.stat())
            for environment in (rows, history)
        ]
        pages = [
            sum(stat[f"{kind}_pages"] for kind in ("branch", "leaf", "overflow")) for stat in used
        ]
        in_rows, in_history = (count * 4096 / 1e6 for count in pages)
        print(
            f"{MANY:,} files of {KEPT_DAYS} days: rows {in_rows:.0f} MB, history {in_history:.0f} MB, {packing * 1e3:.1f} ms to pack a block"
        )
        copy = os.open(os.path.join(directory, "copy"), os.O_WRONLY | os.O_CREAT)
        begun = time.perf_counter()
        rows.copy(copy)
        os.fsync(copy)
        print(f"  a snapshot of the rows: {time.perf_counter() - begun:.2f} s")
        begun = time.perf_counter()
        assert verified_problem(os.path.join(directory, "copy")) == ""
        print(f"  to verify it: {time.perf_counter() - begun:.2f} s")
        os.close(copy)
        measure_reading(rows, history)
        measure_counting(directory)
        sys.stdout.flush()
        os._exit(0)  # leaving the stores is not measured


if __name__ == "__main__":
    main()
