"""Where a host keeps what it counted while the remote store is away, so that killing the server loses nothing.

Every process that counts has a token: a file that it holds locked as long as it lives. Its entries are numbered in
streams, `TOKEN-1`, `TOKEN-2`, ..., one for each time the remote store was found again; a stream's entries are delivered
in order, and by one process at a time, for the remote store knows a stream by its last number. A token whose file is
not locked is that of a dead process: whoever gets the lock delivers what is left.

An entry is four texts, opaque here.
"""

import fcntl
import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .environment import Environment, Transaction

Entry = tuple[str, str, str, str]

_SUFFIX = ".writer"
_POSITION = struct.Struct(">IQ")  # stream, number: big-endian, so that entries sort
_MARK = b"j"


@dataclass(frozen=True, slots=True)
class Writer:
    """A token that this process holds, its own or a dead one's."""

    token: str
    descriptor: int

    def stream(self, number: int) -> str:
        return f"{self.token}-{number}"

    @property
    def last_stream(self) -> int:
        """The highest stream number that was begun; 0 when none was."""
        text = os.pread(self.descriptor, 20, 0)
        return int(text) if text.isdigit() else 0

    def begin_stream(self, number: int) -> None:
        """Remember that the stream may be known to the remote store, before it is."""
        os.pwrite(self.descriptor, str(number).encode(), 0)


class Journal:
    """The journal in *directory*. Raises CounterError or OSError when it cannot be used. Safe from any thread."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._environment = Environment.shared(directory, mode=0o700)
        try:
            self._environment.open()
        except BaseException:
            self._environment.release()
            raise

    def register(self) -> Writer:
        """Return a new writer for this process."""
        token = secrets.token_hex(8)
        path = self._token_path(token)
        unnamed = path + ".new"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.rename(unnamed, path)  # only now can others see it, and it is locked
        return Writer(token, descriptor)

    def adopt(self) -> Iterator[Writer]:
        """Yield the writers of dead processes; each is to be given to `retire` or `abandon`."""
        for name in sorted(os.listdir(self.directory)):
            if not name.endswith(_SUFFIX):
                continue
            try:
                descriptor = os.open(os.path.join(self.directory, name), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink == 0:  # another process retired it in between
                os.close(descriptor)
                continue
            yield Writer(name.removesuffix(_SUFFIX), descriptor)

    def append(self, writer: Writer, stream: int, first: int, entries: Sequence[Entry]) -> None:
        """Keep *entries*, numbered from *first*. When this returns, the death of the process does not lose them."""
        self._environment.transact(_put, writer.token.encode(), stream, first, entries)

    def waiting(self, writer: Writer, most: int) -> tuple[int, int, list[Entry]]:
        """Return stream, first number and up to *most* consecutive entries of the oldest stream; 0, 0, [] for none."""
        return self._environment.read(lambda transaction: _oldest(transaction, writer.token.encode(), most))

    def delivered(self, writer: Writer, stream: int, first: int, amount: int) -> None:
        """Forget entries that the remote store has."""
        self._environment.transact(_delete, writer.token.encode(), stream, first, amount)

    def retire(self, writer: Writer) -> None:
        """Give up a writer that has nothing waiting."""
        os.unlink(self._token_path(writer.token))
        os.close(writer.descriptor)

    def abandon(self, writer: Writer) -> None:
        """Leave a writer's entries to whoever comes next."""
        os.close(writer.descriptor)

    def close(self) -> None:
        self._environment.release()

    def _token_path(self, token: str) -> str:
        return os.path.join(self.directory, token + _SUFFIX)


def _key(token: bytes, stream: int, number: int) -> bytes:
    return _MARK + token + _POSITION.pack(stream, number)


def _put(transaction: Transaction, token: bytes, stream: int, first: int, entries: Sequence[Entry]) -> None:
    for number, entry in enumerate(entries, first):
        transaction.put(_key(token, stream, number), "\n".join(entry).encode("utf-8", "surrogatepass"))


def _oldest(transaction: Transaction, token: bytes, most: int) -> tuple[int, int, list[Entry]]:
    prefix = _MARK + token
    entries: list[Entry] = []
    of_stream = first = 0
    with transaction.cursor() as cursor:
        found = cursor.set_range(prefix)
        while found and len(entries) < most:
            key = cursor.key()
            if not key.startswith(prefix):
                break
            stream, number = _POSITION.unpack(key[len(prefix) :])
            if not entries:
                of_stream, first = stream, number
            elif (stream, number) != (of_stream, first + len(entries)):
                break
            operation, name, amount, time = cursor.value().decode("utf-8", "surrogatepass").split("\n")
            entries.append((operation, name, amount, time))
            found = cursor.next()
    return of_stream, first, entries


def _delete(transaction: Transaction, token: bytes, stream: int, first: int, amount: int) -> None:
    for number in range(first, first + amount):
        transaction.delete(_key(token, stream, number))
