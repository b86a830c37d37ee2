"""An LMDB file that nobody writes to: whether it is sound, what is in it, and a copy of it.

Nothing here lets LMDB map a file that was not checked.
"""

import os
import struct
from typing import cast

import lmdb
import lmdb.verify

#: The data version of LMDB 0.9. Its place in the file is the meta page's, behind the page header.
_LMDB_MAGIC, _LMDB_VERSION = 0xBEEFC0DE, 1


def verified_problem(path: str) -> str:
    """Return what is wrong with an LMDB file that nobody has open, or "" when it is sound."""
    try:
        problems = cast(list[str], lmdb.verify.verify(path, subdir=False))  # type: ignore[no-untyped-call]
    except (lmdb.verify.VerifyError, OSError, struct.error, ValueError, IndexError) as error:
        return str(error) or type(error).__name__
    return problems[0] if problems else ""


def reading(path: str) -> "lmdb.Transaction[bytes]":
    """Return a read transaction on a sound file that nobody writes to."""
    return lmdb.open(path, subdir=False, readonly=True, lock=False, lib_version=0).begin()


def rows_of_file(path: str) -> list[tuple[bytes, bytes]]:
    """Return the rows of a file that nobody writes to, a snapshot; none when it is damaged."""
    if verified_problem(path):
        return []
    environment = lmdb.open(path, subdir=False, readonly=True, lock=False, lib_version=0)
    try:
        with environment.begin() as transaction:
            return list(transaction.cursor())
    finally:
        environment.close()


def _meta_words(path: str) -> tuple[int, int]:
    """Return magic and data version of an LMDB 0.9 file's first page."""
    with open(path, "rb") as file:
        head = file.read(24)
    return struct.unpack_from("=II", head, 16) if len(head) == 24 else (0, 0)


def has_meta_page(path: str) -> bool:
    """Return True when *path* begins as an LMDB file of our version does."""
    return _meta_words(path) == (_LMDB_MAGIC, _LMDB_VERSION)


def newer_lmdb(path: str) -> str:
    """Return why this LMDB cannot know the file, or ""."""
    with open(path, "rb") as file:
        head = file.read(64)
    for offset in range(0, max(0, len(head) - 7), 4):
        magic, version = struct.unpack_from("=II", head, offset)
        if magic == _LMDB_MAGIC and _LMDB_VERSION < version < 256:
            return f"written by a newer version of LMDB (data version {version})"
    return ""


def copy_file(source: str, target: str) -> None:
    """Put a copy of *source* into *target*'s place, whole and on the disk or not at all."""
    beside = f"{target}.new"
    with open(source, "rb") as file, open(beside, "wb") as copy:
        while block := file.read(1 << 20):
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    os.replace(beside, target)
