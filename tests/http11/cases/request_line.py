"""RFC 9112 sections 2.2, 2.3 and 3: what comes before the request line, its parts, its version."""

from app.http11 import Limits
from tests.http11.wire import case, head, refused, request

CASES = [
    # Section 3: method SP request-target SP HTTP-version
    case(head(), request()),
    case(head(line=b"HEAD / HTTP/1.1"), request(method="HEAD")),
    case(head(line=b"get / HTTP/1.1"), request(method="get")),
    case(head(line=b"M-SEARCH / HTTP/1.1"), request(method="M-SEARCH")),
    case(head(line=b"!#$%&'*+-.^_`|~09az / HTTP/1.1"), request(method="!#$%&'*+-.^_`|~09az")),
    case(head(line=b"A" * 32 + b" / HTTP/1.1"), request(method="A" * 32)),
    refused(head(line=b"A" * 33 + b" / HTTP/1.1"), 501, "method is not known"),
    refused(head(line=b"GET  / HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET /  HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET / HTTP/1.1 "), 400, "not a method, a target and a version"),
    refused(head(line=b"GET /a b HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET\t/\tHTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET\t/ HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET\x0b/ HTTP/1.1 x"), 400, "method is not a token"),
    refused(head(line=b"GET / HTTP/1.1\t"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET\xa0/\xa0HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"GET HTTP/1.1"), 400, "not a method, a target and a version"),
    refused(head(line=b"/ HTTP/1.1"), 400, "does not begin with a method"),
    refused(head(line=b"GET"), 400, "not a method, a target and a version"),
    refused(head(line=b" GET / HTTP/1.1"), 400, "does not begin with a method"),
    refused(head(line=b"\tGET / HTTP/1.1"), 400, "does not begin with a method"),
    refused(head(line=b"G@T / HTTP/1.1"), 400, "method is not a token"),
    refused(head(line=b"GET: / HTTP/1.1"), 400, "method is not a token"),
    refused(head(line=b"bla:rgh / HTTP/1.1"), 400, "method is not a token"),
    refused(head(line=b"GET\x00 / HTTP/1.1"), 400, "method is not a token"),
    refused(head(line=b"G\xc3\x89T / HTTP/1.1"), 400, "method is not a token"),
    refused(head(line=b"(GET) / HTTP/1.1"), 400, "does not begin with a method"),
    refused(head(line=b'"GET" / HTTP/1.1'), 400, "does not begin with a method"),
    refused(head(line=b"\xff\xfe / HTTP/1.1"), 400, "does not begin with a method"),
    refused(b"\x00", 400, "does not begin with a method"),
    refused(
        b"Extra lineGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "not a method, a target and a version"
    ),
    # The PROXY protocol is not spoken
    refused(
        b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", 400, "not a method, a target and a version"
    ),
    refused(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", 400, "more than one empty line"),
    # Section 2.3: version
    case(head(line=b"GET / HTTP/1.0"), request(version="HTTP/1.0", keep_alive=False)),
    case(head(line=b"GET / HTTP/1.2"), request()),
    case(head(line=b"GET / HTTP/1.9"), request()),
    refused(head(line=b"GET / HTTP/2.0"), 505, "not HTTP/2"),
    refused(head(line=b"GET / HTTP/2.1"), 505, "not HTTP/2"),
    refused(head(line=b"GET / HTTP/3.0"), 505, "Only HTTP/1.1"),
    refused(head(line=b"GET / HTTP/9.9"), 505, "Only HTTP/1.1"),
    refused(head(line=b"GET / HTTP/0.9"), 505, "Only HTTP/1.1"),
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not HTTP/2"),
    refused(head(line=b"GET / http/1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / Http/1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/2"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1."), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1.10"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/01.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/11.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1,1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1.1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/0.99"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/111"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/+1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTP/1.\xb9"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / HTTPS/1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / FTP/1.1"), 400, "does not end in an HTTP version"),
    refused(head(line=b"GET / "), 400, "does not end in an HTTP version"),
    refused(b"GET /\r\n", 400, "not a method, a target and a version"),  # HTTP/0.9's simple request
    # Section 2.2: line ends, and one empty line before
    case(b"\r\n" + head(), request()),
    case(head() + b"\r\n" + head(line=b"GET /2 HTTP/1.1"), request(), request("/2")),
    case(head() + b"\r\n", request()),
    refused(b"\r\n\r\n" + head(), 400, "more than one empty line"),
    refused(b"\r\n\r\n", 400, "more than one empty line"),
    refused(b"\n" + head(), 400, "bare LF"),
    refused(b"\r" + head(), 400, "bare CR"),
    refused(b"\r\r\n" + head(), 400, "bare CR"),
    refused(b"GET / HTTP/1.1\n", 400, "bare LF"),
    refused(b"GET / HTTP/1.1\nHost: a\n\n", 400, "bare LF"),
    refused(b"GET\n/\nHTTP/1.1\r\n\r\n", 400, "bare LF"),
    refused(b"GET / HTTP/1.1\rHost: a\r\r", 400, "bare CR"),
    refused(b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, "bare CR"),
    refused(b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare CR"),
    # A TLS hello and an old one on a plain port
    refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not TLS"),
    refused(b"\x16", 400, "not TLS"),
    refused(b"\x80\x2e\x01\x03\x01", 400, "does not begin with a method"),
    # Cut off: the receiver waits
    case(b""),
    case(b"\r"),
    case(b"\r\n"),
    case(b"G"),
    case(b"GET "),
    case(b"GET /hello HTTP"),
    case(b"GET /hello HTTP/1.1\r"),
    case(b"GET /hello HTTP/1.1\r\n"),
    case(b"GET /hello HTTP/1.1\r\nHos"),
    case(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r"),
    # Section 3: 414
    refused(b"GET /" + b"a" * 8190, 414, "request line is longer"),
    refused(b"A" * 8193, 414, "request line is longer"),
    refused(
        head(line=b"GET /aaaaaaaa HTTP/1.1"), 414, "request line is longer", Limits(request_line=20)
    ),
    refused(head(line=b"GET /\naaaaaaaa HTTP/1.1"), 400, "bare LF", Limits(request_line=20)),
    refused(
        b"GET /aaaaaaaaaaaaaaaaaaa\r\r\n", 414, "request line is longer", Limits(request_line=20)
    ),
]
