"""A worker process as its supervisor sees it."""

import os
import signal
import socket
from contextlib import suppress
from time import monotonic


class Worker:
    """A forked process at the other end of *channel*, which does not block."""

    __slots__ = (
        "channel",
        "generation",
        "kill_at",
        "pid",
        "ready",
        "report",
        "retiring",
        "slot",
        "started",
    )

    def __init__(self, pid: int, channel: socket.socket, generation: int, slot: int | None) -> None:
        self.pid = pid
        self.slot = slot  # of the host's figures
        self.channel = channel
        self.generation = generation
        self.started = monotonic()
        self.report = b""
        self.ready = False
        self.retiring = False
        self.kill_at: float | None = None

    @property
    def channel_is_closed(self) -> bool:
        return self.channel.fileno() < 0

    def tell(self, command: bytes) -> None:
        with suppress(OSError):  # it is dead, as SIGCHLD will report
            self.channel.send(command)

    def receive(self) -> bool:
        """Add what has arrived to `report`. Returns False at the end of the channel."""
        try:
            received = self.channel.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            received = b""
        self.report += received
        return bool(received)


def described(wait_status: int) -> str:
    """Return how a process ended, in words that follow its name."""
    code = os.waitstatus_to_exitcode(wait_status)
    return (
        f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    )
