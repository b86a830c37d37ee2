"""What tells that a row may not be any more what was written in the last transaction."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaks:
    """How often a transaction was given up, or the file opened anew, by this process."""

    number: int = 0
