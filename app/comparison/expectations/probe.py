"""A row of the behaviour tables, and the words that its requests are written in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..exchange import Exchange

Level = Literal["MUST", "SHOULD"]


@dataclass(frozen=True)
class Facts:
    """What a server said about /text.txt before the list began.

    An empty text: it said no such thing.
    """

    etag: str = ""
    modified: str = ""
    port: int = 0

    def placeholders(self) -> Mapping[str, str]:
        """Return what may stand in a request between angle brackets."""
        weak = self.etag if self.etag.startswith("W/") else f"W/{self.etag}"
        return {
            "<etag>": self.etag,
            "<weak-etag>": weak,
            "<modified>": self.modified,
            "<port>": str(self.port),
        }


#: Returns what is wrong, in a few words; an empty text if the answer is right; or NOT_OFFERED.
Check = Callable[[Exchange, Facts], str]
#: The answer is right because the RFC leaves the feature to the server, and this one does without.
NOT_OFFERED = "\0not offered"


@dataclass(frozen=True)
class Probe:
    """A request, and what is required of the answer.

    *name* says what is sent, *requires* what the answer has to be. The follow-up that *then_closed*
    asks for is a second request on the same connection, which must not be served.
    """

    name: str
    request: bytes | tuple[bytes, ...]
    level: Level
    section: str
    requires: str
    check: Check
    methods: tuple[str, ...] = field(default=("GET",))
    then_closed: bool = False

    @property
    def parts(self) -> tuple[bytes, ...]:
        return (self.request,) if isinstance(self.request, bytes) else self.request


def request(method: str, target: str, *lines: str, body: str = "") -> bytes:
    """Return a well-formed HTTP/1.1 request with a Host field before *lines*."""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: 127.0.0.1:<port>", *lines])
    return f"{head}\r\n\r\n{body}".encode("latin-1")


def get(target: str, *lines: str) -> bytes:
    return request("GET", target, *lines)


def raw(text: str) -> bytes:
    """Return *text* as it goes over the wire, `\\n` included as it is."""
    return text.encode("latin-1")
