"""Programs of the system that a test needs and that pip does not install."""

import os
import shutil

import pytest


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
