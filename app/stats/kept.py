"""The last answers of a store, for the time when it does not answer.

A page that shows nothing, or zeros, while Redis is away would say something that is not so. The
numbers from before are true, as of their moment.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from ..counters.contract import CounterError
from ..counters.reading import CountReader

_A = TypeVar("_A")
_MOST = 64


class KeptAnswers:
    """Asks what *reader* returns, and keeps the last answers. Safe from any thread."""

    def __init__(self, reader: Callable[[], CountReader]) -> None:
        self._reader = reader
        self._lock = Lock()
        self._answers: OrderedDict[object, Any] = OrderedDict()

    def ask(self, key: object, question: Callable[[CountReader], _A]) -> tuple[_A, str]:
        """Return the answer, and "" or why it is one from before.

        Raises CounterError when there is none. *key* is the same for the same question alone.
        """
        try:
            answer = question(self._reader())
        except CounterError as error:
            with self._lock:
                if key not in self._answers:
                    raise
                kept: _A = self._answers[key]
            return kept, str(error)
        with self._lock:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return answer, ""
