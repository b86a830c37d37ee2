"""What a server is told once, before it runs."""

from dataclasses import dataclass, field

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
