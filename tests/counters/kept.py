"""What a store keeps, as tests look at it."""

from app.counters.reading import FileRecord, Store
from app.counters.tally import Tally


def files_of(store: Store) -> dict[str, FileRecord]:
    return dict(store.contents()[1])


def accesses_of(store: Store, path: str) -> int:
    answer = store.file(path)
    return 0 if answer is None else answer.file.tally.accesses


def statuses_of(store: Store) -> dict[int, int]:
    """Return the answers that no kind stands for."""
    return store.contents()[0].statuses


def days_of(record: FileRecord) -> dict[int, int]:
    """Return the accesses of a file by day."""
    return {day: tally.accesses for day, tally in record.days.items()}


def record(accesses: int, *days: int) -> FileRecord:
    """Return a file with so many accesses, of which one was on each of *days*."""
    tallies = {day: Tally.of(accesses=1, unknown=1) for day in days}
    at = [day * 86400 for day in days] or [0]
    return FileRecord(Tally.of(accesses=accesses, unknown=accesses), min(at), max(at), tallies)
