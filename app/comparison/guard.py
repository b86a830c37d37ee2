"""Ends what a comparison started when the comparison itself cannot: a process that waits for its
parent's end.

The parent writes lines into the guard's standard input: `+GROUP` and `-GROUP` for process groups
that began and ended, `dir PATH` for a directory to remove. The pipe's end means that the parent is
gone, be it by SIGKILL. Groups are used instead of the parent-death signal because that reaches only
direct children, and servers have workers. Nothing of the package may be imported: the file runs by
its path.
"""

import contextlib
import os
import shutil
import signal
import sys
import time


def _living_groups() -> set[int]:
    """The process groups with a process that has not ended: zombies, which nobody may reap in a
    container, are none.
    """
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file,
            ):
                state, _parent, group = file.read().rpartition(")")[2].split()[:3]
                if state != "Z":
                    found.add(int(group))
    return found


def end_groups(groups: set[int], patience: float = 2.0) -> None:
    """Send SIGTERM to process *groups*, and SIGKILL to those still there after *patience* seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        deadline = time.monotonic() + patience
        while (groups := groups & _living_groups()) and time.monotonic() < deadline:
            time.sleep(0.01)


def main() -> None:
    # A Ctrl-C at the terminal is the parent's affair; the guard goes when the parent has gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: set[int] = set()
    directories: set[str] = set()
    for line in sys.stdin:
        text = line.rstrip("\n")
        if text.startswith("+"):
            groups.add(int(text[1:]))
        elif text.startswith("-"):
            groups.discard(int(text[1:]))
        elif text.startswith("dir "):
            directories.add(text[4:])
    end_groups(groups)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
