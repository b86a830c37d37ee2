"""Who is let in, and who gives way at the limit: from accepted sockets to connections."""

import errno
import select
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from .connection import Connection
from .gateway import Environ, Gateway
from .listeners import Listener
from .phase import RESTING, Phase
from .runner import Runner
from .stream import Stream

#: A connection accepted or answered this recently may have a request on its way: it is not idle.
SETTLED = 0.05
#: Accepting failed for want of something that connections use, too.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def idle_first(connections: Iterable[Connection], now: float) -> Iterator[Connection]:
    """Yield the connections that may be closed: the longest idle first, then the silent ones."""
    settled = now - SETTLED
    resting = [
        c for c in connections if c.phase in RESTING and not c.busy and c.idle_since <= settled
    ]
    resting.sort(key=lambda c: (c.phase is Phase.FIRST, c.deadline))
    # Of some a request has arrived that was not read yet.
    return (connection for connection in resting if not connection.stream.has_input())


def base_environs(listeners: Sequence[Listener], gateway: Gateway) -> dict[int, Environ]:
    """Return each listener's part of the environs, by the listener's descriptor."""
    return {
        listener.socket.fileno(): gateway.base_environ(
            listener.server_name, listener.server_port, tls=listener.tls is not None
        )
        for listener in listeners
    }


def name_and_port(address: object) -> tuple[str, str]:
    """Return a client's address and port, "" for one of a Unix socket."""
    if not isinstance(address, tuple):
        return "", ""
    # An IPv4 client of a socket for both versions
    return str(address[0]).removeprefix("::ffff:"), str(address[1])


def open_stream(sock: socket.SocketType, listener: Listener) -> Stream:
    """Return the stream of a client that *listener* has accepted, plain or TLS.

    Raises OSError when the client is gone already.
    """
    if listener.tls is None:
        sock.setblocking(False)
        return Stream(sock)
    # Imported where it is used: ssl takes as long to load as all the rest of a plain server.
    from .tls_stream import TLSStream

    whole = sock if isinstance(sock, socket.socket) else socket.socket(fileno=sock.detach())
    whole.setblocking(False)
    return TLSStream(whole, listener.tls)


class Doors:
    """The listeners of a loop, in its epoll while clients are let in. For the leader."""

    def __init__(
        self, listeners: Sequence[Listener], gateway: Gateway, epoll: select.epoll, *, shared: bool
    ) -> None:
        self._listeners = {listener.socket.fileno(): listener for listener in listeners}
        self._bases = base_environs(listeners, gateway)
        #: Family, type and protocol of the clients' sockets.
        self._kinds = {
            one.fileno(): (int(one.family), int(one.type), one.proto)
            for one in (listener.socket for listener in listeners)
        }
        self._epoll = epoll
        # With several processes each is woken alone, so that they share a burst.
        self._events = select.EPOLLIN | (select.EPOLLEXCLUSIVE if shared else 0)
        self.are_open = False

    def __contains__(self, descriptor: int) -> bool:
        return descriptor in self._listeners

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._listeners))

    def open(self) -> None:
        """Hear of clients that knock."""
        for descriptor in self._listeners:
            self._epoll.register(descriptor, self._events)
        self.are_open = True

    def shut(self) -> None:
        """Leave clients in the backlog.

        A listener that nobody accepts from stays ready, and would make the loop spin.
        """
        for descriptor in self._listeners:
            with suppress(OSError):
                self._epoll.unregister(descriptor)
        self.are_open = False

    def close(self) -> None:
        """Stop listening."""
        self.shut()
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    def is_waited_at(self, descriptor: int) -> bool:
        """Return whether a client waits to be let in."""
        return self._listeners[descriptor].has_client()

    def accept(self, descriptor: int) -> tuple[socket.SocketType, object]:
        """Return the next client's socket and address. Raises OSError."""
        # What `socket.accept` makes of these two, with its enumerations, costs half as much as all
        # the rest of a connection.
        number, address = self._listeners[descriptor].socket._accept()  # type: ignore[attr-defined]
        return socket.SocketType(*self._kinds[descriptor], number), address

    def admit(
        self, runner: Runner[Any], descriptor: int, sock: socket.SocketType, address: object
    ) -> Connection:
        """Return the connection of a client from `accept`. Raises OSError."""
        stream = open_stream(sock, self._listeners[descriptor])
        return Connection(runner, stream, *name_and_port(address), self._bases[descriptor])
