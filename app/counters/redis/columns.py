"""A number of many files side by side: as Redis keeps it, and as an integer to reckon with.

Redis keeps byte planes (all lowest bytes, then all second bytes, ... up to the highest that is not
zero), compressed if they are much shorter then. As an integer a column has a lane of 64 bits for
each file, file *i* at bit 64·i. So columns are added, and taken off each other, as wholes, as long
as no lane ends below zero.
"""

import zlib
from array import array
from collections.abc import Iterable

#: As in month blocks (`month_block.py`).
_STRATEGY = zlib.Z_RLE
_FASTEST = 1
#: Added to the number of planes.
_IS_COMPRESSED = 128


def packed(numbers: Iterable[int]) -> bytes:
    """Return numbers from 0 on as they are kept."""
    return _packed(array("Q", numbers).tobytes())


def packed_lanes(lanes: int, files: int) -> bytes:
    return _packed(lanes.to_bytes(8 * files, "little"))


def unpacked(column: bytes) -> "array[int]":
    """Return the numbers of a column."""
    return array("q", _unpacked(column))


def lanes_of(column: bytes) -> int:
    return int.from_bytes(_unpacked(column), "little")


def numbers_of(lanes: int, files: int) -> "array[int]":
    """Return a lane's number for each file: for *files* of them, or as many as there are."""
    size = max(8 * files, -(-lanes.bit_length() // 64) * 8)
    return array("q", lanes.to_bytes(size, "little"))


def _packed(raw: bytes) -> bytes:
    planes = 8
    while planes > 1 and not any(raw[planes - 1 :: 8]):
        planes -= 1
    body = b"".join([raw[plane::8] for plane in range(planes)])
    packing = zlib.compressobj(_FASTEST, strategy=_STRATEGY)
    compressed = packing.compress(body) + packing.flush()
    if len(compressed) < len(body) * 3 // 4:  # for less it is not worth the reader's time
        return bytes([planes + _IS_COMPRESSED]) + compressed
    return bytes([planes]) + body


def _unpacked(column: bytes) -> bytearray:
    planes, body = column[0], memoryview(column)[1:]
    if planes > _IS_COMPRESSED:
        planes, body = planes - _IS_COMPRESSED, memoryview(zlib.decompress(body))
    size = len(body) // planes
    numbers = bytearray(8 * size)
    for plane in range(planes):
        numbers[plane::8] = body[plane * size : (plane + 1) * size]
    return numbers
