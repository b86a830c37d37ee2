"""Clients' addresses: which of them are one client, and how much of one a log shows."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

#: How an address is written into a log: as it is, its network (IPv4 /24, IPv6 /48), or not at all.
Shown: TypeAlias = Literal["full", "network", "off"]

_REMEMBERED = 4096
_CLIENT_BITS = 64  # what one household or host gets of IPv6 (RFC 6177); of IPv4 it is all 32
_SHOWN_BITS = {4: 24, 6: 48}


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that *text* is, an IPv4 one also where it is written as IPv6."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(_REMEMBERED)
def client_address(address: str) -> str:
    """Return what is the same for all addresses of one client: an IPv6 client has 2**64 of them."""
    found = parse_address(address)
    return (
        str(_network_of(found, _CLIENT_BITS))
        if isinstance(found, IPv6Address)
        else str(found or address)
    )


@lru_cache(_REMEMBERED)
def shown_address(address: str, shown: Shown) -> str:
    """Return what a log shows of an address: of 192.0.2.77 with `network` 192.0.2.0, with `off` a
    hyphen.
    """
    if shown == "full":
        return address
    found = parse_address(address) if shown == "network" else None
    return (
        "-"
        if found is None
        else str(_network_of(found, _SHOWN_BITS[found.version]).network_address)
    )


def _network_of(address: IPv4Address | IPv6Address, bits: int) -> IPv4Network | IPv6Network:
    return ip_network(f"{address}/{bits}", strict=False)
