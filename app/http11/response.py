"""Response heads: the status line, the fields and the framing of a message (RFC 9112 sections 4 to
6).

Every name and value is checked here, so that nothing an application says can end a field line or
the head before its time. What an application may not decide (framing, persistence, hop-by-hop
fields; PEP 3333) is taken out of its list and written by `encode_head`.
"""

import re
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache


class Framing(Enum):
    """How the recipient finds the end of a response's body (RFC 9112 section 6.3)."""

    NO_BODY = "no body"  # HEAD, 204, 304: whatever the fields say
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


# Looked up for every answer; a member of an enumeration is ten times as far away.
_NO_BODY, _LENGTH, _CHUNKED = Framing.NO_BODY, Framing.LENGTH, Framing.CHUNKED

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")

_HOP_BY_HOP = frozenset(
    {
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }  # RFC 9110 section 7.6.1
)

#: Fields that were found valid, as lines: applications send these again and again, and others anew
#: in every answer.
_lines: dict[tuple[str, str], str] = {}
_LINES_REMEMBERED = 4096
_LONGEST_REMEMBERED = 200
_REMEMBERED = frozenset(
    {
        "accept-ranges",
        "access-control-allow-origin",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-security-policy",
        "content-type",
        "etag",
        "last-modified",
        "referrer-policy",
        "strict-transport-security",
        "vary",
        "x-content-type-options",
        "x-frame-options",
    }
)


class ResponseHead:
    """A status and fields as an application gave them, checked.

    Raises ValueError when they cannot be sent, and TypeError or AttributeError when they are not
    text at all.
    """

    __slots__ = ("closes", "code", "content_length", "has_date", "has_server", "lines")

    def __init__(self, status: str, fields: Iterable[tuple[str, str]]) -> None:
        self.content_length: int | None = None
        self.has_date = self.has_server = self.closes = False
        line, self.code = _status_line(status)
        self.lines = [line]
        append, remembered = self.lines.append, _lines.get
        for field in fields:
            known = remembered(field)
            if known is not None:
                append(known)
            elif field[0] == "Content-Length" and self.content_length is None:
                self.content_length = _decimal(field[1])
            else:
                self._take(field)

    def _take(self, field: tuple[str, str]) -> None:
        name, value = field
        folded = name.lower()
        if folded == "content-length":
            if self.content_length not in (None, _decimal(value)):
                raise ValueError("two Content-Length fields that differ")
            self.content_length = _decimal(value)
            return
        # The quick answer for nearly every value; the pattern decides about the rest.
        if not (value.isascii() and value.isprintable()) and not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} cannot be sent: {value!r}")
        if folded == "date":
            if not self.has_date:
                self.lines.append(f"Date: {value}\r\n")
            self.has_date = True
        elif folded == "connection":
            self.closes = self.closes or "close" in value.lower()
        elif folded not in _HOP_BY_HOP:
            if not _TOKEN.fullmatch(name):
                raise ValueError(f"{name!r} is not a field name")
            line = f"{name}: {value}\r\n"
            self.lines.append(line)
            if folded == "server":
                self.has_server = True
            elif (
                folded in _REMEMBERED
                and len(line) <= _LONGEST_REMEMBERED
                and "boundary=" not in value
            ):
                _remember(field, line)


def _decimal(value: str) -> int:
    value = value.strip(" \t")
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"Content-Length {value!r} is not a number")
    return int(value)


def _remember(field: tuple[str, str], line: str) -> None:
    if len(_lines) >= _LINES_REMEMBERED:
        _lines.clear()
    _lines[field] = line


@lru_cache(maxsize=256)
def _status_line(status: str) -> tuple[str, int]:
    if not _STATUS.fullmatch(status) or status[0] == "1":
        raise ValueError(f"{status!r} is not a final status")
    return f"HTTP/1.1 {status}\r\n", int(status[:3])


def choose_framing(method: str, version: str, code: int, length: int | None) -> Framing:
    """Return how the body of a response is delimited.

    *length*: of the body in bytes, None when it is not known.
    """
    if method == "HEAD" or code in (204, 304):
        return _NO_BODY
    if length is not None:
        return _LENGTH
    return _CHUNKED if version == "HTTP/1.1" else Framing.UNTIL_CLOSE


def encode_head(
    head: ResponseHead,
    framing: Framing,
    length: int | None,
    date: str,
    version: str,
    keep_alive: bool,
    server: str,
) -> bytes:
    """Return the head's bytes, with its empty line.

    *length* is written as Content-Length where the message may have one; *date* and *server* where
    the application did not say its own. *version* is the request's.
    """
    lines = [*head.lines]
    if not head.has_date:
        lines.append(f"Date: {date}\r\n")
    if not head.has_server:
        lines.append(f"Server: {server}\r\n")
    if framing is _CHUNKED:
        lines.append("Transfer-Encoding: chunked\r\n")
    elif length is not None and head.code != 204:  # RFC 9110 section 8.6
        lines.append(f"Content-Length: {length}\r\n")
    if not keep_alive:
        lines.append("Connection: close\r\n")
    elif version == "HTTP/1.0":
        lines.append("Connection: keep-alive\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


def encode_chunk(data: bytes) -> bytes:
    """Return *data*, which is not empty, as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
