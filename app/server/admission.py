"""From an accepted socket to a connection, plain or TLS."""

import socket
from typing import TYPE_CHECKING

from app.server.connection import Connection
from app.server.gateway import Environ
from app.server.host import Host
from app.server.stream import Stream

if TYPE_CHECKING:
    from app.server.listeners import Listener


def admit(host: Host, sock: socket.socket, address: object, listener: "Listener", base: Environ) -> Connection:
    """Return the connection of a client that *listener* has accepted. Raises OSError when it is gone already."""
    name, port = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
    # An IPv4 client of a socket for both versions
    name = name.removeprefix("::ffff:")
    sock.setblocking(False)
    if listener.tls is None:
        return Connection(host, Stream(sock), name, port, base)
    # Imported where it is used: ssl takes as long to load as all the rest of a plain server.
    from app.server.tls_stream import TLSStream

    return Connection(host, TLSStream(sock, listener.tls), name, port, base)
