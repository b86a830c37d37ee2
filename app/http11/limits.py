"""How much a client may send in one request."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Numbers of bytes, but for *fields*.

    Beyond them: 414 (request line), 431 (fields, head, trailers), 413 (body).
    """

    line: int = 8190  # without its CRLF
    fields: int = 100
    field_size: int = (
        8190  # of a field line with its CRLF: both as others count the limits of these names
    )
    head: int = 65536  # with the empty line that ends it; also of a trailer section
    body: int = 1073741824  # 0: no limit

    @property
    def short_head(self) -> int:
        """The length of a head that can break no other limit of size."""
        return min(self.line, self.field_size - 2, self.head - 4)
