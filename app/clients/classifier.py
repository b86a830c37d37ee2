"""The class of each request, quickly: agents are remembered, and new ones are looked up at a
bounded rate.

A look-up takes about 0.1 ms, or 1 ms for a User-Agent that is built to be slow. So that a flood
of new ones does not take a server's time, a process begins at most 200 look-ups a second, and none
once those of that second have taken 50 ms. The class of the others is `unknown`. Agents that are
known keep their class meanwhile, unless the flood has pushed them out of memory.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from threading import Lock
from time import monotonic, thread_time
from typing import Any, Final

from ..client_address import client_address
from ..counters.contract import Class
from .addresses import Networks
from .agents import class_of, load

MOST_NEW_A_SECOND: Final = 200
MOST_SECONDS_A_SECOND: Final = 0.05
REMEMBERED: Final = 4096
#: Longer agents are cut.
LONGEST_AGENT: Final = 512

#: Fields by which browsers say that nobody asked yet:
#: https://wicg.github.io/nav-speculation/prefetch.html, and two older ones.
_PREFETCH: Final = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_MOZ")
_CLIENTS: Final[frozenset[Class]] = frozenset({"people", "tools"})

_log = logging.getLogger("tally.clients")


class _NotLookedUpError(Exception):
    """The agent was not looked up: too many new ones, or the lists cannot be loaded.

    Raised, not returned, because it is not to be remembered.
    """


class Classifier:
    """Tells whose requests are whose. Safe from any thread.

    *own* are the operator's networks, *more_robots* patterns beside the lists. Nothing is imported
    before the first agent is looked up.
    """

    def __init__(
        self,
        *,
        own: Networks | None = None,
        more_robots: Iterable[re.Pattern[str]] = (),
        clock: Callable[[], float] = monotonic,
        spent_by_thread: Callable[[], float] = thread_time,
    ) -> None:
        self._own = own or None
        self._more_robots = list(more_robots)
        self._clock = clock
        self._spent_by_thread = spent_by_thread
        self._class_of = lru_cache(REMEMBERED)(self._look_up)
        self._lock = Lock()
        # Of the second under way.
        self._second = 0
        self._looked_up = 0
        self._spent = 0.0
        self._is_broken = False

    def classify(self, environ: Mapping[str, Any]) -> Class:
        """Return the class of the request with this WSGI environment. Never raises."""
        if self._own is not None and self._own.contain(environ.get("REMOTE_ADDR") or ""):
            return "own"
        if (
            "HTTP_SEC_PURPOSE" in environ or "HTTP_PURPOSE" in environ or "HTTP_X_MOZ" in environ
        ) and _is_prefetch(environ):
            return "robots"
        try:
            return self._class_of(environ.get("HTTP_USER_AGENT", "")[:LONGEST_AGENT])
        except _NotLookedUpError:
            return "unknown"

    def client(self, environ: Mapping[str, Any], class_: Class) -> bytes | None:
        """Return what tells the client of a request of this class from others; None when it is not
        to be told apart.

        It holds the address, so it is for hashing alone.
        """
        if class_ not in _CLIENTS:
            return None
        agent = environ.get("HTTP_USER_AGENT", "")[:LONGEST_AGENT]
        return f"{client_address(environ.get('REMOTE_ADDR') or '')}|{agent}".encode(
            "utf-8", "surrogatepass"
        )

    def _look_up(self, agent: str) -> Class:
        second = int(self._clock())
        with self._lock:
            if second != self._second:
                self._second, self._looked_up, self._spent = second, 0, 0.0
            self._looked_up += 1
            if (
                self._looked_up > MOST_NEW_A_SECOND
                or self._spent > MOST_SECONDS_A_SECOND
                or self._is_broken
            ):
                raise _NotLookedUpError
        begun = 0.0
        try:
            load()
            begun = self._spent_by_thread()
            return class_of(agent, self._more_robots)
        except (ImportError, OSError) as error:
            # A server that gave up its rights may be unable to read the package. It serves on.
            self._is_broken = True
            _log.warning("clients are not classified: %s", error)
            raise _NotLookedUpError from None
        finally:
            with self._lock:
                self._spent += self._spent_by_thread() - begun if begun else 0.0


def _is_prefetch(environ: Mapping[str, Any]) -> bool:
    values = (environ.get(name, "") for name in _PREFETCH)
    return any("prefetch" in re.split(r"[\s,;=]+", value.lower()) for value in values)
