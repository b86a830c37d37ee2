"""The salt of the client hashes that all hosts share; see `salts.py`."""

from collections.abc import Callable
from secrets import token_hex
from time import monotonic

from ..contract import CounterError
from ..periods import SECONDS_PER_DAY
from ..salts import SALT_SIZE
from . import scripts
from .server import Server

#: It lives a little longer than its day, for clocks that are behind.
_LONGER_SECONDS = 60
#: After a failure Redis is not asked again for so long.
_RETRY_SECONDS = 1.0


class RedisSalts:
    """Safe from any thread."""

    def __init__(self, server: Server, clock: Callable[[], float]) -> None:
        self._server = server
        self._clock = clock
        self._kept = (-1, b"")  # replaced as a whole, so that no lock is needed
        self._retry_at = 0.0

    def known(self, day: int) -> bytes | None:
        """Return the salt of a UTC day without asking Redis, None when it is not known."""
        kept, salt = self._kept
        return salt if day == kept else None

    def of(self, day: int) -> bytes | None:
        """Return the salt of a UTC day.

        None when it is over, and when Redis cannot be asked now: no client is counted then.
        """
        kept, salt = self._kept
        if day == kept:
            return salt
        left = (day + 1) * SECONDS_PER_DAY - int(self._clock()) + _LONGER_SECONDS
        if day < kept or left <= 0 or monotonic() < self._retry_at:
            return None
        arguments = [str(day), token_hex(SALT_SIZE), str(left)]
        try:
            answer = self._server.run(self._server.quick, scripts.SALT_OF, arguments)
            salt = bytes.fromhex(bytes(answer).decode("ascii"))
        except (CounterError, ValueError):
            self._retry_at = monotonic() + _RETRY_SECONDS
            return None
        self._kept = day, salt
        return salt
