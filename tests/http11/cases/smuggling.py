"""RFC 9112 section 11.2: what request smuggling was done with elsewhere.

No second request may come out of these.
"""

from tests.http11.wire import END, Case, Event, Refused, case, chunked, head, post, refused, request

INNER = b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n"
POST = request(method="POST", chunked=True)


def in_chunks(body: bytes, *expected: Event) -> Case:
    return case(chunked(body), POST, *expected)


CASES = [
    # Two lengths: CL.TE, TE.CL, CL.CL, and TE hidden from one of two recipients
    refused(post(b"Content-Length: 13", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER), 400, "exclude"),
    refused(post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"1\r\nZ\r\n0\r\n\r\n"), 400, "exclude"),
    refused(post(b"Content-Length: 6", b"Content-Length: 5", body=b"12345" + INNER), 400, "repeated"),
    refused(post(b"Transfer-Encoding: chunked", b"Transfer-encoding: cow", body=b"0\r\n\r\n"), 400, "end in chunked"),
    refused(post(b"Transfer-Encoding: cow", b"Transfer-encoding: chunked", body=b"0\r\n\r\n"), 501, "other than"),
    refused(post(b"Content-Length: 5", b"X: X\nTransfer-Encoding: chunked"), 400, "bare LF"),
    refused(post(b"Content-Length: 5", b"X: X\rTransfer-Encoding: chunked"), 400, "bare CR"),
    refused(post(b"Content-Length: 5", b"X: X\r\n\rTransfer-Encoding: chunked"), 400, "bare CR"),
    refused(post(b"Content-Length: 5", b"X: X\x00Transfer-Encoding: chunked"), 400, "control character"),
    refused(post(b"Content-Length: 5", b"\x00Transfer-Encoding: chunked"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b" Transfer-Encoding: chunked"), 400, "begins with white"
                                                                             " space"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding\n: chunked"), 400, "bare LF"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding\r\n : chunked"), 400, "no colon"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding\x0b: chunked"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding\x00: chunked"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b"Transfer Encoding: chunked"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding;: chunked"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding chunked"), 400, "no colon"),
    refused(post(b"Content-Length: 5", b'Transfer-Encoding: "chunked"'), 400, "exclude"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding: chunked\x0c"), 400, "control character"),
    refused(post(b"Content-Length: 5", b"Transfer-Encoding: chunked\r"), 400, "bare CR"),
    refused(post(b"Content-Length: 5", b"Content-Length\x00: 6"), 400, "not a token"),
    refused(post(b"Content-Length: 5", b"Content-Length : 6"), 400, "white space before the colon"),
    refused(post(b"Content-Length:\x0b5"), 400, "control character"),
    refused(post(b"Content-Length: 5\r\n 6"), 400, "begins with white space"),
    refused(post(b"Content-Length: 0x0"), 400, "not one decimal number"),
    refused(post(b"Transfer-Encoding: chunked", b"Transfer_Encoding: identity"), 400, "poses"),
    # A chunk line read with another end: TERM.EXT, EXT.TERM
    in_chunks(b"2;\nxx\r\n4c\r\n0\r\n\r\n", Refused(400, "bare LF")),
    in_chunks(b"2;x\nxx\r\n0\r\n\r\n", Refused(400, "bare LF")),
    in_chunks(b"2\nxx\r\n0\r\n\r\n", Refused(400, "bare LF")),
    in_chunks(b"2;\rxx\r\n0\r\n\r\n", Refused(400, "bare CR")),
    in_chunks(b"2;\r\rxx\r\n0\r\n\r\n", Refused(400, "bare CR")),
    in_chunks(b"0;\n\r\n\r\n" + INNER, Refused(400, "bare LF")),
    # Chunk data ended by any two bytes, by one, by none: SPILL, TERM.SPILL, ONE.TWO, ZERO.TWO
    in_chunks(b"5\r\nAAAAAXX2\r\n45\r\n0\r\n\r\n", b"AAAAA", Refused(400, "not followed by CRLF")),
    in_chunks(b"5\r\nAAAAA\n\n2\r\n45\r\n0\r\n\r\n", b"AAAAA", Refused(400, "not followed by CRLF")),
    in_chunks(b"5\r\nAAAAA\r2\r\n45\r\n0\r\n\r\n", b"AAAAA", Refused(400, "not followed by CRLF")),
    in_chunks(b"5\r\nAAAAA2\r\n45\r\n0\r\n\r\n", b"AAAAA", Refused(400, "not followed by CRLF")),
    # Sizes that wrap, or that a lenient reader cuts short
    in_chunks(b"10000000000000005\r\nAAAAA\r\n0\r\n\r\n", Refused(400, "malformed")),
    in_chunks(b"fffffffffffffffe\r\n", Refused(413, "larger")),
    in_chunks(b"0x5\r\nAAAAA\r\n0\r\n\r\n" + INNER, Refused(400, "malformed")),
    in_chunks(b"0 5\r\nAAAAA\r\n0\r\n\r\n" + INNER, Refused(400, "malformed")),
    in_chunks(b"0\x005\r\n\r\n" + INNER, Refused(400, "malformed")),
    in_chunks(b"0\xa0\r\n\r\n" + INNER, Refused(400, "malformed")),
    in_chunks(b"\r\n0\r\n\r\n" + INNER, Refused(400, "malformed")),
    # The end of the body: a request in the trailers, trailers that frame
    in_chunks(b"0\r\n" + INNER, Refused(400, "no colon")),
    in_chunks(b"0\r\nX: y\r\n" + INNER, Refused(400, "no colon")),
    in_chunks(b"0\r\nX: y\n\r\n" + INNER, Refused(400, "bare LF")),
    in_chunks(b"0\r\nX: y\r\n\n" + INNER, Refused(400, "bare LF")),
    in_chunks(b"0\r\nContent-Length: 30\r\n\r\n" + INNER, Refused(400, "trailer section")),
    in_chunks(b"0\r\nX_Y: z\r\n\r\n" + head(), END, request()),
    # A body where none is expected is still a body (CL.0)
    case(head(b"Content-Length: %d" % len(INNER)) + INNER, request(length=len(INNER)), INNER, END),
    case(
        head(b"Content-Length: %d" % len(INNER), line=b"OPTIONS / HTTP/1.1") + INNER,
        request(method="OPTIONS", length=len(INNER)), INNER, END,
    ),
    # Obfuscated Expect (0.CL)
    refused(post(b"Content-Length: 5", b"Expect: y 100-continue"), 417, "100-continue"),
    refused(post(b"Content-Length: 5", b"Expect : 100-continue"), 400, "white space before the"
                                                                       " colon"),
    # A head that ends earlier for others
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n" + INNER, 400, "bare LF"),
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\r\n" + INNER, 400, "bare CR"),
    refused(b"GET / HTTP/1.1\nHost: a\nX: " + b"GET /inner HTTP/1.1\r\n\r\n", 400, "bare LF"),
]  # fmt: skip
