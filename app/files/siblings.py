"""Whether files have siblings that hold them in a coding, as `style.css.gz` holds `style.css`.

To ask for each costs a third of the look-up of a small file, and in most directories there are
none. A directory whose files are looked up again and again is read once to know it. That holds for
as long as its version is the same, which is looked at once a second (`places`).
"""

import os
from itertools import islice

from .codings import SUFFIXES
from .document_root import exists
from .version import Version, version_of

#: Codings and what their siblings' names end in.
SIBLINGS = [(coding, suffix.encode()) for coding, suffix in SUFFIXES.items()]
_ENDINGS = tuple(SUFFIXES.values())

#: A directory is read after so many look-ups in it, and again whenever they have doubled.
_LEAST_LOOK_UPS = 16
#: How many names are read for each look-up so far, so that it takes less than to ask; and at most,
#: which takes some milliseconds.
_NAMES_EACH, _MOST_NAMES = 8, 8192

_OPEN_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class SiblingNames:
    """What is known of siblings in one *version* of *directory*. Safe from any thread."""

    __slots__ = ("_directory", "_look_ups", "_next", "_none", "_version")

    def __init__(self, directory: bytes, version: Version) -> None:
        self._directory = directory
        self._version = version
        self._look_ups = 0
        self._next = _LEAST_LOOK_UPS
        self._none = False  # no name in it is a sibling's

    def beside(self, path: bytes) -> list[tuple[str, bytes]]:
        """Return those of SIBLINGS that the file at *path*, in the directory, has."""
        if self._none:
            return []
        self._look_ups += 1
        if self._look_ups >= self._next:
            self._next *= 2
            self._none = self._has_none(min(self._look_ups * _NAMES_EACH, _MOST_NAMES))
        return siblings_beside(path)

    def _has_none(self, most: int) -> bool:
        """Return whether the directory, still of this version, has *most* names at the most, and no
        sibling's among them.
        """
        try:
            descriptor = os.open(self._directory, _OPEN_LISTED)
        except OSError:
            return False  # it is gone, or may be searched but not read
        try:
            with os.scandir(descriptor) as entries:
                names = [entry.name for entry in islice(entries, most + 1)]
            # Asked afterwards: a name that came or went before the reading shows by now.
            is_this = version_of(os.fstat(descriptor)) == self._version
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return is_this and len(names) <= most and not any(name.endswith(_ENDINGS) for name in names)


def siblings_beside(path: bytes) -> list[tuple[str, bytes]]:
    """Return those of SIBLINGS that the file at *path* has."""
    return [each for each in SIBLINGS if exists(path + each[1])]
