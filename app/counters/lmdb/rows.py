"""Format 2 of an LMDB store: what is kept, in which rows, and how a row is laid out.

A store is a directory with two LMDB environments. In the first (`data.mdb`) is what changes with
every count; it is small, never waits for the disk, and is copied to a snapshot every 3 seconds. In
the second (`history/data.mdb`) are the days that are over, in month blocks (`month_block.py`); it
changes a few times a day, is written durably, and needs no snapshot.

data.mdb. All other rows come before the files, so that the files can be read to the end.

    key                              value
    00 format                        "2 BOOT-ID", the environment's own
    00 store                         16 random bytes; history has the same
    01                               the site
    02 hour                          a tally: an hour that is over; kept for 90 days
    03 day                           a tally: a day of the site that is over
    04 status                        answers; the status and they are in 4 and 8 bytes
    05 id day batch                  a tally: a file's day that is over and not in history yet
    06                               the current batch
    07 day id hash                   a client (`client_rows.py`)
    08 digest                        the path of a file whose path is too long for a key
    09                               the day from which on details are kept, after a migration
    0A key                           a row that could not be read, kept to be looked into
    0B                               JSON: by name that is not there, how often it was asked for
    # digest                         a file, by the SHA-256 of its path
    /path                            a file

Numbers in keys are big-endian, in 4 bytes, so that they sort. A tally is its integer's bytes, the
least first, without the zeros at the end.

A file's row: first access (8 bytes), id (4), day (4), last access (8); then for each number of
`tally.NAMES` a pair of 8 bytes each: in all, and on that day. The site's row: first access, hour,
last access, files, next id (8 bytes each); then such pairs: in all, and in that hour. The pairs at
the end that are zero are left out. So a row is an integer too, and an answer is counted by adding
one constant to it (`DELTAS_OF_ROWS`).

When the site is counted in a later hour, the row's numbers of its hour become a row of their own
(02), and when the day is over the sum of its hours is added to the day's row (03). So today is the
sum of its hours, and of what was imported without hours.

When a file is counted on a later day than its row's, the row's numbers of that day become a row of
their own (05) in the same transaction. Now and then these are moved to history, in four steps:

 1. data.mdb: the current batch *b* becomes *b* + 1, so that no row of batch *b* is made any more;
 2. a snapshot is taken, so that no older state of data.mdb can come back after a power failure;
 3. history, in one durable transaction: all rows up to batch *b* are added to their month blocks,
    and `folded` becomes *b*;
 4. data.mdb: the rows up to batch *b* are deleted, a few hundred at a time.

A reader opens data.mdb, then history. If `folded` is the current batch of this data.mdb or a later
one, data.mdb is from before step 1 and history from after step 3: the reader starts again.
Otherwise it skips the rows (05) of batches up to `folded`: history has them. So each day is found
once, also after a kill between two steps. Step 3 after such a kill finds `folded` and adds nothing
twice.

history/data.mdb

    00 format, 00 store              as above; blocks of another store do not count
    00 folded                        the last batch that is in the blocks
    00 summed                        the last batch that is in the sums; others are not read
    01 month group                   the sums of a month of 8,192 files (`month_sums.py`)
    02 month day group               the same from that day (0 to 30) of the month on (`rests.py`)
    00 rests                         which of these are ready, and of what
    month number                     a month block; the month is in 2 bytes

Ids are not used again. A file that is reset loses its rows; what its id has in blocks stays, and
belongs to no path. When everything is reset, the store gets another 16 bytes, and so no history.
`--keep-days` deletes blocks of months that are over, and days and hours of the site. A reader skips
the older days of a month that is still kept in part.
"""

import struct
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, NamedTuple, TypeAlias

from ..contract import CLASSES, KINDS, Class, Kind
from ..tally import DELTAS, MASK, NAMES, SENT_BYTE, WIDTH, Tally

STORE_ID, FOLDED, SUMMED = b"\0store", b"\0folded", b"\0summed"
#: In history, before the key of a month's group of blocks, and of the rest of a month.
SUMS, RESTS = b"\1", b"\2"
RESTS_READY = b"\0rests"
SITE, HOURS, DAYS, STATUSES = b"\1", b"\2", b"\3", b"\4"
SPILLED, BATCH, CLIENTS, LONG_PATHS, DETAILED_SINCE = b"\5", b"\6", b"\7", b"\x08", b"\x09"
ASIDE, MISSED = b"\x0a", b"\x0b"
DIGESTS, PATHS = b"#", b"/"
SLASH: Final = PATHS[0]

#: LMDB takes keys of 511 bytes.
LONGEST_PATH: Final = 480
#: The batch of a store that has never moved anything to history.
FIRST_BATCH: Final = 1

NUMBER: Final = struct.Struct(">I")
ANSWERS: Final = struct.Struct("<Q")
#: After its mark, of a row of a day that is over: id, day, batch.
SPILLED_KEY: Final = struct.Struct(">III")
MONTH: Final = struct.Struct(">H")
BLOCK_KEY: Final = struct.Struct(">HI")
REST_KEY: Final = struct.Struct(">HBI")
#: Of blocks; history's other keys come before.
FIRST_MONTH: Final = 1970 * 12
LAST_MONTH: Final = 0xFFFF

_FILE: Final = struct.Struct("<QIIQ")
_SITE: Final = struct.Struct("<QQQQQ")

#: In bits: where the header's numbers stand, and where the pairs begin.
LAST: Final = 128
FILE_ID, FILE_DAY, FILE_PAIRS = 64, 96, 8 * _FILE.size
SITE_FILES, SITE_NEXT_ID, SITE_PAIRS = 192, 256, 8 * _SITE.size
#: In bytes: of a file's row day and last access, of the site's hour and last access, and the hour
#: alone.
FILE_STAMP, SITE_STAMP, SITE_HOUR = slice(12, 24), slice(8, 24), slice(8, 16)


class FileRow(NamedTuple):
    """A file. *today* is of *day*, which may be long over."""

    first: int
    id: int
    day: int
    last: int
    total: int
    today: int

    @classmethod
    def unpack(cls, value: bytes | memoryview) -> "FileRow":
        first, file_id, day, last = _FILE.unpack_from(value)
        return cls(first, file_id, day, last, *_unpacked(value[_FILE.size :]))

    def pack(self) -> bytes:
        return _FILE.pack(*self[:4]) + _packed(self.total, self.today)


class SiteRow(NamedTuple):
    """The site. *this_hour* is of *hour*, which may be long over."""

    first: int
    hour: int
    last: int
    files: int
    next_id: int
    total: int
    this_hour: int

    @classmethod
    def unpack(cls, value: bytes | memoryview) -> "SiteRow":
        first, hour, last, files, next_id = _SITE.unpack_from(value)
        return cls(first, hour, last, files, next_id, *_unpacked(value[_SITE.size :]))

    @classmethod
    def of(cls, value: bytes | None) -> "SiteRow":
        """Return the row, that of an empty store when there is none."""
        return cls(0, 0, 0, 0, 0, 0, 0) if value is None else cls.unpack(value)

    def pack(self) -> bytes:
        return _SITE.pack(*self[:5]) + _packed(self.total, self.this_hour)


def key_of(path: bytes) -> bytes:
    """Return the key of a file's row."""
    if len(path) <= LONGEST_PATH and path[:1] == PATHS:
        return path
    return DIGESTS + sha256(path).digest()


def number_at(value: bytes | memoryview | None, otherwise: int = 0) -> int:
    """Return the number that a row holds in 4 bytes."""
    if value is None or len(value) != NUMBER.size:
        return otherwise
    return int(NUMBER.unpack(value)[0])


def is_file_row(value: bytes) -> bool:
    """Return whether *value* has the length of a file's row."""
    return len(value) >= _FILE.size and len(value) % 16 == _FILE.size % 16


def is_site_row(value: bytes) -> bool:
    return len(value) >= _SITE.size and len(value) % 16 == _SITE.size % 16


def id_of_row(value: bytes) -> int:
    """Return the id that a file's row holds."""
    return int.from_bytes(value[8:12], "little")


def accesses_of_row(value: bytes | None) -> int:
    """Return the accesses that a file's row holds, 0 for a row that is not there."""
    if value is None or not is_file_row(value):
        return 0
    return (int.from_bytes(value, "little") >> FILE_PAIRS) & MASK


def pack_tally(lanes: int) -> bytes:
    return lanes.to_bytes((lanes.bit_length() + 7) // 8, "little")


def unpack_tally(value: bytes | memoryview | None) -> int:
    """Return a tally's integer, 0 for a row that is not there."""
    return 0 if value is None else int.from_bytes(value, "little")


def total_of_rows(rows: Iterable[bytes]) -> tuple[int, int, int, int]:
    """Return of files' rows how many they are, their totals added up, their first and their last
    access.
    """
    files = pairs = last = 0
    firsts = set()
    for row in rows:
        files += 1
        pairs += int.from_bytes(row[_FILE.size :], "little")
        firsts.add(row[:8])
        last = max(last, int.from_bytes(row[16:24], "little"))
    total, _ = _unpacked(pairs.to_bytes(16 * -(-pairs.bit_length() // (2 * WIDTH)), "little"))
    first = min((at for text in firsts if (at := int.from_bytes(text, "little"))), default=0)
    return files, total, first, last


def file_stamp(day: int, last: int) -> bytes:
    """Return what `FILE_STAMP` cuts out of the row of a file that was last accessed at *last*, on
    *day*.
    """
    return struct.pack("<IQ", day, last)


def site_stamp(hour: int, last: int) -> bytes:
    """Return what `SITE_STAMP` cuts out of the site's row."""
    return struct.pack("<QQ", hour, last)


def file_size(row: int) -> int:
    """Return the bytes of a file's row, an integer, without the pairs of zeros at the end."""
    return _FILE.size + 16 * -(-max(0, row.bit_length() - FILE_PAIRS) // (2 * WIDTH))


def site_size(row: int) -> int:
    return _SITE.size + 16 * -(-max(0, row.bit_length() - SITE_PAIRS) // (2 * WIDTH))


def _packed(whole: int, part: int) -> bytes:
    """Return the numbers of two tallies in pairs."""
    places = range(-(-max(whole.bit_length(), part.bit_length()) // WIDTH))
    numbers = [(tally >> WIDTH * place) & MASK for place in places for tally in (whole, part)]
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def _unpacked(pairs: bytes | memoryview) -> tuple[int, int]:
    numbers = memoryview(pairs).cast("B").cast("Q")
    return int.from_bytes(numbers[0::2].tobytes(), "little"), int.from_bytes(
        numbers[1::2].tobytes(), "little"
    )


def times_and_total(row: bytes) -> tuple[int, int, Tally]:
    """Return a file's first and last access and its tally, without the rest of its row."""
    words = memoryview(row).cast("Q")
    return (
        words[0],
        words[2],
        Tally(int.from_bytes(words[_FILE.size // 8 :: 2].tobytes(), "little")),
    )


def _pairs(whole: int, part: int) -> int:
    return int.from_bytes(_packed(whole, part), "little")


#: What a file's row and the site's row grow by.
Growth: TypeAlias = tuple[int, int]

_ALL = (1 << WIDTH * len(NAMES)) - 1
#: What is left of a growth, or of a row, of the day's numbers alone or of the hour's.
FILE_TODAY: Final = _pairs(0, _ALL) << FILE_PAIRS
SITE_THIS_HOUR: Final = _pairs(0, _ALL) << SITE_PAIRS


def growth(lanes: int) -> Growth:
    """Return what a file's row and the site's grow by when *lanes* are counted on their day and in
    their hour.
    """
    pairs = _pairs(lanes, lanes)
    return pairs << FILE_PAIRS, pairs << SITE_PAIRS


#: [kind][class][complete]
DELTAS_OF_ROWS: Final[Mapping[Kind, Mapping[Class, tuple[Growth, Growth]]]] = {
    kind: {
        class_: (growth(DELTAS[kind][class_][0]), growth(DELTAS[kind][class_][1]))
        for class_ in CLASSES
    }
    for kind in KINDS
}
FILE_SENT, SITE_SENT = growth(SENT_BYTE)
