"""What the access log says: a line for each exchange, in Apache's combined format or as JSON.

What only the application knows, such as the number of an access, comes with its `RequestNote`.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from math import floor
from time import gmtime, strftime, time
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

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

#: For each part of a line, what it is written as: what is remembered, where the rest is missing, or
#: `_Remembered` for all.
_Parts: TypeAlias = tuple[Any, ...]


class _Remembered(Generic[K]):
    """What *made* makes of a key. Short texts are remembered, as the same come again and again:
    clients' addresses, names, and what they ask for; the present second.

    Safe from any thread.
    """

    def __init__(self, made: Callable[[K], str]) -> None:
        self._made = made
        #: What is remembered. A plain dictionary, as one with `__missing__` takes thrice as long.
        self.texts: dict[K, str] = {}

    def __getitem__(self, key: K) -> str:
        text = self.texts.get(key)
        if text is None:
            text = self._made(key)
            if len(text) <= _SHORT:
                if len(self.texts) >= _REMEMBERED:
                    self.texts.clear()
                self.texts[key] = text
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


def combined(exchange: AnyExchange, parts: _Parts | None = None) -> str:
    """Return Apache's combined line, then the duration in seconds, and `aborted` or `-`.

    *parts* is what each of the line's parts is written as, with what follows it; by default what is
    remembered.
    """
    address, user, received, line, status, sent, duration, referer, agent, aborted, _, _, _ = (
        exchange
    )
    addresses, users, times, statuses, referers, agents = parts or _REMEMBERED_COMBINED
    if 0 <= duration < _QUICK:
        microseconds = str(floor(duration * 1e6 + 0.5))
        took = _BEFORE[len(microseconds)] + microseconds
    else:
        took = f"{duration:.6f}"
    try:
        return (
            f"{addresses[address]}{users[user]}{times[floor(received)]}"
            f"{_LINES.texts.get(line) or _LINES[line]}"  # often new, which an error makes dearer
            f"{statuses[status]}{sent}{referers[referer]}{agents[agent]}"
            f"{took}{_ABORTED if aborted else _COMPLETE}"
        )
    except KeyError:
        return combined(exchange, _COMBINED)


def combined_with_count(exchange: AnyExchange) -> str:
    """Return the combined line, then `count=` and the number of the access, or `-`."""
    number = exchange[11].number
    return f"{combined(exchange)[:-1]} count={'-' if number is None else number}\n"


_ABORTED, _COMPLETE = " aborted\n", " -\n"


#: Durations below this, in seconds, are written as microseconds with this before so many digits of
#: them: a format takes twice as long.
_QUICK = 0.999
_BEFORE = ("", "0.00000", "0.0000", "0.000", "0.00", "0.0", "0.")


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


_COMBINED: _Parts = (
    _Remembered(lambda address: f"{_bare(address or 'unix:')} - "),
    _Remembered(lambda user: f"{_bare(user or '-')} ["),
    _Remembered(lambda second: f'{_combined_time(second)}] "'),
    _Remembered(lambda status: f"{status} "),
    _Remembered(lambda referer: f' "{_quoted(referer or "-")}"'),
    _Remembered(lambda agent: f' "{_quoted(agent or "-")}" '),
)
_REMEMBERED_COMBINED: _Parts = tuple(part.texts for part in _COMBINED)
_LINES: _Remembered[str] = _Remembered(lambda line: f'{_quoted(line or "-")}" ')


def _json_formatter() -> Formatter:
    # Of those who log so alone
    from json.encoder import encode_basestring_ascii as quote

    def text(value: str) -> str:
        # Clients send UTF-8; other bytes stay latin-1, so that none is lost. DEL is the one control
        # character that JSON allows unescaped.
        if not value.isascii():
            with suppress(UnicodeError):
                value = value.encode("latin-1").decode()
        return quote(value).replace("\x7f", "\\u007f")

    def line(request_line: str) -> str:
        method, _, rest = request_line.partition(" ")
        target, _, version = rest.rpartition(" ")
        return f'"method":{text(method)},"target":{text(target)},"version":{text(version)}'

    def or_null(value: str) -> str:
        return text(value) if value else "null"

    made: _Parts = (
        _Remembered(lambda second: f'{{"time":"{_json_time(second)}.'),
        _Remembered(lambda address: f'Z","remote_addr":{text(address)},"remote_user":'),
        _Remembered(text),
        _Remembered(lambda host: f',"host":{text(host)},'),
        _Remembered(lambda status: f',"status":{status},"bytes":'),
        _Remembered(lambda referer: f',"referer":{text(referer)},"user_agent":'),
        _Remembered(text),
        _Remembered(lambda path: f'"path":{or_null(path)},"kind":'),
        _Remembered(lambda kind: f'{or_null(kind)},"class":'),
        _Remembered(lambda class_: f'{or_null(class_)},"number":'),
    )
    remembered: _Parts = tuple(part.texts for part in made)
    lines = _Remembered(line)
    milliseconds = [f"{number:03}" for number in range(1000)]

    def as_json(exchange: AnyExchange, parts: _Parts = remembered) -> str:
        (
            address, user, received, request_line, status, sent, duration, referer, agent, aborted,
            host, note, request_id,
        ) = exchange  # fmt: skip
        (
            times, addresses, users, hosts, statuses, referers, agents, paths, kinds, classes,
        ) = parts  # fmt: skip
        if 0 <= duration < _QUICK:
            microseconds = str(floor(duration * 1e6 + 0.5))
            took = _BEFORE[len(microseconds)] + microseconds
        else:
            took = f"{duration:.6f}"
        number = note.number
        try:
            return (
                f"{times[floor(received)]}{milliseconds[floor(received * 1000) % 1000]}"
                f"{addresses[address]}{users[user]}{hosts[host]}"
                f"{lines.texts.get(request_line) or lines[request_line]}"
                f'{statuses[status]}{sent},"duration":{took}'
                f"{referers[referer]}{agents[agent]}{_JSON_ABORTED if aborted else _JSON_COMPLETE}"
                f"{paths[note.path]}{kinds[note.kind]}{classes[note.class_]}"
                f"{'null' if number is None else number}"
                f"{_TO_THE_END if note.completed else _NOT_TO_THE_END}"
                f"{text(request_id) if request_id else 'null'}}}\n"
            )
        except KeyError:
            return as_json(exchange, made)

    return as_json


_JSON_ABORTED, _JSON_COMPLETE = ',"aborted":true,', ',"aborted":false,'
_TO_THE_END, _NOT_TO_THE_END = ',"completed":true,"request_id":', ',"completed":false,"request_id":'


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
