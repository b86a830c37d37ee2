"""Programs of the system that a test needs and that pip does not install."""

import os
import shutil
from typing import NoReturn

import pytest

TAKES_LONG = "takes long: runs in CI and with TALLY_SLOW=1"


def is_thorough() -> bool:
    """Return whether the tests that take whole seconds of computing run, too."""
    return "1" in (os.environ.get("TALLY_CI"), os.environ.get("TALLY_SLOW"))


def program(*names: str) -> str:
    """Return the path of the first of *names* that is installed; without any, skip the test."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing(f"{names[0]} is not installed")


def missing(reason: str) -> NoReturn:
    """Skip the test, or the module that is being imported (TALLY_CI=1: fail it)."""
    if os.environ.get("TALLY_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)
