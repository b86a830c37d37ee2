"""Seeded fuzzing of the receiver: mutated streams, each cut in several ways.

    python -m tests.http11.fuzz --streams 1000000 --seed 1

The invariant: any bytes give events or a ProtocolError, the same ones however they are cut; what is
held back for want of more bytes is bounded; and no request passes that breaks what a gateway relies
on. Ends with status 1 when a stream breaks it, and prints that stream with the seed.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from app.http11 import END_OF_MESSAGE, Limits, ProtocolError, Receiver
from tests.http11.cases import (
    chunks,
    fields,
    framing,
    host,
    persistence,
    request_line,
    request_target,
    smuggling,
)
from tests.http11.wire import Asked, Event, Refused, by_byte, events_of, head

_MODULES = (request_line, request_target, host, fields, framing, chunks, persistence, smuggling)
_SEEDS = [row.raw for module in _MODULES for row in module.CASES if len(row.raw) <= 400]
#: A receiver knows by then with which lines the heads begin.
_ALIKE = 11
_HARMLESS = (
    b"Accept: */*", b"Accept-Language: en", b"Cache-Control: no-cache", b"Connection: keep-alive", b"DNT: 1",
    b"Pragma: no-cache", b"Referer: http://a/", b"User-Agent: b", b"Via: 1.1 \xff", b"X-Other: 1",
)  # fmt: skip

_FRAGMENTS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\x00", b" ", b"\t", b":", b";", b",", b'"', b"\x0b", b"\x80",
    b"\xff", b"%", b"%00", b"#", b"?", b"*", b"//", b"@", b"[::1]", b"0", b"0\r\n\r\n", b"5\r\nhello\r\n",
    b"ffffffff\r\n", b";a=b", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n", b"HTTP/1.0", b"HTTP/1.2",
    b"HTTP/2.0", b"CONNECT ", b"OPTIONS * ", b"http://b/", b"Host: a\r\n", b"Host:", b"Content-Length:"
                                                                                     b" 5\r\n",
    b"Content-Length: 0\r\n", b"Content-Length: +1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding", b"chunked", b"identity, ",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Expect: 100-continue\r\n", b"Cookie: a=b\r\n",
    b"X_Y: z\r\n", b"Accept: */*\r\n", b" folded\r\n", b"A: b\r\n" * 5, b"a" * 40, b"\x16\x03\x01",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip


def _limits(random: Random) -> Limits:
    """Return the default limits, or ones that these short streams come close to."""
    if random.random() < 0.4:
        return Limits()
    return Limits(
        line=random.choice((20, 40, 8190)),
        fields=random.randrange(1, 8),
        field_size=random.choice((16, 32, 60, 8190)),
        head=random.choice((16, 40, 64, 65536)) + random.randrange(40),
        body=random.choice((0, 1, 5, 9, 40)),
    )


def _mutated(random: Random) -> bytes:
    stream = bytearray(random.choice(_SEEDS))
    while random.random() < 0.4:
        stream += random.choice(_SEEDS)
    return _mutate(stream, random)


def _alike(random: Random) -> bytes:
    """Return several heads that begin alike, and some that may not."""
    fields = random.sample(_HARMLESS, random.randrange(4, 8))
    heads = [head(*fields, b"Cookie: a=%d" % number) for number in range(_ALIKE)]
    last = bytearray(b"".join(random.choices(heads, k=random.randrange(1, 4))))
    return b"".join(heads) + _mutate(last, random)


def _mutate(stream: bytearray, random: Random) -> bytes:
    for _ in range(random.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        at = random.randrange(len(stream) + 1)
        kind = random.randrange(7)
        if kind <= 1:
            stream[at:at] = random.choice(_FRAGMENTS)
        elif kind == 2:
            stream[at : at + 1] = random.randbytes(1)
        elif kind == 3:
            del stream[at : at + random.choice((1, 1, 2, 4, 20))]
        elif kind == 4:
            stream[at : at + random.choice((1, 2, 4))] = random.choice(_FRAGMENTS)
        elif kind == 5:
            start = random.randrange(len(stream) + 1)
            stream[at:at] = stream[start : start + random.randrange(40)]
        elif stream:
            stream[at % len(stream)] ^= 1 << random.randrange(8)
    return bytes(stream)


def _pieces(stream: bytes, random: Random) -> Iterator[bytes]:
    cuts = sorted(random.choices(range(len(stream) + 1), k=random.randrange(1, 6)))
    return (stream[start:stop] for start, stop in pairwise([0, *cuts, len(stream)]))


_UNSAFE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_VISIBLE = re.compile(r"[!-~]+")


def _check_request(request: Asked, limits: Limits) -> None:
    """Check what must hold for every request that passes, without the receiver's own grammar."""
    variables = request.variables
    assert _VISIBLE.fullmatch(request.method)
    assert _VISIBLE.fullmatch(request.target)
    assert "#" not in request.target
    assert len(request.target) <= limits.line
    assert request.path == "*" or request.path.startswith("/")
    assert request.path != "*" or request.method == "OPTIONS"
    assert request.version in ("HTTP/1.0", "HTTP/1.1")
    assert request.version == "HTTP/1.0" or variables["HTTP_HOST"]
    assert not re.search(r"[\s,/@?#\\]", variables.get("HTTP_HOST", ""))
    assert request.has_body == (request.chunked or request.content_length > 0)
    assert not (
        request.chunked and ("CONTENT_LENGTH" in variables or request.version == "HTTP/1.0")
    )
    assert request.chunked == ("HTTP_TRANSFER_ENCODING" in variables)
    assert int(variables.get("CONTENT_LENGTH", "0")) == request.content_length
    assert not limits.body or request.content_length <= limits.body
    assert not request.expects_continue or (request.has_body and request.version == "HTTP/1.1")
    assert len(variables) <= limits.fields
    for variable, value in variables.items():
        assert variable.startswith("HTTP_") or variable in ("CONTENT_TYPE", "CONTENT_LENGTH")
        assert not _UNSAFE.search(variable)
        assert not _UNSAFE.search(value)


def _check_order(events: list[Event], limits: Limits) -> None:
    """Check that bodies belong to requests, and have the length that these told."""
    owed: Asked | None = None
    received = 0
    for event in events:
        if isinstance(event, Asked):
            assert owed is None
            _check_request(event, limits)
            owed, received = (event if event.has_body else None), 0
        elif isinstance(event, bytes):
            assert owed is not None
            received += len(event)
            assert owed.chunked or received <= owed.content_length
            assert not limits.body or received <= limits.body
        elif event is END_OF_MESSAGE:
            assert owed is not None
            assert owed.chunked or received == owed.content_length
            owed = None
        else:
            assert isinstance(event, Refused)
            assert event.status == 301 or 400 <= event.status <= 599
            assert event is events[-1]


def _drain(receiver: Receiver) -> Refused | None:
    try:
        while receiver.next_event() is not None:
            pass
    except ProtocolError as error:
        return Refused(error.status, error.reason, receiver.refused_head)
    return None


def _check_state(stream: bytes, events: list[Event], limits: Limits) -> None:
    """Check what the receiver holds at the end, and that a refusal is for ever."""
    receiver = Receiver(limits)
    receiver.feed(stream)
    refusal = _drain(receiver)
    assert receiver.buffered <= max(limits.head, 256) + 2
    if refusal is not None:
        assert events[-1] == refusal
        receiver.feed(head())
        assert not receiver.idle
        assert receiver.buffered == 0
        assert _drain(receiver) == refusal


def check_stream(stream: bytes, limits: Limits, random: Random) -> None:
    """Raise AssertionError unless *stream* keeps the invariant."""
    whole = events_of([stream], limits)
    assert events_of(_pieces(stream, random), limits) == whole, "cut in pieces it differs"
    if random.random() < 0.3:
        assert events_of(by_byte(stream), limits) == whole, "byte by byte it differs"
    _check_order(whole, limits)
    _check_state(stream, whole, limits)


def run(streams: int, seed: int) -> int:
    """Check *streams* mutated streams, print those that fail, and return their number."""
    random = Random(seed)
    failures = 0
    for _ in range(streams):
        stream = _alike(random) if random.random() < 0.2 else _mutated(random)
        limits = _limits(random)
        try:
            check_stream(stream, limits, random)
        except Exception as error:  # noqa: BLE001  anything but events or a ProtocolError is a finding
            failures += 1
            print(f"seed {seed}: {type(error).__name__} {error}\n  {stream!r}\n  {limits}")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the receiver.")
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failures = run(options.streams, options.seed)
    print(f"{options.streams} streams, seed {options.seed}: {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
