"""A row of the tables, and the words that its request is written in."""

from dataclasses import dataclass
from typing import Literal

from .checks import Check

Level = Literal["MUST", "SHOULD"]


@dataclass(frozen=True)
class Row:
    """A request, and what is required of the answer.

    *name* says what is sent, *requires* what the answer has to be. *parts* go out one after
    another on one connection, whatever packets that makes; *replies* answers are read. *needs* is
    the validator without which the row does not apply: "etag", "modified" or none.
    """

    level: Level
    section: str
    name: str
    parts: tuple[bytes, ...]
    check: Check
    requires: str
    replies: int = 1
    needs: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """The method that each answer belongs to, as far as it matters for where the answer ends."""
        first = "HEAD" if self.parts[0].startswith(b"HEAD ") else "GET"
        return (first,) + ("GET",) * (self.replies - 1)

    @property
    def follows(self) -> bool:
        """Whether another request is sent behind the answer, to see if the connection serves it."""
        return self.check.follows and self.replies == 1


@dataclass(frozen=True)
class Maker:
    """Makes rows of one level.

    Their sections come without "RFC"; where no *requires* is given, the words of the check say it.
    """

    level: Level

    def __call__(
        self,
        section: str,
        name: str,
        request: bytes | tuple[bytes, ...],
        check: Check,
        requires: str = "",
        replies: int = 1,
        needs: str = "",
    ) -> Row:
        parts = request if isinstance(request, tuple) else (request,)
        for placeholder, validator in ((b"<modified>", "modified"), (b"etag>", "etag")):
            if placeholder in b"".join(parts):
                needs = needs or validator
        words = requires or check.words
        return Row(self.level, f"RFC {section}", name, parts, check, words, replies, needs)


must, should = Maker("MUST"), Maker("SHOULD")
HOST = "Host: 127.0.0.1:<port>"


def sent(*lines: str) -> bytes:
    """Return a head with just these lines."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def ask(method: str, target: str, *lines: str, content: str = "") -> bytes:
    """Return a well-formed HTTP/1.1 request with a Host field before *lines*."""
    return sent(f"{method} {target} HTTP/1.1", HOST, *lines) + content.encode("latin-1")


def get(target: str, *lines: str) -> bytes:
    return ask("GET", target, *lines)


def text(*lines: str) -> bytes:
    """GET /text.txt"""
    return get("/text.txt", *lines)


def head(*lines: str, target: str = "/text.txt") -> bytes:
    return ask("HEAD", target, *lines)


def post(*lines: str, content: str = "") -> bytes:
    return ask("POST", "/text.txt", *lines, content=content)


OTHER = get("/other.txt")
NOTHING = "/nothing.txt"
