"""Traffic for Redis in batches, as many threads at once send it: one by one, each answer takes a round trip."""

from app.counters.contract import Announce, Class, Kind
from app.counters.memory import MemoryCounter
from app.counters.redis.counter import JournaledCounter
from app.counters.redis.entries import Entry, count_entry, sent_entry
from tests.counters.traffic import Answered, Clock, run


class _Entries(MemoryCounter):
    """Notes as entries what it is to count."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.noted: list[Entry] = []

    def count(
        self,
        path: str,
        kind: Kind,
        announce: Announce | None = None,
        class_: Class = "unknown",
        sent: int = 0,
        complete: bool = False,
        client: bytes | None = None,
        enough: int = 0,
        at: int = 0,
    ) -> int | None:
        self.noted.append(count_entry(path, kind, class_, sent, complete, client, enough, at))
        return None

    def sent(
        self,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None = None,
        enough: int = 0,
    ) -> None:
        self.noted.append(sent_entry(path, kind, sent, complete, client, enough, at))


def run_in_batches(store: JournaledCounter, given: list[Answered], clock: Clock) -> None:
    """Count like `run`, by the store's own script."""
    entries = _Entries(clock)
    run(entries, given, clock)
    for begin in range(0, len(entries.noted), 100):
        store._remote.apply("w", begin + 1, entries.noted[begin : begin + 100])
