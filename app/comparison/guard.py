"""Ends what a comparison started when the comparison has ended itself, be it by SIGKILL.

The parent writes lines into the guard's standard input: `+GROUP` and `-GROUP` for process groups
that began and ended, `dir PATH` for a directory to remove. Groups, because the parent-death signal
reaches only direct children, and servers have workers. Run by its path, without the package.
"""

import contextlib
import os
import shutil
import signal
import sys


def main() -> None:
    # A Ctrl-C at the terminal is the parent's affair; the guard goes when the parent has gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    groups: set[int] = set()
    directories: set[str] = set()
    for line in map(str.rstrip, sys.stdin):
        if line.startswith("dir "):
            directories.add(line[4:])
        else:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
