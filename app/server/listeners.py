"""Listening sockets: from bind addresses to sockets that accept.

`open_listeners` opens all of them or none. An address that means several sockets (`:PORT` is IPv4
and IPv6, a name may have several addresses) gets one port number for all of them; with port 0 the
system picks it for the first, and another is tried when it is taken for the next. Everything is
bound before anything listens, so that a failing start has refused nobody.

Not known here: what is spoken on the sockets. A TLS context is only carried along.
"""

import errno
import os
import select
import socket
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import after_fork
from .addresses import Address, Descriptor, TcpAddress, UnixAddress

if TYPE_CHECKING:
    import ssl

# Two tries are nearly always enough: the port that IPv4 got is taken on IPv6 only by a rare
# neighbour.
_PORT_TRIES = 64

#: What a host without IPv6 (or IPv4) says on socket() and bind().
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL})


class BindError(Exception):
    """An address that cannot be listened on; the text is one line."""


class Listener:
    """One listening socket, non-blocking, and what the server must say about it."""

    __slots__ = (
        "__weakref__",
        "_is_ours",
        "_made",
        "_owner",
        "_path",
        "is_last",
        "is_unix",
        "server_name",
        "server_port",
        "socket",
        "tls",
        "urls",
    )

    def __init__(
        self,
        listening: socket.socket,
        *,
        tls: "ssl.SSLContext | None" = None,
        path: str = "",
        is_ours: bool = True,
    ) -> None:
        self.socket = listening
        #: Whether no other process is to accept from the socket once this one has closed it.
        self.is_last = False
        self._is_ours = is_ours
        self.is_unix = listening.family == socket.AF_UNIX
        #: Read anew at each accept, so that a reload can put another in its place.
        self.tls = None if self.is_unix else tls
        self.server_name, self.server_port = _name_and_port(listening)
        self.urls = _urls(listening, "https" if self.tls else "http")
        self._path = path
        self._made = _identity(path) if path else None
        self._owner = os.getpid()

    def has_client(self) -> bool:
        """Tell whether a client waits to be accepted."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def keep_from_children(self) -> None:
        """Close the socket in each child that is forked: clients would wait there for ever."""
        after_fork.register(self)

    def begin_in_child(self) -> None:
        self.socket.close()

    def close(self) -> None:
        """Stop listening in this process, or if it `is_last` for all that have the socket.

        A Unix socket's path goes too, if it is still ours and we made it.
        """
        # Before the socket is closed: an open one keeps its inode number from being given to
        # somebody else's.
        if self._path and self._owner == os.getpid() and _identity(self._path) == self._made:
            with suppress(OSError):
                os.unlink(self._path)
        self._path = ""
        if self.is_last and self._is_ours:
            with suppress(OSError):  # closed already
                self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def open_listeners(
    addresses: Iterable[Address],
    *,
    backlog: int,
    unix_mode: int = 0o666,
    tls: "ssl.SSLContext | None" = None,
) -> list[Listener]:
    """Listen on every address. Raises BindError, and then leaves nothing behind.

    Call it before any thread is started: a Unix socket's mode is set through the process's umask.
    """
    listeners: list[Listener] = []
    try:
        for address in addresses:
            if isinstance(address, UnixAddress):
                path = "" if address.path.startswith("@") else address.path
                listeners.append(Listener(_bind_unix(address.path, unix_mode), path=path))
            elif isinstance(address, Descriptor):
                # systemd, say, listens on with what it has handed over.
                listeners.append(Listener(_adopt(address.number), tls=tls, is_ours=False))
            else:
                listeners.extend(Listener(one, tls=tls) for one in _bind_tcp(address))
        for listener in listeners:
            _listen(listener.socket, backlog)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _bind_tcp(address: TcpAddress) -> list[socket.socket]:
    places = _resolve(address)
    for _ in range(_PORT_TRIES):
        sockets = _bind_to_one_port(address, places)
        if sockets:
            return sockets
    raise BindError(f"cannot listen on {_shown(address)}: no port is free for both IPv4 and IPv6")


def _resolve(address: TcpAddress) -> list[tuple[socket.AddressFamily, tuple[str | int, ...]]]:
    if not address.host:
        return [
            (socket.AF_INET, ("0.0.0.0", address.port)),
            (socket.AF_INET6, ("::", address.port)),
        ]
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise BindError(f"cannot listen on {_shown(address)}: {reason}") from None
    return list(
        {(family, place): None for family, _, _, _, place in found if isinstance(place[0], str)}
    )


def _bind_to_one_port(
    address: TcpAddress, places: Sequence[tuple[socket.AddressFamily, tuple[str | int, ...]]]
) -> list[socket.socket]:
    """Bind a socket to each of *places*.

    Returns none when the port that the system picked is taken on another place.
    """
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    port = address.port
    try:
        for family, place in places:
            try:
                one = _bound_socket(family, (place[0], port, *place[2:]))
            except OSError as error:
                if error.errno in _NO_SUCH_FAMILY and len(places) > 1:
                    absent = error
                    continue
                if error.errno == errno.EADDRINUSE and not address.port and sockets:
                    _close(sockets)
                    return []
                raise
            sockets.append(one)
            port = one.getsockname()[1]
        if absent and not sockets:
            raise absent
    except OSError as error:
        _close(sockets)
        raise BindError(f"cannot listen on {_shown(address)}: {_reason(error)}") from None
    return sockets


def _bound_socket(family: socket.AddressFamily, place: tuple[str | int, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        if place[1]:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(place)
        # A port that the system picks is picked without the option, or it could be one that another
        # has bound as well. Set afterwards, accepted sockets inherit it, and the port can be asked
        # for at once when this server has ended.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # On Linux accepted sockets inherit it: one system call less for each connection.
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        one.close()
        raise
    return one


def _bind_unix(path: str, mode: int) -> socket.socket:
    abstract = path.startswith("@")
    if not abstract:
        _remove_stale(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode is right from the first moment; a chmod would come after somebody could have
    # connected.
    former = os.umask(0o777 & ~mode)
    try:
        one.bind("\0" + path[1:] if abstract else path)
    except OSError as error:
        one.close()
        raise BindError(f"cannot listen on unix:{path}: {_reason(error)}") from None
    finally:
        os.umask(former)
    return one


def _remove_stale(path: str) -> None:
    """Remove the socket that a server which did not end cleanly left at *path*.

    Raises BindError for anything else.
    """
    before = _identity(path)
    if before is None:
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise BindError(f"cannot listen on unix:{path}: there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(path)
    if answer == errno.ENOENT:
        return
    if answer != errno.ECONNREFUSED:
        reason = (
            "another server answers there"
            if answer in (0, errno.EAGAIN)
            else os.strerror(answer).lower()
        )
        raise BindError(f"cannot listen on unix:{path}: {reason}")
    with suppress(OSError):
        if _identity(path) == before:
            os.unlink(path)


def _adopt(number: int) -> socket.socket:
    try:
        # socket.socket() reads family and type off the descriptor, and takes possession only when
        # that works.
        one = socket.socket(fileno=number)
    except OSError as error:
        raise BindError(f"cannot listen on fd://{number}: {_reason(error)}") from None
    if one.type != socket.SOCK_STREAM or one.family not in (
        socket.AF_INET,
        socket.AF_INET6,
        socket.AF_UNIX,
    ):
        one.detach()
        raise BindError(f"cannot listen on fd://{number}: it is not a stream socket")
    one.set_inheritable(False)
    if one.family != socket.AF_UNIX:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def _listen(one: socket.socket, backlog: int) -> None:
    one.setblocking(False)
    try:
        one.listen(backlog)
    except OSError as error:
        raise BindError(f"cannot listen on {_place(one)}: {_reason(error)}") from None


def _close(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _identity(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use"
    return (error.strerror or str(error)).lower()


def _shown(address: TcpAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _place(one: socket.socket) -> str:
    if one.family == socket.AF_UNIX:
        return "unix:" + _unix_path(one)
    host, port = one.getsockname()[:2]
    return f"[{host}]:{port}" if one.family == socket.AF_INET6 else f"{host}:{port}"


def _unix_path(one: socket.socket) -> str:
    name = one.getsockname()
    return "@" + name[1:].decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _name_and_port(one: socket.socket) -> tuple[str, str]:
    """Return SERVER_NAME and SERVER_PORT, which PEP 3333 wants never to be empty."""
    if one.family == socket.AF_UNIX:
        return "localhost", "80"
    host, port = one.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        return socket.gethostname() or "localhost", str(port)
    return (f"[{host}]" if one.family == socket.AF_INET6 else host), str(port)


def _urls(one: socket.socket, scheme: str) -> list[str]:
    """Return the addresses to open.

    For all interfaces: loopback, and the address that the machine uses towards others.
    """
    if one.family == socket.AF_UNIX:
        return ["unix:" + _unix_path(one)]
    host, port = one.getsockname()[:2]
    hosts = [host]
    if host == "0.0.0.0":
        hosts = ["127.0.0.1", *_own_address(socket.AF_INET, "192.0.2.1")]
    elif host == "::":
        hosts = ["::1", *_own_address(socket.AF_INET6, "2001:db8::1")]
    return [
        f"{scheme}://[{one}]:{port}/" if ":" in one else f"{scheme}://{one}:{port}/"
        for one in hosts
    ]


def _own_address(family: socket.AddressFamily, anybody: str) -> list[str]:
    """Return the address that this machine would use towards *anybody*.

    Connecting a datagram socket sends nothing.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((anybody, 9))
            return [probe.getsockname()[0]]
    except OSError:
        return []
