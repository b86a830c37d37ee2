"""Where the directories of held files truly lie, looked at once a second for each.

Moving a directory out of the root and linking it back leaves its files' status as it was. So the
status of a held file does not tell that the file still lies inside; its directory's true path does.
A name that comes into a directory or leaves it changes the directory's status.
"""

import os
from time import time

from .document_root import OPEN_DIRECTORY, RootDirectory
from .names import Visibility
from .opening import hides
from .version import Version, may_be_held, version_of

_MOST_REMEMBERED = 4096


class Places:
    """The directories below *root*. Safe from any thread."""

    def __init__(self, root: bytes, visible: Visibility) -> None:
        self._root = root
        self._visible = visible
        self._looked: dict[bytes, tuple[str, Version | None]] = {}

    def version(self, directory: bytes, date: str) -> Version | None:
        """Return the version of *directory*, a path through the root's, as of the second of *date*.

        None when files in it are not to be served, or when the next change of its names might not
        change its status.
        """
        known = self._looked.get(directory)
        if known is not None and known[0] == date:
            return known[1]
        try:
            version = self._look(directory)
        except OSError:
            version = None
        if len(self._looked) >= _MOST_REMEMBERED:
            self._looked.clear()
        self._looked[directory] = date, version
        return version

    def _look(self, directory: bytes) -> Version | None:
        with RootDirectory(self._root) as root:
            descriptor = os.open(directory, OPEN_DIRECTORY)
            try:
                status = os.fstat(descriptor)
                inner = root.inner_path(descriptor, directory, b"/")
            finally:
                os.close(descriptor)
        if (not self._visible.outside) if inner is None else hides(inner, self._visible):
            return None
        return version_of(status) if may_be_held(status, time()) else None
