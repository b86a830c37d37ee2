"""What an application of ours tells the server of a request, for its log and its figures.

It is in the environ, below `NOTE`, which any other server ignores.
"""

from dataclasses import dataclass
from typing import Any

NOTE = "tally.note"
#: What a proxy that is trusted calls the request, in the environ.
REQUEST_ID = "tally.request_id"


@dataclass(slots=True)
class RequestNote:
    """`path` and what follows it are about a file that was found; `kind` "" is none."""

    path: str = ""
    kind: str = ""
    class_: str = ""  # "" for what is no access
    number: int | None = None
    completed: bool = False
    sent: int = 0  # bytes of a body that was sent after the answer was made
    #: The target as it may be shown; "": as it came.
    target: str = ""
    #: Whether it is in the log and the figures: a monitor that asks every second is in neither.
    is_told: bool = True


NO_NOTE = RequestNote()


def shown_target(environ: dict[str, Any], target: str) -> str:
    """Return *target* as a log may show it."""
    note: RequestNote | None = environ.get(NOTE)
    return target if note is None else note.target or target
