"""The options of a server, set before it runs."""

from dataclasses import dataclass, field, fields
from typing import Any

from ..http11 import Limits

__all__ = ["Limits", "ServerOptions"]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Times are in seconds. `threads` 0: a new thread for each connection."""

    threads: int = 8
    header_timeout: float = 10.0  # for a whole request head
    body_timeout: float = 30.0  # without progress
    write_timeout: float = 60.0  # without progress
    keep_alive: float = 75.0  # 0: one request for each connection
    graceful_timeout: float = 30.0
    max_connections: int = 0  # 0: what RLIMIT_NOFILE leaves room for
    limits: Limits = field(default_factory=Limits)
    multiprocess: bool = False

    @classmethod
    def of(cls, settings: object, *, multiprocess: bool) -> "ServerOptions":
        """Read each option from the attribute of *settings* that has its name.

        The limits' names there begin with `limit_request_`.
        """
        limits = Limits(**_read(Limits, settings, "limit_request_"))
        return cls(**_read(cls, settings), limits=limits, multiprocess=multiprocess)

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


def _read(options: type, settings: object, prefix: str = "") -> dict[str, Any]:
    names = {one.name for one in fields(options) if one.init} - {"limits", "multiprocess"}
    return {name: getattr(settings, prefix + name) for name in names}
