"""RFC 9112 section 6: which body a message has; RFC 9110 section 8.6: Content-Length."""

from app.http11 import Limits
from tests.http11.wire import END, case, chunked, head, post, refused, request

NO_NUMBER = "not one decimal number"
SMALL = Limits(body=5)


def coded(*values: bytes) -> bytes:
    return post(*(b"Transfer-Encoding: " + value for value in values), body=b"0\r\n\r\n")


def sized(value: bytes) -> bytes:
    return post(b"Content-Length: " + value, body=b"12345")


POST_5 = request(method="POST", length=5)
POST_CHUNKED = request(method="POST", chunked=True)

CASES = [
    # Section 6.2: Content-Length
    case(sized(b"5"), POST_5, b"12345", END),
    case(sized(b"5") + head(), POST_5, b"12345", END, request()),
    case(sized(b"5") + b"\r\n" + head(), POST_5, b"12345", END, request()),
    case(sized(b"0005"), request(method="POST", length=5, CONTENT_LENGTH="0005"), b"12345", END),
    case(sized(b"6"), request(method="POST", length=6), b"12345"),
    case(post(b"cOnTeNt-LeNgTh:\t5 ", body=b"12345"), POST_5, b"12345", END),
    case(post(b"Content-Length: 0"), request(method="POST", CONTENT_LENGTH="0")),
    case(post(b"Content-Length: 0") + head(), request(method="POST", CONTENT_LENGTH="0"), request()),
    case(post(), request(method="POST")),
    case(
        head(b"Content-Length: 5", line=b"POST / HTTP/1.0") + b"12345",
        request(method="POST", length=5, version="HTTP/1.0", keep_alive=False),
        b"12345",
        END,
    ),
    case(head(b"Content-Length: 5") + b"\r\n\r\n\x00", request(length=5), b"\r\n\r\n\x00", END),
    *(
        refused(sized(value), 400, NO_NUMBER)
        for value in (
            b"",
            b"+5",
            b"-5",
            b"-0",
            b"5 5",
            b"5\t5",
            b"1_0",
            b"5.0",
            b"5e0",
            b"0x5",
            b"5;",
            b"5,",
            b"5, 5",
            b"5,5",
            b"5, 6",
            b'"5"',
            b"five",
            b"\xb5",
            b"\xb2",
            b"\xd9\xa5",
            b"5\xa0",
            b"\xa05",
            b"5\x85",
            b"99999999999999999999",
            b"00000000000000000005",
            b"-123456789123456789123456789",
            b"9" * 5000,
        )
    ),
    refused(sized(b"5\x00"), 400, "control character"),
    refused(sized(b"5\x0b"), 400, "control character"),
    refused(sized(b"9223372036854775807"), 413, "larger than allowed"),
    refused(sized(b"9999999999999999999"), 413, "larger than allowed"),
    refused(sized(b"1073741825"), 413, "larger than allowed"),
    case(post(b"Content-Length: 1073741824"), request(method="POST", length=1073741824)),
    case(sized(b"5"), POST_5, b"12345", END, limits=SMALL),
    refused(sized(b"6"), 413, "larger than allowed", SMALL),
    case(sized(b"9999999999999999999"), request(method="POST", length=9999999999999999999), b"12345",
         limits=Limits(body=0)),
    refused(post(b"Content-Length: 5", b"Content-Length: 6"), 400, "Content-Length field is"
                                                                   " repeated"),
    refused(post(b"Content-Length: 5", b"Content-Length: 5"), 400, "Content-Length field is"
                                                                   " repeated"),
    refused(post(b"Content-Length: 5", b"content-length: 05"), 400, "Content-Length field is"
                                                                    " repeated"),
    refused(post(b"Content-Length: 0", b"Content-Length: 0"), 400, "Content-Length field is"
                                                                   " repeated"),
    refused(post(b"Content-Length: 5", b"Content-Length:"), 400, NO_NUMBER),
    # Section 6.1: Transfer-Encoding
    case(coded(b"chunked"), POST_CHUNKED, END),
    case(coded(b"CHUNKED"), request(method="POST", chunked=True, HTTP_TRANSFER_ENCODING="CHUNKED"), END),
    case(coded(b" \tchunked\t "), POST_CHUNKED, END),
    case(post(b"tRANSFER-eNCODING:Chunked", body=b"0\r\n\r\n"),
         request(method="POST", chunked=True, HTTP_TRANSFER_ENCODING="Chunked"), END),
    case(head(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n" + head(),
         request(chunked=True), b"a", END, request()),
    refused(coded(b"gzip, chunked"), 501, "other than chunked"),
    refused(coded(b"gzip", b"chunked"), 501, "other than chunked"),
    refused(coded(b"foo;a=b, chunked"), 501, "other than chunked"),
    refused(coded(b'foo ; a = "b c", chunked'), 501, "other than chunked"),
    refused(coded(b"identity, chunked"), 501, "other than chunked"),
    refused(coded(b"gzip"), 400, "does not end in chunked"),
    refused(coded(b"foo"), 400, "does not end in chunked"),
    refused(coded(b"identity"), 400, "does not end in chunked"),
    refused(coded(b"xchunked"), 400, "does not end in chunked"),
    refused(coded(b"chunkedx"), 400, "does not end in chunked"),
    refused(coded(b"chunked;a=b"), 400, "does not end in chunked"),
    refused(coded(b"chunked, gzip"), 400, "does not end in chunked"),
    refused(coded(b"chunked", b"gzip"), 400, "does not end in chunked"),
    refused(coded(b"chunked, identity"), 400, "does not end in chunked"),
    refused(coded(b"chunked", b"identity"), 400, "does not end in chunked"),
    refused(coded(b"chunked", b"foo"), 400, "does not end in chunked"),
    refused(coded(b"chunked, chunked"), 400, "chunked more than once"),
    refused(coded(b"chunked", b"chunked"), 400, "chunked more than once"),
    refused(coded(b"chunked", b"CHUNKED"), 400, "chunked more than once"),
    refused(coded(b"chunked;a=b, chunked"), 400, "chunked more than once"),
    refused(coded(b"chunked ;a=b, chunked"), 400, "chunked more than once"),
    refused(coded(b"identity, chunked, identity, chunked"), 400, "chunked more than once"),
    refused(coded(b""), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"", b"chunked"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked", b""), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b", chunked"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked,"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked;"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked chunked"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b'"chunked"'), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"'chunked'\xa0"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked\xa0"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"\x85chunked"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chun\xc4\xb7ed"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"[chunked]"), 400, "Transfer-Encoding field is malformed"),
    refused(coded(b"chunked\x0b"), 400, "control character"),
    refused(coded(b"\x0bchunked"), 400, "control character"),
    refused(coded(b"\x00chunked"), 400, "control character"),
    refused(coded(b"chunked\r\n identity"), 400, "begins with white space"),
    refused(post(b"Transfer-Encoding:", b" chunked"), 400, "begins with white space"),
    refused(post(b"Transfer-Encoding : chunked"), 400, "white space before the colon"),
    refused(post(b"X: y\nTransfer-Encoding: chunked"), 400, "bare LF"),
    refused(head(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"), 400, "not part of"
                                                                               " HTTP/1.0"),
    refused(head(b"Transfer-Encoding: identity", line=b"POST / HTTP/1.0"), 400, "not part of"
                                                                                " HTTP/1.0"),
    # Section 6.3: both
    refused(post(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400, "exclude each other"),
    refused(post(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400, "exclude each other"),
    refused(post(b"content-LengtH: 5", b"TransFer-Encoding: chunked"), 400, "exclude each other"),
    refused(post(b"Content-Length: 0", b"Transfer-Encoding: chunked"), 400, "exclude each other"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding: identity"), 400, "exclude each other"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding:"), 400, "exclude each other"),
    # Several in one stream
    case(head() * 3, request(), request(), request()),
    case(
        chunked(b"2\r\nab\r\n0\r\n\r\n") + sized(b"5") + head(),
        POST_CHUNKED, b"ab", END, POST_5, b"12345", END, request(),
    ),
]  # fmt: skip
