"""The sums of a month, or of its rest, of many files in one row, for lists that need every file's.

The month blocks hold these sums too, of 128 files each; but 100,000 files and a year are 10,000
blocks. Here `BLOCKS` of them lie side by side. A row follows from its blocks and is written with
them, in one transaction.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

from .month_block import FILES, MonthBlock
from .tally import NAMES

#: How many blocks' sums a row holds.
BLOCKS: Final = 64

#: Place, byte plane, length: of the planes that are not all zero, in their order.
_ENTRY: Final = struct.Struct("<BBH")
_FASTEST: Final = 1


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

    def __init__(self, packed: bytes | memoryview) -> None:
        view = memoryview(packed)
        self._files = FILES * view[0]
        #: By place: the byte planes.
        self._planes: dict[int, list[tuple[int, memoryview]]] = {}
        at = 2 + view[1] * _ENTRY.size
        for place, plane, length in _ENTRY.iter_unpack(view[2:at]):
            self._planes.setdefault(place, []).append((plane, view[at : at + length]))
            at += length

    def sums(self, place: int) -> int:
        """Return the number at *place* of each file, file *i* at bit 64·i."""
        numbers = bytearray(8 * self._files)
        for plane, body in self._planes.get(place, ()):
            numbers[plane::8] = body if len(body) == self._files else zlib.decompress(body)
        return int.from_bytes(numbers, "little")
