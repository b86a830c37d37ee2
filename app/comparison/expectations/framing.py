"""Message framing: RFC 9112 sections 6 and 7.

What two parties may read differently is how requests are smuggled.
"""

from .checks import CLOSES, SERVED, SERVES_NO_MORE, Check, answers, refused, second, status
from .row import HOST, OTHER, Row, must, post, sent, should

_CHUNKED = "Transfer-Encoding: chunked"
_HELLO = "5\r\nhello\r\n0\r\n\r\n"
_END = "0\r\n\r\n"
_HIDDEN = "GET /empty.txt HTTP/1.1\r\nHost: smuggled\r\n\r\n"
_HUGE = "Content-Length: 99999999999999999999999"
#: The content is consumed or the connection closed: never taken for a request.
_NOT_SMUGGLED = status(4, 5) & (second(SERVED) | answers(1))
_ENDS = refused(4, 5)
_NOTHING_MORE = (_ENDS | (status(4, 5) & SERVES_NO_MORE)).called(
    "an error: neither taken for a smaller number nor followed by another request"
)
_REFUSED = refused(400).called("400, and the connection ends")
_UNKNOWN = refused(400, 501).called("501 or 400, and the connection ends")


def _then_request(section: str, name: str, framing: str, content: str, requires: str) -> Row:
    return must(section, name, post(framing, content=content) + OTHER, _NOT_SMUGGLED, requires, 2)


def _refusal(section: str, name: str, *lines: str, check: Check = _REFUSED) -> Row:
    """A request whose framing is not to be trusted."""
    content = _END if any("chunked" in line for line in lines) else "hello"
    return must(section, name, post(*lines, content=content), check)


def _length(text: str) -> Row:
    return _refusal("9112 6.3", f"Content-Length: {text or '(empty)'}", f"Content-Length: {text}")


def _both(name: str, *lines: str) -> Row:
    request = post(*lines, content=_END)
    return should("9112 6.1", name, request, refused(400), "400, or chunked and then closed")


def _coding(section: str, name: str, coding: str, content: str, requires: str = "") -> Row:
    request = post(f"Transfer-Encoding: {coding}", content=content)
    return should(section, name, request, _UNKNOWN, requires)


def _chunk(name: str, content: str) -> Row:
    request = post(_CHUNKED, content=f"{content}\r\n{_END}")
    return must("9112 7.1", name, request, _ENDS, "400, and the connection ends")


ROWS = (
    _then_request("9112 6.3", "content with a length, then a request", "Content-Length: 5", "hello",
                  "5 bytes are content, then comes the request"),
    _then_request("9112 7.1", "chunked content, then a request", _CHUNKED, _HELLO, "the content is read to its end"),
    _then_request("9112 7.1.2", "chunked with trailers, then a request", _CHUNKED,
                  "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
                  "trailers belong to the content"),
    _then_request("9112 7.1.1", "chunk extensions, then a request", _CHUNKED, '5;a=1;b="2"\r\nhello\r\n' + _END,
                  "unknown extensions are ignored"),
    _then_request("9112 7.1", "chunk sizes in capital hexadecimal", _CHUNKED, "A\r\n0123456789\r\n00\r\n\r\n",
                  "read as hexadecimal"),
    _then_request("9112 7", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: CHUNKED", _HELLO,
                  "names of codings have no case"),
    _then_request("9112 6.3", "a request hidden in content", f"Content-Length: {len(_HIDDEN)}", _HIDDEN,
                  "content is no request"),
    must("9112 6.3", "the same length twice", post("Content-Length: 5", "Content-Length: 5", content="hello") + OTHER,
         refused(400) | _NOT_SMUGGLED, "400, or taken as one", 2),
    _refusal("9112 6.3", "two lengths that differ", "Content-Length: 5", "Content-Length: 6"),
    _refusal("9112 6.3", "two lengths in one field", "Content-Length: 5, 6"),
    _length("+5"),
    _length("-5"),
    _length("5 5"),
    _length("0x5"),
    _length("5_0"),
    _length("five"),
    _length(""),
    must("9110 8.6", _HUGE, post(_HUGE, content="hello"), _NOTHING_MORE),
    _both("a length and chunked", "Content-Length: 5", _CHUNKED),
    _both("chunked and a length", _CHUNKED, "Content-Length: 5"),
    must("9112 6.1",
         "smuggling by length and chunked", post("Content-Length: 6", _CHUNKED, content=_END + "G") + OTHER,
         status(4, 5) & CLOSES, "the connection ends after the first answer"),
    _refusal("9112 6.3", "chunked is not the last coding", "Transfer-Encoding: chunked, gzip", check=_UNKNOWN),
    _refusal("9112 6.1", "chunked twice", "Transfer-Encoding: chunked, chunked", check=_UNKNOWN),
    _refusal("9112 6.1", "chunked twice, on two lines", _CHUNKED, _CHUNKED, check=_UNKNOWN),
    _coding("9112 6.1", "a transfer coding nobody knows", "sauce", "hello"),
    _coding("9112 7", "Transfer-Encoding: identity", "identity", "hello", "no longer a coding: 400 or 501"),
    _coding("9112 6.1", "xchunked", "xchunked", _END),
    _refusal("9112 5.1", "a space before the colon of Transfer-Encoding", "Transfer-Encoding : chunked"),
    must("9112 6.1", "chunked with HTTP/1.0",
         sent("POST /text.txt HTTP/1.0", HOST, "Connection: keep-alive", _CHUNKED) + _END.encode(),
         status(4, 5) & CLOSES, "faulty framing: the connection ends"),
    _chunk("a chunk size that is no number", "xyz\r\nhello"),
    _chunk("a negative chunk size", "-5\r\nhello"),
    _chunk("a chunk size with a sign", "+5\r\nhello"),
    _chunk("a chunk size with 0x", "0x5\r\nhello"),
    _chunk("a chunk size with an underscore", "0_5\r\nhello"),
    must("9112 7.1", "a chunk size beyond 64 bits", post(_CHUNKED, content="fffffffffffffffff\r\nhello\r\n" + _END),
         _NOTHING_MORE),
    _chunk("a chunk longer than it says", "3\r\nhello"),
    _chunk("a chunk size line ended by LF alone", "5\nhello"),
    _chunk("an empty chunk size", "\r\nhello"),
)  # fmt: skip
