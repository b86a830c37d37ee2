"""Programs of the system that a test needs and that pip does not install."""

import os
import shutil

import pytest

TAKES_LONG = "takes long: runs in CI and with TALLY_SLOW=1"


def is_thorough() -> bool:
    """Return whether the tests that take whole seconds of computing run, too."""
    return "1" in (os.environ.get("TALLY_CI"), os.environ.get("TALLY_SLOW"))


def program(*names: str) -> str:
    """Return the path of the first of *names* that is installed; without any, skip the test
    (TALLY_CI=1: fail it).
    """
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed"
    if os.environ.get("TALLY_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
