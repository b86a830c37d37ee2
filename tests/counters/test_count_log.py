"""The count log on terminals, pipes, files and full disks, and through forks."""

import contextlib
import os
import pty
import resource
import signal
import subprocess
import sys
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from app.counters import count_log as module
from app.counters.count_log import CountLog
from tests.waiting import wait_until


@contextmanager
def standard_output(descriptor: int) -> Iterator[None]:
    """Let *descriptor* be the process's standard output."""
    before = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)


@pytest.fixture(autouse=True)
def _output_is_descriptor_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_standard_output", lambda: 1)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "count.log"


def test_a_line(target: Path) -> None:
    log = CountLog(str(target))
    log.write("/index.html", "127.0.0.1", "53124", 7)
    log.write("/a%7Cb", "2001:db8::1", "0", None)
    log.close()
    assert target.read_text() == "/index.html|127.0.0.1|53124|7\n/a%7Cb|2001:db8::1|0|?\n"


def test_nothing_is_opened_before_the_first_line(target: Path) -> None:
    log = CountLog(str(target))
    log.close()
    assert not target.exists()


def test_lines_arrive_soon_without_a_close_and_in_order(target: Path) -> None:
    log = CountLog(str(target))
    for number in range(1, 5001):
        log.write("/f", "::1", "1", number)
    wait_until(
        lambda: target.exists() and target.read_text().count("\n") == 5000,
        timeout=10,
        message="the lines",
    )
    assert [int(line.rpartition("|")[2]) for line in target.read_text().splitlines()] == list(
        range(1, 5001)
    )
    log.close()


def test_a_file_is_appended_to(target: Path) -> None:
    target.write_text("before\n")
    log = CountLog(str(target))
    log.write("/f", "::1", "1", 1)
    log.close()
    log.close()
    log.write("/f", "::1", "1", 2)
    log.close()
    assert target.read_text() == "before\n/f|::1|1|1\n/f|::1|1|2\n"


def test_reopen_after_a_rotation(target: Path) -> None:
    log = CountLog(str(target))
    log.write("/f", "::1", "1", 1)
    wait_until(lambda: target.exists() and target.read_text() != "", message="the first line")
    target.rename(target.with_suffix(".1"))
    log.reopen()
    log.write("/f", "::1", "1", 2)
    log.close()
    assert target.with_suffix(".1").read_text() == "/f|::1|1|1\n"
    assert target.read_text() == "/f|::1|1|2\n"


def test_off(capfd: pytest.CaptureFixture[str]) -> None:
    log = CountLog("off")
    assert not log.enabled
    log.write("/f", "::1", "1", 1)
    log.close()
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_each_line_at_once() -> None:
    leader, follower = pty.openpty()
    with standard_output(follower):
        log = CountLog("-")
        for number in range(1, 4):
            log.write("/f", "::1", "1", number)
            assert os.read(leader, 100) == b"/f|::1|1|%d\r\n" % number
        log.close()
    os.close(leader)
    os.close(follower)


def test_processes_share_a_pipe_in_whole_lines() -> None:
    read, write = os.pipe()
    children = []
    for own in range(3):
        child = os.fork()
        if not child:
            os.dup2(write, 1)
            log = CountLog("-")
            for number in range(3000):
                log.write(f"/{own}" + "x" * (number % 200), "127.0.0.1", "4711", number)
            log.close()
            os._exit(0)
        children.append(child)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    for own in range(3):
        of_one = [line.split("|") for line in lines if line.startswith(f"/{own}")]
        assert [(len(path) - 2, int(number)) for path, _, _, number in of_one] == [
            (n % 200, n) for n in range(3000)
        ]
    assert len(lines) == 9000


def test_no_write_into_a_pipe_is_larger_than_it_takes_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = os.pipe()
    sizes: list[bytes] = []
    real = os.write

    def recorded(descriptor: int, data: bytes) -> int:
        if descriptor == 1:
            sizes.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", recorded)
    with standard_output(write):
        log = CountLog("-")
        for number in range(500):
            log.write("/" + "x" * (number % 70), "127.0.0.1", "4711", number)
        log.close()
    os.close(write)
    os.close(read)
    assert all(len(data) <= 4096 and data.endswith(b"\n") for data in sizes)


def test_each_write_to_a_file_is_of_whole_lines(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    write = os.write

    def noted(descriptor: int, data: bytes) -> int:
        pieces.append(data)
        return write(descriptor, data)

    log = CountLog(str(target))
    monkeypatch.setattr(log, "_wake_thread", lambda: None)  # as when the disk was full for a while
    monkeypatch.setattr(os, "write", noted)
    for number in range(5000):
        log.write(f"/{'a' * 400}", "::1", "1", number)
    log.close()
    numbers = [int(line.rpartition("|")[2]) for line in target.read_text().splitlines()]
    assert numbers == list(range(5000))
    assert len(pieces) > 1
    assert all(len(piece) <= 1 << 20 and piece.endswith(b"\n") for piece in pieces)


def test_a_fork_neither_repeats_nor_loses_lines(target: Path) -> None:
    log = CountLog(str(target))
    log.write("/parent", "::1", "1", 1)
    child = os.fork()
    if not child:
        log.write("/child", "::1", "1", 1)
        log.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.close()
    assert sorted(target.read_text().splitlines()) == ["/child|::1|1|1", "/parent|::1|1|1"]


def test_a_reader_that_has_gone_is_told_once_and_hurts_nobody(
    capfd: pytest.CaptureFixture[str],
) -> None:
    read, write = os.pipe()
    os.close(read)
    with standard_output(write):
        log = CountLog("-")
        for number in range(10):
            log.write("/f", "::1", "1", number)
        wait_until(lambda: not log._waiting and log._dropped, message="the error")
        log.write("/f", "::1", "1", 10)
        log.close()
    os.close(write)
    lines = capfd.readouterr().err.splitlines()
    assert "Broken pipe" in lines[0]
    assert lines[-1].endswith("11 lines were dropped")


def test_a_reader_that_stalls_costs_bounded_memory_and_no_time(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 2.0)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    read, write = os.pipe()
    with standard_output(write):
        log = CountLog("-")
        began = monotonic()
        for number in range(module.MOST_WAITING_LINES + 20_000):
            log.write("/f", "127.0.0.1", "53124", number)
        assert monotonic() - began < 10
        assert len(log._waiting) <= module.MOST_WAITING_LINES
        log.close()
        assert monotonic() - began < 20
    os.close(write)
    with os.fdopen(read) as pipe:
        passed = len(pipe.read().splitlines())
    (line,) = capfd.readouterr().err.splitlines()
    assert f" {module.MOST_WAITING_LINES + 20_000 - passed} lines were dropped" in line


def test_a_full_disk_is_told_once_and_what_waited_is_written_later(
    target: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    target.symlink_to("/dev/full")
    log = CountLog(str(target))
    log.write("/f", "::1", "1", 1)
    wait_until(lambda: log._complained, message="the error")
    log.write("/f", "::1", "1", 2)
    target.unlink()
    log.reopen()
    wait_until(
        lambda: target.exists() and target.read_text() == "/f|::1|1|1\n/f|::1|1|2\n",
        message="both lines",
    )
    wait_until(lambda: not log._complained, message="the good news")
    log.close()
    first, last = capfd.readouterr().err.splitlines()
    assert "No space left" in first
    assert "works again" in last


_WRITER = """
import resource, sys, threading
from app.counters import count_log
# Not earlier: what Python compiles must not be cut, too.
resource.setrlimit(resource.RLIMIT_FSIZE, (5_003, resource.RLIM_INFINITY))
count_log.RETRY_SECONDS = 0.1
log = count_log.CountLog(sys.argv[1])
number, stop = 0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
while not stop.wait(0.002):
    for _ in range(7):
        number += 1
        log.write("/" + "x" * (number % 90), sys.argv[2], "1", number)
log.close()
print(number, file=sys.stderr)
"""


def _is_full(target: Path, limit: int) -> bool:
    """Return True when there is no room for a line, and still is none after three batches' time."""
    until = monotonic() + 3 * module.BATCH_SECONDS
    while limit - 150 <= target.stat().st_size <= limit:
        if monotonic() > until:
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("shared_output", [False, True], ids=["a file", "standard output"])
def test_two_processes_on_a_full_disk_leave_whole_lines(target: Path, shared_output: bool) -> None:
    name = "-" if shared_output else str(target)
    with target.open("wb", buffering=0) as output:
        processes = [
            subprocess.Popen([sys.executable, "-c", _WRITER, name, writer], stdin=subprocess.PIPE,
                             stdout=output, stderr=subprocess.PIPE, text=True)
            for writer in "ab"
        ]  # fmt: skip
    # What a full disk does, this limit does too, and both take a part of a write before.
    paused = None
    for turn, limit in enumerate(
        (5_003, 8_017, 12_007, 16_001, 20_011, 24_019, resource.RLIM_INFINITY)
    ):
        full = target.stat().st_size
        if turn:
            for process in processes:
                resource.prlimit(
                    process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)
                )
        if paused is not None:

            def is_written_to(full: int = full) -> bool:
                return target.stat().st_size > full

            # The other one is first to write again, unless this one was stopped with the lock held.
            with contextlib.suppress(AssertionError):
                wait_until(is_written_to, timeout=2)
            paused.send_signal(signal.SIGCONT)
            wait_until(is_written_to, message="room")
        if limit != resource.RLIM_INFINITY:
            wait_until(lambda limit=limit: _is_full(target, limit), message="a full disk")  # type: ignore[misc]
            paused = processes[turn % 2]
            paused.send_signal(signal.SIGSTOP)
    numbers: dict[str, list[int]] = {"a": [], "b": []}
    written = {writer: int(process.communicate(timeout=30)[1].splitlines()[-1])
               for writer, process in zip("ab", processes, strict=True)}  # fmt: skip
    for line in target.read_text().splitlines():
        path, writer, port, number = line.split("|")
        assert (len(path) - 1, port) == (int(number) % 90, "1"), line
        numbers[writer].append(int(number))
    assert numbers == {writer: list(range(1, last + 1)) for writer, last in written.items()}


def test_what_a_full_disk_never_took_is_told_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    log = CountLog("/dev/full")
    log.write("/f", "::1", "1", 1)
    log.close()
    first, last = capfd.readouterr().err.splitlines()
    assert "No space left" in first
    assert "1 lines were dropped" in last


def test_check_tells_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        CountLog(str(tmp_path)).check()
    CountLog("off").check()


def test_lines_are_written_when_the_process_ends() -> None:
    code = "from app.counters import CountLog; log = CountLog('-'); log.write('/f', '::1', '1', 1)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("/f|::1|1|1\n", "")


def test_threads_keep_their_order(target: Path) -> None:
    log = CountLog(str(target))

    def write(own: int) -> None:
        for number in range(1000):
            log.write(f"/{own}", "::1", "1", number)

    threads = [Thread(target=write, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    lines = target.read_text().splitlines()
    for own in range(4):
        assert [
            int(line.rpartition("|")[2]) for line in lines if line.startswith(f"/{own}|")
        ] == list(range(1000))


def test_a_line_costs_next_to_nothing(target: Path) -> None:
    log = CountLog(str(target))
    # On a busy machine a short stretch is undisturbed sooner than a long one.
    best = (
        min(
            timeit.repeat(
                lambda: log.write("/index.html", "127.0.0.1", "53124", 7), number=250, repeat=100
            )
        )
        / 250
    )
    log.close()
    # 0.2 to 0.3 us by itself; the bound is for machines that do something else as well.
    assert best < 3e-6
