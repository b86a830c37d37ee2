"""When a row may differ from what this process wrote in its last transaction."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaks:
    """How often a transaction was given up, or the file opened anew, by this process."""

    number: int = 0
