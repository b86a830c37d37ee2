"""The crowd beside small GETs: idle connections, slow readers, dribblers of a head.

Runs as a process of its own: `python -m app.comparison.crowd KIND SIZE PORT` prints how many
are in place, and goes on until it is ended. Idle ones have had an answer and could ask again.
"""

import contextlib
import select
import socket
import sys
import time

_GATHERING = 4.0  # seconds at most to connect them all
_NOTHING_NEW = 1.5  # seconds without another one in place: the server takes no more
_SETTLING = 0.5


def main(kind: str, size: int, port: int) -> None:
    target = "/large.bin" if kind == "readers" else "/small.html"
    first = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    members = [_connecting(kind, port) for _ in range(size)]
    held = _gather(members, first[:20] if kind == "headers" else first, awaits=kind == "idle")
    if kind != "idle":
        # The server fills the buffers of those who read slowly; that is over when the measurement
        # begins.
        time.sleep(_SETTLING)
    print(held, flush=True)
    while True:
        time.sleep(1.0)
        for member in members:
            with contextlib.suppress(OSError):
                if kind == "readers":
                    member.recv(1024)
                elif kind == "headers":
                    member.send(b"x")


def _connecting(kind: str, port: int) -> socket.socket:
    member = socket.socket()
    if kind == "readers":
        # A small window, so that the kernel does not take the file in the reader's place.
        member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    member.setblocking(False)
    member.connect_ex(("127.0.0.1", port))
    return member


def _gather(members: list[socket.socket], first: bytes, awaits: bool) -> int:
    """Let everybody send the *first* bytes, and get an answer if one *awaits* it.

    Returns how many could. The others stay where they are.
    """
    held = 0
    waiting = {member.fileno(): member for member in members}
    with contextlib.closing(select.epoll()) as poller:
        for descriptor in waiting:
            poller.register(descriptor, select.EPOLLOUT)
        deadline = time.monotonic() + _GATHERING
        latest = time.monotonic()
        while waiting and latest + _NOTHING_NEW > time.monotonic() < deadline:
            for descriptor, events in poller.poll(0.05):
                latest = time.monotonic()
                member, is_held = waiting.pop(descriptor), False
                with contextlib.suppress(OSError):
                    if events & select.EPOLLIN:
                        is_held = b" 200 " in member.recv(65536)[:16]
                    elif member.send(first) == len(first) and awaits:
                        waiting[descriptor] = member
                    else:
                        is_held = True
                held += is_held
                if descriptor in waiting:
                    poller.modify(descriptor, select.EPOLLIN)
                else:
                    poller.unregister(descriptor)
    return held


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
