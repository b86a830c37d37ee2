"""A connection to the node of a Redis cluster that has our keys.

All of them share a hash tag and so a slot, which one master serves at a time. So a client of one
server is enough, if each new connection asks the cluster who that is. A node that has it no longer
answers with an error, after which all connections are made anew.
"""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from . import scripts

#: How many seconds a sentinel or a node of a cluster may take to say where the counts are, at most:
#: it never has more time than the store itself. After that the next one is asked.
LOOK_UP_SECONDS = 2.0
_SLOT = key_slot(scripts.PREFIX.encode())


class SlotConnection(redis.Connection):
    """*nodes* are some of the cluster, of which one must answer."""

    def __init__(self, *, nodes: tuple[tuple[str, int], ...], **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._nodes = nodes
        self._seconds = min(float(options["socket_timeout"]), LOOK_UP_SECONDS)
        self._credentials = {
            name: options[name] for name in ("username", "password") if name in options
        }

    def connect(self) -> None:
        if not self._sock:
            self.host, self.port = self._master()
        super().connect()  # type: ignore[no-untyped-call]

    def _master(self) -> tuple[str, int]:
        reason: Exception | None = None
        for host, port in self._nodes:
            node = redis.Redis(
                host,
                port,
                socket_timeout=self._seconds,
                socket_connect_timeout=self._seconds,
                retry=Retry(NoBackoff(), 0),
                **self._credentials,
            )
            try:
                for first, last, master, *_ in node.execute_command("CLUSTER", "SLOTS"):  # type: ignore[no-untyped-call]
                    if first <= _SLOT <= last:
                        # A node that does not know its own name means the one that was asked for.
                        return bytes(master[0] or b"").decode() or host, int(master[1])
            except (redis.exceptions.RedisError, OSError) as error:
                reason = error
            finally:
                node.close()
        raise redis.exceptions.ConnectionError(
            f"no node of the cluster says where the counts are: {reason or 'nobody has their slot'}"
        )
