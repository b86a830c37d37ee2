"""Lines to a descriptor that perhaps nobody reads: whole, in order, bounded, and never waited for."""

import io
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app import line_log
from app.line_log import LineLog, append_whole_lines
from tests.waiting import wait_until

LINE = b"x" * 99 + b"\n"
#: More than wait, and any buffer of the kernel holds.
MANY = 8_000


@pytest.fixture
def fewer_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal takes 4 KiB at a time: what usually may wait would take it seconds."""
    monkeypatch.setattr(line_log, "_MOST_WAITING", 1000)


class Channel:
    """Two ends of something that bytes can be written into until it is full."""

    def __init__(self, kind: str) -> None:
        if kind == "pipe":
            self.reader, self.writer = os.pipe()
        elif kind == "socket":
            self.reader, self.writer = (one.detach() for one in socket.socketpair())
        else:
            self.reader, self.writer = pty.openpty()
            attributes = termios.tcgetattr(self.writer)
            attributes[1] &= ~termios.OPOST
            termios.tcsetattr(self.writer, termios.TCSANOW, attributes)
        self.read = b""

    def fill(self) -> None:
        """Fill it, through a description of its own, so that the writer's own flags stay as they
        are.
        """
        log = LineLog(self.writer, "the test")
        while not log._stalled:
            log.write(LINE)
        log._waiting.clear()

    def read_until(self, ending: bytes) -> list[bytes]:
        while not self.read.endswith(ending):
            ready, _, _ = select.select([self.reader], [], [], 30)
            assert ready, f"waited in vain for {ending!r}"
            self.read += os.read(self.reader, 1 << 20)
        return self.read.splitlines(keepends=True)

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            os.close(descriptor)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def channel(request: pytest.FixtureRequest) -> Iterator[Channel]:
    channel = Channel(request.param)
    yield channel
    channel.close()


def test_a_line_is_out_when_write_returns(channel: Channel) -> None:
    LineLog(channel.writer, "the test").write(b"a line\n")
    assert os.read(channel.reader, 100) == b"a line\n"


@pytest.mark.usefixtures("fewer_wait")
def test_nothing_waits_for_a_reader_and_what_is_lost_is_said(channel: Channel) -> None:
    log = LineLog(channel.writer, "the test")
    for number in range(MANY):
        log.write(b"%09d" % number + LINE[9:])
    lines = channel.read_until(b" were lost here\n")
    told = [line for line in lines if line.startswith(b"tally: ")]
    numbers = [int(line[:9]) for line in lines if line not in told]
    # A terminal may find room of its own accord meanwhile; then a second loss is said, too.
    lost = sum(int(line.split()[1]) for line in told)
    assert told[0].endswith(b" lines to the test were lost here\n")
    assert 0 < lost == MANY - len(numbers)
    # In order, and whole; those that came first are all there.
    assert numbers == sorted(set(numbers))
    assert numbers[:1000] == list(range(1000))
    assert {len(line) for line in lines if line not in told} == {100}
    wait_until(lambda: not log._stalled, message="the end of the stall")
    log.write(b"again at once\n")
    assert os.read(channel.reader, 100) == b"again at once\n"


def test_the_flags_that_others_share_stay_as_they_are(channel: Channel) -> None:
    LineLog(channel.writer, "the test").write(LINE)
    assert os.get_blocking(channel.writer)


@pytest.mark.usefixtures("fewer_wait")
def test_a_pipe_of_another_user_is_written_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Channel("pipe")

    def refused(*_: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        log = LineLog(channel.writer, "the test")
        for _ in range(MANY):
            log.write(LINE)
        lines = channel.read_until(b" were lost here\n")
    assert set(lines[:-1]) == {LINE}
    channel.close()


def test_writes_of_a_pipe_hold_whole_lines() -> None:
    channel = Channel("pipe")
    log = LineLog(channel.writer, "the test")
    text = b"".join(b"%04d" % number + b"." * (number % 1000) + b"\n" for number in range(100))
    log.write(text)
    pieces = line_log._pieces(text)
    assert max(map(len, pieces)) <= 4096
    assert {piece[-1:] for piece in pieces} == {b"\n"}
    assert b"".join(pieces) == b"".join(channel.read_until(text[-10:]))
    channel.close()


def test_a_longer_line_arrives_whole() -> None:
    channel = Channel("pipe")
    LineLog(channel.writer, "the test").write(b"y" * 10_000 + b"\n")
    assert channel.read_until(b"\n") == [b"y" * 10_000 + b"\n"]
    channel.close()


BROKEN: dict[str, Callable[[Path], int]] = {
    "nobody reads the pipe": lambda _: _pipe_without_reader(),
    "a full disk": lambda _: os.open("/dev/full", os.O_WRONLY),
    "opened for reading": lambda path: os.open(path, os.O_RDONLY),
}


def _pipe_without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_written_is_lost_and_said_when_it_can(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    descriptor = BROKEN[kind](tmp_path / "file")
    log = LineLog(descriptor, "the test")
    for _ in range(3):
        log.write(LINE + LINE)
    # The descriptor becomes another file, as after dup2.
    reader, writer = os.pipe()
    os.dup2(writer, descriptor)
    log.write(b"works again\n")
    assert os.read(reader, 1000) == b"works again\ntally: 6 lines to the test were lost here\n"
    for one in (descriptor, reader, writer):
        os.close(one)


def test_a_closed_descriptor_is_no_error() -> None:
    reader, writer = os.pipe()
    for one in (reader, writer):
        os.close(one)
    LineLog(writer, "the test").write(LINE)


def test_a_regular_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = LineLog(descriptor, "the test")
    for _ in range(100):
        log.write(LINE)
    assert path.read_bytes() == LINE * 100
    os.close(descriptor)


@pytest.mark.usefixtures("fewer_wait")
def test_losses_of_one_are_said_on_the_other() -> None:
    out, errors = Channel("pipe"), Channel("pipe")
    log = LineLog(out.writer, "standard output", notices=LineLog(errors.writer, "standard error"))
    for _ in range(MANY):
        log.write(LINE)
    wait_until(lambda: _read_some(out.reader) and not log._waiting, message="the end of what waits")
    assert b"lines to standard output were lost here\n" in errors.read_until(b"\n")[0]
    out.close()
    errors.close()


def _read_some(descriptor: int) -> bool:
    os.set_blocking(descriptor, False)
    with suppress(BlockingIOError):
        os.read(descriptor, 1 << 20)
    return True


def test_many_threads_lose_nothing_while_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = LineLog(descriptor, "the test")

    def write(name: int) -> None:
        for number in range(500):
            log.write(b"%d %d\n" % (name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.wait_until_written(5)
    lines = [tuple(map(int, line.split())) for line in path.read_bytes().splitlines()]
    for name in range(8):
        assert [number for one, number in lines if one == name] == list(range(500))
    os.close(descriptor)


def test_who_keeps_a_file_to_itself_is_waited_for_but_not_in_here(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"half a line")
    holder = "import fcntl, sys; file = open(sys.argv[1], 'ab'); fcntl.lockf(file, fcntl.LOCK_EX); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        with path.open("ab", buffering=0) as file:
            with pytest.raises(BlockingIOError):
                append_whole_lines(file.fileno(), b"a line\n")
            assert path.read_bytes() == b"half a line"
            other.communicate(b"\n")
            assert append_whole_lines(file.fileno(), b"a line\n") == 7


def test_a_signal_handler_may_write_while_the_main_thread_does(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = LineLog(descriptor, "the test")
    former = signal.signal(signal.SIGALRM, lambda *_: log.write(b"from the handler\n"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(20_000):
            log.write(b"from the main thread\n")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    lines = path.read_bytes().splitlines()
    assert lines.count(b"from the main thread") == 20_000
    assert set(lines) == {b"from the main thread", b"from the handler"}
    os.close(descriptor)


def test_a_forked_child_writes_for_itself() -> None:
    channel = Channel("pipe")
    channel.fill()
    program = """
import os, sys
from app.line_log import standard_error
for number in range(100):
    standard_error.write(b"of the parent\\n")
assert standard_error._waiting
if os.fork() == 0:
    standard_error.write(b"of the child\\n")
    os._exit(0 if list(standard_error._waiting) == [b"of the child\\n"] else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    # Python 3.12 and newer warn of a fork beside threads, and would wait for the channel to do so.
    quietly = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    ended = subprocess.run(quietly, stderr=channel.writer, timeout=20)
    assert ended.returncode == 0
    channel.close()


REPLACED = """
import io, logging, os, sys, threading, traceback, warnings
from app.line_log import replace_standard_streams
replace_standard_streams()
print("a print", "\\u20ac", "\\udce9")
print("an error", file=sys.stderr)
sys.stderr.buffer.write(b"bytes\\n")
logging.getLogger("of.somebody").error("logged")
warnings.warn("warned")
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
thread = threading.Thread(target=lambda: {}["missing"])
thread.start()
thread.join()
assert (sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty()) == (1, 2, False)
assert sys.stderr.name == "<stderr>" and sys.stdout.encoding == sys.argv[1]
print("the end", end="")
"""


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_whatever_a_program_prints_goes_this_way(encoding: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict", "PYTHONWARNINGS": "default"}
    ended = subprocess.run(
        [sys.executable, "-c", REPLACED, encoding],
        env=environ,
        capture_output=True,
        timeout=20,
        check=True,
    )
    euro = {"utf-8": "€".encode(), "ascii": b"\\u20ac"}[encoding]
    assert ended.stdout == b"a print " + euro + b" \\udce9\nthe end"
    for text in (
        b"an error\n",
        b"bytes\n",
        b"logged\n",
        b"warned",
        b"ZeroDivisionError",
        b"KeyError: 'missing'",
    ):
        assert text in ended.stderr


def test_a_program_whose_streams_are_full_ends() -> None:
    channel = Channel("pipe")
    channel.fill()
    ended = subprocess.run(
        [sys.executable, "-c", REPLACED, "utf-8"],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=channel.writer,
        stderr=channel.writer,
        timeout=20,
    )
    assert ended.returncode == 0
    channel.close()


def test_the_stream_is_one_for_text() -> None:
    stream = line_log._LogStream(LineLog(2, "the test"), "<stderr>")
    assert isinstance(stream, io.RawIOBase)
    assert (stream.writable(), stream.readable(), stream.seekable()) == (True, False, False)
