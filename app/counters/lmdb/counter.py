"""Counts of every worker process of a host, in an LMDB directory.

One transaction a count: one get, one put. A file's key is its path, and its value one packed
record: the kinds, first and last access, and the current day's accesses; the days before have rows
of their own. The access's number is the sum of the three kinds that are accesses, so nothing can
disagree. The transaction is the count: once it is committed the death of any process leaves it
counted, before that it is not.

How LMDB is opened, grown and recovered is `environment.py`'s affair.
"""

import os
import struct
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from time import time

from ..contract import SECONDS_PER_DAY, Announce, CounterError, Counts, FileRecord, Kind
from ..outage import Outage, tell
from .environment import DATA, FIRST_SIZE, SNAPSHOT, Environment, Transaction
from .file_check import rows_of_file
from .private_directory import is_private, remove_unused
from .snapshots import INTERVAL_SECONDS, Snapshots

# A member of an enumeration is ten times as far away as a name of the module.
FULL, PARTIAL, NOT_MODIFIED = Kind.FULL, Kind.PARTIAL, Kind.NOT_MODIFIED
RESUMED, HEAD = Kind.RESUMED, Kind.HEAD

#: full, partial, not modified, resumed, head, first access, last access, day, accesses of that day.
RECORD = struct.Struct("<9Q")
ONE = struct.Struct("<Q")
DAY = struct.Struct(">I")  # big-endian, so that days sort
_unpack, _pack = RECORD.unpack, RECORD.pack
_RECORD_SIZE = RECORD.size

# Keys. A path begins with "/"; one that is too long for a key (LMDB takes 511 bytes) goes by its
# digest.
_LONGEST_PATH = 480
_DIGEST, _PATH_OF_DIGEST, _DAYS, _STATUS = b"#", b"@", b"d", b"s"
#: What could not be read, kept for whoever looks into it: this, and as much of its key as there is
#: room for.
_ASIDE = b"x"


class LmdbCounter:
    """Counts in *directory*, shared with every process that counts there.

    Raises CounterError if it cannot be used.
    """

    def __init__(
        self, directory: str, *, create: bool = True, guest: bool = False,
        clock: Callable[[], float] = time,
        first_size: int = FIRST_SIZE, snapshot_interval: float = INTERVAL_SECONDS,
    ) -> None:  # fmt: skip
        if not directory:
            raise CounterError("counts: lmdb: needs a directory, as in lmdb:/var/lib/tally")
        if not create and not any(
            os.path.exists(os.path.join(directory, name)) for name in (DATA, SNAPSHOT)
        ):
            raise CounterError(f"counts: {directory}: no counts are kept there")
        self._clock = clock
        self._outage = Outage()
        self._environment = Environment.shared(directory, first_size=first_size, guest=guest)
        self._private = is_private(directory)
        self._counts_here = create  # who only reads what a killed server left must find it again
        self._snapshots = Snapshots(self._environment, interval=snapshot_interval)
        self._closed = False
        try:
            self._environment.open()
            self._raise_to_snapshot()
        except BaseException:
            self._environment.release()
            raise
        if create and not self._private:
            self._snapshots.watch()

    # ------------------------------------------------------------------ counting

    def count(self, path: str, kind: Kind, announce: Announce | None = None) -> int | None:
        outage = self._outage
        if outage.retry_at and outage.is_waiting():
            self._uncounted(kind, announce)
            return None
        key = path.encode("utf-8", "surrogatepass")
        try:
            if kind is RESUMED or kind is HEAD:
                announce = None
            number = self._environment.transact_in_order(announce, self._count_in, key, kind)
        except CounterError as error:
            outage.failed(error)
            self._uncounted(kind, announce)
            return None
        if outage.retry_at:
            outage.ended()
        if not self._snapshots.begun and not self._private:
            self._snapshots.begin()
        return number

    def _count_in(self, transaction: Transaction, key: bytes, kind: Kind) -> int | None:
        if len(key) > _LONGEST_PATH or key[:1] != b"/":
            key = _digest_key(transaction, key)
        value = transaction.get(key)
        if value is None or len(value) != _RECORD_SIZE:
            if value is not None:
                _set_aside(transaction, key, value)
            full = partial = not_modified = resumed = head = first = last = today = on = 0
        else:
            full, partial, not_modified, resumed, head, first, last, on, today = _unpack(value)
        if kind is FULL:
            full += 1
        elif kind is NOT_MODIFIED:
            not_modified += 1
        elif kind is PARTIAL:
            partial += 1
        else:
            if kind is RESUMED:
                resumed += 1
            else:
                head += 1
            transaction.put(
                key, _pack(full, partial, not_modified, resumed, head, first, last, on, today)
            )
            return None
        now = int(self._clock())
        if now > last:
            last = now
            first = first or now
        day = now // SECONDS_PER_DAY
        if day == on:
            today += 1
        elif day > on:
            if today:
                _add(transaction, _day_key(key, on), today)
            on, today = day, 1
        else:  # the clock went back over midnight
            _add(transaction, _day_key(key, day), 1)
        transaction.put(
            key, _pack(full, partial, not_modified, resumed, head, first, last, on, today)
        )
        return full + partial + not_modified

    def answered(self, status: int) -> None:
        if self._outage.retry_at and self._outage.is_waiting():
            return
        try:
            self._environment.transact(_add, _STATUS + str(status).encode(), 1)
        except CounterError as error:
            self._outage.failed(error)

    def _uncounted(self, kind: Kind, announce: Announce | None) -> None:
        if kind is not RESUMED and kind is not HEAD:
            self._outage.uncounted()
            if announce is not None:
                announce(None)

    # ------------------------------------------------------------------ reading and moving

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        def read(transaction: Transaction) -> dict[str, int]:
            values = {path: transaction.get(_key_of(path)) or b"" for path in paths}
            return {
                path: _record(value).accesses if len(value) == _RECORD_SIZE else 0
                for path, value in values.items()
            }

        if self._outage.is_waiting():
            return {}
        try:
            return self._environment.read(read)
        except CounterError as error:
            self._outage.failed(error)
            return {}

    def counts(self) -> Counts:
        """Return what one moment held; writers go on meanwhile."""
        rows = self._environment.read(lambda transaction: list(transaction.cursor()))
        unreadable: list[bytes] = []
        counts = decoded(rows, unreadable)
        if unreadable:
            shown = f"{unreadable[0][:80]!a}{' and others' if unreadable[1:] else ''}"
            where = self._environment.directory
            tell(
                f"counts: {where}: {len(unreadable)} rows cannot be read, and are left out: {shown}"
            )
        return counts

    def add(self, counts: Counts) -> None:
        self._environment.transact(_add_counts, counts)
        self._snapshots.begin()

    def reset(self, paths: Iterable[str] | None = None) -> None:
        self._environment.transact(_reset, None if paths is None else list(paths))
        self._snapshots.begin()

    def close(self) -> None:
        """Take the last snapshot and leave the directory; the last one out of a private directory
        removes it.
        """
        if self._closed:
            return
        self._closed = True
        if not self._private:
            self._snapshots.end()
        self._environment.release()
        self._outage.close()
        if self._private and self._counts_here:
            remove_unused(self._environment.directory)

    def _raise_to_snapshot(self) -> None:
        """After a power failure, values of the live file that are behind the snapshot's are taken
        from that.
        """
        snapshot = os.path.join(self._environment.directory, SNAPSHOT)
        if (
            self._environment.may_be_stale
            and os.path.exists(snapshot)
            and (rows := rows_of_file(snapshot))
        ):
            self._environment.transact(_raise_to, decoded(rows))


def _key_of(path: str) -> bytes:
    """Return the key that a path's record has if there is one; nothing is written."""
    key = path.encode("utf-8", "surrogatepass")
    is_short = len(key) <= _LONGEST_PATH and path.startswith("/")
    return key if is_short else _DIGEST + sha256(key).digest()


def _digest_key(transaction: Transaction, path: bytes) -> bytes:
    digest = sha256(path).digest()
    if transaction.get(_DIGEST + digest) is None:
        transaction.put(_PATH_OF_DIGEST + digest, path)
    return _DIGEST + digest


def _key(transaction: Transaction, path: str) -> bytes:
    key = _key_of(path)
    if key.startswith(_DIGEST):
        return _digest_key(transaction, path.encode("utf-8", "surrogatepass"))
    return key


def _day_key(key: bytes, day: int) -> bytes:
    return _DAYS + key + DAY.pack(day)


def _add(transaction: Transaction, key: bytes, amount: int) -> None:
    transaction.put(key, ONE.pack(_number(transaction, key) + amount))


def _number(transaction: Transaction, key: bytes) -> int:
    value = transaction.get(key)
    if value is None:
        return 0
    if len(value) != ONE.size:
        _set_aside(transaction, key, value)
        return 0
    number: int = ONE.unpack(value)[0]
    return number


def _set_aside(transaction: Transaction, key: bytes, value: bytes) -> None:
    """Move a row that cannot be read out of the way: what it was about is counted from 0 on."""
    transaction.put((_ASIDE + key)[:_LONGEST_PATH], value)
    transaction.delete(key)
    tell(
        f"counts: the row {key[:80]!a} cannot be read ({len(value)} bytes), and was set aside; it"
        " begins at 0"
    )


def decoded(rows: Iterable[tuple[bytes, bytes]], unreadable: list[bytes] | None = None) -> Counts:
    """Return the counts that the *rows* of a store hold; the keys of those that cannot be read go
    to *unreadable*.
    """
    counts = Counts()
    by_key: dict[bytes, FileRecord] = {}
    days: list[tuple[bytes, int]] = []
    paths: dict[bytes, str] = {}
    others: list[bytes] = [] if unreadable is None else unreadable
    for key, value in rows:
        mark = key[:1]
        try:
            if mark in (b"/", _DIGEST):
                by_key[key] = _record(value)
            elif mark == _DAYS:
                days.append((key[1:], ONE.unpack(value)[0]))
            elif mark == _STATUS:
                counts.other_statuses[int(key[1:])] = ONE.unpack(value)[0]
            elif mark == _PATH_OF_DIGEST:
                paths[_DIGEST + key[1:]] = value.decode("utf-8", "surrogatepass")
        except (struct.error, ValueError):
            others.append(key)
    for key, accesses in days:
        record = by_key.get(key[: -DAY.size])
        if record is None:
            others.append(_DAYS + key)
            continue
        (day,) = DAY.unpack(key[-DAY.size :])
        record.days[day] = record.days.get(day, 0) + accesses
    for key, record in by_key.items():
        counts.files[paths.get(key) or key.decode("utf-8", "backslashreplace")] = record
    return counts


def _record(value: bytes) -> FileRecord:
    *numbers, day, today = RECORD.unpack(value)
    return FileRecord.of(numbers, {day: today} if today else {})


def _read_record(transaction: Transaction, key: bytes) -> FileRecord:
    value = transaction.get(key)
    if value is not None and len(value) != _RECORD_SIZE:
        _set_aside(transaction, key, value)
        value = None
    record = FileRecord() if value is None else _record(value)
    for day_key, _ in _day_rows(transaction, key):
        (day,) = DAY.unpack(day_key[-DAY.size :])
        record.days[day] = record.days.get(day, 0) + _number(transaction, day_key)
    return record


def _day_rows(transaction: Transaction, key: bytes) -> list[tuple[bytes, bytes]]:
    prefix = _DAYS + key
    rows = []
    with transaction.cursor() as cursor:
        found = cursor.set_range(prefix)
        while found and cursor.key().startswith(prefix):
            if len(cursor.key()) == len(prefix) + DAY.size:
                rows.append((cursor.key(), cursor.value()))
            found = cursor.next()
    return rows


def _write_record(transaction: Transaction, key: bytes, record: FileRecord) -> None:
    on = max(record.days, default=0)
    for day_key, _ in _day_rows(transaction, key):
        transaction.delete(day_key)
    for day, accesses in record.days.items():
        if day != on:
            transaction.put(_day_key(key, day), ONE.pack(accesses))
    transaction.put(key, RECORD.pack(*record.numbers(), on, record.days.get(on, 0)))


def _add_counts(transaction: Transaction, counts: Counts) -> None:
    for path, added in counts.files.items():
        key = _key(transaction, path)
        record = _read_record(transaction, key)
        record.add(added)
        _write_record(transaction, key, record)
    for status, answers in counts.other_statuses.items():
        _add(transaction, _STATUS + str(status).encode(), answers)


def _raise_to(transaction: Transaction, counts: Counts) -> None:
    for path, before in counts.files.items():
        key = _key(transaction, path)
        record = _read_record(transaction, key)
        if record.raise_to(before):
            _write_record(transaction, key, record)
    for status, answers in counts.other_statuses.items():
        key = _STATUS + str(status).encode()
        if _number(transaction, key) < answers:
            transaction.put(key, ONE.pack(answers))


def _reset(transaction: Transaction, paths: list[str] | None) -> None:
    if paths is None:
        with transaction.cursor() as cursor:
            found = cursor.set_range(b"\1")  # what lies before is the environment's own
            while found:
                found = cursor.delete()
        return
    for path in paths:
        key = _key(transaction, path)
        for day_key, _ in _day_rows(transaction, key):
            transaction.delete(day_key)
        transaction.delete(key)
        if key.startswith(_DIGEST):
            transaction.delete(_PATH_OF_DIGEST + key[1:])
