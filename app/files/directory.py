"""What lies in a directory below the root, as far as it is served.

The names come with their types from the directory itself. A status costs a system call for each
entry, some 3 microseconds, so it is asked for the entries that are shown, or sorted by it.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from types import TracebackType
from typing import NamedTuple

from .document_root import RootDirectory
from .names import Visibility, is_hidden
from .opening import OPEN_FILE, hides, read_whole

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Shown below the listing, the first that there is.
_READMES = ("README.md", "README.txt", "README", "readme.md", "readme.txt")
_README_BYTES = 65536
_VALUES = {"size": attrgetter("st_size"), "modified": attrgetter("st_mtime")}


class Entry(NamedTuple):
    """A regular file or a directory."""

    name: bytes
    is_directory: bool
    size: int  # 0 of a directory
    modified: float  # seconds since the epoch


class Directory:
    """The directory *name* below the root, without a slash at its end; a context manager.

    `directories` and `files` are the names of its entries, as `os.fsdecode` has them, in no order.
    """

    def __init__(self, name: bytes, descriptor: int) -> None:
        self.name = name
        self.directories: list[str] = []
        self.files: list[str] = []
        self._descriptor = descriptor

    def __enter__(self) -> "Directory":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self.directories) + len(self.files)

    def entries(self, names: Iterable[str], *, are_directories: bool) -> list[Entry]:
        """Return the entries *names* as they are now, without those that are gone."""
        found = []
        for name in names:
            try:
                status = os.stat(name, dir_fd=self._descriptor)
            except OSError:
                continue
            size = 0 if are_directories else status.st_size
            found.append(Entry(os.fsencode(name), are_directories, size, status.st_mtime))
        return found

    def values(self, names: Iterable[str], what: str) -> dict[str, float]:
        """Return the "size" or the time of change ("modified") of each of *names*, as it is now.

        What is gone has 0.
        """
        value_of, descriptor = _VALUES[what], self._descriptor
        values = dict.fromkeys(names, 0.0)
        for name in values:
            try:
                values[name] = value_of(os.stat(name, dir_fd=descriptor))
            except OSError:
                continue
        return values

    def readme(self) -> str:
        """Return the text of its README; empty when there is none that can be read."""
        there = set(_READMES).intersection(self.files)
        for name in (name for name in _READMES if name in there):
            with suppress(OSError):
                descriptor = os.open(name, OPEN_FILE, dir_fd=self._descriptor)
                try:
                    text = read_whole(descriptor, _README_BYTES)[:_README_BYTES]
                finally:
                    os.close(descriptor)
                return text.decode("utf-8", "replace")
        return ""


def open_directory(root: RootDirectory, name: bytes, visible: Visibility) -> Directory:
    """Return what is served of *name*. Raises OSError, also when it is not a directory."""
    descriptor = os.open(name or b".", _OPEN_DIRECTORY, dir_fd=root.descriptor)
    directory = Directory(name, descriptor)
    try:
        inner = root.inner_path(descriptor, name) if name else b""
        if (not visible.outside) if inner is None else inner and hides(inner, visible):
            raise FileNotFoundError(name)
        os.stat(".", dir_fd=descriptor)  # the right to search it: without, no entry can be served
        _read_names(root, directory, descriptor, visible)
    except BaseException:
        os.close(descriptor)
        raise
    return directory


def _read_names(
    root: RootDirectory, directory: Directory, descriptor: int, visible: Visibility
) -> None:
    prefix = directory.name + b"/" if directory.name else b""
    with os.scandir(descriptor) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == "." and not visible.dotfiles:
                path = prefix + os.fsencode(name)
                if is_hidden(path.split(b"/")):
                    continue
            if entry.is_file(follow_symlinks=False):
                directory.files.append(name)
            elif entry.is_dir(follow_symlinks=False):
                directory.directories.append(name)
            elif entry.is_symlink():
                mode = _mode_behind(root, prefix + os.fsencode(name), visible)
                if stat.S_ISREG(mode):
                    directory.files.append(name)
                elif stat.S_ISDIR(mode):
                    directory.directories.append(name)


def _mode_behind(root: RootDirectory, path: bytes, visible: Visibility) -> int:
    """Return the mode of what the symbolic link *path* leads to, 0 for what is not served."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=root.descriptor)
    except OSError:
        return 0  # it is gone, or a link to nothing
    try:
        inner = root.inner_path(descriptor, path)
        may_follow = visible.outside if inner is None else not hides(inner, visible)
        return os.fstat(descriptor).st_mode if may_follow else 0
    finally:
        os.close(descriptor)
