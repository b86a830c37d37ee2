"""The field lines with which a client's heads begin.

A client that asks for several files in a row says the same of itself each time, in the same lines.
A `Beginning` has these lines with their variables. The next head is compared with all of them at
once, and only the lines behind them are looked up one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

_END_OF_LINE = b"\r\n"


@final
class Beginning:
    """Valid field lines, no field twice, for one connection. Never changed."""

    __slots__ = ("_bytes", "count", "length", "variables")

    def __init__(
        self, lines: Sequence[str], base: Mapping[str, Any], fields: Iterable[tuple[str, str]]
    ) -> None:
        """*fields* are the variables and values of *lines*; *base* is what every request has."""
        # With the ends of the request line and of the last line: so it is found between whole
        # lines alone.
        self._bytes = "\r\n".join(["", *lines, ""]).encode("latin-1")
        self.length = len(self._bytes)
        self.count = len(lines)
        #: With those of *base*.
        self.variables = {**base, **dict(fields)}

    def end_in(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Return where these lines end in the head that *data* has from *start* to *end*.

        Returns 0 if the head begins with other lines, or has none behind these.
        """
        # Without a field line this is -1, and what is there is too short.
        at = data.find(_END_OF_LINE, start, end)
        if not data.startswith(self._bytes, at):
            return 0
        at += self.length
        return at if at < end else 0
