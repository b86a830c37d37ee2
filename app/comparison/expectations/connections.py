"""Connections: RFC 9112 section 9, and the expectations of RFC 9110 section 10.1.1."""

from ..exchange import NOT_HTTP
from .checks import (
    CLOSES,
    INTERIM,
    NO_INTERIM,
    SERVED,
    Check,
    answers,
    field,
    members,
    refused,
    second,
    status,
)
from .row import HOST, NOTHING, OTHER, Row, ask, get, must, sent, should, text

_PERSISTS = status(200) & second(SERVED)
_STAYS = Check("", lambda seen, _: "" if seen.answers[1:] else "closed after the first answer")
_CLOSED = (status(200) & CLOSES).called("closed after the answer")
_NO_SUCH_VERSION = status(505, 400)
_HTTP2 = Check(
    "settings", lambda seen, _: "" if seen.failure.startswith(NOT_HTTP) else "no settings frame"
)


def _version(version: str, *lines: str) -> bytes:
    return sent(f"GET /text.txt {version}", *lines)


def _closing(section: str, name: str, *lines: str, requires: str = "") -> Row:
    return must(section, name, text(*lines), _CLOSED, requires)


ROWS = (
    should("9112 9.3", "HTTP/1.1 stays open", (text(), OTHER), _STAYS & _PERSISTS, "two answers", 2),
    must("9112 9.3.2", "two requests in one packet", text() + OTHER, _PERSISTS, "two answers, in order", 2),
    must("9112 9.3.2", "ten requests in one packet", OTHER * 10, status(200) & answers(10), "ten answers", 10),
    must("9112 2.2", "a request in three pieces", (OTHER[:9], OTHER[9:30], OTHER[30:]), SERVED, "one answer"),
    _closing("9112 9.6", "Connection: close", "Connection: close"),
    should("9112 9.6", "Connection: close is said back", text("Connection: close"),
           field("Connection", members("close")), "Connection: close"),
    _closing("9110 7.6.1", "Connection: CLOSE", "Connection: CLOSE", requires="options have no case"),
    _closing("9110 7.6.1", "Connection: x, close", "Connection: x, close", requires="the field is a list"),
    _closing("9110 5.3", "close on a second Connection line", "Connection: x", "Connection: close",
             requires="two lines are one list"),
    should("9110 7.6.1", "Connection: closed is another option", (text("Connection: closed"), OTHER), _PERSISTS,
           "whole words count: it stays open", 2),
    must("9112 9.3", "HTTP/1.0 closes", _version("HTTP/1.0", HOST), _CLOSED),
    must("9112 3.2", "HTTP/1.0 without Host", _version("HTTP/1.0"), status(200), "served: Host came with 1.1"),
    must("9112 9.3", "HTTP/1.0 that asks to stay", _version("HTTP/1.0", HOST, "Connection: keep-alive"),
         field("Connection", members("keep-alive")) | CLOSES, "Connection: keep-alive, or closed"),
    should("9110 2.5", "HTTP/1.2 is served", _version("HTTP/1.2", HOST), status(200),
           "a higher minor version is answered as 1.1"),
    should("9110 15.6.6", "HTTP/2.0 in the request line", _version("HTTP/2.0", HOST), _NO_SUCH_VERSION),
    should("9110 15.6.6", "HTTP/3.7", _version("HTTP/3.7", HOST), _NO_SUCH_VERSION),
    should("9113 3.4", "an HTTP/2 preface", sent("PRI * HTTP/2.0", "", "SM"), status(4, 5) | refused() | _HTTP2,
           "an error, or an HTTP/2 server's settings"),
    should("9112 2.2", "an empty line before the request", b"\r\n" + OTHER, status(200), "ignored: 200"),
    should("9112 2.2", "an empty line between two requests", text() + b"\r\n" + OTHER, _PERSISTS, "ignored", 2),
    must("9110 10.1.1", "Expect: 100-continue, refused request",
         ask("PUT", "/text.txt", "Content-Length: 5", "Expect: 100-continue"), status(4, 5) | INTERIM,
         "an answer: 100, or a final one at once"),
    must("9110 10.1.1", "100-continue is not sent to HTTP/1.0",
         sent("POST /text.txt HTTP/1.0", HOST, "Content-Length: 1", "Expect: 100-continue") + b"x",
         NO_INTERIM & status(4, 5), "no 1xx to a 1.0 client"),
    should("9110 10.1.1", "an expectation nobody knows", text("Expect: miracles"), status(417, 200),
           "417, or ignored"),
    must("9110 7.8", "Upgrade: h2c is optional", text("Connection: Upgrade", "Upgrade: unknown/1"), status(200),
         "ignored: 200"),
    should("9112 9.3", "a request after a 404", (get(NOTHING), OTHER), status(404) & second(status(200)),
           "the connection stays open", 2),
    should("9112 9.3", "a request after a 304", (text("If-Modified-Since: <modified>"), OTHER), second(status(200)),
           "the connection stays open", 2),
    should("9112 2.2",
           "bytes that are no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", CLOSES,
           "400, or closed"),
)  # fmt: skip
