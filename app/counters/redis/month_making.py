"""Making the columns of months, where their blocks have changed; `month_columns.py` says what these
are.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ..month_block import FILES
from . import scripts
from .month_columns import SIZE, Kept, digest_of, digest_part, month_columns
from .server import RemoteRefusedError, Server

#: The columns of months take no more than this, and leave a quarter of Redis's memory free. If that
#: is not enough, those of the latest months are kept.
_MOST_BYTES = 256 << 20
#: Columns are kept for so long at first, as the making may be in vain; it takes seconds.
_AT_FIRST_SECONDS = 600.0
#: Columns that no list needs for so long are forgotten; and for so long those of blocks that have
#: changed are kept for whoever has read of them.
_KEPT_MS, _REPLACED_MS = "86400000", "60000"
#: So many blocks are read at once; a millisecond or two of the server's time.
_AT_ONCE = 32


class State(NamedTuple):
    """Changes whenever month blocks do."""

    era: str
    packs: int
    packed_before: int


class Keeper(Protocol):
    def go_on(self) -> None:
        """Raise EndedError when nothing is to be made any more."""

    def keep(self, key: str, fields: Iterable[tuple[str, bytes]], seconds: float) -> None: ...


class MonthMaking:
    """Makes them on *server*, once."""

    def __init__(self, server: Server, keeper: Keeper) -> None:
        self._server = server
        self._keeper = keeper
        about = json.loads(
            server.ask(server.reading, "HGET", scripts.LISTS, scripts.LISTS_ABOUT) or "{}"
        )
        #: Those of the lists that are kept now, and what their blocks were.
        self._last: dict[int, Kept] = {}
        self._last_state: State | None = None
        if about.get("format") == scripts.LISTS_FORMAT:
            self._last = {int(month): Kept(*its) for month, its in about["months"].items()}
            self._last_state = State(*about["state"])
        #: How many blocks a month may have.
        self._blocks = 0
        self._found: dict[int, Kept] = {}

    def state(self) -> State:
        names = ("era", "packs", "packed_before", "next_id")
        era, *numbers = self._server.ask(self._server.reading, "HMGET", scripts.SITE, *names)
        packs, packed_before, next_id = (int(number or 0) for number in numbers)
        self._blocks = -(-next_id // FILES)
        return State((era or b"0").decode(), packs, packed_before)

    def make(self, state: State) -> dict[int, Kept]:
        """Return the months that have blocks, the latest first, with what is kept of each."""
        room, self._found = self._room(), {}
        months = self._server.ask(self._server.reading, "HKEYS", scripts.MONTHS)
        for month in sorted(map(int, months), reverse=True):
            self._keeper.go_on()
            last = self._last.get(month)
            known = last.digest if last and state == self._last_state else ""
            digest = self._digest(month, known)
            if digest:
                size = last.size if last and last.digest == digest else 0
                kept = self._kept(month, Kept(digest, size, is_kept=False), room)
                room -= kept.size if kept.is_kept else room
                self._found[month] = kept
        return self._found

    def end(self) -> None:
        """Keep the columns that lists need, now that lists are kept that need those made last, and
        forget others.
        """
        for month, kept in self._found.items():
            if kept.is_kept:
                self._expire(month, kept, _KEPT_MS)
        for month, kept in self._last.items():
            if kept.is_kept and self._found.get(month) != kept:
                self._expire(month, kept, _REPLACED_MS)

    def _expire(self, month: int, kept: Kept, milliseconds: str) -> bool:
        """Forget columns later, and return whether they are there."""
        ask, patient = self._server.ask, self._server.patient
        return bool(ask(patient, "PEXPIRE", kept.key(month), milliseconds))

    def _room(self) -> int:
        """Return the bytes that columns may take."""
        try:
            memory = self._server.ask(self._server.reading, "INFO", "memory")
        except RemoteRefusedError:  # an account that may not know
            memory = {}
        limit = int(memory.get("maxmemory", 0))
        if not limit:
            return _MOST_BYTES
        taken = sum(kept.size for kept in self._last.values() if kept.is_kept)
        return min(_MOST_BYTES, limit * 3 // 4 - (int(memory["used_memory"]) - taken))

    def _kept(self, month: int, wanted: Kept, room: int) -> Kept:
        """Return what is kept of a month: made now, unless it is there or known to be too much."""
        if wanted.size >= room:
            return wanted
        size = self._size_of_kept(month, wanted)
        if size:
            return wanted._replace(size=size, is_kept=True)
        blocks = self._read(month)
        parts = (digest_part(at, blocks[at : at + _AT_ONCE]) for at in self._groups())
        if digest_of(parts) != wanted.digest:
            return wanted  # they are being packed
        fields = list(month_columns(blocks))
        size = sum(len(name) + len(column) for name, column in fields)
        if size >= room:
            return wanted._replace(size=size)
        fields.append((SIZE, str(size).encode()))
        self._keeper.keep(wanted.key(month), fields, _AT_FIRST_SECONDS)
        return wanted._replace(size=size, is_kept=True)

    def _size_of_kept(self, month: int, wanted: Kept) -> int:
        """Return the size of columns that stay until the making ends, 0 when there are none."""
        ask, patient, key = self._server.ask, self._server.patient, wanted.key(month)
        size, left = ask(patient, "HGET", key, SIZE), ask(patient, "PTTL", key)
        # Not sooner than they would anyway: there may be lists that need them.
        stays = max(int(1000 * _AT_FIRST_SECONDS), left)
        return int(size) if size and self._expire(month, wanted, str(stays)) else 0

    def _groups(self) -> range:
        return range(0, self._blocks, _AT_ONCE)

    def _digest(self, month: int, known: str) -> str:
        """Return the digest of a month's blocks, "" for none. It is *known* unless that is ""."""
        if not self._server.ask(self._server.reading, "EXISTS", f"{scripts.PACKED}{month}"):
            return ""  # those that are too old may have been deleted
        if known:
            return known
        parts: list[str] = []
        for begin in self._groups():
            asked = [str(month), str(begin), str(begin + _AT_ONCE - 1)]
            parts.append(self._server.run(self._server.reading, scripts.DIGEST, asked).decode())
        return digest_of(parts)

    def _read(self, month: int) -> list[bytes]:
        """Return all blocks of a month, b"" for none."""
        blocks: list[bytes] = []
        for begin in self._groups():
            self._keeper.go_on()
            numbers = [str(number) for number in range(begin, begin + _AT_ONCE)]
            key = f"{scripts.PACKED}{month}"
            blocks += self._server.ask(self._server.reading, "HMGET", key, *numbers)
        return [block or b"" for block in blocks]
