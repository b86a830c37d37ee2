"""systemd's side of a service: sockets handed over, and states reported.

Both protocols are a few lines of environment and one datagram, so no library is needed
(sd_listen_fds(3), sd_notify(3)).
"""

import os
import socket
import time
from collections.abc import MutableMapping

_FIRST_DESCRIPTOR = 3


def take_listen_fds(environ: MutableMapping[str, str] | None = None) -> list[int]:
    """Return the descriptors that systemd opened for this very process; none without activation.

    They are deleted from *environ*, so that no child process takes them for its own.
    """
    variables = os.environ if environ is None else environ
    pid = variables.pop("LISTEN_PID", "")
    count = variables.pop("LISTEN_FDS", "")
    variables.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    return list(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)))


def notify(*assignments: str) -> bool:
    """Send *assignments* such as `READY=1` to the service manager. Never raises.

    Returns whether there was one to take them.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            # A manager that does not read must not hold the server up.
            manager.settimeout(1)
            manager.connect(address)
            manager.sendall("\n".join(assignments).encode())
    except OSError:
        return False
    return True


def notify_reloading() -> bool:
    """Report that a reload begins; `READY=1` ends it. `Type=notify-reload` asks for the time."""
    return notify(
        "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
    )
