"""glibc is told to give back what is freed; any other C library is left alone."""

import os
import subprocess
import sys

import pytest

from app import allocator

# Eight threads hold a block each at the same time; how many arenas are there then?
_ARENAS = """
import ctypes, os, sys, threading
from app import allocator
if sys.argv[1:] == ["set"]:
    allocator.give_back()
together = threading.Barrier(9)
def hold():
    block = bytes(5000)
    together.wait()
    together.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
ctypes.CDLL(None).malloc_stats()  # to standard error: for each arena a line that names it
together.wait()
"""


def arenas(*arguments: str) -> int:
    command = [sys.executable, "-c", _ARENAS, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return ended.stderr.count("Arena ")


@pytest.mark.skipif("glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="not glibc")
def test_threads_share_one_arena() -> None:
    assert arenas("set") == 1
    assert arenas() > 1


def other_library(_name: str) -> str:
    raise ValueError("unrecognized configuration name")


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (os, "confstr", other_library),
        (os, "confstr", lambda _name: None),
        (sys.modules, "ctypes", None),  # Python was built without it
    ],
)
def test_elsewhere_nothing_is_done(
    module: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: pytest.fail("something was done"))
    if isinstance(module, dict):
        monkeypatch.setitem(module, name, value)
    else:
        monkeypatch.setattr(module, name, value)
    allocator.give_back()
