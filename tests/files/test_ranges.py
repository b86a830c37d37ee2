"""Range fields as on the wire, and what is sent for them (RFC 9110 section 14)."""

from collections import Counter
from random import Random

import pytest

from app.files.ranges import (
    ByteRange,
    UnsatisfiableRangeError,
    multipart,
    plain_range,
    select_ranges,
)

IGNORED = None
UNSATISFIABLE = "416"

Expected = list[tuple[int, int]] | None | str

TABLE: list[tuple[str, int, Expected]] = [
    # One range
    ("bytes=0-0", 10, [(0, 0)]),
    ("bytes=0-9", 10, [(0, 9)]),
    ("bytes=2-5", 10, [(2, 5)]),
    ("bytes=9-9", 10, [(9, 9)]),
    ("bytes=5-", 10, [(5, 9)]),
    ("bytes=0-", 10, [(0, 9)]),
    ("bytes=5-99", 10, [(5, 9)]),
    ("bytes=-1", 10, [(9, 9)]),
    ("bytes=-10", 10, [(0, 9)]),
    ("bytes=-11", 10, [(0, 9)]),
    ("bytes=000-0001", 10, [(0, 1)]),
    ("bytes=1-99999999999999999999999999", 10, [(1, 9)]),
    ("bytes=-" + "9" * 6000, 10, [(0, 9)]),
    ("bytes=1-" + "9" * 6000, 10, [(1, 9)]),
    ("bytes=3000000000-3000000001", 5_000_000_000, [(3_000_000_000, 3_000_000_001)]),
    # The unit is case-insensitive (14.1)
    ("Bytes=1-2", 10, [(1, 2)]),
    ("BYTES=1-2", 10, [(1, 2)]),
    # White space and empty members around the list's commas (5.6.1)
    ("bytes=1-2 ", 10, [(1, 2)]),
    ("bytes=,1-2,,", 10, [(1, 2)]),
    ("bytes=1-2 ,\t5-6", 10, [(1, 2), (5, 6)]),
    # Not satisfiable
    ("bytes=10-", 10, UNSATISFIABLE),
    ("bytes=10-20", 10, UNSATISFIABLE),
    ("bytes=-0", 10, UNSATISFIABLE),
    ("bytes=-000", 10, UNSATISFIABLE),
    ("bytes=20-30,40-", 10, UNSATISFIABLE),
    ("bytes=" + "9" * 6000 + "-", 10, UNSATISFIABLE),
    # An empty file has no part
    ("bytes=0-0", 0, IGNORED),
    ("bytes=0-", 0, IGNORED),
    ("bytes=-0", 0, IGNORED),
    ("bytes=-5", 0, IGNORED),
    # Not valid: the field is ignored
    ("bytes", 10, IGNORED),
    ("bytes=", 10, IGNORED),
    ("bytes=,", 10, IGNORED),
    ("bytes=-", 10, IGNORED),
    ("bytes=5", 10, IGNORED),
    ("bytes=5-2", 10, IGNORED),
    ("bytes=1-2,5-4", 10, IGNORED),
    ("bytes=a-b", 10, IGNORED),
    ("bytes=+1-2", 10, IGNORED),
    ("bytes=1_0-11", 20, IGNORED),
    ("bytes=0x1-2", 10, IGNORED),
    ("bytes=1 - 2", 10, IGNORED),
    ("bytes=1.0-2", 10, IGNORED),
    ("bytes=--5", 10, IGNORED),
    ("bytes=1-2-3", 10, IGNORED),
    ("bytes=1-2;3-4", 10, IGNORED),
    ("bytes =1-2", 10, IGNORED),
    ("bytes:1-2", 10, IGNORED),
    ("bytes=\u0661-\u0662", 10, IGNORED),
    ("", 10, IGNORED),
    ("items=0-1", 10, IGNORED),
    ("none", 10, IGNORED),
    # Several: unsatisfiable ones fall away, the order is kept, what overlaps or touches is one
    ("bytes=0-0,5-5", 10, [(0, 0), (5, 5)]),
    ("bytes=5-5,0-0", 10, [(5, 5), (0, 0)]),
    ("bytes=0-0,20-30", 10, [(0, 0)]),
    ("bytes=-2,0-1", 10, [(8, 9), (0, 1)]),
    ("bytes=0-4,3-6", 10, [(0, 6)]),
    ("bytes=0-4,5-9", 10, [(0, 9)]),
    ("bytes=5-9,0-4", 10, [(0, 9)]),
    ("bytes=8-9,0-1,1-3", 10, [(8, 9), (0, 3)]),
    ("bytes=0-,0-,0-", 10, [(0, 9)]),
    ("bytes=0-9,2-3,4-5", 10, [(0, 9)]),
    ("bytes=7-7,0-0,6-6", 10, [(6, 7), (0, 0)]),
    # Absurd
    ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 402, 2)), 10_000, IGNORED),
    ("bytes=" + ",".join(["0-"] * 1000), 10_000, IGNORED),
]


@pytest.mark.parametrize(("field", "size", "expected"), TABLE)
def test_select_ranges(field: str, size: int, expected: Expected) -> None:
    if expected == UNSATISFIABLE:
        with pytest.raises(UnsatisfiableRangeError):
            select_ranges(field, size)
    else:
        assert select_ranges(field, size) == expected


@pytest.mark.parametrize(("field", "size", "expected"), TABLE)
def test_the_quick_form_says_the_same_or_nothing(field: str, size: int, expected: Expected) -> None:
    plain = plain_range(field, size)
    assert plain is None or [plain] == expected


@pytest.mark.parametrize("field", ["bytes=0-0", "bytes=2-5", "bytes=5-", "bytes=5-99"])
def test_the_quick_form_is_what_most_clients_send(field: str) -> None:
    assert plain_range(field, 10) is not None


def test_content_range_of_the_last_byte() -> None:
    assert ByteRange(9, 9).content_range(10) == "bytes 9-9/10"


def test_multipart_layout() -> None:
    layout = multipart([ByteRange(0, 1), ByteRange(8, 9)], 10, "text/plain", "B")
    assert layout is not None
    assert layout.media_type == "multipart/byteranges; boundary=B"
    assert layout.heads == [
        b"--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n",
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n",
    ]
    assert layout.end == b"\r\n--B--\r\n"
    assert layout.length == len(b"".join(layout.heads)) + 4 + len(layout.end)


@pytest.mark.parametrize("size", [100, 5_000, 20_000])
def test_parts_are_never_much_longer_than_the_file(size: int) -> None:
    ranges = [ByteRange(n, n) for n in range(0, 100, 2)]
    layout = multipart(ranges, size, "text/plain; charset=utf-8", "b" * 32)
    assert (layout is None) == (size < 20_000)


def test_whatever_the_field_says_the_ranges_are_sound() -> None:
    random = Random(14)
    outcomes = Counter[str]()
    for _ in range(5000):
        size = random.choice((0, 1, 2, 10, 1000))
        specs = random.choices(
            ("{a}-{b}", "{a}-", "-{a}", "{b}-{a}", "{a}", " {a}-{b} ", ""), k=random.randint(1, 5)
        )
        field = "bytes=" + ",".join(
            spec.format(a=random.randint(0, 12), b=random.randint(5, 1200)) for spec in specs
        )
        try:
            ranges = select_ranges(field, size)
        except UnsatisfiableRangeError:
            outcomes["unsatisfiable"] += 1
            continue
        if ranges is None:
            outcomes["ignored"] += 1
            continue
        outcomes["selected"] += 1
        covered = [n for item in ranges for n in range(item.first, item.last + 1)]
        assert ranges, field
        assert len(covered) == len(set(covered)), field
        assert set(covered) <= set(range(size)), field
        assert set(covered) == _asked_for(field, size), field
    assert min(outcomes.values()) > 100


def _asked_for(field: str, size: int) -> set[int]:
    """The bytes that a valid field names, by the plain reading of section 14.1.2."""
    named: set[int] = set()
    for spec in field.removeprefix("bytes=").split(","):
        first, dash, last = spec.strip().partition("-")
        if first:
            named.update(n for n in range(size) if int(first) <= n and (not last or n <= int(last)))
        elif dash:
            named.update(n for n in range(size) if n >= size - int(last))
    return named
