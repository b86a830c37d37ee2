"""A store of format 1, kept in `format_1/` as the program of that time wrote it, is brought into
today's format in place: nothing is lost, nothing doubled, whenever the process is killed.
"""

import gzip
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.counters import CounterError, open_counter
from app.counters.lmdb import row_moving
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Environment
from app.counters.periods import day_text
from tests.counters.kept import days_of, files_of, statuses_of
from tests.end_to_end.servers import HOME

KEPT = Path(__file__).parent / "format_1"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "counts"
    directory.mkdir()
    with gzip.open(KEPT / "data.mdb.gz") as packed, (directory / "data.mdb").open("wb") as file:
        shutil.copyfileobj(packed, file)
    return directory


@pytest.fixture
def kept() -> dict[str, Any]:
    """What that program exported of the store."""
    return dict(json.loads((KEPT / "counts.json").read_bytes()))


def assert_is(counter: Any, kept: dict[str, Any]) -> None:
    files = files_of(counter)
    assert files.keys() == kept["files"].keys()
    for path, its in kept["files"].items():
        total = files[path].total
        kinds = ("full", "partial", "not_modified", "resumed", "head")
        assert {kind: total.kinds[kind] for kind in kinds} == {kind: its[kind] for kind in kinds}
        assert total.classes["unknown"] == total.accesses == its["accesses"]
        days = {day_text(day): number for day, number in days_of(files[path]).items()}
        assert days == its["days"]
        assert (files[path].first, files[path].last) == (its["first"], its["last"])
    assert {str(status): n for status, n in statuses_of(counter).items()} == kept["other_statuses"]
    totals = counter.totals()
    assert totals.tally.accesses == sum(its["accesses"] for its in kept["files"].values())
    assert totals.files == len(kept["files"])


def test_a_store_goes_on(store: Path, kept: dict[str, Any]) -> None:
    counter = open_counter(f"lmdb:{store}")
    assert_is(counter, kept)
    assert counter.totals().reasons[0].startswith("classes, completed downloads and bytes are kept")
    before = kept["files"]["/index.html"]["accesses"]
    assert counter.count("/index.html", "full", class_="people") == before + 1
    counter.close()
    again = open_counter(f"lmdb:{store}")
    assert again.totals().files == len(kept["files"])
    again.close()


def test_a_migration_that_fails_leaves_the_store_as_it_was(
    store: Path, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CounterError("counts: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(row_moving, "add", fails)
        with pytest.raises(CounterError, match="disk is full"):
            LmdbCounter(str(store))
    with pytest.raises(CounterError, match="kept in format 1"):
        Environment.shared(str(store)).open()
    counter = LmdbCounter(str(store))
    assert_is(counter, kept)
    counter.close()


#: Opens the store, and is killed before a step: the history is written, so many of the four files
#: are in their new form, or all of them, and then the transaction ends.
KILLED = """
import os, signal, sys
from app.counters import open_counter
from app.counters.lmdb import past_days, row_moving

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def until_killed(files):
    for number, file in enumerate(files):
        if str(number) == sys.argv[2]:
            kill()
        yield file

def add(rows, files, *others, add=row_moving.add):
    add(rows, until_killed(files), *others)
    kill()

def write(*arguments, write=past_days._write):
    if sys.argv[2] == "begin history":
        kill()
    write(*arguments)
    if sys.argv[2] == "end history":
        kill()

past_days._write = write
row_moving.add = add
open_counter("lmdb:" + sys.argv[1])
"""


def test_a_kill_on_the_way(store: Path, kept: dict[str, Any]) -> None:
    for step in ("begin history", "end history", "0", "2", "end"):
        process = subprocess.run([sys.executable, "-c", KILLED, str(store), step], cwd=HOME)
        assert process.returncode == -signal.SIGKILL
    counter = open_counter(f"lmdb:{store}")
    assert_is(counter, kept)
    counter.close()


def test_the_store_may_have_to_grow(store: Path, kept: dict[str, Any]) -> None:
    counter = LmdbCounter(str(store), first_size=65536)
    assert_is(counter, kept)
    counter.close()
