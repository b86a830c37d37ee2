"""Response heads: what an application may send, and how the end of a body is told."""

import pytest

from app.http11.response import (
    Framing,
    ResponseHead,
    choose_framing,
    encode_chunk,
    encode_head,
    usual_head,
)

DATE = "Sun, 22 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("method", "version", "code", "length", "framing"),
    [
        ("GET", "HTTP/1.1", 200, 5, Framing.LENGTH),
        ("GET", "HTTP/1.1", 200, 0, Framing.LENGTH),
        ("GET", "HTTP/1.1", 200, None, Framing.CHUNKED),
        ("GET", "HTTP/1.0", 200, 5, Framing.LENGTH),
        ("GET", "HTTP/1.0", 200, None, Framing.UNTIL_CLOSE),
        ("HEAD", "HTTP/1.1", 200, 5, Framing.NO_BODY),
        ("HEAD", "HTTP/1.0", 200, None, Framing.NO_BODY),
        ("GET", "HTTP/1.1", 204, None, Framing.NO_BODY),
        ("GET", "HTTP/1.1", 304, 5, Framing.NO_BODY),
        ("POST", "HTTP/1.1", 205, 0, Framing.LENGTH),
    ],
)
def test_framing(
    method: str, version: str, code: int, length: int | None, framing: Framing
) -> None:
    assert choose_framing(method, version, code, length) is framing


@pytest.mark.parametrize(
    "status",
    [
        "",
        "200",
        "20 OK",
        "200OK",
        "2000 OK",
        "abc OK",
        "200 O\r\nK",
        "200 O\nX: y",
        "100 Continue",
        "099 No",
        "200 \x00",
    ],
)
def test_a_status_that_cannot_be_sent_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="status"):
        ResponseHead(status, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("X Y", "x"),
        ("X:", "x"),
        ("X\r\nY", "x"),
        ("Ü", "x"),
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\x00b"),
        ("X", "a\x7fb"),
        ("X", "snow \u2603"),
        ("Content-Length", "five"),
        ("Content-Length", "-1"),
        ("Content-Length", "1_0"),
        ("Content-Length", "\u0665"),
    ],
)
def test_a_field_that_cannot_be_sent_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ResponseHead("200 OK", [("Content-Type", "text/plain"), (name, value)])


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        ResponseHead("200 OK", [("Content-Length", "1"), ("content-length", "2")])
    assert (
        ResponseHead("200 OK", [("Content-Length", "1"), ("content-length", "1")]).content_length
        == 1
    )


@pytest.mark.parametrize(
    ("status", "fields", "framing", "length", "version", "keep_alive", "expected"),
    [
        (
            "200 OK",
            [("X-A", "caf\xe9\tau lait"), ("Content-Length", "5")],
            Framing.LENGTH,
            5,
            "HTTP/1.1",
            True,
            f"HTTP/1.1 200 OK\r\nX-A: caf\xe9\tau lait\r\nContent-Length: 5\r\nDate: {DATE}\r\n"
            "Server: S\r\n\r\n",
        ),
        (
            "200 OK",
            [
                ("Date", "now"),
                ("date", "then"),
                ("Server", "mine"),
                ("Transfer-Encoding", "gzip"),
                ("Trailer", "x"),
            ],
            Framing.CHUNKED,
            None,
            "HTTP/1.1",
            False,
            "HTTP/1.1 200 OK\r\nDate: now\r\nServer: mine\r\nTransfer-Encoding:"
            " chunked\r\nConnection: close\r\n\r\n",
        ),
        (
            "204 No Content",
            [("Content-Length", "0"), ("Date", "now"), ("Server", "mine")],
            Framing.NO_BODY,
            0,
            "HTTP/1.1",
            True,
            "HTTP/1.1 204 No Content\r\nDate: now\r\nServer: mine\r\n\r\n",
        ),
        (
            "304 Not Modified",
            [("Connection", "keep-alive"), ("Date", "now"), ("Server", "mine")],
            Framing.NO_BODY,
            7,
            "HTTP/1.0",
            True,
            "HTTP/1.1 304 Not Modified\r\nDate: now\r\nServer: mine\r\n"
            "Content-Length: 7\r\nConnection: keep-alive\r\n\r\n",
        ),
        (
            "200 ",
            [("Date", "now"), ("Server", "mine")],
            Framing.UNTIL_CLOSE,
            None,
            "HTTP/1.0",
            False,
            "HTTP/1.1 200 \r\nDate: now\r\nServer: mine\r\nConnection: close\r\n\r\n",
        ),
    ],
)
def test_heads_as_they_are_sent(
    status: str,
    fields: list[tuple[str, str]],
    framing: Framing,
    length: int | None,
    version: str,
    keep_alive: bool,
    expected: str,
) -> None:
    head = ResponseHead(status, fields)
    assert encode_head(head, framing, length, DATE, version, keep_alive, "S") == expected.encode(
        "latin-1"
    )


def test_an_application_that_asks_to_close_is_heard() -> None:
    assert ResponseHead("200 OK", [("Connection", "Close")]).closes
    assert not ResponseHead("200 OK", [("Connection", "keep-alive")]).closes


def test_a_remembered_line_is_sent_again_as_it_was() -> None:
    fields = [("ETag", '"one"'), ("Content-Type", "text/plain")]
    assert ResponseHead("200 OK", fields).start == ResponseHead("200 OK", fields).start


_ETAG = ("ETag", '"one"')
_LENGTH = ("Content-Length", "5")


@pytest.mark.parametrize(
    ("fields", "is_remembered"),
    [
        ([_LENGTH, _ETAG], True),
        ([_LENGTH, _ETAG, ("Date", DATE)], True),
        ([_ETAG, _LENGTH], False),
        ([_ETAG, _LENGTH, ("Date", DATE)], False),
        ([_ETAG, ("Content-Range", "bytes 0-4/9"), _LENGTH, ("Date", "another")], False),
        ([_LENGTH, _ETAG, _LENGTH], False),
        ([_ETAG, ("Date", "another")], True),
        ([("Date", DATE), _ETAG], False),
        ([_ETAG, ("Connection", "close")], True),
        ([_ETAG, ("Set-Cookie", "secret")], False),
        ([_ETAG, ("Content-Range", "bytes 0-1/2")], False),
        ([("ETag", '"' + "x" * 300 + '"')], False),
        ([], False),
        ([("Date", DATE)], False),
    ],
)
def test_a_usual_head_is_made_once(fields: list[tuple[str, str]], is_remembered: bool) -> None:
    (first, date), (again, _) = (usual_head("200 OK", list(fields)) for _ in range(2))
    assert (first is again) == is_remembered
    assert first.content_length == ResponseHead("200 OK", fields).content_length
    sent = [
        encode_head(head, Framing.LENGTH, 5, date or DATE, "HTTP/1.1", True, "S")
        for head in (first, again, ResponseHead("200 OK", fields))
    ]
    assert sent[0] == sent[1]
    assert sorted(sent[0].split(b"\r\n")) == sorted(sent[2].split(b"\r\n"))


@pytest.mark.parametrize("name", ["Location", "Set-Cookie", "Content-Range", "Tally-Count", "Date"])
@pytest.mark.parametrize("before", [[], [("ETag", '"a"')]])
@pytest.mark.parametrize("after", [[], [("Content-Length", "5")]])
def test_the_last_fields_are_checked_like_the_others(
    name: str, before: list[tuple[str, str]], after: list[tuple[str, str]]
) -> None:
    def sent(value: str) -> bytes:
        head, date = usual_head("200 OK", [*before, (name, value), *after])
        return encode_head(head, Framing.LENGTH, 5, date or DATE, "HTTP/1.1", True, "S")

    for value in (DATE, "a\tb", "/gr\xfc\xdfe"):
        assert f"\r\n{name}: {value}\r\n".encode("latin-1") in sent(value)
    for value in ("a\r\nb: c", "a\nb", "a\0", "\x7f", "\u20ac"):
        with pytest.raises(ValueError, match=r"cannot|can't"):
            sent(value)


def test_usual_heads_beyond_those_remembered_are_sent_as_well() -> None:
    for number in range(5000):
        head, _ = usual_head("200 OK", [("ETag", f'"{number}"')])
        assert head.start.endswith(b'ETag: "%d"\r\n' % number)


def test_what_is_no_list_of_fields_is_refused_as_before() -> None:
    for fields in ([["ETag", []]], [("ETag",)], [("ETag", 5)], ["ETag"]):
        with pytest.raises((TypeError, ValueError, AttributeError)):
            usual_head("200 OK", fields)  # type: ignore[arg-type]


def test_a_date_at_the_end_is_checked_like_the_other_fields() -> None:
    head, date = usual_head("200 OK", [("Date", "now\r\nSet-Cookie: b")])
    with pytest.raises(ValueError, match="Date"):
        encode_head(head, Framing.LENGTH, 5, date, "HTTP/1.1", True, "S")


def test_a_length_with_blanks_around_it_is_one() -> None:
    assert ResponseHead("200 OK", [("Content-Length", " 5\t")]).content_length == 5


def test_the_code_of_a_status() -> None:
    assert ResponseHead("404 Not Found", []).code == 404


def test_lines_beyond_those_remembered_are_sent_as_well() -> None:
    for number in range(5000):
        head = ResponseHead("200 OK", [("ETag", f'"{number}"')])
        assert head.start.endswith(b'ETag: "%d"\r\n' % number)


def test_names_beyond_those_remembered_are_still_checked() -> None:
    for number in range(1100):
        ResponseHead("200 OK", [(f"X-{number}", "x")])
    with pytest.raises(ValueError, match="field name"):
        ResponseHead("200 OK", [("X Y", "x")])


def test_a_chunk() -> None:
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
