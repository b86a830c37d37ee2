"""What is answered: a status, fields, a body, and what of it is counted."""

from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import TYPE_CHECKING

from ..counters.contract import Kind
from .pages import page
from .policy import Fields

if TYPE_CHECKING:
    from .file_slice import FileSlice, MultipartBody


class Answer:
    """One answer, without its Date. May be given again for other requests, so nothing changes it.

    It does not know its file, which has it ready: a circle would stay in memory until the garbage
    collector comes.
    """

    __slots__ = ("body", "completes", "fields", "held", "key", "kind", "size", "source", "status")

    def __init__(
        self,
        status: int,
        fields: Fields,
        body: Iterable[bytes],
        key: str = "",
        size: int = 0,
        kind: Kind | None = None,
        completes: bool = False,
        held: int = 0,
        source: "FileSlice | MultipartBody | None" = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.body = body
        # Of an answer about a file: what it is counted under, the file's size, and as what.
        self.key = key
        self.size = size
        self.kind = kind
        #: Whether the client has the whole file, or the rest of it, when it has this body.
        self.completes = completes
        #: The size of a body that is in memory: it is handed over with the answer.
        self.held = held
        #: What the body is read from after the answer was made; None when it is in memory.
        self.source = source

    def with_fields(self, fields: Fields) -> "Answer":
        other = copy(self)
        other.fields = fields
        return other


def page_fields(media_type: str, size: int, cache_control: str) -> Fields:
    return [
        ("Content-Type", media_type),
        ("Content-Length", str(size)),
        ("Cache-Control", cache_control),
        ("X-Content-Type-Options", "nosniff"),
    ]


def page_answer(status: int, cache_control: str, *more: tuple[str, str]) -> Answer:
    content = page(status)
    return Answer(
        status,
        [*page_fields("text/html; charset=utf-8", len(content), cache_control), *more],
        (content,),
    )


def error(status: int, *more: tuple[str, str]) -> Answer:
    return page_answer(status, "no-store", *more) if more else _error(status)


@cache
def _error(status: int) -> Answer:
    return page_answer(status, "no-store")
