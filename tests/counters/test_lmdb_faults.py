"""An LMDB store among containers, growing files, unreadable rows and openings that fail in the
middle.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from app.counters import CounterError
from app.counters.contract import Count
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Environment
from app.counters.lmdb.file_system import reserves_space
from app.counters.lmdb.rows import BATCH, NUMBER, SITE, STATUSES
from app.counters.lmdb.store_files import StoreFiles
from app.counters.lmdb.users_lock import UsersLock
from tests.counters import full_btrfs, two_namespaces
from tests.counters.kept import accesses_of, files_of, record, statuses_of
from tests.end_to_end.servers import HOME, open_below
from tests.programs import program


@pytest.mark.parametrize("workers", [pytest.param((1, 1), marks=pytest.mark.slow), (2, 2)])
def test_two_namespaces(workers: tuple[int, int]) -> None:
    if reason := two_namespaces.missing():
        pytest.skip(reason)
    report, well = two_namespaces.run(50, *workers)
    assert well, report


def test_a_guest_of_another_namespace_reads_and_leaves(tmp_path: Path) -> None:
    if reason := two_namespaces.missing():
        pytest.skip(reason)
    counter = LmdbCounter(str(tmp_path))
    counter.count("/a", "full")
    shown = subprocess.run(
        [
            *two_namespaces.UNSHARE,
            sys.executable,
            "-m",
            "app.counters",
            "show",
            "--counts",
            f"lmdb:{tmp_path}",
        ],
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "/a" in shown.stdout
    assert counter.count("/a", "full") == 2
    counter.close()


def test_who_was_let_in_beside_a_guest_says_whose_the_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace = [b"here"]
    monkeypatch.setattr("app.counters.lmdb.users_lock.process_namespace", lambda: namespace[0])

    def lock(*, is_guest: bool = False) -> UsersLock:
        return UsersLock(str(tmp_path / "users.lock"), 0o644, is_guest=is_guest)

    guest, first, second, late = lock(is_guest=True), lock(), lock(), lock(is_guest=True)
    assert guest.join()
    guest.share()
    assert not first.join()
    guest.leave()
    namespace[0] = b"there"
    with pytest.raises(CounterError, match="another container"):
        second.join()
    second.leave()
    assert not late.join()
    first.leave()
    late.leave()
    assert second.join()
    second.leave()


@pytest.mark.slow
def test_a_full_btrfs() -> None:
    program("mkfs.btrfs", "/usr/sbin/mkfs.btrfs")
    if reason := full_btrfs.missing():
        pytest.skip(reason)
    report, well = full_btrfs.run(2, 1)
    assert well, report


MOUNTS = """\
22 1 0:20 / / rw - overlay overlay rw
23 22 0:21 / /proc rw - proc proc rw
24 22 8:1 / /srv/my\\040data rw - ext4 /dev/sda1 rw
25 24 0:40 / /srv/my\\040data/sub rw - btrfs /dev/sdb rw
26 22 0:41 / /mnt rw,shared:1 master:2 - fuse.sshfs host: rw
27 22 0:42 / /tank rw - zfs tank rw
28 22 0:43 / /over rw - btrfs /dev/sdc rw
29 22 8:2 / /over rw - xfs /dev/sdd rw
"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/var/lib/tally", False),
        ("/srv/my data/counts", True),
        ("/srv/my data", True),
        ("/srv/my data2", False),
        ("/srv/my data/sub/counts", False),
        ("/mnt/x", False),
        ("/tank", False),
        ("/over/counts", True),
    ],
)
def test_where_room_can_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, expected: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    real_open = open

    def opened(path: str, *arguments: Any, **keywords: Any) -> Any:
        return real_open(mounts if "mountinfo" in str(path) else path, *arguments, **keywords)

    monkeypatch.setattr("builtins.open", opened)
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    assert reserves_space(directory) is expected


# Another process grows the file


GROWING = """
import sys
from app.counters.lmdb.counter import LmdbCounter
for line in sys.stdin:
    counter = LmdbCounter(sys.argv[1], first_size=65536)
    for number in range(int(line)):
        counter.count(f"/grown/{number}", "full")
    counter.close()
    print("grown", flush=True)
"""

TOGETHER: list[Count] = [("/a", "full", None, "people", 1, True, None, 0)] * 3

CALLS: dict[str, Callable[[LmdbCounter, Path], object]] = {
    "count": lambda counter, _: counter.count("/a", "full"),
    "count_together": lambda counter, _: counter.count_together(TOGETHER),
    "answered": lambda counter, _: counter.answered(404),
    "contents": lambda counter, _: counter.contents(),
    "ranked": lambda counter, _: counter.ranked(),
    "add": lambda counter, _: counter.add([("/b", record(1))]),
    "reset": lambda counter, _: counter.reset(["/b"]),
    "copy": lambda counter, path: _copy(counter._environment, path),
    "last_transaction": lambda counter, _: counter._environment.last_transaction(),
    "in_place": lambda counter, _: counter._environment.in_place(),
    "close": lambda counter, _: counter.close(),
}


def _copy(environment: Environment, path: Path) -> None:
    with path.open("wb") as file:
        environment.copy(file.fileno())
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as copied,
        copied.begin() as transaction,
    ):
        assert transaction.get(b"/grown/999") is not None


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_use_follows_the_growth(
    tmp_path: Path, call: Callable[[LmdbCounter, Path], object], capfd: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "counts"
    counter = LmdbCounter(str(store), first_size=65536)
    counter.count("/a", "full")
    with subprocess.Popen(
        [sys.executable, "-c", GROWING, str(store)],
        cwd=HOME,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for most in (1000, 2000):
            other.stdin.write(f"{most}\n")
            other.stdin.flush()
            assert other.stdout.readline() == "grown\n"
            call(counter, tmp_path / "copy")
    assert len(files_of(counter)) >= 2000
    counter.close()
    assert capfd.readouterr().err == ""


# Rows that cannot be read


def spoil(store: Path, key: bytes, value: bytes) -> None:
    environment = lmdb.open(str(store), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        transaction.put(key, value)
    environment.close()


ROWS = [
    (b"/a", b"short"),
    (b"/a", b"x" * 25),
    (SITE, b"x"),
    (STATUSES + NUMBER.pack(404), b"x"),
    (BATCH, b"z"),
]


@pytest.mark.parametrize(("key", "value"), ROWS)
def test_a_row_that_cannot_be_read_is_told_and_the_rest_goes_on(
    tmp_path: Path, key: bytes, value: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = LmdbCounter(str(tmp_path))
    for path in ("/a", "/b"):
        counter.count(path, "full")
    counter.answered(404)
    counter.close()
    (tmp_path / "snapshot.mdb").unlink()
    spoil(tmp_path, key, value)
    counter = LmdbCounter(str(tmp_path))
    for _ in range(3):
        counter.count("/a", "full")
        counter.answered(404)
    assert accesses_of(counter, "/b") == 1
    assert accesses_of(counter, "/a") == (3 if key == b"/a" else 4)
    assert statuses_of(counter)[404] == (3 if key[:1] == STATUSES else 4)
    assert ("was set aside" in capfd.readouterr().err) == (key != BATCH)
    counter.reset()
    counter.close()


# What failed is given back


def test_an_opening_that_fails_at_any_step_gives_everything_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [(os, "open"), (os, "makedirs"), (os, "posix_fallocate"), (os, "pwrite"), (os, "ftruncate"),
             (fcntl, "flock"), (lmdb, "open"), (os, "stat")]  # fmt: skip
    LmdbCounter(str(tmp_path / "warm")).close()
    said: list[str] = []
    for number, (module, name) in enumerate(calls):
        for step in range(6):
            store = str(tmp_path / f"{number}-{step}")
            with monkeypatch.context() as patch:
                patch.setattr(module, name, _failing(getattr(module, name), step))
                try:
                    LmdbCounter(store).close()
                except CounterError as error:
                    said.append(str(error))
            assert open_below(tmp_path) == [], (name, step)
            counter = LmdbCounter(store)
            assert counter.count("/a", "full") == 1
            counter.close()
    assert len(said) > 10
    assert all("No space left" in line for line in said)


def _failing(real: Any, step: int) -> Callable[..., Any]:
    left = [step]

    def call(*arguments: Any, **keywords: Any) -> Any:
        left[0] -= 1
        if left[0] == -1 and not str(arguments[0]).startswith("/proc"):
            raise OSError(28, "No space left on device")
        return real(*arguments, **keywords)

    return call


def test_no_memory_for_a_larger_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = LmdbCounter(str(tmp_path), first_size=65536)
    numbers = [counter.count(f"/{number}", "full") for number in range(100)]
    with monkeypatch.context() as patch:
        patch.setattr(
            StoreFiles,
            "allocate",
            lambda *_: (_ for _ in ()).throw(MemoryError("no address space")),
        )
        refused = [counter.count(f"/more/{number}", "full") for number in range(3000)]
    assert numbers == [1] * 100
    assert None in refused
    counter._outage.retry_at = 0.0
    assert counter.count("/0", "full") == 2
    assert len(files_of(counter)) >= 100
    counter.close()
