"""A stream whose bytes are encrypted: TLS may have to write in order to read, or the reverse."""

import errno
import socket
import ssl
from contextlib import suppress

from .stream import PlainTextError, Stream

#: More than a record has (RFC 8446 section 5.1), so that no part of one stays in the TLS layer.
_RECORD = 65536


class TLSStream(Stream):
    """Like its plain sibling, it never waits: not for the handshake either."""

    __slots__ = ("_is_tls", "_tls", "established")
    sends_files = False

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        super().__init__(self._tls)
        self._is_tls = False  # its first byte says so
        self.established = False

    def handshake(self) -> bool:
        if not self._is_tls and not self._begins_with_tls():
            return False
        try:
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        self.established = True
        self.readable = True
        return True

    def _begins_with_tls(self) -> bool:
        """Look at the first byte; False when there is none yet. Raises PlainTextError."""
        try:
            first = socket.socket.recv(self._tls, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        # A method's first letter. Whatever else it is, the TLS layer has the right answer.
        if first.isalpha():
            stream = Stream(socket.socket(fileno=self._tls.detach()))
            stream.readable = True
            raise PlainTextError(stream)
        self._is_tls = True
        return True

    def receive(self) -> bytes | None:
        # Before the read: what another thread notes while it goes on has to stay noted.
        self.readable = False
        try:
            data = self._tls.recv(_RECORD)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return None
        except ssl.SSLEOFError:
            return b""
        except ssl.SSLError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the TLS stream is broken") from error
        # A read takes one record, and all of it. More may be in the socket, of which epoll does not
        # tell again; a read that found nothing would cost more than the question.
        if self.hung_up or self.has_input():
            self.readable = True
        return data

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:  # noqa: ARG002 - records are sent as they are
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
        except ssl.SSLError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the TLS stream is broken") from error

    def end_output(self) -> None:
        self._notify_end()
        # Takes the TLS layer off: from here on what still arrives is only counted and thrown away.
        super().end_output()

    def shut(self, *, reset: bool = False) -> None:
        if self.established and not reset:
            self._notify_end()
        super().shut(reset=reset)

    def _notify_end(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), without waiting for the client's."""
        with suppress(OSError, ValueError):
            self._tls.unwrap()
