"""What our application notes about a request, for the server's log and figures.

It is in the environ under `NOTE`; other servers ignore it.
"""

from dataclasses import dataclass
from typing import Any

NOTE = "tally.note"
#: The key in the environ of the id that a trusted proxy gave the request.
REQUEST_ID = "tally.request_id"


@dataclass(slots=True)
class RequestNote:
    """`path` and what follows it are about the file that was found; `kind` is "" without one."""

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
