"""Answers that take long are kept, and made anew in the background while somebody looks."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, TypeVar

from ... import after_fork
from ..contract import CounterError

#: At the soonest so long after it was made an answer is made anew.
KEPT_SECONDS = 2.0
#: And so many times as long as making it takes, as that is time of a process that serves.
_SPARED = 10
#: Nobody looks at what was not asked for so long.
_LOOKED_AT_SECONDS = 30.0
_LOOK_SECONDS = 0.5
_MOST = 16

T = TypeVar("T")


@dataclass(slots=True)
class _Kept:
    make: Callable[[], Any]
    answer: Any
    made: float
    took: float
    asked: float
    #: Found ready, not made here, and so older than *made*.
    is_found: bool = False

    def is_due(self, now: float, kept_seconds: float) -> bool:
        return self.is_found or now - self.made >= self._interval(kept_seconds)

    def is_good(self, now: float, kept_seconds: float) -> bool:
        """Return whether it is no older than the background lets it become."""
        return now - self.made < 2 * (self._interval(kept_seconds) + self.took + _LOOK_SECONDS)

    def _interval(self, kept_seconds: float) -> float:
        return max(kept_seconds, _SPARED * self.took)


class KeptAnswers:
    """Safe from any thread. With *kept_seconds* 0, every answer is made when it is asked for."""

    def __init__(self, kept_seconds: float = KEPT_SECONDS) -> None:
        self._kept_seconds = kept_seconds
        self.begin_in_child()
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self._lock = Lock()
        self._making: dict[Hashable, Lock] = {}
        self._kept: dict[Hashable, _Kept] = {}
        self._thread: Thread | None = None
        self._end = Event()

    def get(
        self,
        key: Hashable,
        make: Callable[[], T],
        find: Callable[[], tuple[T, float] | None] = lambda: None,
    ) -> T:
        """Return what *make* returned not long ago, or returns now.

        Who asks first gets what *find* returns, if anything: an answer that was ready, with the
        seconds that it takes to make. It is made anew in the background at once.
        """
        if not self._kept_seconds:
            return make()
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:  # who comes meanwhile waits for the same answer
            now = monotonic()
            kept = self._kept.get(key)
            if kept is None or not kept.is_good(now, self._kept_seconds):
                kept = self._first(key, make, find, now)
            kept.asked = monotonic()
        answer: T = kept.answer
        return answer

    def forget(self) -> None:
        with self._lock:
            self._kept = {}

    def close(self) -> None:
        self._end.set()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _first(
        self,
        key: Hashable,
        make: Callable[[], Any],
        find: Callable[[], tuple[Any, float] | None],
        asked: float,
    ) -> _Kept:
        begun = monotonic()
        if (found := find()) is not None:
            kept = _Kept(make, found[0], begun, found[1], asked, is_found=True)
        else:
            answer = make()
            kept = _Kept(make, answer, begun, monotonic() - begun, asked)
        with self._lock:
            self._kept[key] = kept
            while len(self._kept) > _MOST:
                oldest = min(self._kept, key=lambda key: self._kept[key].asked)
                del self._kept[oldest], self._making[oldest]
            if self._thread is None and not self._end.is_set():
                self._thread = Thread(target=self._run, name="count-lists", daemon=True)
                self._thread.start()
        return kept

    def _run(self) -> None:
        while not self._end.wait(_LOOK_SECONDS):
            now = monotonic()
            with self._lock:
                for key, kept in list(self._kept.items()):
                    if now - kept.asked > _LOOKED_AT_SECONDS:
                        del self._kept[key]
                        self._making.pop(key, None)
                due = [
                    (key, kept)
                    for key, kept in self._kept.items()
                    if kept.is_due(now, self._kept_seconds)
                ]
                if not self._kept:
                    self._thread = None
                    return
            for key, kept in due:
                self._make_anew(key, kept)

    def _make_anew(self, key: Hashable, kept: _Kept) -> None:
        begun = monotonic()
        try:
            answer = kept.make()
        except CounterError:  # whoever asks next is told
            return
        with self._lock:
            if self._kept.get(key) is kept:  # else it was forgotten meanwhile, or made anew
                kept.answer, kept.made, kept.took = answer, begun, monotonic() - begun
                kept.is_found = False
