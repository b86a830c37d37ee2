"""What fails again and again is said once, then counted."""

import subprocess
import sys

from app.failure_log import Repeats
from tests.waiting import wait_until


def test_the_first_is_said_and_the_others_are_counted() -> None:
    said: list[str] = []
    repeats = Repeats(said.append, interval=0.2)
    assert [repeats.is_first("a") for _ in range(5)] == [True, False, False, False, False]
    assert repeats.is_first("b")
    wait_until(lambda: said, message="the count")
    assert said == ["4 more times: a"]
    # It goes on: counted only. When it was quiet for as long, it is said again.
    assert not repeats.is_first("a")
    wait_until(lambda: len(said) == 2, message="the second count")
    assert said[1] == "once more: a"
    wait_until(lambda: not repeats._counts, message="a quiet interval")
    assert repeats.is_first("a")


def test_the_kinds_that_are_told_apart_are_bounded() -> None:
    repeats = Repeats(lambda _: None, interval=60)
    assert sum(repeats.is_first(f"kind {number}") for number in range(1000)) == 201


FAILING = """
import logging, sys
from app import failure_log
{configure}
failure_log.install()
failure_log.install()
log = logging.getLogger("tally.server")
for number in range(100):
    try:
        int("x" if number % 2 else "y")
    except ValueError:
        log.exception("the application failed at %s %r", "GET", f"/{{number}}")
for _ in range(3):
    log.warning("no traceback")
log.info("not said")
"""


def lines_of(configure: str) -> list[str]:
    program = FAILING.format(configure=configure)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    return ended.stderr.splitlines()


def test_a_traceback_is_said_once() -> None:
    lines = lines_of("")
    assert lines[0] == "the application failed at GET '/0'"
    assert [line for line in lines if line.startswith("Traceback")] == [
        "Traceback (most recent call last):"
    ]
    assert lines[-4:] == [
        *["no traceback"] * 3,
        "99 more times: the application failed at ...: ValueError in <string>, line 10",
    ]


def test_whoever_configures_logging_gets_every_record() -> None:
    lines = lines_of("logging.basicConfig(format='mine: %(message)s')")
    assert len([line for line in lines if line.startswith("mine: the application failed")]) == 100
    assert not [line for line in lines if "more times" in line]


def test_a_handler_of_the_project_itself_comes_first() -> None:
    assert lines_of("logging.getLogger('tally').addHandler(logging.NullHandler())") == []
