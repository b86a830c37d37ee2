"""The last answers of a store: for the time when it does not answer, and for many who look at once.

A page that shows nothing, or zeros, while Redis is away would say something that is not so. The
numbers from before are true, as of their moment.

An answer that was dear to work out, and not only the first time, is given again for a while: after
each of them, none is worked out anew for two hundred times as long as it took. So however many
people look at lists of a hundred thousand files, a process spends at most half a percent of a
processor on keeping them up to date. No list of a small site is ever old.
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
#: An answer that takes less is worked out anew for each request.
_CHEAP_SECONDS = 0.01
_TIMES_AS_LONG = 200
#: Not even after many first questions.
_LONGEST = 60.0
#: A store that did not answer is left alone for this long.
_REST_SECONDS = 1.0


class _Kept(NamedTuple):
    answer: Any
    is_dear: bool


class KeptAnswers:
    """Asks what *reader* returns, and keeps the last answers. Safe from any thread."""

    def __init__(
        self,
        reader: Callable[[], CountReader],
        clock: Callable[[], float] = monotonic,
        spent: Callable[[], float] = thread_time,
    ) -> None:
        self._reader = reader
        self._clock = clock
        self._spent = spent
        self._lock = Lock()
        self._answers: OrderedDict[object, _Kept] = OrderedDict()
        #: What somebody is asking at the moment.
        self._asked: set[object] = set()
        self._rests_until = 0.0
        self._problem = ""
        #: Until this moment no answer that takes long is worked out anew.
        self._saves_until = 0.0

    def ask(self, key: object, question: Callable[[CountReader], _A]) -> tuple[_A, str]:
        """Return the answer, and "" or, when it is an earlier one, why.

        Raises CounterError when there is none. Different questions have different *key*s.
        """
        return self._answer(key, question, is_shared=False)

    def share(self, key: object, question: Callable[[CountReader], _A]) -> tuple[_A, str]:
        """Do as `ask` does, but an answer that took long may be given again."""
        return self._answer(key, question, is_shared=True)

    def _answer(
        self, key: object, question: Callable[[CountReader], _A], *, is_shared: bool
    ) -> tuple[_A, str]:
        with self._lock:
            kept = self._answers.get(key)
            now = self._clock()
            if kept is not None:
                if now < self._rests_until:
                    return kept.answer, self._problem
                is_given_again = is_shared and kept.is_dear
                if is_given_again and (now < self._saves_until or key in self._asked):
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
        begun = self._spent()
        answer = question(self._reader())
        took = self._spent() - begun
        with self._lock:
            # The first time says little: templates are compiled in it, and modules imported.
            is_dear = took >= _CHEAP_SECONDS and key in self._answers
            if is_dear:
                since = max(self._saves_until, self._clock())
                self._saves_until = min(since + _TIMES_AS_LONG * took, self._clock() + _LONGEST)
            self._answers[key] = _Kept(answer, is_dear)
            self._answers.move_to_end(key)
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return answer
