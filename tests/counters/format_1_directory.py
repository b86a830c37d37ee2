"""Writes an LMDB store of format 1, as its programs did: a transaction for each access.

`app/counters/lmdb/format_1_rows.py` tells what the rows are.
"""

import struct
from pathlib import Path

import lmdb

from app.counters.format_1 import KINDS

_RECORD = struct.Struct("<9Q")
_ONE = struct.Struct("<Q")
_DAY = struct.Struct(">I")
_SIZE = 1 << 30


class Format1Directory:
    """The store in *directory*, which no other process has open."""

    def __init__(self, directory: Path) -> None:
        self._environment = lmdb.open(
            str(directory), map_size=_SIZE, writemap=True, sync=False, max_dbs=0
        )
        with self._environment.begin(write=True) as transaction:
            transaction.put(b"\0format", b"1 00000000-0000-0000-0000-000000000000")

    def count(self, path: str, kind: str, at: int) -> None:
        key, today = path.encode(), at // 86400
        with self._environment.begin(write=True) as transaction:
            kept = transaction.get(key)
            numbers = list(_RECORD.unpack(kept)) if kept else [0] * 9
            numbers[KINDS.index(kind)] += 1
            if kind in KINDS[:3]:
                numbers[5] = min(numbers[5] or at, at)
                numbers[6] = max(numbers[6], at)
                if today < numbers[7]:
                    _add(transaction, key, today, 1)
                elif today == numbers[7]:
                    numbers[8] += 1
                else:
                    _add(transaction, key, numbers[7], numbers[8])
                    numbers[7:] = today, 1
            transaction.put(key, _RECORD.pack(*numbers))

    def answered(self, status: int) -> None:
        key = b"s%d" % status
        with self._environment.begin(write=True) as transaction:
            kept = transaction.get(key)
            transaction.put(key, _ONE.pack((_ONE.unpack(kept)[0] if kept else 0) + 1))

    def close(self) -> None:
        self._environment.sync(True)
        self._environment.close()


def _add(transaction: "lmdb.Transaction[bytes]", key: bytes, day: int, accesses: int) -> None:
    if accesses:
        row = b"d" + key + _DAY.pack(day)
        kept = transaction.get(row)
        transaction.put(row, _ONE.pack((_ONE.unpack(kept)[0] if kept else 0) + accesses))
