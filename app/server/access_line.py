"""What the access log says: a line for each exchange, in Apache's combined format or as JSON.

What only the application knows, such as the number of an access, comes with its `RequestNote`.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from time import gmtime, strftime, time
from typing import NamedTuple, TypeAlias, TypeVar

from ..clock import MONTHS
from ..request_note import NO_NOTE, RequestNote

#: How many texts of a kind are remembered as they are written, each of at most so many characters.
_REMEMBERED, _SHORT = 1024, 256

K = TypeVar("K")


class Exchange(NamedTuple):
    """One request and what became of its answer.

    Texts are as in the environ: each character is one byte, in latin-1.
    """

    remote_addr: str
    remote_user: str
    received: float  # seconds since the epoch
    request_line: str
    status: int
    sent: int  # bytes of the body that were handed to the kernel
    duration: float  # seconds
    referer: str
    user_agent: str
    aborted: bool
    host: str
    note: RequestNote = NO_NOTE
    request_id: str = ""


#: An `Exchange`, or a plain tuple of the same: that is made in a tenth of the time.
AnyExchange: TypeAlias = tuple[
    str, str, float, str, int, int, float, str, str, bool, str, RequestNote, str
]


def refused(remote_addr: str, status: int, sent: int) -> Exchange:
    """Return the exchange with a client whose bytes were not a request."""
    return Exchange(
        remote_addr=remote_addr,
        remote_user="",
        received=time(),
        request_line="",
        status=status,
        sent=sent,
        duration=0.0,
        referer="",
        user_agent="",
        aborted=False,
        host="",
    )


Formatter = Callable[[AnyExchange], str]


class _Remembered(dict[K, str]):
    """What *made* makes of a key. Short ones are remembered, as the same come again and again:
    clients' addresses, names, and what they ask for; the present second.

    Safe from any thread.
    """

    def __init__(self, made: Callable[[K], str]) -> None:
        super().__init__()
        self._made = made

    def __missing__(self, key: K) -> str:
        text = self._made(key)
        if len(text) <= _SHORT:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[key] = text
        return text


def formatter(log_format: str) -> Formatter:
    """Return the function that makes a line, of ASCII, with its newline. Raises ValueError."""
    if log_format == "combined":
        return combined
    if log_format == "combined+":
        return combined_with_count
    if log_format == "json":
        return _json_formatter()
    raise ValueError(f"{log_format!r} is not an access log format")


def combined(exchange: AnyExchange) -> str:
    """Return Apache's combined line, then the duration in seconds, and `aborted` or `-`."""
    address, user, received, line, status, sent, duration, referer, agent, aborted, _, _, _ = (
        exchange
    )
    return (
        f"{_BARE[address or 'unix:']} - {_BARE[user or '-']} [{_COMBINED_TIMES[int(received)]}]"
        f' "{_QUOTED_LINES[line or "-"]}" {status} {sent}'
        f' "{_QUOTED[referer or "-"]}" "{_QUOTED[agent or "-"]}"'
        f" {duration:.6f} {'aborted' if aborted else '-'}\n"
    )


def combined_with_count(exchange: AnyExchange) -> str:
    """Return the combined line, then `count=` and the number of the access, or `-`."""
    number = exchange[11].number
    return f"{combined(exchange)[:-1]} count={'-' if number is None else number}\n"


def _combined_time(second: int) -> str:
    now = gmtime(second)
    # strftime's %b speaks the machine's language.
    return strftime(f"%d/{MONTHS[now.tm_mon - 1]}/%Y:%H:%M:%S +0000", now)


_TO_ESCAPE = re.compile(r"[^ !#-\[\]-~]")


def _quoted(text: str) -> str:
    return _TO_ESCAPE.sub(_escape, text)


def _bare(text: str) -> str:
    return _TO_ESCAPE.sub(_escape, text).replace(" ", "\\x20")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return "\\" + character
    # What is no latin-1 cannot come from the wire, but an application may put anything into the
    # environ.
    return "".join(
        f"\\x{byte:02x}"
        for byte in character.encode("latin-1" if character <= "\xff" else "utf-8", "replace")
    )


_QUOTED, _QUOTED_LINES, _BARE = _Remembered(_quoted), _Remembered(_quoted), _Remembered(_bare)
_COMBINED_TIMES = _Remembered(_combined_time)


def _json_formatter() -> Formatter:
    from json.encoder import encode_basestring_ascii as quote

    def text(value: str) -> str:
        # Clients send UTF-8; other bytes stay latin-1, so that none is lost. DEL is the one control
        # character that JSON allows unescaped.
        if not value.isascii():
            with suppress(UnicodeError):
                value = value.encode("latin-1").decode()
        return quote(value).replace("\x7f", "\\u007f")

    again, targets, times = _Remembered(text), _Remembered(text), _Remembered(_json_time)

    def as_json(exchange: AnyExchange) -> str:
        (
            address, user, received, request_line, status, sent, duration, referer, agent, aborted,
            host, note, request_id,
        ) = exchange  # fmt: skip
        method, _, rest = request_line.partition(" ")
        target, _, version = rest.rpartition(" ")
        milliseconds = str(1000 + int(received * 1000) % 1000)[1:]  # a format takes thrice as long
        return (
            f'{{"time":"{times[int(received)]}.{milliseconds}Z",'
            f'"remote_addr":{again[address]},"remote_user":{again[user]},"host":{again[host]},'
            f'"method":{again[method]},"target":{targets[target]},"version":{again[version]},'
            f'"status":{status},"bytes":{sent},"duration":{duration:.6f},'
            f'"referer":{again[referer]},"user_agent":{again[agent]},'
            f'"aborted":{"true" if aborted else "false"},'
            f'"path":{targets[note.path] if note.path else "null"},'
            f'"kind":{again[note.kind] if note.kind else "null"},'
            f'"class":{again[note.class_] if note.class_ else "null"},'
            f'"number":{"null" if note.number is None else note.number},'
            f'"completed":{"true" if note.completed else "false"},'
            f'"request_id":{text(request_id) if request_id else "null"}}}\n'
        )

    return as_json


def _json_time(second: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))


def cut(entry: AnyExchange, room: int) -> Exchange:
    exchange = Exchange._make(entry)

    def cut(text: str) -> str:
        return text if len(text) <= room else text[:room] + "..."

    return exchange._replace(
        remote_addr=cut(exchange.remote_addr),
        remote_user=cut(exchange.remote_user),
        request_line=cut(exchange.request_line),
        referer=cut(exchange.referer),
        user_agent=cut(exchange.user_agent),
        host=cut(exchange.host),
        note=exchange.note.with_path(cut(exchange.note.path)),
    )
