"""What an LMDB store of format 1 held, to be brought into today's format.

A file's key was its path, or for a long path `#` and its SHA-256, and its value nine numbers: the
answers of five kinds, first and last access, a day, and that day's accesses. The days before had
rows of their own (`d`, the file's key, the day), and so had statuses (`s`) and long paths (`@`).
"""

import struct
from collections.abc import Iterable
from typing import Final

from ..format_1 import Counts, file_record

_RECORD: Final = struct.Struct("<9Q")
_ONE: Final = struct.Struct("<Q")
_DAY: Final = struct.Struct(">I")
_PATH, _DIGEST, _PATH_OF_DIGEST, _DAYS, _STATUS = b"/", b"#", b"@", b"d", b"s"

#: Keys of format 1 begin so; the environment's own and what was set aside (`x`) do not.
MARKS: Final = frozenset((_PATH, _DIGEST, _PATH_OF_DIGEST, _DAYS, _STATUS))


def decoded(rows: Iterable[tuple[bytes, bytes]]) -> tuple[Counts, set[bytes]]:
    """Return what *rows* hold, and the keys of those that cannot be read."""
    counts, unreadable = Counts(), set[bytes]()
    records: dict[bytes, tuple[int, ...]] = {}
    days: dict[bytes, dict[int, int]] = {}
    paths: dict[bytes, bytes] = {}
    for key, value in rows:
        mark = key[:1]
        try:
            if mark in (_PATH, _DIGEST):
                records[key] = _RECORD.unpack(value)
            elif mark == _DAYS:
                (day,) = _DAY.unpack(key[-_DAY.size :])
                its_days = days.setdefault(key[1 : -_DAY.size], {})
                its_days[day] = its_days.get(day, 0) + _ONE.unpack(value)[0]
            elif mark == _STATUS:
                counts.statuses[int(key[1:])] = _ONE.unpack(value)[0]
            elif mark == _PATH_OF_DIGEST:
                paths[_DIGEST + key[1:]] = value
        except (struct.error, ValueError):
            unreadable.add(key)
    for key, (*numbers, day, today) in records.items():
        its_days = days.pop(key, {})
        if today:
            its_days[day] = its_days.get(day, 0) + today
        path = paths.get(key, key).decode("utf-8", "surrogatepass")
        counts.files[path] = file_record(numbers, its_days)
    unreadable |= {_DAYS + key for key in days}
    return counts, unreadable
