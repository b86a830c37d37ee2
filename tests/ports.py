"""Ports for servers that must be told theirs before they start, or have it again after an end."""

import random
import socket
from contextlib import suppress
from pathlib import Path


def free_port() -> int:
    """Return a port of 127.0.0.1 where nobody listens.

    The system gives it to nobody who leaves the choice to it, as other tests do meanwhile.
    """
    text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    first, last = map(int, text.split())
    own = [*range(10_000, first), *range(last + 1, 65_536)] or range(first, last + 1)
    while True:
        port: int = random.choice(own)
        with suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            return port
