"""The options of a server, set before it runs."""

from typing import NamedTuple

from ..http11 import Limits

__all__ = ["Limits", "ServerOptions"]

_NO_OPTIONS = ("limits", "multiprocess")
_LIMITS = ("line", "fields", "field_size", "head", "body")


class ServerOptions(NamedTuple):
    """Times are in seconds. `threads` 0: a new thread for each connection."""

    threads: int = 8
    header_timeout: float = 10.0  # for a whole request head
    body_timeout: float = 30.0  # without progress
    write_timeout: float = 60.0  # without progress
    keep_alive: float = 75.0  # 0: one request for each connection
    graceful_timeout: float = 30.0
    max_connections: int = 0  # 0: what RLIMIT_NOFILE leaves room for
    limits: Limits = Limits()
    multiprocess: bool = False

    @classmethod
    def of(cls, settings: object, *, multiprocess: bool) -> "ServerOptions":
        """Read each option from the attribute of *settings* that has its name.

        The limits' names there begin with `limit_request_`.
        """
        limits = Limits(**{name: getattr(settings, f"limit_request_{name}") for name in _LIMITS})
        own = {name: getattr(settings, name) for name in cls._fields if name not in _NO_OPTIONS}
        return cls(**own, limits=limits, multiprocess=multiprocess)

    @property
    def shortest_limit(self) -> float:
        limits = (
            self.header_timeout,
            self.body_timeout,
            self.write_timeout,
            self.keep_alive,
            self.graceful_timeout,
        )
        return min(limit for limit in limits if limit)
