"""RFC 9112 section 9.3: persistence; RFC 9110 section 10.1.1: Expect; section 7.8: Upgrade."""

from tests.http11.wire import END, case, head, post, refused, request


def old(*field_lines: bytes) -> bytes:
    return head(*field_lines, line=b"GET / HTTP/1.0")


BODY = (b"ab", END)

CASES = [
    case(head(b"Connection: close"), request(keep_alive=False, HTTP_CONNECTION="close")),
    case(head(b"Connection: CLOSE"), request(keep_alive=False, HTTP_CONNECTION="CLOSE")),
    case(head(b"Connection: keep-alive"), request(HTTP_CONNECTION="keep-alive")),
    case(head(b"Connection: Upgrade"), request(HTTP_CONNECTION="Upgrade")),
    case(head(b"Connection:"), request(HTTP_CONNECTION="")),
    case(head(b"Connection: closed"), request(HTTP_CONNECTION="closed")),
    case(head(b"Connection: not-close"), request(HTTP_CONNECTION="not-close")),
    case(
        head(b"Connection: x,\tClose ,y"), request(keep_alive=False, HTTP_CONNECTION="x,\tClose ,y")
    ),
    case(
        head(b"Connection: keep-alive, close"),
        request(keep_alive=False, HTTP_CONNECTION="keep-alive, close"),
    ),
    case(
        head(b"Connection: keep-alive", b"Connection: close"),
        request(keep_alive=False, HTTP_CONNECTION="keep-alive, close"),
    ),
    case(
        head(b"Connection: close", b"Connection: keep-alive"),
        request(keep_alive=False, HTTP_CONNECTION="close, keep-alive"),
    ),
    case(old(), request(version="HTTP/1.0", keep_alive=False)),
    case(old(b"Connection: keep-alive"), request(version="HTTP/1.0", HTTP_CONNECTION="keep-alive")),
    case(old(b"Connection: Keep-Alive"), request(version="HTTP/1.0", HTTP_CONNECTION="Keep-Alive")),
    case(
        old(b"Connection: a, Keep-Alive"),
        request(version="HTTP/1.0", HTTP_CONNECTION="a, Keep-Alive"),
    ),
    case(old(b"Connection: x"), request(version="HTTP/1.0", keep_alive=False, HTTP_CONNECTION="x")),
    case(
        old(b"Connection: close, keep-alive"),
        request(version="HTTP/1.0", keep_alive=False, HTTP_CONNECTION="close, keep-alive"),
    ),
    case(
        old(b"Proxy-Connection: keep-alive"),
        request(version="HTTP/1.0", keep_alive=False, HTTP_PROXY_CONNECTION="keep-alive"),
    ),
    # Upgrade is not taken up: the message stays HTTP/1.1
    case(
        head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
        + head(),
        request(
            HTTP_CONNECTION="Upgrade, HTTP2-Settings",
            HTTP_UPGRADE="h2c",
            HTTP_HTTP2_SETTINGS="AAMAAABk",
        ),
        request(),
    ),
    # Expect
    case(
        post(b"Content-Length: 2", b"Expect: 100-continue", body=b"ab"),
        request(method="POST", length=2, expects_continue=True, HTTP_EXPECT="100-continue"),
        *BODY,
    ),
    case(
        post(b"Content-Length: 2", b"Expect: 100-Continue", body=b"ab"),
        request(method="POST", length=2, expects_continue=True, HTTP_EXPECT="100-Continue"),
        *BODY,
    ),
    case(
        post(b"Transfer-Encoding: chunked", b"Expect: 100-continue", body=b"0\r\n\r\n"),
        request(method="POST", chunked=True, expects_continue=True, HTTP_EXPECT="100-continue"),
        END,
    ),
    case(
        post(b"Content-Length: 2", b"Expect: 100-continue", b"Expect: 100-continue", body=b"ab"),
        request(
            method="POST", length=2, expects_continue=True, HTTP_EXPECT="100-continue, 100-continue"
        ),
        *BODY,
    ),
    case(head(b"Expect: 100-continue"), request(HTTP_EXPECT="100-continue")),
    case(
        post(b"Content-Length: 2", b"Expect:", body=b"ab"),
        request(method="POST", length=2, HTTP_EXPECT=""),
        *BODY,
    ),
    case(
        head(b"Content-Length: 2", b"Expect: 100-continue", line=b"POST / HTTP/1.0") + b"ab",
        request(
            method="POST",
            length=2,
            version="HTTP/1.0",
            keep_alive=False,
            HTTP_EXPECT="100-continue",
        ),
        *BODY,
    ),
    case(old(b"Expect: tea"), request(version="HTTP/1.0", keep_alive=False, HTTP_EXPECT="tea")),
    refused(head(b"Expect: tea"), 417, "100-continue"),
    refused(head(b"Expect: 100-continue, tea"), 417, "100-continue"),
    refused(head(b"Expect: 100-continue=1"), 417, "100-continue"),
    refused(head(b"Expect: 100"), 417, "100-continue"),
]
