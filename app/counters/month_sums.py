"""The sums of a month, or of its rest, of many files in one row, for lists that need every file's.

The month blocks hold these sums too, of 128 files each; but 100,000 files and a year are 10,000
blocks. Here `BLOCKS` of them lie side by side. A row follows from its blocks and is written with
them, in one transaction.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .month_block import FILES, MonthBlock, Packed
from .tally import NAMES

#: How many blocks' sums a row holds.
BLOCKS: Final = 64

#: Place, byte plane, length: of the planes that are not all zero, in their order.
_ENTRY: Final = struct.Struct("<BBH")
_FASTEST: Final = 1
_FILES: Final = BLOCKS * FILES
_EVEN: Final = int.from_bytes(b"\xff\0" * (_FILES // 2), "little")
#: So many bytes have a sum of 16 bits.
MOST_ADDED: Final = 257


def packed_sums(blocks: Sequence[MonthBlock], first: int = 0) -> bytes:
    """Return the row of up to BLOCKS blocks, from day *first* (0 to 30) on; b"" when nothing was
    counted in them.
    """
    entries: list[bytes] = []
    bodies: list[bytes] = []
    for place in range(len(NAMES)):
        lanes = [block.sums(place, first) for block in blocks]
        numbers = b"".join([lane.to_bytes(8 * FILES, "little") for lane in lanes])
        for plane in range(8):
            body = numbers[plane::8]
            if any(body):
                compressed = zlib.compress(body, _FASTEST)
                if len(compressed) < len(body) * 3 // 4:  # for less it is not worth the time
                    body = compressed
                entries.append(_ENTRY.pack(place, plane, len(body)))
                bodies.append(body)
    if not entries:
        return b""
    return b"".join((bytes([len(blocks), len(entries)]), *entries, *bodies))


class MonthSums:
    """What `packed_sums` returned, to be read."""

    def __init__(self, packed: Packed) -> None:
        view = memoryview(packed)
        self._files = FILES * view[0]
        #: By place: the byte planes.
        self._planes: dict[int, list[tuple[int, memoryview]]] = {}
        at = 2 + view[1] * _ENTRY.size
        for place, plane, length in _ENTRY.iter_unpack(view[2:at]):
            self._planes.setdefault(place, []).append((plane, view[at : at + length]))
            at += length

    def planes(self, place: int) -> Iterator[tuple[int, Packed]]:
        """Yield what there is of the number at *place*: a plane, and that byte of each file."""
        for plane, body in self._planes.get(place, ()):
            yield plane, body if len(body) == self._files else zlib.decompress(body)


class PlaneSums:
    """Adds up byte planes of up to BLOCKS blocks.

    They are added as they are kept, in lanes of 16 bits, and become numbers once, at the end: that
    is a fifth of the work.
    """

    def __init__(self) -> None:
        #: By plane: the sums of the bytes at even places, and at odd ones.
        self._sums: dict[int, tuple[int, int]] = {}
        #: What was added up before, and how many planes at most since then.
        self._before = 0
        self._added = 0

    def add(self, planes: Iterable[tuple[int, Packed]]) -> None:
        """Add what `MonthSums.planes` yields."""
        if self._added == MOST_ADDED:
            self._before, self._sums, self._added = self.total(), {}, 0
        self._added += 1
        for plane, body in planes:
            lanes = int.from_bytes(body, "little")
            even, odd = self._sums.get(plane, (0, 0))
            self._sums[plane] = even + (lanes & _EVEN), odd + (lanes >> 8 & _EVEN)

    def total(self) -> int:
        """Return the sum of each file, file *i* at bit 64·i."""
        total = self._before
        for plane, halves in self._sums.items():
            numbers = bytearray(8 * _FILES)
            for first, lanes in enumerate(halves):
                sums = lanes.to_bytes(_FILES, "little")
                numbers[8 * first :: 16] = sums[::2]
                numbers[8 * first + 1 :: 16] = sums[1::2]
            total += int.from_bytes(numbers, "little") << 8 * plane
        return total
