"""Whom X-Forwarded-For is believed from, and what becomes of it."""

from typing import Any

import pytest

from app.server.proxies import ForwardedClients, split_client, trusted_peers

# allowed, peer, trusted
TRUST = [
    ("127.0.0.1", "127.0.0.1", True),
    ("127.0.0.1", "127.0.0.2", False),
    ("10.0.0.0/8", "10.255.0.1", True),
    ("10.0.0.5/8", "10.1.0.1", True),
    ("10.0.0.0/8", "11.0.0.1", False),
    ("10.0.0.0/8", "::ffff:10.0.0.1", True),
    ("10.0.0.0/8", "::1", False),
    ("::1", "::1", True),
    ("2001:db8::/32", "2001:db8:1::5", True),
    ("2001:db8::/32", "127.0.0.1", False),
    ("fe80::/10", "fe80::1%eth0", True),
    ("127.0.0.1", "", False),
    ("unix", "", True),
    ("unix", "127.0.0.1", False),
    ("*", "", True),
    ("*", "203.0.113.9", True),
    ("127.0.0.1", "nonsense", False),
]


@pytest.mark.parametrize(("allowed", "peer", "trusted"), TRUST)
def test_who_is_trusted(allowed: str, peer: str, trusted: bool) -> None:
    assert trusted_peers([allowed])(peer) is trusted
    assert trusted_peers(["198.51.100.1", allowed])(peer) is trusted


@pytest.mark.parametrize(
    "entry", ["proxy.example", "127.0.0.1/33", "10.0.0.0/8/8", "300.1.1.1", "127.0.0.1:80", ""]
)
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="neither an IP address"):
        trusted_peers(["127.0.0.1", entry])


# X-Forwarded-For, address and port that the application sees when the proxy is 127.0.0.1, port 5555
CLIENTS = [
    (None, "127.0.0.1", "5555"),
    ("203.0.113.9", "203.0.113.9", None),
    ("198.51.100.7, 203.0.113.9", "203.0.113.9", None),
    ("203.0.113.9:61000", "203.0.113.9", "61000"),
    ("2001:db8::9", "2001:db8::9", None),
    ("[2001:db8::9]:61000", "2001:db8::9", "61000"),
    ("[2001:db8::9]", "2001:db8::9", None),
    ("2001:DB8:0::9", "2001:db8::9", None),
    ("fe80::9%a|b", "fe80::9", None),
    ("unknown", "127.0.0.1", "5555"),
    ("203.0.113.9, _hidden", "127.0.0.1", "5555"),
    ("/index.html|1.2.3.4|1|9\n", "127.0.0.1", "5555"),
    ("203.0.113.9:99999999", "203.0.113.9", None),
    ("", "127.0.0.1", "5555"),
]


def seen_through(peer: str, **fields: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "SERVER_NAME": "here", "SERVER_PORT": "80",
               "HTTP_HOST": "files.example", **fields}  # fmt: skip
    if peer:
        environ["REMOTE_PORT"] = "5555"
    forwarded = ForwardedClients(application, trusted_peers(["127.0.0.1", "unix"]))
    assert list(forwarded(environ, lambda *_: lambda _: None)) == []
    return seen


@pytest.mark.parametrize(("header", "address", "port"), CLIENTS)
def test_the_client_of_a_trusted_proxy(header: str | None, address: str, port: str | None) -> None:
    environ = seen_through(
        "127.0.0.1", **({} if header is None else {"HTTP_X_FORWARDED_FOR": header})
    )
    assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == (address, port)


def test_behind_a_unix_socket_there_is_no_port_to_show() -> None:
    environ = seen_through("", HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == ("203.0.113.9", None)


@pytest.mark.parametrize(
    ("header", "scheme"), [("https", "https"), ("http, https", "https"), ("gopher", "http")]
)
def test_the_scheme_of_a_trusted_proxy(header: str, scheme: str) -> None:
    assert seen_through("127.0.0.1", HTTP_X_FORWARDED_PROTO=header)["wsgi.url_scheme"] == scheme


def test_nobody_else_is_believed() -> None:
    environ = seen_through(
        "203.0.113.1", HTTP_X_FORWARDED_FOR="127.0.0.1", HTTP_X_FORWARDED_PROTO="https"
    )
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.1", "5555")
    assert environ["wsgi.url_scheme"] == "http"


def test_the_host_is_never_the_proxys_to_say() -> None:
    assert (
        seen_through("127.0.0.1", HTTP_X_FORWARDED_HOST="evil.example")["HTTP_HOST"]
        == "files.example"
    )


def test_an_entry_is_split_without_raising() -> None:
    for entry in ("[", "[]", "]:", ":", "1:2:3", "[::1]x:5", "a" * 10000, "\u0661.1.1.1"):
        address, port = split_client(entry)
        assert address.isascii()
        assert port == "" or port.isdigit()
