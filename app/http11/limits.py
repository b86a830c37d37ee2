"""How much a client may send in one request."""

from typing import final


@final
class Limits:
    """Numbers of bytes, but for *fields*. A value: never changed, and equal to one that says the
    same.

    Beyond them: 414 (request line), 431 (fields, head, trailers), 413 (body). *line* is without its
    CRLF; *field_size* with it, as others count the limits of these names. *head* is with the empty
    line that ends it, and also that of a trailer section. *body* 0: no limit.
    """

    __slots__ = ("body", "field_size", "fields", "head", "line", "short_head")

    def __init__(
        self,
        line: int = 8190,
        fields: int = 100,
        field_size: int = 8190,
        head: int = 65536,
        body: int = 1073741824,
    ) -> None:
        self.line = line
        self.fields = fields
        self.field_size = field_size
        self.head = head
        self.body = body
        #: The length of a head that can break no other limit of size.
        self.short_head = min(line, field_size - 2, head - 4)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Limits) and self._numbers() == other._numbers()

    def __hash__(self) -> int:
        return hash(self._numbers())

    def _numbers(self) -> tuple[int, ...]:
        return self.line, self.fields, self.field_size, self.head, self.body
