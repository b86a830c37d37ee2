"""A number of many files side by side: as Redis keeps it, and as an integer to reckon with.

Redis keeps byte planes (all lowest bytes, then all second bytes, ... up to the highest that is not
zero), compressed if they are much shorter then. As an integer a column has a lane of 64 bits for
each file, file *i* at bit 64·i. So columns are added, and taken off each other, as wholes: lanes
may be below zero in between, if only none is at the end.
"""

import zlib
from array import array
from collections.abc import Iterable

from ..month_block import packed_planes
from ..month_sums import MOST_ADDED

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


def numbers_of(lanes: int, files: int) -> "array[int]":
    """Return a lane's number for each file: for *files* of them, or as many as there are."""
    size = max(8 * files, -(-lanes.bit_length() // 64) * 8)
    return array("q", lanes.to_bytes(size, "little"))


def _packed(raw: bytes) -> bytes:
    # At least one, as its length says how many numbers there are.
    planes, body = packed_planes(raw, least=1)
    if len(body) < planes * len(raw) // 8:
        return bytes([planes + _IS_COMPRESSED]) + body
    return bytes([planes]) + body


def _unpacked(column: bytes) -> bytearray:
    planes = _planes(column)
    numbers = bytearray(8 * len(planes[0]))
    for plane, body in enumerate(planes):
        numbers[plane::8] = body
    return numbers


def _planes(column: bytes) -> list[memoryview]:
    planes, body = column[0], memoryview(column)[1:]
    if planes > _IS_COMPRESSED:
        planes, body = planes - _IS_COMPRESSED, memoryview(zlib.decompress(body))
    size = len(body) // planes
    return [body[plane * size : (plane + 1) * size] for plane in range(planes)]


class Sum:
    """What some columns come to, each added or taken off.

    They are added plane by plane in lanes of two bytes: a third of the time that full lanes take.
    """

    def __init__(self) -> None:
        self._lanes = 0
        #: By sign and plane: how many were added, and their lanes of two bytes.
        self._waiting: dict[tuple[int, int], tuple[int, int]] = {}

    def add(self, column: bytes, sign: int) -> None:
        for plane, body in enumerate(_planes(column)):
            wide = bytearray(2 * len(body))
            wide[::2] = body
            times, lanes = self._waiting.get((sign, plane), (0, 0))
            if times == MOST_ADDED:
                self._take(sign, plane)
                times = lanes = 0
            self._waiting[sign, plane] = times + 1, lanes + int.from_bytes(wide, "little")

    def add_lanes(self, lanes: int) -> None:
        self._lanes += lanes

    def lanes(self) -> int:
        """Return the sum; nothing is added after that."""
        for sign, plane in list(self._waiting):
            self._take(sign, plane)
        return self._lanes

    def _take(self, sign: int, plane: int) -> None:
        _, lanes = self._waiting.pop((sign, plane))
        files = -(-lanes.bit_length() // 16)
        raw, numbers = lanes.to_bytes(2 * files, "little"), bytearray(8 * files)
        numbers[::8], numbers[1::8] = raw[::2], raw[1::2]
        self._lanes += sign * (int.from_bytes(numbers, "little") << 8 * plane)
