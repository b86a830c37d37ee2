"""What the counter in memory keeps of each file and of the site. Tallies are integers (`tally.py`).

It is apart from the reader, which is loaded when somebody reads.
"""


class File:
    __slots__ = ("clients", "days", "first", "last", "total", "waiting")

    def __init__(self) -> None:
        self.total = 0
        self.waiting = 0  # counted, but not yet added to `days`
        self.first = self.last = 0
        self.days: dict[int, int] = {}
        self.clients: dict[int, dict[bytes, bytes]] = {}  # by day, and by the client's hash


class Site:
    __slots__ = ("days", "detailed_since", "hours", "missed", "statuses", "total")

    def __init__(self) -> None:
        self.total = 0
        self.days: dict[int, int] = {}
        self.hours: dict[int, int] = {}
        self.statuses: dict[int, int] = {}
        self.missed: dict[str, int] = {}
        self.detailed_since = 0
