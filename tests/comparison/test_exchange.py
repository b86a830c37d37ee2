"""Reading answers, and judging them: tables of raw bytes."""

import pytest

from app.comparison.behaviour import judge
from app.comparison.documents import TEXT
from app.comparison.exchange import Exchange, IncompleteError, NotHttpError, read_answer
from app.comparison.expectations import TOPICS
from app.comparison.expectations.checks import Facts

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
WHOLE = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "GET", 200, b"hi", b""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP", "GET", 200, b"hi", b"HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP", "HEAD", 200, b"", b"HTTP"),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\nHTTP", "GET", 304, b"", b"HTTP"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, b"", b""),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP", "GET", 100, b"", b"HTTP"),
    (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "GET", 200, b"", b""),
    (CHUNKED + b"2\r\nhi\r\n1;x=y\r\n!\r\n0\r\nT: 1\r\n\r\nrest", "GET", 200, b"hi!", b"rest"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "method", "status", "body", "rest"), WHOLE)
def test_whole_answers(data: bytes, method: str, status: int, body: bytes, rest: bytes) -> None:
    answer, left = read_answer(data, method, at_end=False)
    assert (answer.status, answer.body, left) == (status, body, rest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTT",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    ],
)
def test_answers_that_are_not_whole(data: bytes) -> None:
    with pytest.raises(IncompleteError):
        read_answer(data, "GET", at_end=False)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName: a\nInjected: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nhi\r\n",
    ],
)
def test_answers_that_are_not_http(data: bytes) -> None:
    with pytest.raises(NotHttpError):
        read_answer(data, "GET", at_end=False)


def test_an_answer_without_length_ends_with_the_connection() -> None:
    answer, rest = read_answer(b"HTTP/1.1 200 OK\r\n\r\nall of it", "GET", at_end=True)
    assert (answer.body, rest, answer.ends_connection) == (b"all of it", b"", True)


FACTS = Facts(etag='"tag"', modified="Tue, 14 Nov 2023 22:13:20 GMT", port=1)
FILE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + TEXT
PART = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/1000\r\nContent-Length: 10\r\n\r\n"
)
DATED = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n"
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
EMPTY = b"HTTP/1.1 %b Status\r\nContent-Length: 0\r\n\r\n"
ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: %b\r\nContent-Length: 0\r\n\r\n"
CLOSING = FILE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\noutside the root\n"
#: topic, row, what the server sent, whether it closed then, the outcome, a part of what is said
JUDGED = [
    ("ranges", "Range: bytes=0-9", PART + TEXT[:10], False, "pass", ""),
    ("ranges", "Range: bytes=0-9", PART + TEXT[1:11], False, "deviates", "other bytes"),
    ("ranges", "Range: bytes=0-9", PART.replace(b"0-9/", b"0-8/") + TEXT[:10], False, "deviates", "0-8/1000"),
    ("ranges", "Range: bytes=0-9", FILE, False, "not offered", ""),
    ("ranges", "Range: bytes=0-9", EMPTY % b"416", False, "deviates", "416 instead of 206"),
    ("ranges", "Range: bytes=+0-9", PART + TEXT[:10], False, "deviates", "206"),
    ("ranges", "If-Range with another tag", PART + TEXT[:10], False, "deviates", "206 instead of 200"),
    ("ranges", "a range on HEAD", PART, False, "deviates", "206 instead of 200"),
    ("conditionals", "If-None-Match: *", b"HTTP/1.1 304 Not Modified\r\n\r\n", False, "pass", ""),
    ("conditionals", "If-None-Match: *", FILE, False, "deviates", "200 instead of 304"),
    ("methods", "GET of a file", FILE[:-1] + b"?", False, "deviates", "other bytes"),
    ("methods", "GET of a file", b"", True, "error", "closed without an answer"),
    ("methods", "GET of a file", b"SSH-2.0\r\n", True, "error", "not HTTP/1.1"),
    ("methods", "POST says what is allowed", ALLOWED % b"GET, HEAD", False, "pass", ""),
    ("methods", "POST says what is allowed", ALLOWED % b"GET", False, "deviates", "Allow: GET"),
    ("fields of the answer", "Date on a 404", b"HTTP/1.1 404 No\r\n" + DATED, False, "pass", ""),
    ("fields of the answer", "Date on a 404", b"HTTP/1.1 404 No\r\nDate: x\r\n" + DATED, False, "deviates", "x, Sun"),
    ("malformed requests", "no Host", BAD, True, "pass", ""),
    ("malformed requests", "no Host", FILE, False, "deviates", "200 instead of 400"),
    ("malformed requests", "NUL in a field value", BAD, True, "pass", ""),
    ("malformed requests", "NUL in a field value", b"", True, "pass", ""),
    ("malformed requests", "NUL in a field value", BAD + FILE, False, "deviates", "went on serving"),
    ("framing", "a length and chunked", FILE, True, "deviates", "200 instead of 400"),
    ("connections", "Connection: close", FILE, True, "pass", ""),
    ("connections", "Connection: close", FILE + FILE, False, "deviates", "went on serving (200)"),
    ("connections", "two requests in one packet", CLOSING, True, "not offered", ""),
    ("connections", "two requests in one packet", FILE, True, "deviates", "1 answer instead of 2"),
    ("request targets", "%2e%2e", SECRET, False, "deviates", "outside the root"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "name", "sent", "closes", "outcome", "said"), JUDGED)
def test_what_a_server_sent_is_judged(
    topic: str, name: str, sent: bytes, closes: bool, outcome: str, said: str
) -> None:
    (row,) = [one for one in TOPICS[topic] if one.name == name]
    verdict = judge(topic, row, _read(sent, closes, row.methods), FACTS)
    assert (verdict.outcome, verdict.said) == (outcome, verdict.said if said else "")
    assert said in verdict.said


def _read(sent: bytes, closes: bool, methods: tuple[str, ...]) -> Exchange:
    seen = Exchange(closed=closes)
    for method in (*methods, "GET"):
        if not sent:
            break
        try:
            answer, sent = read_answer(sent, method, closes)
        except NotHttpError as error:
            seen.failure = f"the answer is not HTTP/1.1: {error}"
            return seen
        seen.answers.append(answer)
    if not seen.answers:
        seen.failure = "the connection was closed without an answer"
    return seen
