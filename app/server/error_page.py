"""The server's own answers, to what it or the application could not serve."""

import logging
from collections.abc import Iterable

from ..clock import date_header
from ..failure_log import Repeats
from ..http11 import ProtocolError
from ..http11.response import Framing, ResponseHead, encode_head

SERVER = "Tally"

log = logging.getLogger("tally.server")
#: Any client can do it, as often as it likes.
_PLAIN_TEXT = "plain HTTP came to a port for TLS"
_repeats = Repeats(log.warning)

_PHRASES = {
    301: "Moved Permanently",
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def error_answer(
    status: int, reason: str, more: Iterable[tuple[str, str]] = ()
) -> tuple[ResponseHead, bytes]:
    """Return head and body of the answer with *status*. *more* are fields."""
    phrase = _PHRASES.get(status, "Error")
    page = f"{status} {phrase}\n{reason}\n".encode("latin-1", "replace")
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        *more,
    ]
    return ResponseHead(f"{status} {phrase}", fields), page


def refusal(error: ProtocolError, *, to_head: bool) -> tuple[bytes, bytes]:
    """Return head and body of the answer to bytes that are not a request.

    The connection closes after it. With *to_head* the bytes began as a HEAD request, whose answer
    has no body (RFC 9110 section 9.3.2).
    """
    more = [("Location", error.location)] if error.location else []
    head, page = error_answer(error.status, error.reason, more)
    encoded = encode_head(head, Framing.LENGTH, len(page), date_header(), "HTTP/1.1", False, SERVER)
    return encoded, b"" if to_head else page


def without_tls(address: str) -> ProtocolError:
    """Return what to refuse a client with that speaks plain HTTP to a port for TLS, and log it."""
    if _repeats.is_first(_PLAIN_TEXT):
        log.warning("%s, from %s", _PLAIN_TEXT, address)
    return ProtocolError(400, "This port speaks HTTPS, not plain HTTP.")
