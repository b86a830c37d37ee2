"""The check of the instructions says what has become dearer. (It is run by CI itself.)"""

import pytest

from .instructions import too_many


@pytest.mark.parametrize(
    ("figures", "problem"),
    [
        ({"parse": 1000, "304": 2000}, ""),
        ({"parse": 1050, "304": 100}, ""),
        ({"parse": 1051, "304": 2000}, "parse: 1,051 instructions, 5.1% above the baseline"),
        ({"parse": 1000, "HEAD": 5}, "HEAD: not in the baseline, make it anew with --save"),
    ],
)
def test_what_has_become_dearer(figures: dict[str, int], problem: str) -> None:
    assert too_many(figures, {"parse": 1000, "304": 2000}) == problem


def test_another_interpreter_has_no_baseline() -> None:
    assert "no baseline" in too_many({"parse": 1}, {})
