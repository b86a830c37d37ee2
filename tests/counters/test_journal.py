"""The journal: what is in it after failures of every step, deaths, and a power failure."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from app.counters import CounterError
from app.counters.redis import journal
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry
from app.counters.redis.journal import Journal, Writer
from app.counters.redis.store import RedisStore
from tests.counters.redis_server import RedisServer, accesses
from tests.end_to_end.servers import open_below
from tests.waiting import wait_until

ENTRIES: list[Entry] = [
    ("full", "/f", "1", "86400"), ("head", "/l\udcefst \n\r\u2028\U0001f600", "1", "86401"),
    ("status", "404", "3", "0"), ("full", "/" + "a" * 8000, "1", "86402"),
]  # fmt: skip


def left(directory: Path, entries: list[Entry] = ENTRIES) -> Path:
    """Leave *entries* as a process that was killed does, and return the file."""
    killed = Journal(str(directory))
    writer = killed.register()
    killed.append(writer, 1, entries)
    descriptor = os.open("/dev/null", os.O_RDONLY)
    os.dup2(descriptor, writer.descriptor)  # the lock goes, and nothing else is done
    os.close(descriptor)
    killed._end.set()
    return Path(writer.path)


def found(directory: Path, most: int = 1000) -> list[Entry]:
    """Return the entries that wait, and remove them."""
    entries: list[Entry] = []
    opened = Journal(str(directory))
    for writer in opened.adopt():
        while writer.has_waiting:
            first, some, end = opened.waiting(writer, most)
            assert not some or first == len(entries) + 1
            entries += some
            opened.delivered(writer, end)
        opened.tell_lost(writer)
        opened.empty(writer)
        opened.retire(writer)
    opened.close()
    return entries


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_entries_come_as_they_went(tmp_path: Path, most: int) -> None:
    left(tmp_path)
    assert found(tmp_path, most) == ENTRIES
    assert list(tmp_path.iterdir()) == []


def test_more_than_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 100, 8100, 9000):
        left(tmp_path)
        monkeypatch.setattr(journal, "_READ_SIZE", max(size, 8100))
        assert found(tmp_path) == ENTRIES


def test_delivery_goes_on_where_it_stopped(tmp_path: Path) -> None:
    left(tmp_path)
    stopped = Journal(str(tmp_path))
    (writer,) = stopped.adopt()
    _, some, end = stopped.waiting(writer, 2)
    stopped.delivered(writer, end)
    stopped.abandon(writer)
    (writer,) = stopped.adopt()
    assert some + stopped.waiting(writer, 1000)[1] == ENTRIES
    stopped.close()


def test_what_is_held_is_adopted_by_nobody_and_what_is_not_by_one(tmp_path: Path) -> None:
    one, two = Journal(str(tmp_path)), Journal(str(tmp_path))
    own = one.register()
    assert list(two.adopt()) == list(one.adopt()) == []
    one.abandon(own)
    (adopted,) = two.adopt()
    assert list(one.adopt()) == []
    two.retire(adopted)
    assert list(one.adopt()) == []


def test_a_file_that_was_never_finished_is_removed(tmp_path: Path) -> None:
    (tmp_path / "0123.journal.new").write_bytes(b"tally-")
    assert found(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- steps that fail

STEPS: list[tuple[object, str]] = [
    (os, "makedirs"), (os, "open"), (fcntl, "flock"), (os, "fstat"), (os, "pread"), (os, "pwrite"), (os, "rename"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_registering_gives_back_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, step: str, code: int
) -> None:
    opened = Journal(str(tmp_path))
    before = open_below(tmp_path)

    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as failing:
        failing.setattr(module, step, fail)
        for _ in range(3):
            with pytest.raises(OSError, match="Errno"):
                opened.register()
    assert open_below(tmp_path) == before
    assert list(tmp_path.iterdir()) == []
    opened.abandon(opened.register())  # and it goes again
    opened.close()


def failing_write(room: int) -> Callable[[int, bytes, int], int]:
    """Return a pwrite on a disk that has *room* bytes left."""
    real, left_over = os.pwrite, [room]

    def write(descriptor: int, data: bytes, offset: int) -> int:
        if not left_over[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, data[: left_over[0]], offset)
        left_over[0] -= written
        return written

    return write


@pytest.mark.parametrize("room", [0, 1, 9, 40, 60, 100, 200])
def test_a_full_disk_keeps_nothing_of_what_it_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    opened = Journal(str(tmp_path))
    writer = opened.register()
    opened.append(writer, 1, ENTRIES[:1])
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", failing_write(room))
        with pytest.raises(CounterError, match="No space"):
            opened.append(writer, 2, ENTRIES[1:])
    opened.append(writer, 2, ENTRIES[1:2])
    opened.abandon(writer)
    assert found(tmp_path) == ENTRIES[:2]
    opened.close()


def test_a_disk_that_is_full_at_the_first_request(
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    counter = JournaledCounter(RedisStore(redis_server.url), str(tmp_path))
    wait_until(lambda: counter._sender._delivery._store_id, message="the courier's first look")
    before = len(open_below(tmp_path))
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", failing_write(0))
        assert [counter.count("/f", "full") for _ in range(200)] == [None] * 200
        assert len(open_below(tmp_path)) == before
    assert counter.count("/f", "full") == 1
    told = capfd.readouterr().err
    assert "No space left on device" in told
    assert "; 200 accesses were not counted" in told
    counter.close()


# ---------------------------------------------------------------------- a power failure


@pytest.fixture
def another_boot(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The machine starts anew."""
    boots = count()

    def start() -> None:
        name = f"boot-{next(boots)}"
        monkeypatch.setattr(journal, "_boot", lambda: name)

    return start


def test_a_file_that_is_cut_anywhere_holds_what_was_before(
    tmp_path: Path, another_boot: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left(tmp_path, ENTRIES[:3])
    whole = path.read_bytes()
    monkeypatch.setattr(journal, "tell", lambda _line: None)
    for length in range(len(whole) + 1):
        for end in (b"", bytes(len(whole) - length), b"\xff\n\r" * 7):
            path.write_bytes(whole[:length] + end)
            kept = found(tmp_path)
            assert kept == ENTRIES[: len(kept)]
            assert len(kept) >= whole[:length].count(b"\n") - 1
    another_boot()
    path.write_bytes(whole)
    told: list[str] = []
    monkeypatch.setattr(journal, "tell", told.append)
    assert found(tmp_path) == ENTRIES[:3]
    (line,) = told
    assert "journal" in line
    assert "after 1970-01-02T00:00:01Z" in line
    assert "about 2 accesses" in line


def test_a_line_that_is_damaged_costs_that_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = left(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"404")] ^= 1
    path.write_bytes(data)
    opened = Journal(str(tmp_path))
    (writer,) = opened.adopt()
    entries = []
    while writer.has_waiting:
        _, some, end = opened.waiting(writer, 1000)
        entries += some
        opened.delivered(writer, end)
    opened.tell_lost(writer)
    assert entries == [entry for entry in ENTRIES if entry[0] != "status"]
    assert "1 lines cannot be read" in capfd.readouterr().err
    opened.close()


def test_what_was_given_up_in_order_lost_nothing(
    tmp_path: Path, another_boot: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    another_boot()
    opened = Journal(str(tmp_path))
    writer = opened.register()
    opened.append(writer, 1, ENTRIES)
    opened.close()
    another_boot()
    assert found(tmp_path) == ENTRIES
    assert capfd.readouterr().err == ""


def test_what_waits_is_synced_soon_and_counting_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def sync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", sync)
    monkeypatch.setattr(journal, "SYNC_SECONDS", 0.02)
    opened = Journal(str(tmp_path))
    writer = opened.register()
    for first in range(1, 4):
        opened.append(writer, first, ENTRIES[:1])
        wait_until(lambda: writer.size in synced, message="a sync")
    times = len(synced)
    wait_until(lambda: not opened._unsynced, message="rest")
    assert len(synced) == times, "nothing new, nothing to do"
    opened.close()


# ---------------------------------------------------------------------- processes


def test_a_forked_child_holds_nothing_of_its_parent(tmp_path: Path) -> None:
    opened = Journal(str(tmp_path))
    writer = opened.register()
    reading, writing = os.pipe()
    ready, tell_ready = os.pipe()
    child = os.fork()
    if not child:
        opened.begin_in_child()
        os.close(writing)
        os.write(tell_ready, b"1")
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    assert os.read(ready, 1)
    opened.append(writer, 1, ENTRIES)
    opened.abandon(writer)
    assert found(tmp_path) == ENTRIES, "while the child lives"
    for descriptor in (writing, ready, tell_ready):
        os.close(descriptor)
    os.waitpid(child, 0)


def _may_unshare() -> bool:
    return (
        subprocess.run(
            ["unshare", "--pid", "--fork", "true"], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


@pytest.mark.skipif(
    sys.platform != "linux" or not _may_unshare(), reason="a new pid namespace needs rights"
)
def test_two_pid_namespaces_on_one_journal(own_redis: RedisServer, tmp_path: Path) -> None:
    """Equal process ids on both sides; each is killed in an outage, and the other, or the next,
    delivers for it.
    """
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", "tests.counters.counting_process",
               own_redis.url, str(tmp_path), "0", "2"]  # fmt: skip
    processes = [
        subprocess.Popen([*command, path], stdout=subprocess.PIPE, text=True)
        for path in ("/a", "/b")
    ]
    lines: list[list[str]] = [[], []]
    for process, its_lines in zip(processes, lines, strict=True):
        assert process.stdout is not None
        its_lines.append(process.stdout.readline())
    own_redis.stop()
    for process, its_lines in zip(processes, lines, strict=True):
        assert process.stdout is not None
        while "None" not in its_lines[-1]:
            its_lines.append(process.stdout.readline())
        its_lines += [process.stdout.readline() for _ in range(200)]
    for process, its_lines in zip(processes, lines, strict=True):
        process.kill()
        with process.stdout or open(os.devnull) as rest:
            its_lines += [line for line in rest.readlines() if line.endswith("\n")]
        process.wait()
    own_redis.start()
    counter = JournaledCounter(RedisStore(own_redis.url), str(tmp_path))
    wait_until(lambda: not list(tmp_path.glob("*/*.journal")), message="delivery")
    counted = accesses(own_redis.url)
    for path, its_lines in zip(("/a", "/b"), lines, strict=True):
        assert len(its_lines) <= counted[path] <= len(its_lines) + 2
    counter.close()


def test_writers_are_told_apart(tmp_path: Path) -> None:
    opened = Journal(str(tmp_path))
    writers: list[Writer] = [opened.register() for _ in range(3)]
    assert len({writer.token for writer in writers}) == 3
    opened.close()
