"""Lines of the access log, and how they reach files, pipes and terminals."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.option_values import LOG_FORMATS
from app.request_note import RequestNote
from app.server import access_log
from app.server.access_line import Exchange, combined, formatter
from app.server.access_log import AccessLog
from tests.waiting import wait_until

PLAIN = Exchange(
    remote_addr="127.0.0.1",
    remote_user="",
    received=1795374308.75,
    request_line="GET /a%20b?x=1 HTTP/1.1",
    status=200,
    sent=5120,
    duration=0.0123456,
    referer="http://here/",
    user_agent="Mozilla/5.0",
    aborted=False,
    host="here:8000",
)


def test_a_combined_line() -> None:
    assert combined(PLAIN) == (
        '127.0.0.1 - - [22/Nov/2026:19:05:08 +0000] "GET /a%20b?x=1 HTTP/1.1" 200 5120'
        ' "http://here/" "Mozilla/5.0"'
        " 0.012346 -\n"
    )


def test_a_json_line() -> None:
    line = formatter("json")(PLAIN)
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": "2026-11-22T19:05:08.750Z",
        "remote_addr": "127.0.0.1",
        "remote_user": "",
        "host": "here:8000",
        "method": "GET",
        "target": "/a%20b?x=1",
        "version": "HTTP/1.1",
        "status": 200,
        "bytes": 5120,
        "duration": 0.012346,
        "referer": "http://here/",
        "user_agent": "Mozilla/5.0",
        "aborted": False,
        "path": None,
        "kind": None,
        "class": None,
        "number": None,
        "completed": False,
        "request_id": None,
    }


def test_what_the_application_notes() -> None:
    note = RequestNote("/a%20b", "full", "people", 7, True)
    noted = PLAIN._replace(note=note, request_id="a-1")
    found = json.loads(formatter("json")(noted))
    names = ("path", "kind", "class", "number", "completed", "request_id")
    assert [found[name] for name in names] == ["/a%20b", "full", "people", 7, True, "a-1"]
    assert formatter("combined+")(noted) == formatter("combined")(PLAIN)[:-1] + " count=7\n"
    assert formatter("combined+")(PLAIN) == formatter("combined")(PLAIN)[:-1] + " count=-\n"


def test_each_format_that_can_be_chosen_makes_a_line_of_its_own() -> None:
    lines = {formatter(name)(PLAIN) for name in LOG_FORMATS}
    assert len(lines) == len(LOG_FORMATS)
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in lines)


# Field, what came, the combined line's words for it
COMBINED = [
    ("remote_addr", "", "^unix: - "),
    ("remote_addr", "1 2\n3", r"^1\\x202\\x0a3 - "),
    ("remote_user", "a b", r" - a\\x20b \["),
    ("remote_user", "", r" - - \["),
    ("request_line", "", '] "-" 200 '),
    ("request_line", 'GET /" 404 0 "x\\', r'"GET /\\" 404 0 \\"x\\\\" 200'),
    ("request_line", "GET /\r\n1.1.1.1 - -", r'"GET /\\x0d\\x0a1.1.1.1 - -" 200'),
    ("referer", "", ' "-" "Mozilla'),
    ("user_agent", "\x1b[31m\x7f\0", r'"\\x1b\[31m\\x7f\\x00" 0.01'),
    ("user_agent", "\xe9\x85", r'"\\xe9\\x85" 0.01'),
    ("user_agent", "\u2028", r'"\\xe2\\x80\\xa8" 0.01'),
    ("user_agent", "", '"-" 0.01'),
    ("aborted", True, " aborted\n$"),
    ("sent", 0, " 200 0 "),
    ("status", 499, " 499 5120 "),
]


@pytest.mark.parametrize(("field", "value", "expected"), COMBINED)
def test_what_clients_send_cannot_break_a_combined_line(
    field: str, value: Any, expected: str
) -> None:
    line = combined(PLAIN._replace(**{field: value}))
    assert re.search(
        expected.replace("] ", r"\] ") if expected.startswith("] ") else expected, line
    ), line
    assert line.isascii()
    assert line[:-1].isprintable()
    # As log analysers read it, whatever came
    assert re.fullmatch(
        r'\S+ - \S+ \[[^]]+\] "(?:[^"\\]|\\.)*" \d{3} \d+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"'
        r" \d\.\d{6} (-|aborted)\n",
        line,
    )


JSON = [
    ("user_agent", 'a"b\\c', 'a"b\\c'),
    ("user_agent", "a\r\n\x00\x7fb", "a\r\n\x00\x7fb"),
    ("user_agent", "é😀".encode().decode("latin-1"), "é😀"),
    ("user_agent", "\xe9", "é"),
    ("request_line", "", ""),
]


@pytest.mark.parametrize(("field", "value", "expected"), JSON)
def test_what_clients_send_cannot_break_a_json_line(field: str, value: Any, expected: str) -> None:
    line = formatter("json")(PLAIN._replace(**{field: value}))
    assert line.isascii()
    assert line[:-1].isprintable()
    read = json.loads(line)
    assert (read["target"] if field == "request_line" else read[field]) == expected
    assert json.loads(formatter("json")(PLAIN._replace(aborted=True)))["aborted"] is True


@pytest.mark.parametrize("log_format", LOG_FORMATS)
def test_what_many_clients_send_is_remembered_in_bounds_and_never_mixed_up(
    log_format: str,
) -> None:
    line = formatter(log_format)
    for number in (*range(3000), *range(3000)):
        agent = f'"agent {number}" ' + "x" * (number % 400)
        quoted = agent.replace('"', '\\"')
        assert f'"{quoted}"' in line(PLAIN._replace(user_agent=agent))


def test_the_times_of_two_lines_are_their_own() -> None:
    later = PLAIN._replace(received=PLAIN.received + 1)
    times = ["22/Nov/2026:19:05:08", "22/Nov/2026:19:05:09", "22/Nov/2026:19:05:08"]
    assert [combined(one)[15:35] for one in (PLAIN, later, PLAIN)] == times


DURATIONS = [
    0.0, 4e-7, 6e-7, 9.4e-6, 9.6e-6, 0.0001234, 0.00999949, 0.0999996, 0.5, 0.9989994, 0.9989996,
    0.999, 0.9999996, 1.0, 1.0000004, 12.3456789, 86400.25,
]  # fmt: skip


@pytest.mark.parametrize("duration", DURATIONS)
def test_durations_have_six_decimals(duration: float) -> None:
    exchange = PLAIN._replace(duration=duration)
    assert combined(exchange).endswith(f'" {duration:.6f} -\n')
    assert f'"duration":{duration:.6f},' in formatter("json")(exchange)


@pytest.mark.parametrize("received", [0.0, 0.0625, 1795374308.0, 1795374308.5, 1795374308.984375])
def test_times_as_json_have_milliseconds(received: float) -> None:
    found = json.loads(formatter("json")(PLAIN._replace(received=received)))["time"]
    assert found.endswith(f"{int(received % 60):02}.{int(received * 1000) % 1000:03}Z")


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'xml'"):
        formatter("xml")


# Files


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, told: list[str]) -> Iterator[AccessLog]:
    log = AccessLog(str(tmp_path / "log"), report=told.append)
    yield log
    log.close()


def lines_in(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_lines_are_there_within_the_batch_time(log: AccessLog, tmp_path: Path) -> None:
    for status in (200, 304, 404):
        log.write(PLAIN._replace(status=status))
    lines = wait_until(lambda: len(found := lines_in(tmp_path / "log")) == 3 and found, timeout=10)
    assert [line.split()[8] for line in lines] == ["200", "304", "404"]
    log.write(PLAIN)
    wait_until(lambda: len(lines_in(tmp_path / "log")) == 4, timeout=10)


def test_closing_writes_what_waits_and_later_lines_are_dropped(
    log: AccessLog, tmp_path: Path
) -> None:
    log.write(PLAIN)
    log.close()
    assert len(lines_in(tmp_path / "log")) == 1
    log.write(PLAIN)
    log.close()
    assert len(lines_in(tmp_path / "log")) == 1


@pytest.mark.parametrize("lines", [1, 63, 64, 65, 200])
def test_closing_loses_none_of_what_came_before(log: AccessLog, tmp_path: Path, lines: int) -> None:
    for sent in range(lines):
        log.write(PLAIN._replace(sent=sent))
    log.close()
    for _ in range(3):
        log.write(PLAIN._replace(sent=12345))
    assert [int(line.split()[9]) for line in lines_in(tmp_path / "log")] == list(range(lines))
    assert (log._lost, log._waiting) == (3, [])


def test_a_file_that_cannot_be_opened_is_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        AccessLog(str(tmp_path / "none" / "log"))


def test_a_fifo_without_a_reader_is_known_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="No such device"):
        AccessLog(str(tmp_path / "fifo"))


def test_after_reopening_lines_go_to_a_new_file(log: AccessLog, tmp_path: Path) -> None:
    path = tmp_path / "log"
    log.write(PLAIN)
    wait_until(lambda: len(lines_in(path)) == 1)
    path.rename(tmp_path / "log.1")
    log.reopen()
    log.write(PLAIN._replace(status=206))
    wait_until(lambda: path.exists() and len(lines_in(path)) == 1)
    assert " 206 " in path.read_text()
    assert len(lines_in(tmp_path / "log.1")) == 1


def test_who_never_writes_lets_go_of_the_old_file_too(log: AccessLog, tmp_path: Path) -> None:
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.reopen()
    assert (tmp_path / "log").exists()


def test_when_reopening_fails_the_old_file_is_written(
    log: AccessLog, tmp_path: Path, told: list[str]
) -> None:
    home = tmp_path / "moved"
    (tmp_path / "log").rename(home)
    (tmp_path / "log").mkdir()
    log.reopen()
    log.write(PLAIN)
    wait_until(lambda: len(lines_in(home)) == 1)
    assert len(told) == 1
    assert "is a directory" in told[0].lower()


def test_many_threads_write_whole_lines(log: AccessLog, tmp_path: Path) -> None:
    def write(number: int) -> None:
        for sent in range(200):
            log.write(PLAIN._replace(status=100 + number, sent=sent))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    written = [tuple(map(int, line.split()[8:10])) for line in lines_in(tmp_path / "log")]
    assert len(written) == 800
    for number in range(4):  # in the order of its own
        assert [sent for status, sent in written if status == 100 + number] == list(range(200))


WRITER = """
import sys
from app.server.access_line import Exchange
from app.server.access_log import AccessLog
log = AccessLog(sys.argv[1])
for sent in range(300):
    log.write(Exchange(sys.argv[2], "", 0.0, "GET /" + "x" * (sent * 7 % 900), 200, sent, 0.0, "", "", False, ""))
log.close()
"""


@pytest.mark.parametrize("target", ["file", "pipe"])
def test_several_processes_write_whole_lines_to_one_log(target: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    reading, writing = os.pipe()
    with open(reading, "rb") as reader:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path) if target == "file" else "-", name],
                stdout=writing,
            )
            for name in ("a", "b", "c")
        ]
        os.close(writing)
        piped = reader.read()
    assert [writer.wait(20) for writer in writers] == [0, 0, 0]
    text = path.read_text() if target == "file" else piped.decode()
    lines = text.splitlines()
    assert len(lines) == 900
    assert all(
        re.fullmatch(r'[abc] - - \[[^]]*\] "GET /x*" 200 \d+ "-" "-" 0.000000 -', line)
        for line in lines
    )
    for name in ("a", "b", "c"):
        assert [line.split()[-5] for line in lines if line.startswith(name)] == [
            str(sent) for sent in range(300)
        ]


# What is slow or broken


def full_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, b" " * 4096):
            pass
    os.set_blocking(writing, True)
    return reading, writing


def opened(target: Any, told: list[str], **attributes: Any) -> AccessLog:
    """Return a log that writes to the descriptor or path *target*."""
    log = AccessLog("/dev/null" if isinstance(target, int) else target, report=told.append)
    if isinstance(target, int):
        os.dup2(target, log._descriptor)
    return log


def test_a_line_into_a_pipe_is_never_longer_than_what_a_pipe_takes_whole(told: list[str]) -> None:
    reading, writing = os.pipe()
    log = opened(writing, told)
    monster = "\xff" * 8000
    log.write(PLAIN._replace(request_line=monster, referer=monster, user_agent=monster))
    log.close()
    os.close(writing)
    with open(reading, "rb") as reader:
        line = reader.read()
    assert len(line) <= 4096
    assert line.endswith(b'..." 0.012346 -\n')
    assert line.count(b"\n") == 1


def test_in_a_file_a_long_line_stays_as_it_is(log: AccessLog, tmp_path: Path) -> None:
    log.write(PLAIN._replace(user_agent="a" * 8000))
    log.close()
    assert "a" * 8000 + '" ' in (tmp_path / "log").read_text()


def test_a_reader_that_is_gone_costs_lines_only_and_is_told_once(told: list[str]) -> None:
    reading, writing = os.pipe()
    log = opened(writing, told)
    os.close(reading)
    log.write(PLAIN)
    wait_until(lambda: told)
    log.write(PLAIN)
    log.close()
    os.close(writing)
    assert len(told) == 1
    assert "broken pipe" in told[0].lower()


@pytest.mark.parametrize("field", ["remote_addr", "remote_user", "referer", "user_agent"])
def test_what_is_no_text_costs_its_line_only(
    field: str, log: AccessLog, told: list[str], tmp_path: Path
) -> None:
    no_text: Any = 5
    log.write(PLAIN._replace(**{field: no_text}))
    log.write(PLAIN)
    wait_until(lambda: len(lines_in(tmp_path / "log")) == 1)
    log.write(PLAIN)
    wait_until(lambda: told)
    assert "1 lines were lost" in told[0]
    log.close()
    assert lines_in(tmp_path / "log") == [combined(PLAIN).rstrip()] * 2


def test_a_full_disk_is_told_once_and_so_is_its_end(told: list[str], tmp_path: Path) -> None:
    log = opened("/dev/full", told)
    for _ in range(3):
        log.write(PLAIN)
    wait_until(lambda: told and log._lost == 3)
    assert "no space left" in told[0].lower()
    with open(tmp_path / "log", "wb") as file:
        os.dup2(file.fileno(), log._descriptor)
    log.write(PLAIN)
    wait_until(lambda: len(told) == 2)
    assert "works again; 3 lines were lost" in told[1]
    log.close()
    assert len(lines_in(tmp_path / "log")) == 1


def test_half_a_line_does_not_stay(
    log: AccessLog, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full takes a part of a write; what another process appends must not run into
    it.
    """
    real = os.write
    answers = iter([lambda fd, data: real(fd, data[:10])])
    monkeypatch.setattr(os, "write", lambda fd, data: next(answers, real)(fd, data))
    log.write(PLAIN)
    wait_until(lambda: told)
    log.write(PLAIN)
    log.close()
    assert lines_in(tmp_path / "log") == [combined(PLAIN).rstrip()]


LONG = PLAIN._replace(user_agent="a" * 8000)


@pytest.mark.parametrize(
    "exchanges",
    [[PLAIN], [LONG], [LONG, LONG._replace(referer=5)]],  # type: ignore[arg-type]
    ids=["short", "long", "some without a text"],
)
def test_a_reader_that_stalls_holds_nobody_up_and_takes_bounded_memory(
    exchanges: list[Exchange], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "_WAITING_BYTES", 100_000)
    monkeypatch.setattr(access_log, "_CLOSE_TIME", 0.1)
    reading, writing = full_pipe()
    log = opened(writing, told)
    log.write(PLAIN)
    wait_until(lambda: not log._waiting)
    for number in range(5000):
        log.write(exchanges[number % len(exchanges)])
    size = sum(400 + len(one[3]) + len(one[8]) + len(one[10]) for one in log._waiting)
    assert 80_000 < size <= 100_000
    assert len(log._waiting) + log._lost == 5000
    log.close()  # does not wait for the reader
    os.close(reading)
    wait_until(lambda: log._thread is not None and not log._thread.is_alive())
    os.close(writing)


def test_a_pipe_that_somebody_made_non_blocking_gets_every_line(told: list[str]) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    log = opened(writing, told)
    for sent in range(2000):
        log.write(PLAIN._replace(sent=sent))
    received = b""
    while received.count(b"\n") < 2000:
        received += os.read(reading, 65536)
    log.close()
    os.close(reading)
    os.close(writing)
    assert [int(line.split()[9]) for line in received.splitlines()] == list(range(2000))
    assert told == []


def test_on_a_terminal_each_line_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the terminal's rule the first line would not come within the test's time limit.
    monkeypatch.setattr(access_log, "_BATCH_TIME", 600)
    master, terminal = pty.openpty()
    log = AccessLog(os.ttyname(terminal))
    log.write(PLAIN)
    assert os.read(master, 4096).startswith(b"127.0.0.1 ")
    log.close()
    os.close(terminal)
    os.close(master)


FORKED = """
import os, sys
from app.server.access_line import Exchange
from app.server.access_log import AccessLog
log = AccessLog(sys.argv[1])
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
log.write(Exchange("parent" if pid else "child", "", 0.0, "GET / HTTP/1.1", 200, 0, 0.0, "", "", False, ""))
log.close()
"""


def test_a_log_opened_before_a_fork_works_in_parent_and_child(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKED, str(tmp_path / "log")], timeout=20, check=True)
    assert [line.split()[0] for line in lines_in(tmp_path / "log")] == ["child", "parent"]
