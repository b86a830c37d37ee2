"""The crowd that stands beside small GETs: idle connections, readers of a byte now and then,
dribblers of a head.
"""

import contextlib
import socket
import time

from .load_order import LoadOrder

_GATHERING = 4.0  # seconds at most to connect them all
_NOTHING_NEW = 1.5  # seconds without another one in place: the server takes no more
_SETTLING = 0.5


class Crowd:
    """Connects everybody, as a context: *held* is how many are in place.

    Idle ones have had an answer and could ask again.
    """

    def __init__(self, order: LoadOrder) -> None:
        self._kind = order.crowd
        self._port = order.port
        target = order.large_path if order.crowd == "readers" else order.small_path
        whole = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._first = whole[:20] if order.crowd == "headers" else whole
        self._sockets: list[socket.socket] = []
        self._next = 0.0
        deadline = time.monotonic() + _GATHERING
        with contextlib.suppress(OSError):
            while len(self._sockets) < order.crowd_size and time.monotonic() < deadline:
                self._connect()
        self.held = len(self._sockets)
        if self._kind not in ("", "idle"):
            # The server fills the buffers of those who read slowly; that is over when the
            # measurement begins.
            time.sleep(_SETTLING)

    def _connect(self) -> None:
        opened = socket.socket()
        opened.settimeout(_NOTHING_NEW)
        if self._kind == "readers":
            # A small window, so that the kernel does not take the file in the reader's place.
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            opened.connect(("127.0.0.1", self._port))
            opened.sendall(self._first)
            if self._kind == "idle" and b" 200 " not in opened.recv(65536)[:16]:
                raise ConnectionError
        except OSError:
            opened.close()
            raise
        opened.setblocking(False)
        self._sockets.append(opened)

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

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._sockets:
            opened.close()
