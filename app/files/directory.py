"""What lies in a directory below the root, as far as it is served."""

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from .document_root import RootDirectory
from .names import Visibility, is_hidden
from .opening import OPEN_FILE, hides, read_whole

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: Shown below the listing, the first that there is.
_READMES = (b"README.md", b"README.txt", b"README", b"readme.md", b"readme.txt")
_README_BYTES = 65536


class Entry(NamedTuple):
    """A regular file or a directory."""

    name: bytes
    is_directory: bool
    size: int
    modified: float  # seconds since the epoch


class Directory(NamedTuple):
    """The directory *name* below the root, without a slash at its end."""

    name: bytes
    entries: list[Entry]
    readme: str


def read_directory(root: RootDirectory, name: bytes, visible: Visibility) -> Directory:
    """Return what is served of the directory *name*. Raises OSError, also for what is none.

    Every entry costs a system call: 100,000 take about half a second.
    """
    descriptor = os.open(name or b".", _OPEN_DIRECTORY, dir_fd=root.descriptor)
    try:
        inner = root.inner_path(descriptor, name) if name else b""
        if (not visible.outside) if inner is None else inner and hides(inner, visible):
            raise FileNotFoundError(name)
        entries = list(_entries(root, name, descriptor, visible))
        names = {entry.name for entry in entries if not entry.is_directory}
        readme = next((candidate for candidate in _READMES if candidate in names), None)
        return Directory(name, entries, _text(descriptor, readme) if readme else "")
    finally:
        os.close(descriptor)


def _entries(
    root: RootDirectory, name: bytes, descriptor: int, visible: Visibility
) -> Iterator[Entry]:
    prefix = name + b"/" if name else b""
    for found in os.scandir(descriptor):
        own = os.fsencode(found.name)
        path = prefix + own
        if own.startswith(b".") and not visible.dotfiles and is_hidden(path.split(b"/")):
            continue
        try:
            status = os.stat(own, dir_fd=descriptor)
            if found.is_symlink() and not _may_follow(root, path, visible):
                continue
        except OSError:
            continue  # it is gone, or a link to nothing
        if stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode):
            yield Entry(own, stat.S_ISDIR(status.st_mode), status.st_size, status.st_mtime)


def _may_follow(root: RootDirectory, path: bytes, visible: Visibility) -> bool:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC, dir_fd=root.descriptor)
    try:
        inner = root.inner_path(descriptor, path)
        return visible.outside if inner is None else not hides(inner, visible)
    finally:
        os.close(descriptor)


def _text(directory: int, name: bytes) -> str:
    descriptor = os.open(name, OPEN_FILE, dir_fd=directory)
    try:
        return read_whole(descriptor, _README_BYTES)[:_README_BYTES].decode("utf-8", "replace")
    finally:
        os.close(descriptor)
