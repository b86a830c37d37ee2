"""The last answers of a store: for the time when it does not answer, and for many who look at once.

A page that shows nothing, or zeros, while Redis is away would say something that is not so. The
numbers from before are true, as of their moment.

An answer that was dear to work out is given again for fifty times as long as that took. So however
many people look at a list of a hundred thousand files, the server spends two parts in a hundred of
a processor on it at most, and no list of a small site is ever old.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic, thread_time
from typing import Any, NamedTuple, TypeVar

from ..counters.contract import CounterError
from ..counters.reading import CountReader

_A = TypeVar("_A")
_MOST = 64
#: An answer that takes less is worked out for each who asks.
_CHEAP_SECONDS = 0.01
_TIMES_AS_LONG = 50
#: A store that did not answer is left alone for so long.
_REST_SECONDS = 1.0


class _Kept(NamedTuple):
    answer: Any
    fresh_until: float


class KeptAnswers:
    """Asks what *reader* returns, and keeps the last answers. Safe from any thread."""

    def __init__(
        self, reader: Callable[[], CountReader], clock: Callable[[], float] = monotonic
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._lock = Lock()
        self._answers: OrderedDict[object, _Kept] = OrderedDict()
        #: What somebody is asking at the moment.
        self._asked: set[object] = set()
        self._rests_until = 0.0
        self._problem = ""

    def ask(self, key: object, question: Callable[[CountReader], _A]) -> tuple[_A, str]:
        """Return the answer, and "" or why it is one from before.

        Raises CounterError when there is none. *key* is the same for the same question alone.
        """
        with self._lock:
            kept = self._answers.get(key)
            now = self._clock()
            if kept is not None:
                if now < self._rests_until:
                    return kept.answer, self._problem
                if now < kept.fresh_until or (kept.fresh_until and key in self._asked):
                    return kept.answer, ""
            self._asked.add(key)
        try:
            return self._ask(key, question), ""
        except CounterError as error:
            with self._lock:
                self._problem = str(error)
                self._rests_until = self._clock() + _REST_SECONDS
            if kept is None:
                raise
            return kept.answer, str(error)
        finally:
            with self._lock:
                self._asked.discard(key)

    def _ask(self, key: object, question: Callable[[CountReader], _A]) -> _A:
        begun = thread_time()
        answer = question(self._reader())
        took = thread_time() - begun
        with self._lock:
            is_cheap = took < _CHEAP_SECONDS
            fresh_until = 0.0 if is_cheap else self._clock() + _TIMES_AS_LONG * took
            self._answers[key] = _Kept(answer, fresh_until)
            self._answers.move_to_end(key)
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return answer
