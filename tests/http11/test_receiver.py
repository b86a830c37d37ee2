"""What the tables cannot show: when an event comes, what is held back, and where each limit lies
exactly.
"""

import traceback
import tracemalloc
from collections.abc import Callable

import pytest

from app.http11 import END_OF_MESSAGE, Limits, ProtocolError, Receiver, Request
from tests.alone import alone
from tests.http11.wire import (
    Event,
    Refused,
    by_byte,
    chunked,
    comparable,
    events_of,
    head,
    post,
    request,
)
from tests.programs import is_thorough


def _fed(data: bytes, limits: Limits | None = None) -> Receiver:
    receiver = Receiver(limits) if limits else Receiver()
    receiver.feed(data)
    return receiver


def test_a_new_receiver_is_idle() -> None:
    receiver = Receiver()
    assert receiver.idle
    assert receiver.buffered == 0
    assert receiver.next_event() is None


def test_the_default_limits_are_those_of_the_flags() -> None:
    assert Limits() == Limits(line=8190, fields=100, field_size=8190, head=65536, body=1073741824)


def test_a_request_without_body_stands_alone() -> None:
    receiver = _fed(head())
    assert isinstance(receiver.next_event(), Request)
    assert receiver.idle
    assert receiver.next_event() is None


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", head()[:-2], head()[:-1], b"\r"])
def test_not_idle_within_a_head(data: bytes) -> None:
    receiver = _fed(data)
    for _ in range(2):
        assert not receiver.idle
        assert receiver.buffered == len(data)
        assert receiver.next_event() is None


def test_idle_after_a_tolerated_empty_line() -> None:
    receiver = _fed(b"\r\n")
    assert receiver.next_event() is None
    assert receiver.idle
    assert receiver.buffered == 0
    receiver.feed(head() + b"\r\n")
    assert isinstance(receiver.next_event(), Request)
    assert receiver.next_event() is None
    assert receiver.idle


def test_not_idle_before_the_end_of_the_body_was_taken() -> None:
    receiver = _fed(post(b"Content-Length: 2", body=b"ab"))
    receiver.next_event()
    assert not receiver.idle
    assert receiver.next_event() == b"ab"
    assert receiver.buffered == 0
    assert not receiver.idle
    assert receiver.next_event() is END_OF_MESSAGE
    assert receiver.idle


def test_not_idle_with_a_next_request_waiting() -> None:
    receiver = _fed(head() + head())
    receiver.next_event()
    assert not receiver.idle
    assert receiver.buffered == len(head())
    receiver.next_event()
    assert receiver.idle


def test_body_data_is_handed_out_as_it_comes() -> None:
    receiver = _fed(post(b"Content-Length: 4", body=b"a"))
    assert isinstance(receiver.next_event(), Request)
    assert receiver.next_event() == b"a"
    assert receiver.next_event() is None
    receiver.feed(b"bc")
    assert receiver.next_event() == b"bc"
    receiver.feed(b"d" + head())
    assert receiver.next_event() == b"d"
    assert receiver.next_event() is END_OF_MESSAGE
    assert isinstance(receiver.next_event(), Request)


def test_chunk_data_is_handed_out_as_it_comes() -> None:
    receiver = _fed(chunked(b"4\r\na"))
    assert isinstance(receiver.next_event(), Request)
    assert receiver.next_event() == b"a"
    assert receiver.next_event() is None
    receiver.feed(b"bcd")
    assert receiver.next_event() == b"bcd"
    assert receiver.next_event() is None
    receiver.feed(b"\r\n0\r\n\r\n")
    assert receiver.next_event() is END_OF_MESSAGE


def test_a_whole_piece_of_body_data_is_not_copied() -> None:
    receiver = _fed(post(b"Content-Length: 10000"))
    receiver.next_event()
    piece = b"x" * 5000
    receiver.feed(piece)
    assert receiver.next_event() is piece


def test_several_pieces_may_be_fed_before_events_are_taken() -> None:
    receiver = Receiver()
    for byte in by_byte(head() + post(b"Content-Length: 3", body=b"abc") + head()):
        receiver.feed(byte)
    assert isinstance(receiver.next_event(), Request)
    assert isinstance(receiver.next_event(), Request)
    receiver.feed(head())
    assert receiver.next_event() == b"abc"
    assert receiver.next_event() is END_OF_MESSAGE
    assert isinstance(receiver.next_event(), Request)
    assert isinstance(receiver.next_event(), Request)
    assert receiver.next_event() is None
    assert receiver.idle


@pytest.mark.parametrize("cut", range(1, len(head())))
def test_a_head_cut_in_two_behind_another(cut: int) -> None:
    receiver = _fed(head() + head()[:cut])
    first = receiver.next_event()
    assert receiver.next_event() is None
    receiver.feed(head()[cut:] + head())
    for event in (first, receiver.next_event(), receiver.next_event()):
        assert isinstance(event, Request)
        assert comparable(event) == request()
    assert receiver.idle


def test_an_empty_piece_changes_nothing() -> None:
    receiver = _fed(b"")
    assert receiver.idle
    assert receiver.next_event() is None
    receiver.feed(b"GET")
    receiver.feed(b"")
    assert receiver.next_event() is None
    assert receiver.buffered == 3


def test_a_refusal_is_for_ever_and_holds_nothing() -> None:
    receiver = _fed(b"GET / HTTP/2.0\r\n" + b"x" * 1000)
    refusals = []
    for _ in range(3):
        with pytest.raises(ProtocolError) as caught:
            receiver.next_event()
        refusals.append((caught.value.status, caught.value.reason))
        assert len(traceback.extract_tb(caught.tb)) < 10
        receiver.feed(head())
        assert receiver.buffered == 0
        assert not receiver.idle
    assert refusals == [(505, "This port speaks HTTP/1.1, not HTTP/2.")] * 3


def test_events_before_a_refusal_are_given() -> None:
    receiver = _fed(chunked(b"2\r\nab\r\nx\r\n"))
    assert isinstance(receiver.next_event(), Request)
    assert receiver.next_event() == b"ab"
    with pytest.raises(ProtocolError):
        receiver.next_event()


@pytest.mark.parametrize(
    "start",
    [
        b"\x16",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\rx",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n",
        b"GET / HTTP/3.0\r\n",
    ],
)
def test_a_refusal_does_not_wait_for_the_end_of_the_head(start: bytes) -> None:
    with pytest.raises(ProtocolError):
        _fed(start).next_event()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", True),  # no Host
        (b"HEAD /% HTTP/1.1\r\n", True),
        (b"HEAD / HTTP/3.0\r\n", True),
        (b"HEAD /" + b"a" * 9000, True),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nA B: c\r\n", True),
        (b"\r\nHEAD / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", True),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", True),
        (b"HEAD\r\n", False),
        (b"HEADER / HTTP/1.1\r\n\r\n", False),
        (b"GET /HEAD HTTP/1.1\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", False),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_refused_head_is_known_as_one(raw: bytes, *, expected: bool) -> None:
    for before in (b"", head(), head(line=b"HEAD / HTTP/1.1"), head(line=b"HEAD /a HTTP/1.0")):
        for pieces in ([before + raw], by_byte(before + raw)):
            refusal = events_of(pieces, Limits())[-1]
            assert isinstance(refusal, Refused)
            assert refusal.to_head is expected


def test_every_reason_is_a_sentence_fit_to_show() -> None:
    error = ProtocolError(400, "The Host field is missing.")
    assert str(error) == "(400, 'The Host field is missing.')"


# Where each limit lies: the largest that passes, and one more.

_HEAD_SIZE = len(head(b"A: "))
_LARGE_FIELDS = [b"A: " + b"b" * 8000] * 8
_EXTENDED_CHUNKS = (b"1;" + b"a" * 127 + b"\r\nx\r\n") * 127
_TRAILERS = b"0\r\nA: %b\r\nB: %b\r\n\r\n"

_BOUNDARIES: list[tuple[str, Limits, Callable[[int], bytes], int, int]] = [
    ("request line", Limits(), lambda n: head(line=b"GET /" + b"a" * (n - 14) + b" HTTP/1.1"), 8190, 414),
    ("request line by flag", Limits(line=100),
     lambda n: head(line=b"GET /" + b"a" * (n - 14) + b" HTTP/1.1"), 100, 414),
    ("request line by head", Limits(head=100),
     lambda n: head(line=b"GET /" + b"a" * (n - 14) + b" HTTP/1.0", host=b""), 96, 414),
    ("field line", Limits(), lambda n: head(b"A: " + b"b" * (n - 5)), 8190, 431),
    ("field line by flag", Limits(field_size=50), lambda n: head(b"A: " + b"b" * (n - 5)), 50, 431),
    ("fields", Limits(), lambda n: head(*[b"A%d: b" % i for i in range(n - 1)]), 100, 431),
    ("fields by flag", Limits(fields=2), lambda n: head(*[b"A%d: b" % i for i in range(n - 1)]), 2, 431),
    ("repeated fields", Limits(fields=5), lambda n: head(*[b"A: b"] * (n - 1)), 5, 431),
    ("head", Limits(), lambda n: head(*_LARGE_FIELDS, b"A: " + b"b" * (n - len(head(*_LARGE_FIELDS, b"A: ")))),
     65536, 431),
    ("head by flag", Limits(head=200), lambda n: head(b"A: " + b"b" * (n - _HEAD_SIZE)), 200, 431),
    ("head of fewest bytes", Limits(head=64), lambda n: head(b"A: " + b"b" * (n - _HEAD_SIZE)), 64, 431),
    ("method", Limits(), lambda n: head(line=b"A" * n + b" / HTTP/1.1"), 32, 501),
    ("length", Limits(), lambda n: post(b"Content-Length: %d" % n), 1073741824, 413),
    ("length by flag", Limits(body=7), lambda n: post(b"Content-Length: %d" % n), 7, 413),
    ("chunk", Limits(body=7), lambda n: chunked(b"%x\r\n" % n), 7, 413),
    ("chunks", Limits(body=7), lambda n: chunked(b"1\r\na\r\n" * n), 7, 413),
    ("digits of a length", Limits(body=0), lambda n: post(b"Content-Length: " + b"1" * n), 19, 400),
    ("digits of a chunk size", Limits(), lambda n: chunked(b"1".zfill(n) + b"\r\n"), 16, 400),
    ("chunk line", Limits(), lambda n: chunked(b"1;" + b"a" * (n - 2) + b"\r\n"), 256, 400),
    ("extensions", Limits(), lambda n: chunked(_EXTENDED_CHUNKS + b"1;" + b"a" * (n - 16257) + b"\r\n"), 16384, 400),
    ("trailer fields", Limits(fields=3), lambda n: chunked(b"0\r\n" + b"A: b\r\n" * n + b"\r\n"), 3, 431),
    ("trailer line", Limits(field_size=50), lambda n: chunked(b"0\r\nA: " + b"b" * (n - 5) + b"\r\n\r\n"), 50, 431),
    ("trailer section", Limits(head=100), lambda n: chunked(_TRAILERS % (b"a" * 70, b"b" * (n - 82))), 100, 431),
    ("empty lines", Limits(), lambda n: b"\r\n" * n + head(), 1, 400),
    ("port", Limits(), lambda n: head(host=b"Host: a:%d" % n), 65535, 400),
    ("host", Limits(), lambda n: head(host=b"Host: " + b"a" * n), 255, 400),
]  # fmt: skip


def _ways(raw: bytes, limits: Limits, *, bytewise: bool = True) -> list[list[Event]]:
    cuts = range(max(1, len(raw) - 8), len(raw))
    return [
        events_of([raw], limits),
        *([events_of(by_byte(raw), limits)] if bytewise else []),
        *(events_of([raw[:cut], raw[cut:]], limits) for cut in cuts),
    ]


@pytest.mark.parametrize(("limits", "make", "largest", "status"), [row[1:] for row in _BOUNDARIES],
                         ids=[row[0] for row in _BOUNDARIES])  # fmt: skip
def test_boundary(limits: Limits, make: Callable[[int], bytes], largest: int, status: int) -> None:
    for events in _ways(make(largest), limits):
        assert events
        assert not any(isinstance(event, Refused) for event in events)
    for excess in (1, 2, 3, 4):
        # Byte by byte, whatever follows the first byte too many is never fed.
        beyond = _ways(make(largest + excess), limits, bytewise=excess == 1 or is_thorough())
        assert all(events == beyond[0] for events in beyond)
        refusal = beyond[0][-1]
        assert isinstance(refusal, Refused)
        assert refusal.status == status


def test_the_head_of_the_boundary_rows_is_as_long_as_told() -> None:
    for name, limits, make, largest, _ in _BOUNDARIES:
        if name.startswith("head"):
            assert len(make(largest)) == largest == limits.head


def bytes_of_idle_receivers(count: int) -> int:
    receivers = []
    request = head(b"Cookie: " + b"c" * 1000)
    _fed(request).next_event()
    tracemalloc.start()
    for _ in range(count):
        receiver = _fed(bytes(bytearray(request)))
        receiver.next_event()
        receivers.append(receiver)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(receiver.idle for receiver in receivers)
    return size


def test_an_idle_receiver_is_tiny() -> None:
    assert alone(bytes_of_idle_receivers, 1000) / 1000 < 400


STREAMS = {
    "length": lambda: post(b"Content-Length: 3000000", body=b"x" * 3_000_000),
    "large chunks": lambda: (
        chunked(b"ffff\r\n" + b"x" * 65535 + b"\r\n") + (b"ffff\r\n" + b"x" * 65535 + b"\r\n") * 40
    ),
    "small chunks": lambda: chunked(b"1\r\nx\r\n" * 15_000),
    "trailers": lambda: chunked(b"0\r\n" + b"A: b\r\n" * 99 + b"\r\n") * 60,
    "pipelined": lambda: head() * 5_000,
}


def peak_of_stream(name: str) -> int:
    stream = STREAMS[name]()
    pieces = [stream[start : start + 16384] for start in range(0, len(stream), 16384)]
    receiver = Receiver()
    tracemalloc.start()
    for piece in pieces:
        receiver.feed(piece)
        while receiver.next_event() is not None:
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "small chunks" else [])
        for name in STREAMS
    ],
)
def test_memory_is_bounded_by_the_pieces(name: str) -> None:
    assert alone(peak_of_stream, name) < 200_000


def test_request_lines_beyond_those_remembered_are_read_as_well() -> None:
    receiver = Receiver()
    for number in [*range(5000), 0]:
        receiver.feed(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        request = receiver.next_event()
        assert isinstance(request, Request)
        assert request.line.path == f"/{number}"
