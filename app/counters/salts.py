"""The key of the client hashes: 32 random bytes that live for one UTC day, the same in all
processes.

Without the salt a hash leads back to no address, and the hashes of two days have nothing in common.
So it must not outlive its day, and must not be where data is copied from.

- In LMDB's directory it is a file of its own, `clients.salt`, readable by its owner alone. Neither
  the snapshot nor an export has it. Processes agree by the file's lock: the first to come on a new
  UTC day writes a new salt over the old one, in place, so that the old bytes are gone (as far as a
  file system overwrites: one that copies on write, and a flash disk, may keep them for a while).
  `forget_old` does the same when nobody comes; a store calls it now and then, and when it closes.
- In Redis it is the key `{tally}:salt:DAY`, made by SET NX with a time to live that ends a minute
  after the day, so that all hosts agree and Redis forgets by itself. (An append-only file keeps it
  until it is rewritten, a dump until the next one: the guide says so.)
- In memory it is a value of the process.

A process whose clock is behind keeps the old day's salt, which it has in memory, for its last
seconds. One that never had it counts no clients until its own midnight. A transfer that ends after
midnight adds its bytes to the file, but no longer to its client.

After a power failure the salt may be lost, or half written, which its checksum shows. Then there is
a new one, and the day's clients may be counted once more: the guide says this too.
"""

import fcntl
import os
import struct
from hashlib import blake2b
from typing import Final, Protocol

SALT_SIZE: Final = 32
FILE_NAME: Final = "clients.salt"

_RECORD = struct.Struct(f"<Q{SALT_SIZE}s8s")  # day, salt, checksum


class Salts(Protocol):
    """Where the day's salt comes from. Safe from any thread."""

    def of(self, day: int) -> bytes | None:
        """Return the salt of a UTC day, None when it is over. Raises OSError."""


class MemorySalts:
    """The salt of one process."""

    def __init__(self) -> None:
        self._kept = (-1, b"")

    def of(self, day: int) -> bytes | None:
        kept, salt = self._kept
        if day > kept:
            self._kept = day, os.urandom(SALT_SIZE)
            return self.of(day)
        return salt if day == kept else None


class FileSalts:
    """The salt of all processes that share a directory."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, FILE_NAME)
        self._kept = (-1, b"")  # replaced as a whole, so that no lock is needed

    def of(self, day: int) -> bytes | None:
        kept, salt = self._kept
        if day == kept:
            return salt
        found, salt = self._agree(day)
        if found != day:
            return None
        self._kept = day, salt
        return salt

    def forget_old(self, today: int) -> None:
        """Overwrite the salt of a day before *today*. Raises OSError."""
        kept, _ = self._kept
        if kept < today:
            self._kept = (-1, b"")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _read(descriptor)[0] < today and any(os.pread(descriptor, _RECORD.size, 0)):
                os.pwrite(descriptor, bytes(_RECORD.size), 0)
        finally:
            os.close(descriptor)

    def _agree(self, day: int) -> tuple[int, bytes]:
        """Return day and salt of the file, after writing a new one for *day* if the file's is
        older.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            found, salt = _read(descriptor)
            # A day that is still far away was written by a clock that was wrong.
            if not day <= found <= day + 1:
                found, salt = day, os.urandom(SALT_SIZE)
                os.pwrite(descriptor, _RECORD.pack(found, salt, _checksum(found, salt)), 0)
            return found, salt
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> tuple[int, bytes]:
    """Return day and salt of the file; day -1 when it holds none that can be used."""
    record = os.pread(descriptor, _RECORD.size, 0)
    if len(record) == _RECORD.size:
        day, salt, checksum = _RECORD.unpack(record)
        if checksum == _checksum(day, salt):
            return day, salt
    return -1, b""


def _checksum(day: int, salt: bytes) -> bytes:
    return blake2b(b"%d" % day + salt, digest_size=8).digest()
