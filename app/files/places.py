"""Where the directories of files truly lie, looked at once a second for each.

Moving a directory out of the root and linking it back leaves its files' status as it was. So the
status of a held file does not tell that the file still lies inside; its directory's true path does.
A name that comes into a directory or leaves it changes the directory's status.
"""

import os
from time import time
from typing import NamedTuple

from .document_root import OPEN_DIRECTORY, RootDirectory, true_path
from .names import Visibility
from .opening import hides
from .siblings import SiblingNames
from .version import Version, may_be_held, version_of

_MOST_REMEMBERED = 4096


class Look(NamedTuple):
    """What was seen of a directory in a certain second."""

    date: str
    #: None when files in it are not to be served, or when the next change of its names might not
    #: change its status.
    version: Version | None
    #: Whether no link led to it, nor to the root.
    is_plain: bool
    #: What is known of siblings in this version.
    siblings: SiblingNames | None


class Places:
    """The directories below *root*. Safe from any thread."""

    def __init__(self, root: bytes, visible: Visibility) -> None:
        self._root = root
        self._visible = visible
        self._looked: dict[bytes, Look] = {}

    def look(self, directory: bytes, date: str) -> Look:
        """Return what is seen of *directory*, a path through the root, in the second of *date*."""
        known = self._looked.get(directory)
        if known is not None and known.date == date:
            return known
        try:
            look = self._look(directory, date, known)
        except OSError:
            look = Look(date, None, False, None)
        if len(self._looked) >= _MOST_REMEMBERED:
            self._looked.clear()
        self._looked[directory] = look
        return look

    def _look(self, directory: bytes, date: str, known: Look | None) -> Look:
        with RootDirectory(self._root) as root:
            descriptor = os.open(directory, OPEN_DIRECTORY)
            try:
                status = os.fstat(descriptor)
                inner = root.inner_path(descriptor, directory, b"/")
                is_plain = _is_plain(descriptor, directory)
            finally:
                os.close(descriptor)
        is_served = self._visible.outside if inner is None else not hides(inner, self._visible)
        if not (is_served and may_be_held(status, time())):
            return Look(date, None, is_plain, None)
        version = version_of(status)
        if known is None or known.version != version:
            return Look(date, version, is_plain, SiblingNames(directory, version))
        return Look(date, version, is_plain, known.siblings)


def _is_plain(descriptor: int, path: bytes) -> bool:
    try:
        return true_path(descriptor) == path
    except OSError:
        return False
