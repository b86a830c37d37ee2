"""Who is let in: from an accepted socket to a connection, plain or TLS; and who gives way at the
limit.
"""

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .connection import RESTING, Connection, Phase
from .gateway import Environ
from .host import Host
from .stream import Stream

if TYPE_CHECKING:
    from .listeners import Listener

#: Who has been accepted or answered within this many seconds may have a request on its way, and is
#: not idle.
SETTLED = 0.05


def idle_first(connections: Iterable[Connection], now: float) -> Iterator[Connection]:
    """Yield the connections that may be closed: the longest idle first, then those that have sent
    nothing yet.
    """
    settled = now - SETTLED
    resting = [
        c for c in connections if c.phase in RESTING and not c.busy and c.idle_since <= settled
    ]
    resting.sort(key=lambda c: (c.phase is Phase.FIRST, c.deadline))
    # Of some a request has arrived that was not read yet.
    return (connection for connection in resting if not connection.stream.has_input())


def admit(
    host: Host, sock: socket.socket, address: object, listener: "Listener", base: Environ
) -> Connection:
    """Return the connection of a client that *listener* has accepted. Raises OSError when it is
    gone already.
    """
    name, port = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
    # An IPv4 client of a socket for both versions
    name = name.removeprefix("::ffff:")
    sock.setblocking(False)
    if listener.tls is None:
        return Connection(host, Stream(sock), name, port, base)
    # Imported where it is used: ssl takes as long to load as all the rest of a plain server.
    from .tls_stream import TLSStream

    return Connection(host, TLSStream(sock, listener.tls), name, port, base)
