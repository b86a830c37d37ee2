"""What is held in memory between requests, in a bounded number of bytes.

When the room is full, new entries have a tenth of it to themselves, first in, first out: probation.
One that is asked for again before it leaves, or soon after it left, moves to the other nine tenths,
where it stays as long as it is asked for now and then. So a crawler that reads each of 100,000
files once turns over the probation alone, and the files that people ask for stay. The policy is
S3-FIFO's (Yang and others, SOSP 2023). A hit changes one attribute and takes no lock.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar

#: How many of those that left probation are remembered at the least, by their hashes alone.
_LEAST_REMEMBERED = 1024
_NEVER = object()


class Weighed(Protocol):
    """An entry. The store sets `asked` to False; whoever uses the entry sets it to True."""

    asked: bool

    @property
    def weight(self) -> int:
        """Bytes of memory that the entry is reckoned at. It never changes while it is held."""


K = TypeVar("K", bound=Hashable)
E = TypeVar("E", bound=Weighed)


class HeldStore(Generic[K, E]):
    """Entries of at most *room* bytes in all. Safe from any thread."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._probation_room = room // 10
        self._lock = Lock()
        self._all: dict[K, E] = {}
        self._probation: OrderedDict[K, E] = OrderedDict()
        self._kept: OrderedDict[K, E] = OrderedDict()
        self._left: OrderedDict[int, None] = OrderedDict()  # hashes of keys that left probation
        self._probation_bytes = 0
        self._kept_bytes = 0
        #: `get(key)`, None when it is not held. The caller sets `asked` on what it uses.
        self.get = self._all.get

    def __len__(self) -> int:
        return len(self._all)

    @property
    def bytes_held(self) -> int:
        return self._probation_bytes + self._kept_bytes

    def put(self, key: K, entry: E) -> None:
        """Hold *entry* in place of what *key* had. One that alone is too heavy is not held."""
        with self._lock:
            was_kept = key in self._all and self._take_out(key)
            if entry.weight > self._probation_room:
                self._all.pop(key, None)
                return
            entry.asked = False
            self._all[key] = entry  # in place of the former, so that at no moment none is held
            if was_kept or self._left.pop(hash(key), _NEVER) is None:
                self._keep(key, entry)
            else:
                self._probation[key] = entry
                self._probation_bytes += entry.weight
            self._make_room()

    def clear(self) -> None:
        with self._lock:
            for entries in (self._all, self._probation, self._kept, self._left):
                entries.clear()
            self._probation_bytes = self._kept_bytes = 0

    def _take_out(self, key: K) -> bool:
        """Take what *key* has out of the queues. Returns True if it was one of those that stay."""
        if (entry := self._probation.pop(key, None)) is not None:
            self._probation_bytes -= entry.weight
            return False
        if (entry := self._kept.pop(key, None)) is not None:
            self._kept_bytes -= entry.weight
            return True
        return False

    def _keep(self, key: K, entry: E) -> None:
        self._kept[key] = entry
        self._kept_bytes += entry.weight

    def _make_room(self) -> None:
        while self._probation_bytes + self._kept_bytes > self._room:
            if self._probation_bytes > self._probation_room:
                self._end_probation()
            else:
                self._let_one_go()

    def _end_probation(self) -> None:
        key, entry = self._probation.popitem(last=False)
        self._probation_bytes -= entry.weight
        if entry.asked:
            entry.asked = False
            self._keep(key, entry)
            return
        del self._all[key]
        self._left[hash(key)] = None
        while len(self._left) > max(len(self._all), _LEAST_REMEMBERED):
            self._left.popitem(last=False)

    def _let_one_go(self) -> None:
        """Look at the entry that was kept or spared longest ago: spare it if it was asked for
        since.
        """
        key, entry = self._kept.popitem(last=False)
        if entry.asked:
            entry.asked = False
            self._kept[key] = entry
        else:
            self._kept_bytes -= entry.weight
            del self._all[key]
