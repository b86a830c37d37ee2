"""What LMDB counts must survive: kills, damage, growth, full disks, midnight, newer programs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import host_figures
from app.counters import CounterError, open_counter
from app.counters.contract import Count
from app.counters.lmdb import environment as environment_module
from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.environment import Environment
from app.counters.lmdb.file_check import verified_problem
from app.counters.lmdb.opening import FORMAT_KEY
from tests.counters.kept import accesses_of, days_of, files_of
from tests.counters.test_contract import numbers_of
from tests.end_to_end.servers import HOME
from tests.waiting import wait_until

DAY = 86400
MIDNIGHT = 20_000 * DAY


def counting(directory: Path, *, threads: int = 1) -> "subprocess.Popen[str]":
    """Start a process that counts until it is killed."""
    command = [
        sys.executable,
        "-m",
        "tests.counters.counting_process",
        f"lmdb:{directory}",
        "",
        "0",
        str(threads),
    ]
    return subprocess.Popen([*command, "/a", "/b"], stdout=subprocess.PIPE, text=True)


def test_kills_in_mid_write_lose_and_double_nothing(tmp_path: Path) -> None:
    answered: list[str] = []
    processes = [counting(tmp_path, threads=1 + turn % 2) for turn in range(4)]
    for turn in range(6):
        killed = processes[turn % 4]
        assert killed.stdout is not None
        wait_until(lambda out=killed.stdout: out.readline(), message="a count")  # type: ignore[misc]
        answered += [line for line in _kill(killed) if line.endswith("\n")]
        processes[turn % 4] = counting(tmp_path)
    for process in processes:
        answered += [line for line in _kill(process) if line.endswith("\n")]
    # Alone now, so the file is checked from end to end.
    counter = open_counter(f"lmdb:{tmp_path}")
    files = files_of(counter)
    counter.close()
    numbers = numbers_of(answered)
    for path in ("/a", "/b"):
        seen = numbers[path]
        assert len(set(seen)) == len(seen), "no number twice"
        # Not seen here: the line that was read to know that it counts, and what was under way at
        # each kill.
        assert 0 <= files[path].total.accesses - len(seen) <= 6 + 10 * 2
        assert max(seen) <= files[path].total.accesses
    assert not list(tmp_path.glob("*.damaged-*"))


def stop(process: "subprocess.Popen[str]") -> None:
    """Have *process* stand still. A moment after the signal it still goes on writing."""
    process.send_signal(signal.SIGSTOP)
    status = Path(f"/proc/{process.pid}/stat")
    wait_until(
        lambda: status.read_text().rpartition(")")[2].split()[0] == "T",
        message="the process to stand still",
    )


def _kill(process: "subprocess.Popen[str]") -> list[str]:
    process.kill()
    assert process.stdout is not None
    with process.stdout:
        lines = process.stdout.readlines()
    process.wait()
    return lines


def test_the_map_grows_under_several_processes(tmp_path: Path) -> None:
    counter = LmdbCounter(str(tmp_path), first_size=65536)
    command = [
        sys.executable,
        "-m",
        "tests.counters.counting_process",
        f"lmdb:{tmp_path}",
        "",
        "1200",
        "2",
    ]
    processes = [
        subprocess.Popen(
            [*command, *(f"/{own}/{name}" for name in range(1200))], stdout=subprocess.DEVNULL
        )
        for own in range(2)
    ]
    for begin in range(0, 1200, 40):
        names = range(begin, begin + 40)
        counts: list[Count] = [
            (f"/own/{name}", "full", None, "people", 0, True, None, 0) for name in names
        ]
        assert counter.count_together(counts) == [1] * 40
    assert [process.wait() for process in processes] == [0, 0]
    files = files_of(counter)
    assert sum(record.total.accesses for record in files.values()) == 1200 + 2 * 2 * 1200
    assert len(files) == 3 * 1200
    counter.close()
    assert verified_problem(str(tmp_path / "data.mdb")) == ""
    assert os.path.getsize(tmp_path / "data.mdb") > 65536


def test_midnight_divides_the_accesses_of_two_days(tmp_path: Path) -> None:
    now = [MIDNIGHT - 2.0]
    first = LmdbCounter(str(tmp_path), clock=lambda: now[0])
    second = LmdbCounter(
        str(tmp_path), clock=lambda: now[0] - 1.5
    )  # a clock that is a little behind
    for _ in range(4):
        first.count("/f", "full")
        second.count("/f", "not_modified")
        second.count("/f", "resumed")
        now[0] += 1.0
    record = files_of(first)["/f"]
    # first: -2 -1 | 0 1; second: -3.5 -2.5 -1.5 -0.5
    assert days_of(record) == {19_999: 6, 20_000: 2}
    assert (record.first, record.last) == (MIDNIGHT - 4, MIDNIGHT + 1)
    now[0] = MIDNIGHT - 10 * DAY  # the clock is set back
    first.count("/f", "full")
    now[0] = MIDNIGHT + 40 * DAY
    first.count("/f", "full")
    record = files_of(first)["/f"]
    assert days_of(record) == {19_990: 1, 19_999: 6, 20_000: 2, 20_040: 1}
    assert record.total.accesses == sum(days_of(record).values()) == 10
    assert record.last == MIDNIGHT + 40 * DAY
    first.close()
    second.close()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A directory that 300 files were counted in, and closed, so that there is a snapshot."""
    counter = LmdbCounter(str(tmp_path / "counts"))
    for name in range(300):
        counter.count(f"/{name}", "full")
    counter.count("/0", "full")
    counter.close()
    return tmp_path / "counts"


def _overwrite(path: Path) -> None:
    path.write_bytes(b"garbage " * 5000)


def _truncate(path: Path) -> None:
    os.truncate(path, 5 * 4096)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _zero_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(bytes(os.path.getsize(path) - 2 * 4096))


def _mix_pages(path: Path) -> None:
    pages = path.read_bytes()
    path.write_bytes(pages[: 2 * 4096] + pages[3 * 4096 :] + pages[2 * 4096 : 3 * 4096])


@pytest.mark.parametrize(
    "damage", [_overwrite, _truncate, _empty, _zero_the_middle, _mix_pages, Path.unlink]
)
def test_a_damaged_file_is_set_aside_and_the_snapshot_used(
    kept: Path, damage: object, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(damage)
    damage(kept / "data.mdb")
    counter = open_counter(f"lmdb:{kept}")
    assert counter.count("/0", "full") == 3
    assert counter.count("/299", "full") == 2
    counter.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "snapshot" in line
    assert len(list(kept.glob("data.mdb.damaged-*"))) == (damage is not Path.unlink)


def test_damage_without_a_snapshot_is_told_and_counts_begin_anew(
    kept: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _overwrite(kept / "data.mdb")
    _overwrite(kept / "snapshot.mdb")
    counter = open_counter(f"lmdb:{kept}")
    assert counter.count("/0", "full") == 1
    counter.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "begin at 0" in line


def test_damage_under_another_process_is_refused(kept: Path) -> None:
    process = counting(kept)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process)
    with (kept / "data.mdb").open("r+b") as file:
        file.write(b"garbage " * 16)
    with pytest.raises(CounterError, match="damaged"):
        open_counter(f"lmdb:{kept}")
    _kill(process)


def test_snapshots_are_taken_while_counting_and_only_when_something_changed(tmp_path: Path) -> None:
    counter = LmdbCounter(str(tmp_path), snapshot_interval=0.02)
    counter.count("/f", "full")
    snapshot = tmp_path / "snapshot.mdb"
    wait_until(snapshot.exists, message="a snapshot")
    assert verified_problem(str(snapshot)) == ""

    def stays() -> bool:
        before = snapshot.stat().st_ino
        counter._snapshots.take(due_after=0.0)
        return snapshot.stat().st_ino == before

    # The first may be of the moment before the access.
    wait_until(stays, message="a snapshot with all that changed")
    before = snapshot.stat().st_ino
    counter.count("/f", "full")
    wait_until(lambda: snapshot.stat().st_ino != before, message="the next snapshot")
    counter.close()


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were checked."""
    checked: list[str] = []

    def check(path: str) -> str:
        checked.append(path)
        return verified_problem(path)

    monkeypatch.setattr("app.counters.lmdb.store_files.verified_problem", check)
    return checked


def test_a_file_that_was_left_in_order_is_not_checked_again(
    kept: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        first, second = LmdbCounter(str(kept)), run_elsewhere(kept)
        assert accesses_of(first, "/1") == 1
        first.close()
        assert not (kept / "left.mark").exists(), number
        second.stdin.close()  # type: ignore[union-attr]
        assert second.wait() == 0
        assert (kept / "left.mark").exists()
    assert checks == []
    monkeypatch.setattr("app.counters.lmdb.store_files.boot", lambda: b"another boot")
    LmdbCounter(str(kept)).close()
    assert checks == [str(kept / "data.mdb")]


def run_elsewhere(store: Path) -> "subprocess.Popen[str]":
    """Return a process that counts in *store*, and leaves it at the end of its input."""
    program = (
        "import sys; from app.counters import open_counter;"
        f" counter = open_counter('lmdb:{store}'); counter.count('/elsewhere', 'full');"
        " print('counted', flush=True); sys.stdin.read(); counter.close()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=HOME, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "counted\n"
    return process


def test_a_file_is_checked_after_a_kill(kept: Path, checks: list[str]) -> None:
    process = run_elsewhere(kept)
    process.kill()
    process.wait()
    process.stdin.close()  # type: ignore[union-attr]
    counter = LmdbCounter(str(kept))
    assert checks == [str(kept / "data.mdb")]
    assert accesses_of(counter, "/elsewhere") == 1
    counter.close()


@pytest.mark.parametrize("touch", [Path.touch, lambda path: path.write_bytes(path.read_bytes())])
def test_a_file_that_was_touched_is_checked(kept: Path, checks: list[str], touch: object) -> None:
    LmdbCounter(str(kept)).close()
    # The kernel's stamps are some milliseconds apart.
    wait_until(
        lambda: time.time() - (kept / "data.mdb").stat().st_mtime > 0.05, message="another stamp"
    )
    assert callable(touch)
    touch(kept / "data.mdb")
    LmdbCounter(str(kept)).close()
    assert checks == [str(kept / "data.mdb")]


def test_after_another_boot_no_value_is_behind_the_snapshot(kept: Path) -> None:
    # As if a power failure had left the file as it was some seconds before the snapshot.
    environment = Environment.shared(str(kept))
    older = LmdbCounter(str(kept))
    older.reset(["/0"])
    environment.transact(lambda transaction: transaction.put(FORMAT_KEY, b"1 another-boot"))
    environment.release()
    older._snapshots._end.set()
    older._snapshots.begun = False  # it ends without a last snapshot
    older.close()
    counter = open_counter(f"lmdb:{kept}")
    assert counter.count("/0", "full") == 3
    assert counter.count("/1", "full") == 2
    counter.close()


def test_a_newer_format_is_refused_and_left_as_it_is(kept: Path) -> None:
    environment = Environment.shared(str(kept))
    environment.transact(lambda transaction: transaction.put(FORMAT_KEY, b"3 boot"))
    environment.release()
    before = (kept / "data.mdb").read_bytes()
    with pytest.raises(CounterError, match="format 3") as refused:
        open_counter(f"lmdb:{kept}")
    assert "\n" not in str(refused.value)
    assert (kept / "data.mdb").read_bytes() == before


def test_a_newer_lmdb_is_refused_and_left_as_it_is(kept: Path) -> None:
    with (kept / "data.mdb").open("r+b") as file:
        head = bytearray(file.read(24))
        head[20:24] = (3).to_bytes(4, sys.byteorder)
        file.seek(0)
        file.write(head)
    with pytest.raises(CounterError, match="newer version of LMDB"):
        open_counter(f"lmdb:{kept}")
    assert not list(kept.glob("*.damaged-*"))


@pytest.mark.parametrize(
    "url", ["lmdb:", "lmdb:/dev/null/counts", "lmdb:/proc/counts", "nothing:", "lmdb"]
)
def test_what_cannot_be_used_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(CounterError) as refused:
        open_counter(url)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("size", [1, 50])
def test_a_disk_that_is_full_costs_counts_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], size: int
) -> None:
    counter = LmdbCounter(str(tmp_path), first_size=65536)
    announced: list[int | None] = []
    room = [False]
    allocate = os.posix_fallocate

    def posix_fallocate(descriptor: int, offset: int, length: int) -> None:
        if not room[0]:
            raise OSError(28, "No space left on device")
        allocate(descriptor, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", posix_fallocate)
    numbers: list[int | None] = []
    for begin in range(0, 2000, size):
        names = range(begin, begin + size)
        if size == 1:
            numbers.append(counter.count(f"/{begin}", "full", announced.append))
        else:
            numbers += counter.count_together(
                [
                    (f"/{name}", "full", announced.append, "people", 0, True, None, 0)
                    for name in names
                ]
            )
    assert announced == numbers
    uncounted = numbers.count(None)
    assert 0 < uncounted < 2000
    assert counter.count("/0", "head", announced.append) is None
    assert not counter.is_counting()
    room[0] = True
    counter._outage.retry_at = 0.01  # the next attempt is due
    assert counter.is_counting()  # by an attempt of its own
    assert counter.totals().uncounted == uncounted
    assert counter.count("/0", "full") == 2
    counter.close()
    first, last = capfd.readouterr().err.splitlines()
    assert "No space left" in first
    assert f"{uncounted} accesses were not counted" in last


def test_what_went_uncounted_is_told_at_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = LmdbCounter(str(tmp_path))
    assert counter.is_counting()
    counter._outage.failed(CounterError("counts: out of order"))
    before = host_figures.figures().uncounted
    assert counter.count("/f", "full") is None
    assert counter.count("/f", "head") is None
    assert not counter.is_counting()
    assert host_figures.figures().uncounted == before + 1
    counter.close()
    counter.close()
    _, last = capfd.readouterr().err.splitlines()
    assert last == "tally: counts: 1 accesses were not counted"


def test_a_directory_that_goes_while_it_runs_is_begun_anew(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = LmdbCounter(str(tmp_path / "counts"), snapshot_interval=0.01)
    counter.count("/f", "full")
    os.rename(tmp_path / "counts", tmp_path / "elsewhere")
    wait_until(lambda: counter._environment._opened is None, message="the store to be left")
    assert counter.count("/f", "full") == 1
    wait_until((tmp_path / "counts" / "snapshot.mdb").exists, message="a snapshot of the new one")
    counter.close()
    [line] = capfd.readouterr().err.splitlines()
    assert str(tmp_path / "counts") in line
    assert "removed or replaced" in line


def test_a_snapshot_that_is_under_way_when_the_directory_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = LmdbCounter(str(tmp_path / "counts"), snapshot_interval=60)
    counter.count("/f", "full")
    copy = counter._environment.copy

    def copied(descriptor: int) -> None:
        copy(descriptor)
        os.rename(tmp_path / "counts", tmp_path / "elsewhere")

    monkeypatch.setattr(counter._environment, "copy", copied)
    assert not counter._snapshots.take(due_after=0)
    counter.close()
    [line] = capfd.readouterr().err.splitlines()
    assert "removed or replaced" in line


def count_elsewhere(directory: Path) -> str:
    """Count /f once in a process of its own; return its number."""
    command = [
        sys.executable,
        "-m",
        "tests.counters.counting_process",
        f"lmdb:{directory}",
        "",
        "1",
        "1",
        "/f",
    ]
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=20, check=True
    ).stdout.split()[1]


def test_after_the_directory_went_all_processes_count_in_the_new_one(tmp_path: Path) -> None:
    directory = tmp_path / "counts"
    counter = LmdbCounter(str(directory), snapshot_interval=0.01)  # has counted nothing yet
    shutil.rmtree(directory)
    wait_until(lambda: counter._environment._opened is None, message="the store to be left")
    assert count_elsewhere(directory) == "1"
    assert counter.count("/f", "full") == 2
    assert count_elsewhere(directory) == "3"
    counter.close()


@pytest.mark.parametrize("name", ["lock.mdb", "users.lock", "data.mdb"])
def test_whoever_comes_when_a_file_was_removed_shares_the_store_with_those_before(
    tmp_path: Path, name: str
) -> None:
    counter = LmdbCounter(str(tmp_path), snapshot_interval=0.01)
    counter.count("/f", "full")
    wait_until((tmp_path / "snapshot.mdb").exists, message="a snapshot")
    (tmp_path / name).unlink()
    assert count_elsewhere(tmp_path) == "2"
    wait_until(lambda: not holds_removed_files(tmp_path), message="the removed file to be left")
    assert counter.count("/f", "full") == 3
    assert count_elsewhere(tmp_path) == "4"
    counter.close()


def holds_removed_files(directory: Path) -> list[str]:
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [
        link for link in links if link.startswith(str(directory)) and link.endswith("(deleted)")
    ]


def test_who_comes_does_not_open_what_others_hold_without_its_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = counting(tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process)
    (tmp_path / "lock.mdb").unlink()
    monkeypatch.setattr(environment_module, "LEAVE_SECONDS", 0.01)
    with pytest.raises(CounterError, match=r"lock\.mdb was removed"):
        open_counter(f"lmdb:{tmp_path}")
    _kill(process)
    open_counter(f"lmdb:{tmp_path}").close()
