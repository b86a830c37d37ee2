"""How many accesses wait in the journals of a directory, other processes' too."""

import os
import re
from threading import Lock
from typing import NamedTuple

from ... import after_fork
from ..contract import ACCESSES
from .journal import HEADER_SIZE, SUFFIX, delivered_in

_READ_SIZE = 1 << 20
#: How the line of an access begins; see `journal.py`.
_ACCESS = re.compile(
    rb'^[0-9a-f]{8} \[[0-9]+, "(?:%s)"' % "|".join(sorted(ACCESSES)).encode(), re.MULTILINE
)


class _Counted(NamedTuple):
    begin: int
    end: int
    accesses: int


class WaitingAccesses:
    """Reads only what came since the last look. Safe from any thread."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._counted: dict[str, _Counted] = {}
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._lock = Lock()

    def count(self) -> int:
        """Return how many wait; those that cannot be read are left out."""
        with self._lock:
            try:
                names = [name for name in os.listdir(self._directory) if name.endswith(SUFFIX)]
            except OSError:
                return 0
            before, self._counted = self._counted, {}
            for name in names:
                try:
                    with open(os.path.join(self._directory, name), "rb", buffering=0) as file:
                        self._counted[name] = _count(file.fileno(), before.get(name))
                except OSError:
                    continue
            return sum(counted.accesses for counted in self._counted.values())


def _count(descriptor: int, before: _Counted | None) -> _Counted:
    begin = max(HEADER_SIZE, delivered_in(descriptor) or HEADER_SIZE)
    size = os.fstat(descriptor).st_size
    if before is None or before.begin != begin or before.end > size:
        before = _Counted(begin, begin, 0)
    at, accesses = before.end, before.accesses
    while data := os.pread(descriptor, _READ_SIZE, at):
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            break
        accesses += len(_ACCESS.findall(whole))
        at += len(whole)
    return _Counted(begin, at, accesses)
