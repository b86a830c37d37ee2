"""What our application notes about a request, for the server's log and figures.

It is in the environ under `NOTE`; other servers ignore it.
"""

from copy import copy
from typing import Any

NOTE = "tally.note"
#: The key in the environ of the id that a trusted proxy gave the request.
REQUEST_ID = "tally.request_id"


class RequestNote:
    """`path` and what follows it are about the file that was found; `kind` is "" without one."""

    __slots__ = ("class_", "completed", "is_told", "kind", "number", "path", "sent", "target")

    def __init__(
        self,
        path: str = "",
        kind: str = "",
        class_: str = "",
        number: int | None = None,
        completed: bool = False,
        *,
        target: str = "",
        is_told: bool = True,
    ) -> None:
        self.path = path
        self.kind = kind
        self.class_ = class_  # "" for what is no access
        self.number = number
        self.completed = completed
        self.sent = 0  # bytes of a body that was sent after the answer was made
        #: The target as it may be shown; "": as it came.
        self.target = target
        #: Whether it is in the log and the figures: a monitor that asks every second is in neither.
        self.is_told = is_told

    def with_path(self, path: str) -> "RequestNote":
        """Return a copy with another path."""
        other = copy(self)
        other.path = path
        return other


NO_NOTE = RequestNote()


def shown_target(environ: dict[str, Any], target: str) -> str:
    """Return *target* as a log may show it."""
    note: RequestNote | None = environ.get(NOTE)
    return target if note is None else note.target or target
