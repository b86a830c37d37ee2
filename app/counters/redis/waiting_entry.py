"""An entry on its way to the store, and the thread that waits for it."""

from collections.abc import Iterable
from threading import Lock

from ..contract import Announce
from .entries import Entry


class WaitingEntry:
    """Settled by whoever leads: with its access number, or None when it is not known."""

    __slots__ = ("announce", "done", "entry", "is_access", "leads", "number")

    def __init__(self, entry: Entry, is_access: bool, announce: Announce | None) -> None:
        self.entry = entry
        self.is_access = is_access
        self.announce = announce if is_access else None
        self.number: int | None = None
        self.done: Lock | None = None  # held until the entry is settled, once somebody waits for it
        self.leads = False

    def settle(self, number: int | None) -> None:
        self.number = number
        if self.announce is not None:
            self.announce(number)


def release(settled: Iterable[WaitingEntry]) -> None:
    """Let the threads go on that wait for these entries."""
    for waiting in settled:
        # The next leader is released twice: to lead, and with its batch.
        done, waiting.done = waiting.done, None
        if done is not None:
            done.release()
