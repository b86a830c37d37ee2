"""RFC 9112 section 7.1: the chunked transfer coding, its extensions and trailers."""

from app.http11 import Limits
from tests.http11.wire import END, Case, Event, Refused, case, chunked, head, request

POST = request(method="POST", chunked=True)
BAD_SIZE = "chunk size or its extensions are malformed"
NO_CRLF = "Chunk data is not followed by CRLF"
SMALL = Limits(body=5)
SMALL_TRAILERS = Limits(fields=2, field_size=32, head=64)


def gives(body: bytes, *expected: Event, limits: Limits | None = None) -> Case:
    return case(chunked(body), POST, *expected, limits=limits)


def breaks(
    body: bytes, status: int, reason: str, *before: bytes, limits: Limits | None = None
) -> Case:
    return gives(body, *before, Refused(status, reason), limits=limits)


CASES = [
    gives(b"5\r\nhello\r\n0\r\n\r\n", b"hello", END),
    gives(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", END),
    gives(b"c\r\nHellO world1\r\n0\r\n\r\n", b"HellO world1", END),
    gives(b"C\r\nHellO world1\r\n0\r\n\r\n", b"HellO world1", END),
    gives(b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", b"x" * 26, END),
    gives(b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", END),
    gives(b"5\r\nhello\r\n0000000000000000\r\n\r\n", b"hello", END),
    gives(b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n", END),
    gives(b"0\r\n\r\n", END),
    gives(b"0\r\n\r\n" + head(line=b"GET /2 HTTP/1.1"), END, request("/2")),
    gives(b"0\r\n\r\n\r\n" + head(line=b"GET /2 HTTP/1.1"), END, request("/2")),
    gives(b"0\r\n\r\nx:y\r\n\r\n", END, Refused(400, "not a method, a target and a version")),
    # Cut off
    gives(b""),
    gives(b"5"),
    gives(b"5\r"),
    gives(b"5\r\n"),
    gives(b"5\r\nhe", b"he"),
    gives(b"5\r\nhello", b"hello"),
    gives(b"5\r\nhello\r", b"hello"),
    gives(b"5\r\nhello\r\n0\r\n", b"hello"),
    gives(b"5\r\nhello\r\n0\r\n\r", b"hello"),
    # Sizes
    *(
        breaks(b"5\r\nhello\r\n" + size + b"\r\nworld\r\n0\r\n\r\n", 400, BAD_SIZE, b"hello")
        for size in (
            b"",
            b"+5",
            b"-5",
            b"-0",
            b"0x5",
            b"5h",
            b"5_",
            b"6_0",
            b"x",
            b" 5",
            b"\t5",
            b"5 ",
            b"0 ",
            b" 0",
            b"5\t",
            b"5.0",
            b"5,5",
            b"5 5",
            b"\xb5",
            b"\xd9\xa5",
            b"5\x00",
            b"\x005",
            b"5\x0b",
            b"00000000000000005",
            b"10000000000000000",
            b"fffffffffffffffff",
            b"0" * 200,
        )
    ),
    breaks(b"0" * 300 + b"\r\n\r\n", 400, "with its extensions is too long"),
    breaks(b"0" * 300, 400, "with its extensions is too long"),
    breaks(b"5\nhello\r\n0\r\n\r\n", 400, "bare LF"),
    breaks(b"5\rhello\r\n0\r\n\r\n", 400, "bare CR"),
    breaks(b"5\r\rhello\r\n0\r\n\r\n", 400, "bare CR"),
    breaks(b"\n5\r\nhello\r\n0\r\n\r\n", 400, "bare LF"),
    breaks(b"5\r\nhello\r\n0\n\n", 400, "bare LF", b"hello"),
    breaks(b"5\r\nhello\r\n0\r\n\n", 400, "bare LF", b"hello"),
    breaks(b"5\r\nhello\r\n0\r\n\rx", 400, "bare CR", b"hello"),
    # Stray bytes after a chunk
    breaks(b"5\r\nhelloX\r\n0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello\n0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello\r0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello\rX0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello  \r\n0\r\n\r\n", 400, NO_CRLF, b"hello"),
    breaks(b"5\r\nhello\r\n\r\n0\r\n\r\n", 400, BAD_SIZE, b"hello"),
    breaks(b"3\r\nhello\r\n0\r\n\r\n", 400, NO_CRLF, b"hel"),
    breaks(b"6\r\nhello\r\n0\r\n\r\n", 400, NO_CRLF, b"hello\r"),
    breaks(b"7\r\nhello\r\n0\r\n\r\n", 400, NO_CRLF, b"hello\r\n"),
    # Section 7.1.1: extensions
    gives(b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello", END),
    gives(b"5;a=b;c;d=e\r\nhello\r\n0\r\n\r\n", b"hello", END),
    gives(b'5;a="b;\\"c\t \xff"\r\nhello\r\n0\r\n\r\n', b"hello", END),
    gives(b"5 ; a = b\t;\tc\r\nhello\r\n0\r\n\r\n", b"hello", END),
    gives(b"5;" + b"a" * 254 + b"\r\nhello\r\n0\r\n\r\n", b"hello", END),
    breaks(b"5;" + b"a" * 255 + b"\r\nhello\r\n0\r\n\r\n", 400, "with its extensions is too long"),
    breaks(b"5;" + b"a" * 1000, 400, "with its extensions is too long"),
    breaks(b"1;" + b"a" * 250 + b"\r\nx\r\n" + (b"1;" + b"a" * 250 + b"\r\nx\r\n") * 65, 400,
           "too many chunk extensions", b"x" * 65),
    *(
        breaks(b"5" + extension + b"\r\nhello\r\n0\r\n\r\n", 400, BAD_SIZE)
        for extension in (
            b";",
            b";;",
            b";a;",
            b";=b",
            b";a=",
            b";a=b=c",
            b';a="b',
            b';a="b"c',
            b';a="\x00"',
            b';a="\\',
            b";a b",
            b";a,b",
            b"; ",
            b";a ",
            b";a=b ",
            b"a;b@c",
            b";\xe9",
            b";a=\x7f",
            b",a",
        )
    ),
    breaks(b" ;a=b\r\nhello\r\n0\r\n\r\n", 400, BAD_SIZE),
    breaks(b"5;a\nhello\r\n0\r\n\r\n", 400, "bare LF"),
    breaks(b"5;a=b\rc\r\nhello\r\n0\r\n\r\n", 400, "bare CR"),
    breaks(b'5;a="\n"\r\nhello\r\n0\r\n\r\n', 400, "bare LF"),
    # 413
    gives(b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", b"abcde", END, limits=SMALL),
    breaks(b"6\r\nabcdef\r\n0\r\n\r\n", 413, "larger than allowed", limits=SMALL),
    breaks(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", 413, "larger than allowed", b"abc", limits=SMALL),
    breaks(b"40000001\r\n", 413, "larger than allowed"),
    breaks(b"ffffffffffffffff\r\n", 413, "larger than allowed"),
    gives(b"ffffffffffffffff\r\nab", b"ab", limits=Limits(body=0)),
    gives(b"40000000\r\n"),
    # Section 7.1.2: trailers are checked and dropped
    gives(b"0\r\nX-Checksum: abc\r\n\r\n", END),
    gives(b"2\r\nab\r\n0\r\nA: b\r\na: c\r\nC_D:\r\n\r\n" + head(), b"ab", END, request()),
    gives(b"0\r\nContent-Type: text/plain\r\n\r\n", END),
    gives(b"0\r\nA: b\r\n"),
    breaks(b"0\r\nHost: b\r\n\r\n", 400, "stands in the trailer section"),
    breaks(b"0\r\nContent-Length: 99\r\n\r\n", 400, "stands in the trailer section"),
    breaks(b"0\r\ntransfer-encoding: chunked\r\n\r\n", 400, "stands in the trailer section"),
    breaks(b"0\r\nContent_Length: 5\r\n\r\n", 400, "poses as that of a framing field"),
    breaks(b"0\r\nA : b\r\n\r\n", 400, "white space before the colon"),
    breaks(b"0\r\nA: b\r\n c\r\n\r\n", 400, "begins with white space"),
    breaks(b"0\r\n: b\r\n\r\n", 400, "field name is not a token"),
    breaks(b"0\r\nA\r\n\r\n", 400, "no colon"),
    breaks(b"0\r\nA: \x00\r\n\r\n", 400, "control character"),
    breaks(b"0\r\nA: b\n\r\n", 400, "bare LF"),
    breaks(b"0\r\nA: b\rc\r\n\r\n", 400, "bare CR"),
    breaks(b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no colon"),
    gives(b"0\r\nA: b\r\nC: d\r\n\r\n", END, limits=SMALL_TRAILERS),
    breaks(b"0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n", 431, "more trailer fields", limits=SMALL_TRAILERS),
    gives(b"0\r\nA: " + b"b" * 27 + b"\r\nC: " + b"d" * 25 + b"\r\n\r\n", END, limits=SMALL_TRAILERS),
    breaks(b"0\r\nA: " + b"b" * 27 + b"\r\nC: " + b"d" * 27 + b"\r\n\r\n", 431, "trailer section is"
                                                                                " larger",
           limits=SMALL_TRAILERS),
    breaks(b"0\r\nA: " + b"b" * 28 + b"\r\n\r\n", 431, "trailer section is larger", limits=SMALL_TRAILERS),
    breaks(b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, "more trailer fields"),
    breaks(b"0\r\nA: " + b"b" * 9000, 431, "trailer section is larger"),
]  # fmt: skip
