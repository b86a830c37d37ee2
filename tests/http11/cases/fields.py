"""RFC 9112 section 5: field lines; RFC 9110 section 5: names, values, repetition."""

from app.http11 import Limits
from tests.http11.wire import case, head, refused, request

CONTROL = "control character"
NO_TOKEN = "field name is not a token"
FEW = Limits(fields=3)
SMALL = Limits(field_size=22)
SMALL_HEAD = Limits(head=64)

EVERY_TCHAR = request()
EVERY_TCHAR.variables["HTTP_!#$%&'*+.^`|~0AZ"] = "b"

CASES = [
    case(head(b"X-A: b"), request(HTTP_X_A="b")),
    case(head(b"x-a:b"), request(HTTP_X_A="b")),
    case(head(b"X-A: \t b c \t"), request(HTTP_X_A="b c")),
    case(head(b"X-A:"), request(HTTP_X_A="")),
    case(head(b"X-A: \t"), request(HTTP_X_A="")),
    case(head(b"X-A: b:c:"), request(HTTP_X_A="b:c:")),
    case(head(b"X-A: b\tc"), request(HTTP_X_A="b\tc")),
    case(head(b"X-A: \xc3\xa9\x80\xff"), request(HTTP_X_A="\xc3\xa9\x80\xff")),
    case(head(b"X-A: \xa0b\x85"), request(HTTP_X_A="\xa0b\x85")),
    case(head(b"X-A: \"<>[]{}()/\\@'"), request(HTTP_X_A="\"<>[]{}()/\\@'")),
    case(head(b"Content-Type: text/plain"), request(CONTENT_TYPE="text/plain")),
    case(head(b"content-TYPE: text/plain"), request(CONTENT_TYPE="text/plain")),
    case(head(b"HTTP-Content-Type: x"), request(HTTP_HTTP_CONTENT_TYPE="x")),
    case(head(host=b"hOsT:\ta"), request()),
    case(head(b"!#$%&'*+.^`|~0aZ: b"), EVERY_TCHAR),
    # RFC 9110 section 5.3: repeated
    case(head(b"X-A: b", b"x-a: c", b"X-a:"), request(HTTP_X_A="b, c, ")),
    case(head(b"Accept: a", b"Accept: b"), request(HTTP_ACCEPT="a, b")),
    case(head(b"Accept: a", b"Accept: a"), request(HTTP_ACCEPT="a, a")),
    case(head(b"Cookie: a=1", b"Cookie: b=2"), request(HTTP_COOKIE="a=1; b=2")),
    refused(
        head(b"Content-Type: a/b", b"Content-Type: a/b"), 400, "Content-Type field is repeated"
    ),
    refused(
        head(b"Content-Type: a/b", b"content-type: c/d"), 400, "Content-Type field is repeated"
    ),
    # Names with "_" could pose as another field
    case(head(b"X_A: b", b"X-A: c"), request(HTTP_X_A="c")),
    case(head(b"X_A: b", b"Y_A: c"), request()),
    case(head(b"Host_: b"), request()),
    case(head(b"X_Forwarded_For: b"), request()),
    refused(head(b"X_A: b\x00"), 400, CONTROL),
    refused(head(b"Content_Length: 5"), 400, "poses as that of a framing field"),
    refused(head(b"content_length: 0"), 400, "poses as that of a framing field"),
    refused(head(b"Transfer_Encoding: chunked"), 400, "poses as that of a framing field"),
    refused(head(b"Transfer_Encoding : chunked"), 400, "white space before the colon"),
    # HTTP_PROXY would be taken for the proxy to use (CVE-2016-5385)
    case(head(b"Proxy: http://evil/"), request()),
    # Section 5.1: no white space before the colon
    refused(head(b"X-A : b"), 400, "white space before the colon"),
    refused(head(b"X-A\t: b"), 400, "white space before the colon"),
    refused(head(b"Host : a", host=b""), 400, "white space before the colon"),
    refused(head(b"Content-Length : 3"), 400, "white space before the colon"),
    refused(head(b"X-A\xa0: b"), 400, NO_TOKEN),
    # Section 5.2: obsolete line folding; section 2.2: white space before the first field
    refused(head(b"X-A: b", b" c"), 400, "begins with white space"),
    refused(head(b"X-A: b", b"\tc: d"), 400, "begins with white space"),
    refused(head(b"X-A: b", b" "), 400, "begins with white space"),
    refused(head(b"X-A:", b" b"), 400, "begins with white space"),
    refused(head(host=b" Host: a"), 400, "begins with white space"),
    refused(b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400, "begins with white space"),
    # RFC 9110 section 5.1: names
    refused(head(b": b"), 400, NO_TOKEN),
    refused(head(b":"), 400, NO_TOKEN),
    refused(head(b"X-A"), 400, "no colon"),
    refused(head(b"X A: b"), 400, NO_TOKEN),
    refused(head(b"X-Invalid[]: b"), 400, NO_TOKEN),
    refused(head(b"X(a): b"), 400, NO_TOKEN),
    refused(head(b'"X": b'), 400, NO_TOKEN),
    refused(head(b"X,Y: b"), 400, NO_TOKEN),
    refused(head(b"X;Y: b"), 400, NO_TOKEN),
    refused(head(b"X/Y: b"), 400, NO_TOKEN),
    refused(head(b"X=Y: b"), 400, NO_TOKEN),
    refused(head(b"X@Y: b"), 400, NO_TOKEN),
    refused(head(b"X\\Y: b"), 400, NO_TOKEN),
    refused(head(b"X\x00Y: b"), 400, NO_TOKEN),
    refused(head(b"X\x7fY: b"), 400, NO_TOKEN),
    refused(head(b"\x0bX: b"), 400, NO_TOKEN),
    refused(head(b"Content-Length\xdf: 3"), 400, NO_TOKEN),
    refused(head(b"\xef\xbb\xbfX: b"), 400, NO_TOKEN),
    refused(head(b"Transfer-Encod\xc4\xb1ng: chunked"), 400, NO_TOKEN),
    # RFC 9110 section 5.5: values
    *(
        refused(head(b"X-A: b" + bytes([octet]) + b"c"), 400, CONTROL)
        for octet in range(0x20)
        if octet not in b"\t\n\r"
    ),
    refused(head(b"X-A: b\x7fc"), 400, CONTROL),
    refused(head(b"X-A: \x00"), 400, CONTROL),
    refused(head(b"X-A:\x0bb"), 400, CONTROL),
    refused(head(b"X-A: b\x0c"), 400, CONTROL),
    refused(head(b"Cookie: a=\x01"), 400, CONTROL),
    refused(head(b"Accept: \x08"), 400, CONTROL),
    # Section 2.2: bare CR and LF
    refused(head(b"X-A: b\nX-B: c"), 400, "bare LF"),
    refused(head(b"X-A: b\rX-B: c"), 400, "bare CR"),
    refused(head(b"X-A: b\r\rX-B: c"), 400, "bare CR"),
    refused(head(b"X-A: b\r"), 400, "bare CR"),
    refused(head(b"X-A: b\n"), 400, "bare LF"),
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare LF"),
    refused(b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare LF"),
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400, "bare CR"),
    # 431; the first thing wrong in the stream is what is told
    case(head(b"A: b", b"C: d"), request(HTTP_A="b", HTTP_C="d"), limits=FEW),
    refused(head(b"A: b", b"C: d", b"E: f"), 431, "more fields than allowed", FEW),
    refused(head(b"A_: b", b"A_: d", b"A_: f"), 431, "more fields than allowed", FEW),
    refused(head(b"A: b", b"A: d", b"\x00"), 431, "more fields than allowed", FEW),
    refused(head(b"A: b", b"\x00: d", b"E: f"), 400, NO_TOKEN, FEW),
    case(head(b"A: 45678901234567890"), request(HTTP_A="45678901234567890"), limits=SMALL),
    refused(head(b"A: 456789012345678901"), 431, "field line is longer", SMALL),
    refused(head(b"A: 45678901234567890\n"), 400, "bare LF", SMALL),
    refused(head(b"A: 4567890123456789012\n"), 431, "field line is longer", SMALL),
    refused(head(b"A: 45678901234567890\r"), 400, "bare CR", SMALL),
    refused(head(b"A: 456789012345678901\r"), 431, "field line is longer", SMALL),
    refused(head(b"A: 45678901234567\x00" + b"a" * 9), 431, "field line is longer", SMALL),
    refused(head(b"X: y" * 20), 431, "head is larger", SMALL_HEAD),
    refused(head(*[b"X: y"] * 20), 431, "head is larger", SMALL_HEAD),
    refused(head(b"A: " + b"b" * 8186), 431, "field line is longer"),
    refused(head(*[b"A: " + b"b" * 8000] * 9), 431, "head is larger"),
    refused(head(*[b"A: b"] * 100), 431, "more fields than allowed"),
]
