"""Message framing: RFC 9112 sections 6 and 7.

What two parties may read differently is how requests are smuggled.
"""

from .checks import (
    all_of,
    answers,
    body,
    closed,
    either,
    ends,
    refused_or_dropped,
    second,
    serves_no_more,
    status,
    status_class,
)
from .probe import Level, Probe, get, raw, request

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"
_TWICE = ("GET", "GET")
_CHUNKED = "Transfer-Encoding: chunked"


def _post(*lines: str, content: str) -> bytes:
    return request("POST", "/text.txt", *lines, body=content)


def _refusal(
    name: str,
    lines: tuple[str, ...],
    content: str,
    section: str,
    requires: str,
    level: Level = _MUST,
    *also: int,
) -> Probe:
    """A request whose framing is not to be trusted: an error, and the connection ends."""
    return Probe(
        name,
        _post(*lines, content=content),
        level,
        section,
        requires,
        refused_or_dropped(400, *also),
        then_closed=True,
    )


def _length(text: str) -> Probe:
    return _refusal(
        f"Content-Length: {text or '(empty)'}",
        (f"Content-Length: {text}",),
        "hello",
        "RFC 9112 6.3",
        "400, and the connection ends",
    )


def _chunk(name: str, content: str, requires: str = "400, and the connection ends") -> Probe:
    return Probe(
        name,
        _post(_CHUNKED, content=content),
        _MUST,
        "RFC 9112 7.1",
        requires,
        ends(),
        then_closed=True,
    )


#: The content is consumed or the connection closed: never taken for a request.
_NOT_SMUGGLED = either(
    all_of(answers(2), status_class(4, 5), second(all_of(status(200), body(b"Another file.\n")))),
    all_of(answers(1), status_class(4, 5)),
)

_NOTHING_MORE = either(ends(), all_of(status_class(4, 5), serves_no_more()))

PROBES = (
    Probe(
        "content with a length, then a request",
        _post("Content-Length: 5", content="hello") + get("/other.txt"),
        _MUST,
        "RFC 9112 6.3",
        "5 bytes are content, then comes the request",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "chunked content, then a request",
        _post(_CHUNKED, content="5\r\nhello\r\n0\r\n\r\n") + get("/other.txt"),
        _MUST,
        "RFC 9112 7.1",
        "the content is read to its end",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "chunked with trailers, then a request",
        _post(_CHUNKED, content="5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n") + get("/other.txt"),
        _MUST,
        "RFC 9112 7.1.2",
        "trailers belong to the content",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "chunk extensions, then a request",
        _post(_CHUNKED, content='5;a=1;b="2"\r\nhello\r\n0\r\n\r\n') + get("/other.txt"),
        _MUST,
        "RFC 9112 7.1.1",
        "unknown extensions are ignored",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "chunk sizes in capital hexadecimal",
        _post(_CHUNKED, content="A\r\n0123456789\r\n00\r\n\r\n") + get("/other.txt"),
        _MUST,
        "RFC 9112 7.1",
        "read as hexadecimal",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "Transfer-Encoding: CHUNKED",
        _post("Transfer-Encoding: CHUNKED", content="5\r\nhello\r\n0\r\n\r\n") + get("/other.txt"),
        _MUST,
        "RFC 9112 7",
        "names of codings have no case",
        _NOT_SMUGGLED,
        _TWICE,
    ),
    Probe(
        "a request hidden in content",
        _post(
            "Content-Length: 45",
            content="GET /other.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n ".ljust(45),
        ),
        _MUST,
        "RFC 9112 6.3",
        "one answer: content is no request",
        answers(1),
        ("GET",),
    ),
    Probe(
        "the same length twice",
        _post("Content-Length: 5", "Content-Length: 5", content="hello") + get("/other.txt"),
        _MUST,
        "RFC 9112 6.3",
        "400, or taken as one",
        either(refused_or_dropped(400), _NOT_SMUGGLED),
        _TWICE,
    ),
    _refusal(
        "two lengths that differ",
        ("Content-Length: 5", "Content-Length: 6"),
        "hello",
        "RFC 9112 6.3",
        "400, and the connection ends",
    ),
    _refusal(
        "two lengths in one field",
        ("Content-Length: 5, 6",),
        "hello",
        "RFC 9112 6.3",
        "400, and the connection ends",
    ),
    _length("+5"),
    _length("-5"),
    _length("5 5"),
    _length("0x5"),
    _length("5_0"),
    _length("five"),
    _length(""),
    Probe(
        "Content-Length: 99999999999999999999999",
        _post("Content-Length: 99999999999999999999999", content="hello"),
        _MUST,
        "RFC 9110 8.6",
        "an error: neither taken for a smaller number nor followed by another request",
        _NOTHING_MORE,
        then_closed=True,
    ),
    _refusal(
        "a length and chunked",
        ("Content-Length: 5", _CHUNKED),
        "0\r\n\r\n",
        "RFC 9112 6.1",
        "400, or chunked and then closed",
        _SHOULD,
    ),
    _refusal(
        "chunked and a length",
        (_CHUNKED, "Content-Length: 5"),
        "0\r\n\r\n",
        "RFC 9112 6.1",
        "400, or chunked and then closed",
        _SHOULD,
    ),
    Probe(
        "smuggling by length and chunked",
        _post("Content-Length: 6", _CHUNKED, content="0\r\n\r\nG") + get("/other.txt"),
        _MUST,
        "RFC 9112 6.1",
        "the connection ends after the first answer",
        all_of(status_class(4, 5), closed()),
        then_closed=True,
    ),
    _refusal(
        "chunked is not the last coding",
        ("Transfer-Encoding: chunked, gzip",),
        "0\r\n\r\n",
        "RFC 9112 6.3",
        "400, and the connection ends",
        _MUST,
        501,
    ),
    _refusal(
        "chunked twice",
        ("Transfer-Encoding: chunked, chunked",),
        "0\r\n\r\n",
        "RFC 9112 6.1",
        "400, and the connection ends",
        _MUST,
        501,
    ),
    _refusal(
        "chunked twice, on two lines",
        (_CHUNKED, _CHUNKED),
        "0\r\n\r\n",
        "RFC 9112 6.1",
        "400, and the connection ends",
        _MUST,
        501,
    ),
    _refusal(
        "a transfer coding nobody knows",
        ("Transfer-Encoding: sauce",),
        "hello",
        "RFC 9112 6.1",
        "501 or 400, and the connection ends",
        _SHOULD,
        501,
    ),
    _refusal(
        "Transfer-Encoding: identity",
        ("Transfer-Encoding: identity",),
        "hello",
        "RFC 9112 7",
        "no longer a coding: 400 or 501",
        _SHOULD,
        501,
    ),
    _refusal(
        "xchunked",
        ("Transfer-Encoding: xchunked",),
        "0\r\n\r\n",
        "RFC 9112 6.1",
        "501 or 400, and the connection ends",
        _SHOULD,
        501,
    ),
    _refusal(
        "a space before the colon of Transfer-Encoding",
        ("Transfer-Encoding : chunked",),
        "0\r\n\r\n",
        "RFC 9112 5.1",
        "400, and the connection ends",
    ),
    Probe(
        "chunked with HTTP/1.0",
        raw(
            "POST /text.txt HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        _MUST,
        "RFC 9112 6.1",
        "faulty framing: the connection ends",
        all_of(status_class(4, 5), closed()),
        then_closed=True,
    ),
    _chunk("a chunk size that is no number", "xyz\r\nhello\r\n0\r\n\r\n"),
    _chunk("a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    Probe(
        "a chunk size beyond 64 bits",
        _post(_CHUNKED, content="fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        _MUST,
        "RFC 9112 7.1",
        "an error: neither taken for a smaller number nor followed by another request",
        _NOTHING_MORE,
        then_closed=True,
    ),
    _chunk("a chunk longer than it says", "3\r\nhello\r\n0\r\n\r\n"),
    _chunk("a chunk size line ended by LF alone", "5\nhello\r\n0\r\n\r\n"),
    _chunk("an empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
)
