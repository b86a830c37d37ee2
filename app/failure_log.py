"""What goes wrong again and again: said in full the first time, then counted, and the count said
now and then.

`install` gives the loggers of the project a handler of last resort that does so, for processes in
which nobody has configured logging. Where somebody has, their handlers get every record.
"""

import atexit
import logging
import re
from collections.abc import Callable
from threading import Lock, Timer

from .line_log import tell

#: Seconds between lines with the number of repetitions. After as long without any, the next failure
#: is written in full again.
_INTERVAL = 10.0
#: How many different failures have a count of their own; further ones share one.
_MOST_KINDS = 200
_OTHERS = "other failures"


class Repeats:
    """Counts what is said repeatedly. Safe from any thread.

    A timer's thread passes the counts to *say* every *interval* seconds, as long as there are any.
    """

    def __init__(self, say: Callable[[str], object] = tell, *, interval: float = _INTERVAL) -> None:
        self._say = say
        self._interval = interval
        self._lock = Lock()
        self._counts: dict[str, int] = {}

    def is_first(self, what: str) -> bool:
        """Return True when *what* is to be said in full; False when it was, a moment ago, and is
        counted now.
        """
        with self._lock:
            if what not in self._counts and len(self._counts) >= _MOST_KINDS:
                what = _OTHERS
            first = what not in self._counts
            self._counts[what] = 0 if first else self._counts[what] + 1
            if first and len(self._counts) == 1:
                self._start_timer()
        return first

    def say_counts(self) -> None:
        """Say what was counted and not said yet: for the timer, and for the end of the process."""
        with self._lock:
            repeated = {what: count for what, count in self._counts.items() if count}
            self._counts = dict.fromkeys(repeated, 0)
            if repeated:
                self._start_timer()
        for what, count in repeated.items():
            self._say(f"{'once more' if count == 1 else f'{count} more times'}: {what}")

    def _start_timer(self) -> None:
        timer = Timer(self._interval, self.say_counts)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no thread to be had now: everything is said in full
            self._counts.clear()


class _LastResort(logging.Handler):
    """Says warnings that no other handler takes, as the library's own does, but without waiting for
    a reader.

    A traceback is said once; two are the same when their messages are, whatever the arguments, and
    their exceptions come from the same line.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._repeats = Repeats()
        atexit.register(self._repeats.say_counts)

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers:
            return
        if not record.exc_info or self._repeats.is_first(_kind_of(record)):
            tell(self.format(record))


def install() -> None:
    """Send the project's log to standard error, unless its logger has a handler already."""
    logger = logging.getLogger("tally")
    if not logger.handlers:
        logger.addHandler(_LastResort())


_ARGUMENTS = re.compile("(%[a-z] ?)+")


def _kind_of(record: logging.LogRecord) -> str:
    message = _ARGUMENTS.sub("... ", str(record.msg)).rstrip()
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return message
    place, step = "", error.__traceback__
    while step is not None:
        place = f" in {step.tb_frame.f_code.co_filename}, line {step.tb_lineno}"
        step = step.tb_next
    return f"{message}: {type(error).__name__}{place}"
