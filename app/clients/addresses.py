"""The operator's own networks (`--own`)."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from ..client_address import parse_address

_REMEMBERED = 4096
_MAPPED = IPv6Network("::ffff:0:0/96")


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
        found = parse_address(address)
        return found is not None and any(found in network for network in self._networks)


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
