"""Asking sentinels who the master is, also while some of them are cut off from the others."""

from collections import Counter
from typing import Any

import redis
from redis.sentinel import MasterNotFoundError, Sentinel


class MostSentinels(Sentinel):
    """Believes what more than half of the sentinels say or, if they do not agree, the newest of it.

    A sentinel that is cut off together with an old master goes on naming that one. redis-py
    believes the first that answers.
    """

    def discover_master(self, service_name: str) -> tuple[str, int]:
        votes: Counter[tuple[str, int]] = Counter()
        newest: tuple[int, tuple[str, int]] | None = None
        answering: list[Any] = []
        silent: list[Any] = []
        for sentinel in self.sentinels:
            try:
                masters: Any = sentinel.sentinel_masters()
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
                silent.append(sentinel)
                continue
            answering.append(sentinel)
            state = masters.get(service_name)
            if state and self.check_master_state(state, service_name):  # type: ignore[no-untyped-call]
                address = state["ip"], state["port"]
                votes[address] += 1
                if 2 * votes[address] > len(self.sentinels):
                    return address
                newest = max(newest or (-1, address), (state["config-epoch"], address))
        # Those that answer are asked first the next time.
        self.sentinels = answering + silent
        if newest is None:
            raise MasterNotFoundError(f"No master found for {service_name!r}")
        return newest[1]
