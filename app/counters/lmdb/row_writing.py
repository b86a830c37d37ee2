"""The rows of format 2 that are written now and then, beside those of files and the site."""

from typing import Protocol

from ..outage import tell
from .rows import (
    ANSWERS,
    ASIDE,
    BATCH,
    DAYS,
    FIRST_BATCH,
    HOURS,
    LONG_PATHS,
    LONGEST_PATH,
    NUMBER,
    SPILLED,
    SPILLED_KEY,
    STATUSES,
    key_of,
    number_at,
    pack_tally,
    unpack_tally,
)


class Rows(Protocol):
    """A write transaction, as LMDB's."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> bool: ...


def add_up_day(rows: Rows, day: int) -> None:
    """Add a day's hours to the day's row. To be called once, when the day is over."""
    hours = range(day * 24, (day + 1) * 24)
    add_tally(
        rows,
        DAYS + NUMBER.pack(day),
        sum(unpack_tally(rows.get(HOURS + NUMBER.pack(hour))) for hour in hours),
    )


def set_aside(rows: Rows, key: bytes, value: bytes) -> None:
    """Keep a copy of an unreadable row under another key.

    The caller then writes a new row, which begins at 0.
    """
    rows.put((ASIDE + key)[:LONGEST_PATH], value)
    tell(
        f"counts: the row {key[:80]!a} cannot be read ({len(value)} bytes), and was set aside; it"
        " begins at 0"
    )


def long_key(rows: Rows, path: bytes) -> bytes:
    """Return the key of a file's row, after keeping the path if the key does not tell it."""
    key = key_of(path)
    if key is not path and rows.get(key) is None:
        rows.put(LONG_PATHS + key[1:], path)
    return key


def add_answers(rows: Rows, status: int, answers: int) -> None:
    key = STATUSES + NUMBER.pack(status)
    value = rows.get(key)
    if value is not None and len(value) != ANSWERS.size:
        set_aside(rows, key, value)
        value = None
    rows.put(key, ANSWERS.pack(answers + (0 if value is None else ANSWERS.unpack(value)[0])))


def add_tally(rows: Rows, key: bytes, lanes: int) -> None:
    if lanes:
        rows.put(key, pack_tally(unpack_tally(rows.get(key)) + lanes))


def add_spilled(rows: Rows, file_id: int, day: int, lanes: int) -> None:
    batch = number_at(rows.get(BATCH), FIRST_BATCH)
    add_tally(rows, SPILLED + SPILLED_KEY.pack(file_id, day, batch), lanes)
