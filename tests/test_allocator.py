"""glibc is told to give back what is freed; any other C library is left alone."""

import _ctypes
import os
import subprocess
import sys
from collections.abc import Callable

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


@pytest.mark.parametrize("confstr", [other_library, lambda _name: None])
def test_another_library_is_left_alone(
    confstr: Callable[[str], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "confstr", confstr)
    monkeypatch.setattr(_ctypes, "dlopen", lambda *_: pytest.fail("something was done"))
    allocator.give_back()


def missing(_library: int, _name: str) -> int:
    raise OSError("undefined symbol: mallopt")


@pytest.mark.parametrize("is_without_ctypes", [True, False])
def test_what_cannot_be_set_stays(is_without_ctypes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ctypes, "dlsym", missing)
    if is_without_ctypes:
        monkeypatch.setitem(sys.modules, "_ctypes", None)  # Python was built without it
    allocator.give_back()
