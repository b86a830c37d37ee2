"""Time linear in the bytes, in CPU time of this thread: four times the bytes may not cost eight
times as much.
"""

import time
from collections.abc import Callable, Iterable

import pytest

from app.http11 import Limits, ProtocolError, Receiver
from tests.http11.wire import by_byte, chunked, head, post

_WIDE = Limits(line=2**20, fields=10**6, field_size=2**20, head=2**22, body=0)


def _seconds(pieces: Iterable[bytes]) -> float:
    receiver = Receiver(_WIDE)
    before = time.thread_time()
    for piece in pieces:
        receiver.feed(piece)
        while receiver.next_event() is not None:
            pass
    return time.thread_time() - before


_STREAMS: dict[str, Callable[[int], bytes]] = {
    "one field line": lambda size: head(b"Cookie: " + b"c" * size),
    "many field lines": lambda size: head(*[b"Accept: a"] * (size // 11)),
    "a request line": lambda size: head(line=b"GET /" + b"a" * size + b" HTTP/1.1"),
    "percent-encodings": lambda size: head(line=b"GET /" + b"%61" * (size // 3) + b" HTTP/1.1"),
    "an unfinished line": lambda size: b"GET /" + b"a" * size,
    "an unfinished head": lambda size: head()[:-2] + b"A: b\r\n" * (size // 6),
    "pipelined heads": lambda size: head() * (size // 27),
    "small chunks": lambda size: chunked(b"1\r\na\r\n" * (size // 6)),
    "trailers": lambda size: chunked(b"0\r\n" + b"A: b\r\n" * (size // 6)),
    "a body": lambda size: post(b"Content-Length: %d" % size, body=b"x" * size),
    "one list": lambda size: head(b"Connection: " + b"a," * (size // 2)),
    "codings": lambda size: head(b"Expect: " + b"100-continue," * (size // 13)),
}


def _whole(raw: bytes) -> Iterable[bytes]:
    return [raw]


@pytest.mark.parametrize(
    ("make", "cut"),
    [
        *(pytest.param(make, _whole, id=f"{name}, whole") for name, make in _STREAMS.items()),
        *(
            pytest.param(
                make,
                by_byte,
                id=f"{name}, by byte",
                # The others take a tenth of a second of computing each.
                marks=[] if name in ("an unfinished head", "trailers") else pytest.mark.slow,
            )
            for name, make in _STREAMS.items()
        ),
    ],
)
def test_linear(make: Callable[[int], bytes], cut: Callable[[bytes], Iterable[bytes]]) -> None:
    small, large = make(2**13), make(2**15)
    assert any(_seconds(cut(large)) / max(_seconds(cut(small)), 1e-4) < 8 for _ in range(3))


@pytest.mark.parametrize(
    "value", [b"a ;" * 40, b"a=b;" * 60, b'a="' + b"\\a" * 100, b" \t" * 110, b";a" * 120]
)
def test_no_pattern_backtracks(value: bytes) -> None:
    stream = chunked(b"5" + value[:250] + b"@\r\n")
    assert any(_seconds_until_refused(stream) < 0.01 for _ in range(3))
    stream = post(b"Transfer-Encoding: " + value * 30)
    assert any(_seconds_until_refused(stream) < 0.05 for _ in range(3))


def _seconds_until_refused(stream: bytes) -> float:
    before = time.thread_time()
    with pytest.raises(ProtocolError):
        _seconds([stream])
    return time.thread_time() - before
