"""The crowd that stands beside small GETs: idle connections, readers of a byte now and then,
dribblers of a head.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable

_GATHERING = 4.0  # seconds at most to connect them all
_NOTHING_NEW = 1.5  # seconds without another one in place: the server takes no more
_SETTLING = 0.5


class Crowd:
    """*kind* is "idle", "readers", "headers" or empty for nobody; *size* how many there are."""

    def __init__(self, kind: str, size: int, port: int, small_path: str, large_path: str) -> None:
        self._kind = kind
        self._size = size if kind else 0
        self._port = port
        target = large_path if kind == "readers" else small_path
        whole = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._first = whole[:20] if kind == "headers" else whole
        self._sockets: list[socket.socket] = []
        self._next = 0.0

    def gather(self) -> int:
        """Connect everybody; return how many are in place.

        Idle ones have had an answer and could ask again.
        """
        if not self._size:
            return 0
        self._sockets = [self._connecting() for _ in range(self._size)]
        deadline = time.monotonic() + _GATHERING
        connected = self._await(self._sockets, select.EPOLLOUT, deadline, self._say_first)
        if self._kind == "idle":
            return len(self._await(connected, select.EPOLLIN, deadline, _has_answer))
        # The server fills the buffers of those who read slowly; that is over when the measurement
        # begins.
        time.sleep(_SETTLING)
        return len(connected)

    def _connecting(self) -> socket.socket:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self._kind == "readers":
            # A small window, so that the kernel does not take the file in the reader's place.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.setblocking(False)
        opened.connect_ex(("127.0.0.1", self._port))
        return opened

    def _say_first(self, opened: socket.socket) -> bool:
        return opened.send(self._first) == len(self._first)

    @staticmethod
    def _await(
        sockets: list[socket.socket],
        event: int,
        deadline: float,
        then: Callable[[socket.socket], bool],
    ) -> list[socket.socket]:
        """Return those for which *then* was true when *event* came."""
        waiting = {opened.fileno(): opened for opened in sockets}
        done: list[socket.socket] = []
        with contextlib.closing(select.epoll()) as poller:
            for descriptor in waiting:
                poller.register(descriptor, event)
            latest = time.monotonic()
            while waiting and latest + _NOTHING_NEW > time.monotonic() < deadline:
                for descriptor, _events in poller.poll(0.05):
                    latest = time.monotonic()
                    poller.unregister(descriptor)
                    opened = waiting.pop(descriptor)
                    with contextlib.suppress(OSError):
                        if then(opened):
                            done.append(opened)
        return done

    def go_on(self, now: float) -> None:
        """Let everybody do a little, once a second; cheap when it is not time."""
        if now < self._next or self._kind in ("", "idle"):
            return
        self._next = now + 1.0
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                if self._kind == "readers":
                    opened.recv(1024)
                else:
                    opened.send(b"x")

    def disperse(self) -> None:
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()


def _has_answer(opened: socket.socket) -> bool:
    return b" 200 " in opened.recv(65536)[:16]
