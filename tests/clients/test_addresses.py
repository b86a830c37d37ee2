"""Addresses: the operator's own, those of one client, and what logs show of them."""

import pytest

from app.client_address import Shown, client_address, shown_address
from app.clients.addresses import Networks

OWN = ["192.0.2.0/24", "2001:db8:1::/48", "10.1.2.3", "::ffff:203.0.113.0/120", "198.51.100.77/28"]

CONTAINED = [
    ("192.0.2.0", True),
    ("192.0.2.255", True),
    ("192.0.3.1", False),
    ("::ffff:192.0.2.7", True),
    ("::ffff:c000:207", True),
    ("2001:db8:1:ffff::1", True),
    ("2001:DB8:1::1", True),
    ("2001:db8:2::1", False),
    ("2001:db8:1::1%eth0", True),
    ("10.1.2.3", True),
    ("10.1.2.4", False),
    ("203.0.113.9", True),
    ("::ffff:203.0.113.9", True),
    ("198.51.100.64", True),
    ("198.51.100.80", False),
    ("", False),
    ("/run/socket", False),
    ("localhost", False),
    ("192.0.2.1:80", False),
]


@pytest.mark.parametrize(("address", "expected"), CONTAINED)
def test_own(address: str, expected: bool) -> None:
    networks = Networks(OWN)
    assert networks.contain(address) is expected
    assert networks.contain(address) is expected


def test_without_networks_nothing_is_own() -> None:
    assert not Networks([])
    assert not Networks([]).contain("127.0.0.1")


@pytest.mark.parametrize(
    "text", ["", "x", "192.0.2.0/33", "192.0.2", "2001:db8::/129", "192.0.2.0/24 ", "*", "a\nb"]
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*is no network[^\n]*$"):
        Networks(["127.0.0.1", text])


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_addresses_of_one_client(address: str, client: str) -> None:
    assert client_address(address) == client


@pytest.mark.parametrize(
    ("address", "shown", "text"),
    [
        ("192.0.2.77", "full", "192.0.2.77"),
        ("192.0.2.77", "network", "192.0.2.0"),
        ("192.0.2.77", "off", "-"),
        ("::ffff:192.0.2.77", "network", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "network", "2001:db8:1::"),
        ("2001:db8:1:2:3:4:5:6", "full", "2001:db8:1:2:3:4:5:6"),
        ("", "network", "-"),
        ("", "full", ""),
        ("nonsense", "network", "-"),
        ("fe80::1%eth0", "network", "fe80::"),
    ],
)
def test_what_a_log_shows(address: str, shown: Shown, text: str) -> None:
    assert shown_address(address, shown) == text
