"""What is answered: a status, fields, a body, and what of it is counted."""

from collections.abc import Iterable
from typing import NamedTuple

from ..counters.contract import Kind
from .file_slice import FileSlice, MultipartBody
from .pages import page
from .policy import Fields
from .static_file import StaticFile


class Answer(NamedTuple):
    """One answer, without its Date."""

    status: int
    fields: Fields
    body: Iterable[bytes]
    file: StaticFile | None = None  # with `kind`: what is counted
    kind: Kind | None = None
    #: Whether the client has the whole file, or the rest of it, when it has this body.
    completes: bool = False
    #: What the body is read from after the answer was made; None when it is held in memory.
    source: FileSlice | MultipartBody | None = None

    @property
    def held_bytes(self) -> int:
        """The size of a body that is held in memory."""
        return 0 if self.source is not None else sum(map(len, self.body))


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
        [content],
    )


def error(status: int, *more: tuple[str, str]) -> Answer:
    return page_answer(status, "no-store", *more)
