"""Export from LMDB and import into it: a few files at a time, as of one moment, whole or not at all."""

import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.counters.contract import CounterError
from app.counters.lmdb import loading, past_days, row_reader
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.row_columns import ids_and_numbers
from app.counters.month_block import FILES
from app.counters.reading import FileRecord
from app.counters.tally import Tally
from tests.alone import alone
from tests.counters.kept import accesses_of, days_of, files_of, record
from tests.counters.traffic import BEGIN, DAY, Clock
from tests.end_to_end.servers import HOME

#: These compute for seconds; on a machine that is busy with others for a minute and more.
pytestmark = pytest.mark.timeout(180)

TODAY = BEGIN // DAY


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., LmdbCounter]]:
    """Opens a store, "counts" or another."""
    counters: list[LmdbCounter] = []

    def open_it(name: str = "counts") -> LmdbCounter:
        counters.append(LmdbCounter(str(tmp_path / name), clock=clock, snapshot_interval=3600.0))
        return counters[-1]

    yield open_it
    for counter in counters:
        counter.close()


def many(files: int, days: int = 3) -> Iterator[tuple[str, FileRecord]]:
    for number in range(files):
        yield f"/{number}", record(days + number % 5, *range(TODAY - days + 1, TODAY + 1))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are reserved and rows are read for two blocks at a time."""
    monkeypatch.setattr(loading, "IDS", 2 * FILES)
    monkeypatch.setattr(row_reader, "_IDS_AT_ONCE", 2 * FILES)


@pytest.mark.usefixtures("small_parts")
def test_what_was_imported_is_exported(opened: Callable[..., LmdbCounter]) -> None:
    counter = opened()
    for _ in range(2):
        counter.add(many(5 * FILES))
    counter.count("/new", "full")
    files = files_of(counter)
    assert files.pop("/new").total.accesses == 1
    assert files == {path: twice(its) for path, its in many(5 * FILES)}
    assert (
        counter.totals().tally.accesses
        == 2 * sum(its.total.accesses for _, its in many(5 * FILES)) + 1
    )
    other = opened("other")
    site, records = counter.contents()
    other.add(records, site)
    assert files_of(other) == files_of(counter)
    assert other.totals().tally == counter.totals().tally


def twice(its: FileRecord) -> FileRecord:
    return FileRecord(
        its.total + its.total, its.first, its.last, {day: of + of for day, of in its.days.items()}
    )


def test_ids_that_were_not_needed_are_given_back(opened: Callable[..., LmdbCounter]) -> None:
    counter = opened()
    for number in range(3):
        counter.add([(f"/{number}", record(2, TODAY - 1, TODAY))])
        counter.count(f"/counted/{number}", "full")
    ids = counter._read(lambda reader: ids_and_numbers(reader._table, 0)[0])
    assert max(ids) < 3 * FILES
    assert len(set(ids)) == len(ids) == 6


@pytest.mark.usefixtures("small_parts")
def test_an_import_that_fails_adds_nothing(opened: Callable[..., LmdbCounter]) -> None:
    counter = opened()
    counter.add(many(100))
    before, totals = files_of(counter), counter.totals()

    def broken() -> Iterator[tuple[str, FileRecord]]:
        yield from ((f"/more{path}", its) for path, its in many(3 * FILES))
        raise CounterError("counts: the document ends too early")

    with pytest.raises(CounterError, match="too early"):
        counter.add(broken())
    assert files_of(counter) == before
    assert (counter.totals().tally, counter.totals().files) == (totals.tally, totals.files)
    counter.add((f"/other{path}", its) for path, its in many(100))
    assert files_of(counter) == before | {f"/other{path}": its for path, its in many(100)}


#: Imports files with days, and is killed before one of them is taken in, or before they are added.
KILLED = """
import os, signal, sys
from app.counters.lmdb import loading, row_moving
from app.counters.lmdb.counter import LmdbCounter
from tests.counters.test_lmdb_moving import many

loading.IDS = 256

def records():
    for number, file in enumerate(many(1000)):
        if str(number) == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)
        yield "/killed" + file[0], file[1]

def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)

row_moving.add = killed
LmdbCounter(sys.argv[1]).add(records())
"""


def test_an_import_that_is_killed_adds_nothing(
    opened: Callable[..., LmdbCounter], tmp_path: Path
) -> None:
    counter = opened()
    counter.add(many(100))
    before, totals = files_of(counter), counter.totals()
    for step in ("0", "200", "700", "end"):
        process = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "counts"), step], cwd=HOME
        )
        assert process.returncode == -signal.SIGKILL
        counter.count(f"/after/{step}", "full")
    files = files_of(counter)
    assert {path: its for path, its in files.items() if "after" not in path} == before
    for step in ("0", "200", "700", "end"):
        assert days_of(files[f"/after/{step}"]) == {TODAY: 1}
    assert counter.totals().tally.accesses == totals.tally.accesses + 4
    assert not [name for name in os.listdir(tmp_path / "counts") if name.startswith("tmp")]


def test_a_file_that_is_counted_during_its_import(opened: Callable[..., LmdbCounter]) -> None:
    counter = opened()

    def records() -> Iterator[tuple[str, FileRecord]]:
        yield "/a", record(5, TODAY - 40, TODAY - 1, TODAY)
        counter.count("/a", "full", class_="unknown")
        yield "/b", record(1, TODAY)

    counter.add(records())
    files = files_of(counter)
    assert days_of(files["/a"]) == {TODAY - 40: 1, TODAY - 1: 1, TODAY: 2}
    assert accesses_of(counter, "/a") == 6
    assert counter.count("/a", "full") == 7


def test_an_export_is_of_one_moment(
    opened: Callable[..., LmdbCounter], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_days, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(row_reader, "_IDS_AT_ONCE", 1)
    counter = opened()
    for day in range(3):
        clock.now = BEGIN + day * DAY
        for path in ("/a", "/b", "/c"):
            counter.count(path, "full")
    site, records = counter.contents()
    found = dict([next(records)])
    clock.now += DAY
    for path in ("/a", "/b", "/c", "/d"):
        counter.count(path, "full")
    counter._past.fold_if_due(counter._today())  # which waits: the blocks are read
    counter.reset(["/c"])
    found |= dict(records)
    days = {TODAY + day: 1 for day in range(3)}
    assert {path: days_of(its) for path, its in found.items()} == dict.fromkeys(found, days)
    assert sorted(found) == ["/a", "/b", "/c"]
    assert sum(tally.accesses for tally in site.days.values()) == 9
    del records
    counter._past.fold_if_due(counter._today())
    assert days_of(files_of(counter)["/a"]) == days | {TODAY + 3: 1}


def test_two_at_a_time_are_refused(
    opened: Callable[..., LmdbCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_days, "_HOLD_SECONDS", 0.0)
    counter = opened()
    counter.add(many(2))
    _, records = counter.contents()
    with pytest.raises(CounterError, match="another export or import"):
        counter.add(many(1))
    assert len(list(records)) == 2
    del records
    counter.add(many(1))


def peaks_of_moving(directory: str) -> list[int]:
    """Return the most bytes that are allocated for a few files and for many: while they are
    imported, then while they are exported.
    """
    loading.IDS = row_reader._IDS_AT_ONCE = 2 * FILES
    few, lots = (
        LmdbCounter(f"{directory}/{name}", clock=Clock(), snapshot_interval=3600.0)
        for name in ("few", "lots")
    )

    def peak(work: Callable[[], object]) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before

    def read(counter: LmdbCounter) -> int:
        return sum(1 for _ in counter.contents()[1])

    tracemalloc.start()
    peaks = [
        *(peak(lambda: few.add(many(512))), peak(lambda: lots.add(many(6000)))),
        *(peak(lambda: read(few)), peak(lambda: read(lots))),
    ]
    tracemalloc.stop()
    few.close()
    lots.close()
    return peaks


@pytest.mark.slow
def test_moving_takes_no_more_memory_for_more_files(tmp_path: Path) -> None:
    few_in, lots_in, few_out, lots_out = alone(peaks_of_moving, str(tmp_path))
    assert lots_in < 2 * few_in
    assert lots_out < 2 * few_out


def test_a_document_may_hold_no_days(opened: Callable[..., LmdbCounter]) -> None:
    counter = opened()
    counter.add([("/a", FileRecord(Tally.of(accesses=3, unknown=3), BEGIN, BEGIN))])
    assert accesses_of(counter, "/a") == 3
    assert days_of(files_of(counter)["/a"]) == {}
