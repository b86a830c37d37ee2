"""Clients' addresses: whether they are the operator's own, which of them are one client, and how
they are shown.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

#: How an address is written into a log: as it is, its network (IPv4 /24, IPv6 /48), or not at all.
Shown: TypeAlias = Literal["full", "network", "off"]

_REMEMBERED = 4096
_MAPPED = IPv6Network("::ffff:0:0/96")
_CLIENT_BITS = (
    64  # what one household or host gets of IPv6 (RFC 6177); of IPv4 it is the whole address
)
_SHOWN_BITS = {4: 24, 6: 48}


class Networks:
    """Networks of the operator's. Safe from any thread."""

    def __init__(self, texts: Iterable[str]) -> None:
        """*texts* are as in 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1. Raises ValueError, one line
        fit to be shown.
        """
        self._networks = [_network(text) for text in texts]
        self._contain = lru_cache(_REMEMBERED)(self._look_up)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def contain(self, address: str) -> bool:
        """Return whether *address* lies in one of them. A text that is no address does not."""
        return self._contain(address)

    def _look_up(self, address: str) -> bool:
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)


@lru_cache(_REMEMBERED)
def client_address(address: str) -> str:
    """Return what is the same for all addresses of one client: an IPv6 client has 2**64 of them."""
    found = _address(address)
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
    found = _address(address) if shown == "network" else None
    return (
        "-"
        if found is None
        else str(_network_of(found, _SHOWN_BITS[found.version]).network_address)
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network_of(address: IPv4Address | IPv6Address, bits: int) -> IPv4Network | IPv6Network:
    return ip_network(f"{address}/{bits}", strict=False)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is no network: try 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1"
        ) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network(
            (int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - _MAPPED.prefixlen)
        )
    return network
