"""A client's socket that never waits: what can be read, and what is still to be sent.

Readiness is edge-triggered: `readable` stays True until a read has found nothing more. Not known
here: HTTP.
"""

import errno
import fcntl
import select
import socket
import struct
import termios
from contextlib import suppress

from .. import after_fork
from .sendfile import FileSpan

_READ_SIZE = 65536
_ROOM = select.EPOLLOUT
_HUNG_UP = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_NOTHING = bytes(4)
#: What is sent in a row before other connections get their turn.
_TURN = 4 << 20

#: What a send or a read says when the client has left.
GONE = frozenset(
    {
        errno.ECONNRESET,
        errno.EPIPE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.EHOSTUNREACH,
        errno.ECONNABORTED,
    }
)

#: An address of no family: connecting a TCP socket to it resets its connection.
_NOWHERE = bytes(16)


class PlainTextError(Exception):
    """The client does not begin with TLS.

    What it said is still to be read from *stream*, the same socket's.
    """

    def __init__(self, stream: "Stream") -> None:
        super().__init__("not TLS")
        self.stream = stream


class StreamChangedError(Exception):
    """What is being sent cannot be completed: the file behind it has become another."""


class Stream:
    """A non-blocking socket with at most one thing that is being sent. For one thread at a time."""

    __slots__ = ("_queued", "descriptor", "hung_up", "pending", "readable", "socket")

    #: Whether the kernel can send files by itself; not where the bytes have to be encrypted first.
    sends_files = True
    #: Whether bytes mean what they say from the first one on; else `handshake` comes first.
    established = True

    def __init__(self, sock: socket.SocketType) -> None:
        self.socket = sock
        self.descriptor = sock.fileno()
        self.readable = False
        self.hung_up = False  # the client sends no more, or is gone
        #: What is left of what was begun; None when all was sent.
        self.pending: memoryview | FileSpan | None = None
        self._queued = 0  # bytes that the kernel held at the last look

    def note(self, events: int) -> None:
        """Note what epoll says."""
        if events != _ROOM:
            self.readable = True
            if events & _HUNG_UP:
                self.hung_up = True

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is done. Raises OSError."""
        return True

    def receive(self) -> bytes | None:
        """Return what has arrived, b"" at the end, None when there is nothing. Raises OSError."""
        # Before the read: what another thread notes while it goes on has to stay noted.
        self.readable = False
        try:
            data = self.socket.recv(_READ_SIZE)
        except BlockingIOError:
            return None
        # A read that is not filled has emptied the socket; only the end of the stream may be behind
        # it (epoll(7)).
        if len(data) == _READ_SIZE or self.hung_up:
            self.readable = True
        return data

    def has_input(self) -> bool:
        """Tell whether something has arrived that was not received yet, without receiving it."""
        # Not bytes, with which ioctl takes twice as long.
        arrived = bytearray(4)
        try:
            fcntl.ioctl(self.descriptor, termios.FIONREAD, arrived)
        except OSError:
            return False
        return arrived != _NOTHING

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """Send what the kernel takes, and return how much.

        Raises BlockingIOError for nothing, and other OSErrors.
        """
        return self.socket.send(data, flags)

    def begin(self, output: bytes | FileSpan, flags: int) -> int:
        """Send what goes at once, and keep the rest for `flush`; return the bytes sent."""
        if isinstance(output, FileSpan):
            self.pending = output
            return 0
        try:
            sent = self.send(output, flags)
        except BlockingIOError:
            sent = 0
        if sent != len(output):
            self.pending = memoryview(output)[sent:]
        return sent

    def flush(self, flags: int) -> int:
        """Send more of what was begun, a turn's worth at the most, and return how much.

        Raises BlockingIOError when the client takes nothing, StreamChangedError, and other
        OSErrors.
        """
        pending = self.pending
        total = 0
        try:
            while pending is not None and total < _TURN:
                if isinstance(pending, FileSpan):
                    sent = pending.send(self.descriptor)
                    if not sent:
                        raise StreamChangedError
                    left = pending.remaining
                else:
                    sent = self.send(pending, flags)
                    self.pending = pending = pending[sent:]
                    left = len(pending)
                total += sent
                if not left:
                    self.pending = pending = None
        except (OSError, StreamChangedError):
            # First report what was sent before: the failure will be there again.
            if not total:
                raise
        return total

    def taken_since(self) -> bool:
        """Return whether the client has taken something since the last call.

        The kernel reports room only after much of it has gone. A slow reader is seen in what the
        kernel still holds.
        """
        before = self._queued
        try:
            self._queued = struct.unpack(
                "i", fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
            )[0]
        except OSError:
            self._queued = 0
        return self._queued < before

    def wait(self, events: int, seconds: float) -> bool:
        """Wait, in a thread that may, until poll's *events*; False when *seconds* have passed."""
        poll = select.poll()
        poll.register(self.descriptor, events)
        return bool(poll.poll(seconds * 1000))

    def end_input(self) -> None:
        """Have the thread that waits for input find the end of it, after what has arrived.

        From any thread.
        """
        with suppress(OSError):
            # Not the TLS layer's own, which would take itself off: an answer may still be due.
            socket.SocketType.shutdown(self.socket, socket.SHUT_RD)

    def interrupt(self, *, reset: bool) -> None:
        """End the connection under the thread that waits for it, or sends. From any thread."""
        if reset:
            reset_connection(self.socket)
        with suppress(OSError):
            socket.SocketType.shutdown(self.socket, socket.SHUT_RDWR)

    def end_output(self) -> None:
        """Tell the client that nothing more comes. Raises OSError when it is gone."""
        self.socket.shutdown(socket.SHUT_WR)

    def shut(self, *, reset: bool = False) -> None:
        """Close; with *reset* so that the client cannot take the end for that of a body."""
        self.pending = None
        self.cut(reset=reset)
        self.socket.close()

    def cut(self, *, reset: bool) -> None:
        """End the connection as `shut` does, but keep the descriptor.

        For a thread that does not own it.
        """
        if reset:
            reset_connection(self.socket)
        else:
            end_connection(self.socket)


def end_connection(sock: socket.SocketType) -> None:
    """Have the client see the end now, also when another process has the socket.

    A child process that the application forked may hold it for as long as it lives: closing alone
    would not end the connection.
    """
    if not after_fork.has_forked():
        return  # closing is enough
    with suppress(OSError):
        # Not the TLS layer's own, which would take itself off under a thread that still sends.
        socket.SocketType.shutdown(sock, socket.SHUT_RDWR)


def reset_connection(sock: socket.SocketType) -> None:
    """Have the client see that the connection is lost, also when another process has the socket.

    A Unix socket just ends.
    """
    # SO_LINGER would do it at the close, but only at the last one. Seldom used, so imported here.
    import ctypes

    if ctypes.CDLL(None).connect(sock.fileno(), _NOWHERE, len(_NOWHERE)) != 0:
        end_connection(sock)
