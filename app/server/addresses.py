"""Bind addresses: what `--bind` says, read without any I/O."""

import re
import socket
from typing import NamedTuple


class AddressError(ValueError):
    """A bind address that means nothing; the text is one line."""


class TcpAddress(NamedTuple):
    host: str  # "": all interfaces, IPv4 and IPv6
    port: int


class UnixAddress(NamedTuple):
    path: str  # "@name" for Linux's abstract namespace


class Descriptor(NamedTuple):
    number: int


Address = TcpAddress | UnixAddress | Descriptor


def parse_bind(text: str) -> Address:
    """Read one bind address. Raises AddressError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path in ("", "@") or "\0" in path:
            raise AddressError(f"bind address {text!r}: no path after unix:")
        return UnixAddress(path)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not (number.isascii() and number.isdigit() and len(number) < 8):
            raise AddressError(f"bind address {text!r}: no descriptor number after fd://")
        return Descriptor(int(number))
    if text.isascii() and text.isdigit():
        return TcpAddress("", _port(text, text))
    return _parse_host_and_port(text)


_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[\w.~-]+)?)\](?::(.*))?", re.ASCII)
_NAMED = re.compile(r"([\w.-]*|\*)(?::(.*))?", re.ASCII)


def _parse_host_and_port(text: str) -> TcpAddress:
    if text.count(":") > 1 and not text.startswith("["):
        raise AddressError(
            f"bind address {text!r}: an IPv6 address goes in brackets, as in [::1]:8000"
        )
    bracketed = _BRACKETED.fullmatch(text)
    found = bracketed or _NAMED.fullmatch(text)
    if not found or not text:
        raise AddressError(
            f"bind address {text!r} is not HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH or fd://N"
        )
    host, port = found[1], found[2]
    if bracketed and not _is_ipv6(host):
        raise AddressError(f"bind address {text!r}: {host!r} is not an IPv6 address")
    return TcpAddress("" if host == "*" else host, 0 if port is None else _port(port, text))


def _port(text: str, bind: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise AddressError(f"bind address {bind!r}: {text!r} is not a port from 0 to 65535")
    return int(text)


def _is_ipv6(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return False
    return True
