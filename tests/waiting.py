"""The one place in the tests that sleeps: between two looks at a condition."""

import time
from collections.abc import Callable
from typing import Literal, TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | Literal[False]],
    *,
    timeout: float = 30.0,
    message: str = "the condition",
) -> T:
    """Return *condition*'s first true value; AssertionError when *timeout* seconds have passed
    without one.
    """
    deadline = time.monotonic() + timeout
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {message}")
        time.sleep(pause)
        # What takes long is asked after less often: the looks take time from what is waited for.
        pause = min(pause * 1.25, 0.025)
