"""Response heads: the status line, the fields and the framing of a message (RFC 9112 sections 4 to
6).

Every name and value is checked here, so that nothing an application says can end a field line or
the head before its time. What an application may not decide (framing, persistence, hop-by-hop
fields; PEP 3333) is taken out of its list and written by `encode_head`.
"""

import re
from collections.abc import Hashable, Iterable
from enum import Enum
from functools import lru_cache
from typing import TypeVar


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

#: What tells about the message itself.
_DECIDED_HERE = frozenset({"connection", "date", "server", *_HOP_BY_HOP})

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: Fields that were found valid, as lines, and heads of nothing but these and a length. Applications
#: send these again and again, and other fields anew in every answer. Each memory forgets everything
#: when it is full.
_lines: dict[tuple[str, str], str] = {}
_heads: dict[tuple[object, ...], "ResponseHead"] = {}
_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 200
_LONGEST_HEAD_REMEMBERED = 1024
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
#: Fields that nearly every answer has of its own.
_EVER_DIFFERENT = frozenset(
    {"Content-Length", "Content-Range", "Date", "Location", "Set-Cookie", "Tally-Count"}
)


class ResponseHead:
    """A status and fields as an application gave them, checked. Not changed once it is made.

    Raises ValueError when they cannot be sent, and TypeError or AttributeError when they are not
    text at all.
    """

    __slots__ = ("closes", "code", "content_length", "has_date", "has_server", "is_usual", "start")

    def __init__(self, status: str, fields: Iterable[tuple[str, str]]) -> None:
        self.content_length: int | None = None
        self.has_date = self.has_server = self.closes = False
        #: Whether there is nothing in it that other answers do not have, too.
        self.is_usual = True
        status_line, self.code = _status_line(status)
        lines = "".join([_lines.get(field) or self._line_of(*field) for field in fields])
        #: The status line and the fields; what the server decides about comes after it.
        self.start: bytes = (status_line + lines).encode("latin-1")

    def followed_by(self, fields: Iterable[tuple[str, str]]) -> "ResponseHead":
        """Return this head with more fields, whose names are all of _EVER_DIFFERENT."""
        head = ResponseHead.__new__(ResponseHead)
        head.content_length, head.closes = self.content_length, self.closes
        head.has_date, head.has_server = self.has_date, self.has_server
        head.is_usual, head.code = False, self.code
        lines = ""
        for name, value in fields:
            if name == "Content-Length":
                lines += head._length_line(_decimal(value))
            elif name != "Date" and value.isascii() and value.isprintable():
                lines += f"{name}: {value}\r\n"
            else:
                lines += head._line_of(name, value)
        head.start = self.start + lines.encode("latin-1")
        return head

    def _line_of(self, name: str, value: str) -> str:
        """Return the line of a field, "" when it is not sent or not here."""
        folded = _checked_name(name)
        if folded == "content-length":
            return self._length_line(_decimal(value))
        # The quick answer for nearly every value; the pattern decides about the rest.
        if not (value.isascii() and value.isprintable()) and not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} cannot be sent: {value!r}")
        if folded in _DECIDED_HERE and not self._takes(folded, value):
            return ""
        line = f"{name}: {value}\r\n"
        if folded in _REMEMBERED and len(line) <= _LONGEST_REMEMBERED and "boundary=" not in value:
            _remember(_lines, (name, value), line)
        else:
            self.is_usual = False
        return line

    def _length_line(self, length: int) -> str:
        if self.content_length is None:
            self.content_length = length
            # A 204 has none (RFC 9110 section 8.6).
            return "" if self.code == 204 else f"Content-Length: {length}\r\n"
        if self.content_length != length:
            raise ValueError("two Content-Length fields that differ")
        return ""

    def _takes(self, folded: str, value: str) -> bool:
        """Note what a field says about the message; return whether it is sent as it is."""
        if folded == "connection":
            self.closes = self.closes or "close" in value.lower()
        elif folded == "date":
            is_first, self.has_date = not self.has_date, True
            return is_first
        elif folded == "server":
            self.has_server = True
            return True
        return False


def usual_head(status: str, fields: list[tuple[str, str]]) -> tuple[ResponseHead, str]:
    """Return the head of an answer, and the Date if that is its last field, else "".

    What was met before is not made again: a whole head, or one but for the fields at its end that
    differ from answer to answer. Raises as `ResponseHead` does.
    """
    date, usual = "", fields
    try:
        if fields[-1][0] == "Date":
            date, usual = fields[-1][1], fields[:-1]
        if usual[-1][0] in _EVER_DIFFERENT:
            return _head_with_others(status, usual), date
        return _heads.get((status, *usual)) or _remembered_head(status, usual), date
    except (IndexError, TypeError):  # there is none, or what is no field
        return ResponseHead(status, usual), date


def _head_with_others(status: str, fields: list[tuple[str, str]]) -> ResponseHead:
    """Return a head whose last fields differ from answer to answer."""
    end = len(fields) - 1
    while end and fields[end - 1][0] in _EVER_DIFFERENT:
        end -= 1
    usual = fields[:end]
    known = _heads.get((status, *usual)) or _remembered_head(status, usual)
    return known.followed_by(fields[end:])


def _remembered_head(status: str, fields: list[tuple[str, str]]) -> ResponseHead:
    head = ResponseHead(status, fields)
    if head.is_usual and len(head.start) <= _LONGEST_HEAD_REMEMBERED:
        _remember(_heads, (status, *fields), head)
    return head


@lru_cache(maxsize=1024)
def _checked_name(name: str) -> str:
    """Return *name* in lower case."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a field name")
    return name.lower()


def _decimal(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        value = value.strip(" \t")
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"Content-Length {value!r} is not a number")
    return int(value)


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value


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

    *length* is written as Content-Length where the application did not say it and the message may
    have one; *date* and *server* where the application did not say its own. *version* is the
    request's.
    """
    if not keep_alive:
        connection = "Connection: close\r\n"
    else:
        connection = "Connection: keep-alive\r\n" if version == "HTTP/1.0" else ""
    ending = _ending("" if head.has_date else date, "" if head.has_server else server, connection)
    if head.content_length is not None:
        return head.start + ending
    if framing is _CHUNKED:
        return b"%bTransfer-Encoding: chunked\r\n%b" % (head.start, ending)
    if length is None or head.code == 204:
        return head.start + ending
    return b"%bContent-Length: %d\r\n%b" % (head.start, length, ending)


@lru_cache(maxsize=64)
def _ending(date: str, server: str, connection: str) -> bytes:
    """Return what is the same for all answers of a second. Raises ValueError for no date."""
    if not _FIELD_VALUE.fullmatch(date):
        raise ValueError(f"the value of Date cannot be sent: {date!r}")
    date_line = f"Date: {date}\r\n" if date else ""
    server_line = f"Server: {server}\r\n" if server else ""
    return f"{date_line}{server_line}{connection}\r\n".encode("latin-1")


def encode_chunk(data: bytes) -> bytes:
    """Return *data*, which is not empty, as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
