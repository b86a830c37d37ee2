"""Names that were asked for most often and do not exist.

Anybody can ask for any name, so their number is bounded. When there are too many, those that were
asked for least are forgotten. So a name was asked for at least as often as its number says.

A process adds up its names for a second, and then adds them to its store. So the names are the same
from each worker and host, and a 404 costs no transaction of its own.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock, Timer
from typing import Protocol
from urllib.parse import quote

from .. import after_fork
from .contract import CounterError

#: How many names are shown. Twice as many are kept, so that a new name can rise.
MOST_NAMES = 128
_LONGEST = 200
_SECONDS = 1.0
#: As in the paths of files.
_SAFE = "/!$&'()*+,;=:@~-._"


class MissedStore(Protocol):
    def add_missed(self, names: Mapping[str, int]) -> None:
        """See `reading.Store`."""


def most_missed(names: Mapping[str, int]) -> dict[str, int]:
    """Return the names that were asked for most, those first."""
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:MOST_NAMES])


def add_names(names: dict[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return *names*, with *more* added to them, and cut short when there are too many."""
    for name, times in more.items():
        names[name] = names.get(name, 0) + times
    return names if len(names) <= 2 * MOST_NAMES else most_missed(names)


class MissedNames:
    """Takes the names of 404s to what *store* returns. Safe from any thread.

    *store* may raise CounterError while there is none.
    """

    def __init__(self, store: Callable[[], MissedStore], *, seconds: float = _SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        # The names stay with the parent, which has the timer.
        self._lock = Lock()
        self._names: dict[str, int] = {}
        self._timer: Timer | None = None

    def add(self, url_path: str) -> None:
        """Note that *url_path* (as in PATH_INFO) is not there. Never raises."""
        name = url_path[:_LONGEST]
        with self._lock:
            self._names[name] = self._names.get(name, 0) + 1
            if len(self._names) > 2 * MOST_NAMES:
                self._names = most_missed(self._names)
            if self._timer is not None:
                return
            self._timer = timer = Timer(self._seconds, self.flush)
            timer.daemon = True
            # At the end of the process no thread starts any more, and `close` comes.
            with suppress(RuntimeError):
                timer.start()

    def flush(self) -> None:
        """Add what was noted to the store. While that fails it is kept. Never raises."""
        with self._lock:
            names, self._names, self._timer = self._names, {}, None
        if not names:
            return
        quoted: dict[str, int] = {}
        for name, times in names.items():
            shown = quote(name, _SAFE, encoding="latin-1", errors="replace")
            quoted[shown] = quoted.get(shown, 0) + times
        try:
            self._store().add_missed(quoted)
        except CounterError:
            with self._lock:
                self._names = add_names(names, self._names)

    def close(self) -> None:
        """Add what was noted to the store. To be called before that is closed."""
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self.flush()
