"""Bind addresses as text, and the sockets that they become."""

import errno
import os
import select
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.server.addresses import (
    Address,
    AddressError,
    Descriptor,
    TcpAddress,
    UnixAddress,
    parse_bind,
)
from app.server.listeners import BindError, Listener, open_listeners

PARSED: list[tuple[str, Address]] = [
    ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
    ("localhost:0", TcpAddress("localhost", 0)),
    (":8000", TcpAddress("", 8000)),
    (":0", TcpAddress("", 0)),
    ("*:80", TcpAddress("", 80)),
    ("8000", TcpAddress("", 8000)),
    ("65535", TcpAddress("", 65535)),
    ("files.example", TcpAddress("files.example", 0)),
    ("127.0.0.1", TcpAddress("127.0.0.1", 0)),
    ("[::1]:8000", TcpAddress("::1", 8000)),
    ("[::1]", TcpAddress("::1", 0)),
    ("[::]:80", TcpAddress("::", 80)),
    ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
    ("unix:/run/tally.sock", UnixAddress("/run/tally.sock")),
    ("unix:a socket:1", UnixAddress("a socket:1")),
    ("unix:@tally", UnixAddress("@tally")),
    ("fd://3", Descriptor(3)),
]

REFUSED = [
    "", ":", "host:", "127.0.0.1:", "[::1]:", ":x", ":-1", ":+1", ":65536", ":99999999", ": 80", "host:8 0", ":٣",
    "::1", "::1:8000", "a:b:80", "[::1", "[::1]8000", "[::1]x:80", "[127.0.0.1]:80", "[]:80", "[:::::]:80",
    "ho st:80", "http://a:80", "a/b:80", "70000", "unix:", "unix:@", "unix:a\0b", "fd://", "fd://x", "fd://-1",
    "fd:// 3", "fd://99999999999999999999",
]  # fmt: skip


@pytest.mark.parametrize(("text", "address"), PARSED)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_bind(text) == address


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_means_nothing_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        parse_bind(text)
    assert repr(text) in str(refused.value)
    assert "\n" not in str(refused.value)


@contextmanager
def listening(*binds: str, backlog: int = 16, unix_mode: int = 0o666) -> Iterator[list[Listener]]:
    listeners = open_listeners(
        [parse_bind(bind) for bind in binds], backlog=backlog, unix_mode=unix_mode
    )
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def accepted_by(listener: Listener) -> socket.socket:
    """Return the next client's socket, once it is there: the client may know of it before."""
    assert select.select([listener.socket], [], [], 30)[0]
    return listener.socket.accept()[0]


def port_of(listener: Listener) -> int:
    port = listener.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_all_interfaces_have_one_port_for_both_ip_versions() -> None:
    with listening(":0") as listeners:
        assert [one.socket.family for one in listeners] == [socket.AF_INET, socket.AF_INET6]
        [port] = {port_of(one) for one in listeners}
        assert port > 0
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), 5).close()
        assert listeners[0].urls[0] == f"http://127.0.0.1:{port}/"
        assert listeners[1].urls[0] == f"http://[::1]:{port}/"
        assert all(one.server_port == str(port) and one.server_name for one in listeners)


def test_a_port_that_is_taken_on_ipv6_is_not_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system cannot be told which port to pick; so the first ones are found taken."""
    refusals: list[int] = []
    bind = socket.socket.bind

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6 and len(refusals) < 3:
                refusals.append(address[1])
                raise OSError(errno.EADDRINUSE, "in use")
            bind(self, address)

    monkeypatch.setattr(socket, "socket", Socket)
    with listening(":0") as listeners:
        assert len({port_of(one) for one in listeners}) == 1
        assert len(listeners) == 2
    assert len(refusals) == 3


@pytest.mark.parametrize("step", ["socket", "bind"])
def test_a_host_without_ipv6_listens_on_ipv4(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bind = socket.socket.bind

    class Socket(socket.socket):
        def __init__(
            self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None
        ) -> None:
            if family == socket.AF_INET6 and step == "socket":
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, kind, proto, fileno)

        def bind(self, address: Any) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            bind(self, address)

    monkeypatch.setattr(socket, "socket", Socket)
    with listening(":0") as [only]:
        assert only.socket.family == socket.AF_INET
    with pytest.raises(BindError):
        open_listeners([TcpAddress("::1", 0)], backlog=1)


def test_accepted_connections_are_not_delayed_and_the_socket_does_not_block() -> None:
    with listening("127.0.0.1:0") as [listener]:
        with pytest.raises(BlockingIOError):
            listener.socket.accept()
        assert not listener.socket.get_inheritable()
        with socket.create_connection(listener.socket.getsockname()) as client:
            assert client.getpeername()[1] == port_of(listener)
            with accepted_by(listener) as accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_the_port_can_be_had_again_at_once() -> None:
    """Connections of the one that has ended, in TIME_WAIT, must not hold its port, whoever picked
    it.
    """
    with listening("127.0.0.1:0") as [listener]:
        port = port_of(listener)
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted_by(listener).close()
            assert client.recv(1) == b""
    with listening(f"127.0.0.1:{port}") as [again]:
        assert port_of(again) == port


def test_a_port_in_use_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BindError, match=f"{taken}: the address is in use"):
            open_listeners([UnixAddress(str(path)), parse_bind(taken)], backlog=1)
    assert not path.exists()


@pytest.mark.parametrize(
    "bind", ["no-such-host.invalid:0", "192.0.2.77:0", "unix:/does/not/exist/socket", "fd://77"]
)
def test_what_cannot_be_had_is_one_line(bind: str) -> None:
    with pytest.raises(BindError) as refused:
        open_listeners([parse_bind(bind)], backlog=1)
    assert bind in str(refused.value)
    assert "\n" not in str(refused.value)


# Unix sockets


def test_a_unix_socket_has_its_mode_from_the_first_moment_and_goes_with_the_server(
    tmp_path: Path,
) -> None:
    path = tmp_path / "socket"
    umask = os.umask(0o077)
    try:
        with listening(f"unix:{path}", unix_mode=0o660) as [listener]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert listener.is_unix
            assert (listener.server_name, listener.server_port) == ("localhost", "80")
            assert listener.urls == [f"unix:{path}"]
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as died:
        died.bind(str(path))
    assert path.is_socket()
    with listening(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert not path.exists()


def test_a_socket_where_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(f"unix:{path}", backlog=1):
        with pytest.raises(BindError, match="another server answers"):
            open_listeners([UnixAddress(str(path))], backlog=1)
        assert path.is_socket()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(BindError, match="not a socket"):
        open_listeners([UnixAddress(str(path))], backlog=1)
    assert path.read_text() == "data"


def test_a_path_that_another_server_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(f"unix:{path}") as [first]:
        path.unlink()
        with listening(f"unix:{path}"):
            first.close()
            assert path.is_socket()


FORKED = """
import os, sys
from app.server.addresses import UnixAddress
from app.server.listeners import open_listeners
[listener] = open_listeners([UnixAddress(sys.argv[1])], backlog=1)
if pid := os.fork():
    os.waitpid(pid, 0)
    assert os.path.exists(sys.argv[1]), "a child has removed the path"
listener.close()
"""


def test_a_forked_child_does_not_remove_the_path(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    subprocess.run([sys.executable, "-c", FORKED, str(path)], timeout=20, check=True)
    assert not path.exists()


def test_an_abstract_socket_has_no_file(tmp_path: Path) -> None:
    name = f"@tally-{os.getpid()}"
    with listening(f"unix:{name}") as [listener], socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + name[1:])
        assert listener.urls == [f"unix:{name}"]
    assert not Path(name).exists()


# Inherited descriptors


def test_an_inherited_descriptor_is_listened_on() -> None:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    place = bound.getsockname()
    with listening(f"fd://{bound.detach()}") as [listener]:
        assert listener.server_port == str(place[1])
        assert not listener.socket.getblocking()
        socket.create_connection(place, 5).close()


def test_a_descriptor_that_is_no_stream_socket_is_refused_and_left_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        with pytest.raises(BindError, match="not a stream socket"):
            open_listeners([Descriptor(datagrams.fileno())], backlog=1)
        assert datagrams.getsockname()
    reading, writing = os.pipe()
    with pytest.raises(BindError):
        open_listeners([Descriptor(reading)], backlog=1)
    os.close(reading)
    os.close(writing)
