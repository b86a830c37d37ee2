"""A directory that lives as long as somebody counts in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.counters import open_counter
from app.counters.contract import CounterError
from app.counters.lmdb import private_directory as module
from app.counters.lmdb.private_directory import PrivateDirectory
from app.counters.open_counter import open_store
from tests.counters.kept import accesses_of


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_parent", lambda: str(tmp_path))
    return tmp_path


def test_it_is_the_users_alone_and_goes_with_its_maker(parent: Path) -> None:
    directory = PrivateDirectory.make()
    assert Path(directory.path).stat().st_mode & 0o777 == 0o700
    counter = open_counter(directory.url)
    assert counter.count("/f", "full") == 1
    counter.close()
    assert os.path.exists(directory.path), "the maker still holds it"
    directory.close()
    directory.close()
    assert os.listdir(parent) == []


def test_the_last_one_that_counts_there_removes_it(parent: Path) -> None:
    directory = PrivateDirectory.make()
    counter = open_counter(directory.url)
    counter.count("/f", "full")
    directory.close()
    assert counter.count("/f", "full") == 2
    counter.close()
    assert os.listdir(parent) == []


def test_it_passes_from_one_master_to_the_next(parent: Path) -> None:
    old = PrivateDirectory.make()
    new = PrivateDirectory.join(old.path)
    old.close()
    assert os.path.exists(new.path)
    new.close()
    assert os.listdir(parent) == []
    with pytest.raises(CounterError):
        PrivateDirectory.join(new.path)


def test_a_forked_worker_leaves_it_to_its_master(parent: Path) -> None:
    directory = PrivateDirectory.make()
    worker = os.fork()
    if not worker:
        counter = open_counter(directory.url)
        counter.count("/f", "full")
        counter.close()
        directory.close()
        os._exit(0)
    assert os.waitpid(worker, 0)[1] == 0
    counter = open_counter(directory.url)
    assert counter.count("/f", "full") == 2
    counter.close()
    directory.close()
    assert os.listdir(parent) == []


def test_what_a_killed_server_left_is_swept_and_what_is_in_use_is_not(parent: Path) -> None:
    code = (
        "import os, signal; from app.counters.lmdb import private_directory as module;"
        f"module._parent = lambda: {str(parent)!r};"
        "made = module.PrivateDirectory.make(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = os.listdir(parent)
    one = PrivateDirectory.make()
    assert left not in os.listdir(parent)
    other = PrivateDirectory.make()
    assert sorted(os.listdir(parent)) == sorted(
        os.path.basename(made.path) for made in (one, other)
    )
    one.close()
    other.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_makes_one_for_another_user_and_removes_it_all_the_same(parent: Path) -> None:
    killed = PrivateDirectory.make(owner=(65534, 65534))
    assert {path.stat().st_uid for path in (Path(killed.path), *Path(killed.path).iterdir())} == {
        65534,
        0,
    }
    assert [path.name for path in Path(killed.path).iterdir() if path.stat().st_uid == 0] == [
        "private"
    ]
    killed._let_go()
    other = PrivateDirectory.make(owner=(65534, 65534))
    assert os.listdir(parent) == [os.path.basename(other.path)]
    other.close()
    assert os.listdir(parent) == []


def test_who_only_reads_removes_nothing(parent: Path) -> None:
    directory = PrivateDirectory.make()
    counter = open_counter(directory.url)
    counter.count("/f", "full")
    directory._let_go()  # as if both were killed
    reader = open_store(directory.url, create=False)
    counter._environment.release()  # type: ignore[attr-defined]
    assert accesses_of(reader, "/f") == 1
    reader.close()
    assert os.path.exists(directory.path)


def test_it_takes_no_snapshots() -> None:
    directory = PrivateDirectory.make()
    counter = open_counter(directory.url)
    counter.count("/f", "full")
    counter.close()
    assert not os.path.exists(os.path.join(directory.path, "snapshot.mdb"))
    directory.close()
