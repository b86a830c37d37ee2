"""A connection whose bytes are encrypted: the handshake, and reads and writes that may want the other direction."""

import socket
import ssl
from contextlib import suppress

from app.server.connection import Connection, Host, Phase
from app.server.gateway import Environ

_RECORD = 65536


class TLSConnection(Connection):
    """The handshake happens in `advance`, like everything that may have to wait, and holds no thread."""

    __slots__ = ("_tls",)
    sends_files = False

    def __init__(
        self, host: Host, sock: socket.socket, address: str, port: str, base: Environ, context: ssl.SSLContext
    ) -> None:
        self._tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        super().__init__(host, self._tls, address, port, base)
        self.phase = Phase.HANDSHAKE

    def advance(self) -> None:
        if self.phase is Phase.HANDSHAKE:
            try:
                self._tls.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except (OSError, ValueError):
                # A scanner, a client that trusts nobody, plain HTTP: nothing that the operator could mend.
                self.close()
                return
            self.phase = Phase.FIRST
            self.readable = True
        super().advance()

    def _receive(self) -> bytes | None:
        # The TLS layer holds whole records: only its own word tells that nothing is left.
        try:
            return self._tls.recv(_RECORD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self.readable = False
            return None
        except ssl.SSLEOFError:
            return b""
        except ssl.SSLError as error:
            raise ConnectionResetError("the TLS stream is broken") from error

    def _send(self, data: bytes | memoryview, flags: int) -> int:  # noqa: ARG002 - TLS records are sent as they are
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except ssl.SSLError as error:
            raise ConnectionResetError("the TLS stream is broken") from error

    def _shut(self) -> None:
        if self.phase is not Phase.HANDSHAKE:
            # Says that the stream ends here on purpose; the client's own word is not waited for.
            with suppress(OSError, ValueError):
                self._tls.unwrap()
        super()._shut()
