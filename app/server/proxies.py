"""Requests through proxies that we trust: the proxy names the client's address and scheme.

Everybody can send X-Forwarded-For, so it is believed only when the connection comes from a listed
proxy, and then only its last entry: the one that this proxy added itself.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

from ..before_answer import answers_together_from
from ..request_note import REQUEST_ID

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_REQUEST_ID = re.compile(r"[!-~]{1,200}")
#: W3C Trace Context, level 1: version, trace, parent, flags; later versions may add to it.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


class ForwardedClients:
    """WSGI middleware: puts a trusted proxy's word for the client into the environ."""

    def __init__(self, application: "WSGIApplication", is_trusted: Callable[[str], bool]) -> None:
        self._application = application
        self._forwarded = ProxyFix(self._call_with_client, x_for=1, x_proto=1, x_host=0)
        self._is_trusted = is_trusted
        self.answers_together_from = answers_together_from(application)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if self._is_trusted(environ["REMOTE_ADDR"]):
            if identifier := request_id(environ):
                environ[REQUEST_ID] = identifier
            return self._forwarded(environ, start_response)
        return self._application(environ, start_response)

    def _call_with_client(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        proxy = environ["werkzeug.proxy_fix.orig"]
        if environ.get("HTTP_X_FORWARDED_FOR"):
            address, port = split_client(environ["REMOTE_ADDR"])
            environ["REMOTE_ADDR"] = address or proxy["REMOTE_ADDR"]
            # The connection's port is the proxy's: shown beside the client's address it would be a
            # lie.
            if address:
                environ.pop("REMOTE_PORT", None)
            if port:
                environ["REMOTE_PORT"] = port
        if environ["wsgi.url_scheme"] not in ("http", "https"):
            environ["wsgi.url_scheme"] = proxy["wsgi.url_scheme"]
        return self._application(environ, start_response)


def request_id(environ: "WSGIEnvironment") -> str:
    """Return what a proxy calls the request: X-Request-ID, or the trace's id; "" for neither."""
    given: str = environ.get("HTTP_X_REQUEST_ID", "")
    if _REQUEST_ID.fullmatch(given):
        return given
    trace = _TRACEPARENT.fullmatch(environ.get("HTTP_TRACEPARENT", ""))
    return trace[1] if trace else ""


def trusted_peers(allowed: Sequence[str]) -> Callable[[str], bool]:
    """Return a predicate: is the peer with this address, "" on a Unix socket, a trusted proxy?

    *allowed* holds IP addresses, networks, `unix`, or `*` for everybody. Raises ValueError, with
    one line.
    """
    if "*" in allowed:
        return lambda _: True
    unix = "unix" in allowed
    networks = [_network(entry) for entry in allowed if entry != "unix"]

    @lru_cache(maxsize=1024)
    def is_trusted(peer: str) -> bool:
        if not peer:
            return unix
        address = _address(peer)
        return address is not None and any(address in network for network in networks)

    return is_trusted


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(
            f"{entry!r} is neither an IP address nor a network, 'unix' or '*'"
        ) from None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket for both IP versions, inherited from elsewhere, shows IPv4 peers so.
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)
def split_client(entry: str) -> tuple[str, str]:
    """Return address and port of an X-Forwarded-For entry, "" where unknown.

    Some proxies add the client's port. An entry that is not an address (`unknown`, or something
    that a client made up) gives two empty texts: it must not reach a log.
    """
    host, port = entry, ""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        port = port.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    try:
        # A zone means something on the proxy's machine only, and may hold any character.
        address = str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return "", ""
    return address, port if port.isascii() and port.isdigit() and len(port) <= 5 else ""
