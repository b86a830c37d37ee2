"""The one place that hears of forks."""

import os
import traceback

import pytest

from app import after_fork


class Part:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.begun = 0

    def begin_in_child(self) -> None:
        if self.fails:
            raise ValueError("this one fails")
        self.begun += 1


def in_child(check: object) -> int:
    """Return the exit status of a forked child that calls *check*."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert callable(check)
            check()
            status = 0
        except BaseException:  # noqa: BLE001 - pytest must not go on in the child
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_each_part_begins_anew_in_the_child_alone_even_when_one_fails() -> None:
    parts = [Part(), Part(fails=True), Part(), Part()]
    for part in parts:
        after_fork.register(part)

    def check() -> None:
        assert [part.begun for part in parts] == [1, 0, 1, 1]
        assert not after_fork.has_forked()

    assert in_child(check) == 0
    assert [part.begun for part in parts] == [0] * 4
    assert after_fork.has_forked()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_is_gone_is_not_kept() -> None:
    part = Part()
    after_fork.register(part)
    before = len(after_fork._registered)
    del part
    assert len(after_fork._registered) == before - 1
