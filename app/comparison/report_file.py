"""The files of reports: before a long run it is known whether they can be written.

What is there already stays as it is until the report is written over it. Devices and pipes are not
opened early: the reader of a pipe would take that for its end.
"""

import os
import stat
import sys


def problem_with(path: str) -> str | None:
    """Return in a few words why no report can be written to *path*, or None.

    Nothing is changed or left behind.
    """
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        return "there is no such directory to write into"
    try:
        if not os.path.exists(path):
            target = os.path.realpath(path) if os.path.islink(path) else path
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
            os.unlink(target)
        elif os.path.isfile(path) or os.path.isdir(path):
            os.close(os.open(path, os.O_WRONLY))
        elif not (_is_standard_output(path) or os.access(path, os.W_OK)):
            return "it cannot be written: Permission denied"
    except OSError as error:
        return f"it cannot be written: {error.strerror}"
    return None


def are_one_file(path: str, other: str) -> bool:
    """Return whether the report that is written last would take the place of the other."""
    try:
        status = os.stat(path)
        return os.path.samestat(status, os.stat(other)) and not stat.S_ISCHR(status.st_mode)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def write_report(path: str, text: str) -> None:
    """Write *text*, as UTF-8, over what is there. Raises OSError."""
    if _is_standard_output(path):
        # Opened by its name, a file that the output was redirected to would be cut and written over
        # by both.
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _is_standard_output(path: str) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False
