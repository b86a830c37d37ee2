"""Heads that begin as the client's former ones mean what they mean to a receiver that has seen
nothing before.
"""

from collections.abc import Callable
from random import Random

import pytest

from app.http11 import Limits, ProtocolError, Receiver, Request
from app.http11 import receiver as receiver_module
from app.http11.beginning import Beginning
from tests.http11.wire import Asked, Refused, by_byte, comparable, events_of, head

BROWSER = (
    b"Connection: keep-alive",
    b"User-Agent: a browser",
    b"Accept: text/html",
    b"Accept-Language: en",
)
#: From so many heads that begin alike it is learned how they begin.
ENOUGH = receiver_module._NOT_LEARNED_FROM + 2
USUAL = head(*BROWSER, b"Cookie: a=b")
ALIKE = [USUAL] * ENOUGH

#: What comes after the heads from which the beginning was learned.
HEADS = {
    "the same": USUAL,
    "another target": head(*BROWSER, b"Cookie: a=b", line=b"GET /other?x=y HTTP/1.1"),
    "another method and version": head(*BROWSER, b"Cookie: a", line=b"POST / HTTP/1.0"),
    "an absolute target": head(*BROWSER, b"Cookie: a=b", line=b"GET http://b/c HTTP/1.1"),
    "no valid request line": head(*BROWSER, b"Cookie: a=b", line=b"GET / HTTP/1.1 "),
    "a longer one": head(*BROWSER, b"Cookie: a=b", b"If-None-Match: *", b"X-Other: 1"),
    "another end": head(*BROWSER, b"Cookie: c=d"),
    "nothing beside": head(*BROWSER),
    "a line less": head(*BROWSER[:-1]),
    "a line less, and another": head(*BROWSER[:-1], b"Cookie: a=b"),
    "a line between": head(*BROWSER[:2], b"DNT: 1", *BROWSER[2:], b"Cookie: a=b"),
    "a line before": head(b"DNT: 1", *BROWSER, b"Cookie: a=b"),
    "another order": head(*reversed(BROWSER), b"Cookie: a=b"),
    "another value": head(*BROWSER[:3], b"Accept-Language: de", b"Cookie: a=b"),
    "a longer value": head(*BROWSER[:3], b"Accept-Language: en-GB", b"Cookie: a=b"),
    "a value with a colon": head(*BROWSER[:3], b"Accept-Language: enDNT: 1", b"Cookie: a=b"),
    "a field once more": head(*BROWSER, b"Accept: text/plain", b"Cookie: a=b"),
    "a field once more in small letters": head(*BROWSER, b"accept: text/plain", b"Cookie: a=b"),
    "a second host": head(*BROWSER, b"Host: a", b"Cookie: a=b"),
    "another host": head(*BROWSER, b"Cookie: a=b", host=b"Host: b"),
    "no host": head(*BROWSER, b"Cookie: a=b", host=b""),
    "a folded line": head(*BROWSER, b" folded", b"Cookie: a=b"),
    "no field line": head(*BROWSER, b"nothing", b"Cookie: a=b"),
    "a bare LF": head(*BROWSER, b"Cookie: a=b\nDNT: 1"),
    "a bare CR": head(*BROWSER, b"Cookie: a=b\rDNT: 1"),
    "a field that is dropped": head(*BROWSER, b"A_B: c", b"Proxy: d", b"Cookie: a=b"),
    "a body": head(*BROWSER, b"Content-Length: 1", line=b"POST / HTTP/1.1"),
    "two framings": head(*BROWSER, b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "two persistences": head(*BROWSER, b"Connection: close"),
    "many fields": head(*BROWSER, *(b"X-%d: y" % number for number in range(94)), b"A: b"),
    "too many fields": head(*BROWSER, *(b"X-%d: y" % number for number in range(95)), b"A: b"),
    "a bare one": head(),
}


def asked(receiver: Receiver, data: bytes) -> Asked | Refused | None:
    try:
        event = receiver.receive(data)
    except ProtocolError as error:
        return Refused(error.status, error.reason)
    assert event is None or isinstance(event, Request)
    return None if event is None else comparable(event)


def new(limits: Limits | None = None) -> Receiver:
    """Return a receiver as a server's connection has it."""
    return Receiver(limits or Limits(), {"REMOTE_ADDR": "::1", "wsgi.version": (1, 0)})


def learned(usual: bytes = USUAL) -> Receiver:
    receiver = new()
    for _ in range(ENOUGH):
        assert asked(receiver, usual) == asked(new(), usual)
    assert receiver._beginning is not None
    assert receiver._beginning.count == 1 + len(BROWSER)
    return receiver


@pytest.mark.parametrize("name", HEADS)
def test_what_begins_alike_means_the_same(name: str) -> None:
    expected = asked(new(), HEADS[name])
    assert expected is not None
    receiver = learned()
    assert asked(receiver, HEADS[name]) == expected
    if isinstance(expected, Asked) and not expected.has_body:
        assert asked(receiver, USUAL) == asked(new(), USUAL), "as if nothing had come between"


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    "cut",
    [
        lambda data: [*ALIKE, data[:1], data[1:]],
        lambda data: [*ALIKE, data[:-1], data[-1:]],
        lambda data: [*ALIKE, data[:40], data[40:]],
        lambda data: [*ALIKE, USUAL + data],
        lambda data: [*ALIKE[2:], USUAL + USUAL + data[:40], data[40:]],
        lambda data: [b"".join(ALIKE) + USUAL + data],
    ],
    ids=range(6),
)
def test_however_they_are_cut(name: str, cut: Callable[[bytes], list[bytes]]) -> None:
    pieces = cut(HEADS[name])
    assert events_of(pieces, Limits()) == events_of(by_byte(b"".join(pieces)), Limits())


@pytest.mark.parametrize("seed", range(30))
def test_any_heads_in_any_order(seed: int) -> None:
    """Also of clients that a proxy mixes, for whom it is learned again and again."""
    dice = Random(seed)
    receiver = new()
    expected = {data: asked(new(), data) for data in HEADS.values()}
    usable = [
        data for data, seen in expected.items() if isinstance(seen, Asked) and not seen.has_body
    ]
    for _ in range(60):
        data = dice.choice(usable)
        for _ in range(dice.randrange(1, 4)):
            assert asked(receiver, data) == expected[data]


def test_what_was_learned_is_no_part_of_the_next_request() -> None:
    receiver = learned()
    first = receiver.receive(USUAL)
    assert isinstance(first, Request)
    first.variables["HTTP_ACCEPT"] = "changed"
    first.variables["mine"] = "another's"
    assert asked(receiver, USUAL) == asked(new(), USUAL)


@pytest.mark.parametrize(
    "limits",
    [Limits(fields=6), Limits(fields=5), Limits(head=len(USUAL)), Limits(head=130), Limits(line=9)],
)
@pytest.mark.parametrize("name", ["the same", "a longer one", "another target"])
def test_limits_are_those_of_the_whole_head(limits: Limits, name: str) -> None:
    receiver = learned()
    receiver._limits = limits
    assert asked(receiver, HEADS[name]) == asked(new(limits), HEADS[name])


def test_it_is_not_learned_from_a_connections_first_heads() -> None:
    """Most bring no more, and would not gain from it."""
    receiver = new()
    for _ in ALIKE[:-1]:
        assert asked(receiver, USUAL) is not None
        assert receiver._beginning is None


def test_it_is_learned_from_some_heads_alone() -> None:
    """A proxy brings ever different ones."""
    receiver = new()
    learned_from = set()
    for number in range(200):
        for _ in range(2):
            assert asked(receiver, head(b"User-Agent: %d" % number, *BROWSER[2:], b"A: b"))
        learned_from.add(receiver._beginning)
    assert 2 < len(learned_from) < receiver_module._LAST_LEARNED_FROM


@pytest.mark.parametrize(
    "fields",
    [
        (),
        BROWSER[:2],
        (b"User-Agent: " + b"b" * 3000, *BROWSER[2:], b"Cookie: a"),
    ],
    ids=["none", "few", "long ones"],
)
def test_nothing_is_kept_of(fields: tuple[bytes, ...]) -> None:
    receiver = new()
    for _ in range(60):
        assert asked(receiver, head(*fields)) is not None
    assert receiver._beginning is None
    assert not receiver._former_lines


def test_what_a_client_goes_on_with_is_learned() -> None:
    receiver = learned()
    others = head(b"User-Agent: a browser", *BROWSER[2:], b"X-Kind: image", b"Cookie: a=b")
    before = receiver._beginning
    for _ in range(2):
        assert asked(receiver, others) == asked(new(), others)
        assert receiver._beginning is before or receiver._beginning is not None
    assert receiver._beginning is not before
    assert receiver._beginning is not None
    assert receiver._beginning.end_in(others, 0, len(others) - 4) > 0
    assert receiver._beginning.end_in(USUAL, 0, len(USUAL) - 4) == 0


@pytest.mark.parametrize(("more", "is_learned"), [(3, True), (6, False)])
def test_most_lines_are_to_be_the_same(more: int, is_learned: bool) -> None:
    receiver = new()
    for number in range(2 * ENOUGH):
        others = (b"X-%d: %d" % (name, number) for name in range(more))
        assert asked(receiver, head(*BROWSER, *others)) is not None
    assert (receiver._beginning is not None) == is_learned


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nDNT: 1\r\nVia: b", 33),
        (b"GET / HTTP/1.1\r\nHost: a\r\nDNT: 1", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\nDNT: 12\r\nVia: b", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\nVia: b\r\nDNT: 1", 0),
        (b"GET / HTTP/1.1\r\nHost: a", 0),
        (b"GET / HTTP/1.1", 0),
        (b"", 0),
    ],
)
@pytest.mark.parametrize("before", [b"", b"G /\r\nHost: a\r\nDNT: 1\r\nVia: b\r\n\r\n"])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_where_it_ends(data: bytes, end: int, before: bytes, kind: type) -> None:
    beginning = Beginning(["Host: a", "DNT: 1"], {}, [])
    start, whole = len(before), kind(before + data + b"\r\n\r\n")
    assert beginning.end_in(whole, start, start + len(data)) == (end and start + end)
