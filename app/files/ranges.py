"""Range requests (RFC 9110 section 14): a Range field and a length in, the ranges to send out."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class ByteRange(NamedTuple):
    """The bytes from *first* to *last*, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def content_range(self, size: int) -> str:
        """Return the value of Content-Range for a representation of *size* bytes."""
        return f"bytes {self.first}-{self.last}/{size}"


class UnsatisfiableRangeError(Exception):
    """No range of the list lies within the representation: 416."""


# As many as Apache httpd takes; a list beyond that is an attack or a mistake (RFC 9110 section
# 17.15).
MAX_RANGES = 200

#: Several parts may be longer than the whole file by their delimiters, but not beyond this many
#: bytes.
MULTIPART_SLACK = 1024

_match_plain = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})").fullmatch
_RANGE_SPEC = re.compile(r"(?:([0-9]+)-([0-9]*)|-([0-9]+))")
_MANY_DIGITS = 18


def plain_range(text: str, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte to send for a field of the form that nearly every client
    sends: one range, from a first byte on. None for all else, which `select_ranges` reads.
    """
    found = _match_plain(text)
    if found is None:
        return None
    from_byte, to_byte = found.groups()
    first, end = int(from_byte), size - 1
    last = int(to_byte) if to_byte else end
    if first > last or first > end:
        return None
    if last >= size:
        last = end
    return first, last


def select_ranges(text: str, size: int) -> list[ByteRange] | None:
    """Return the ranges to send for a Range field, or None when the field is to be ignored and all
    is sent.

    Ranges that overlap or touch become one; the others keep the order in which they were asked
    for. A field is ignored when its unit is not bytes, when it is not valid, and when it lists too
    many ranges (section 14.2). It is ignored for an empty file, too: that has no parts, and a
    client that asks for a part of every file, as nginx's slice does, gets 200 rather than 416.
    Raises UnsatisfiableRangeError.
    """
    if size == 0:
        return None
    unit, _, range_set = text.strip(" \t").partition("=")
    if unit.lower() != "bytes":
        return None
    specs = [spec for part in range_set.split(",") if (spec := part.strip(" \t"))]
    if not specs or len(specs) > MAX_RANGES:
        return None
    selected = []
    for spec in specs:
        found = _RANGE_SPEC.fullmatch(spec)
        if found is None:
            return None
        first, last, suffix = found.groups()
        if suffix:
            start, end = size - min(_position(suffix), size), size - 1
        else:
            start, end = _position(first), _position(last) if last else size - 1
            if last and end < start:
                return None
        if start < size:
            selected.append(ByteRange(start, min(end, size - 1)))
    if not selected:
        raise UnsatisfiableRangeError
    return coalesce(selected) if len(selected) > 1 else selected


def _position(digits: str) -> int:
    if len(digits) <= _MANY_DIGITS:
        return int(digits)
    # int() refuses very long numbers; any number this long lies behind the end of every file.
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) <= _MANY_DIGITS else 10**_MANY_DIGITS


def coalesce(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Merge the ranges that overlap or touch; each result stands where the first of its members
    stood.
    """
    asked = list(ranges)
    merged: list[tuple[int, ByteRange]] = []  # with the place in the list of what was asked
    for place, item in sorted(enumerate(asked), key=lambda pair: pair[1].first):
        if merged and item.first <= merged[-1][1].last + 1:
            earlier_place, earlier = merged[-1]
            merged[-1] = (
                min(earlier_place, place),
                ByteRange(earlier.first, max(earlier.last, item.last)),
            )
        else:
            merged.append((place, item))
    return [item for _, item in sorted(merged)]


class Multipart(NamedTuple):
    """A multipart/byteranges body (section 14.6): before each range its delimiter and fields, then
    the end.
    """

    boundary: str
    heads: list[bytes]
    ranges: list[ByteRange]
    end: bytes

    @property
    def length(self) -> int:
        return sum(map(len, self.heads)) + sum(item.length for item in self.ranges) + len(self.end)

    def filled(self, content: bytes) -> bytes:
        """Return the body, of a file with this *content*."""
        parts: list[bytes] = []
        for head, item in zip(self.heads, self.ranges, strict=True):
            parts += (head, content[item.first : item.last + 1])
        return b"".join((*parts, self.end))

    @property
    def media_type(self) -> str:
        return f"multipart/byteranges; boundary={self.boundary}"


def multipart(
    ranges: list[ByteRange], size: int, media_type: str, boundary: str
) -> Multipart | None:
    """Lay out several ranges, or return None when sending the whole file is shorter."""
    heads = [
        f"{'' if number == 0 else chr(13) + chr(10)}--{boundary}\r\nContent-Type: {media_type}\r\n"
        f"Content-Range: {item.content_range(size)}\r\n\r\n".encode("ascii")
        for number, item in enumerate(ranges)
    ]
    laid_out = Multipart(boundary, heads, ranges, f"\r\n--{boundary}--\r\n".encode("ascii"))
    return laid_out if laid_out.length <= max(size, MULTIPART_SLACK) else None
