"""RFC 9112 section 3.2 and RFC 9110 section 7.2: Host; RFC 3986 section 3.2: an authority."""

from tests.http11.wire import case, head, refused, request


def to(host: bytes) -> bytes:
    return head(host=b"Host: " + host)


CASES = [
    *(
        case(to(host.encode()), request(host=host))
        for host in (
            "example.com",
            "EXAMPLE.com.",
            "example.com:8080",
            "example.com:",
            "example.com:0",
            "example.com:65535",
            "under_score.example",
            "xn--bcher-kva.example",
            "a~b",
            "%2Fvar%2Frun%2Fsock",
            "127.0.0.1",
            "127.0.0.1:80",
            "256.1.1.1",  # no IPv4 address, but a registered name by the grammar
            "[::1]",
            "[::1]:8000",
            "[2001:db8::192.0.2.1]",
            "[1:2:3:4:5:6:7:8]",
            "a" * 255,
        )
    ),
    case(head(host=b"hOsT:\ta \t"), request()),
    case(
        head(line=b"GET / HTTP/1.0", host=b""),
        request(version="HTTP/1.0", host=None, keep_alive=False),
    ),
    case(
        head(line=b"GET / HTTP/1.0", host=b"Host:"),
        request(version="HTTP/1.0", host="", keep_alive=False),
    ),
    refused(head(host=b""), 400, "Host field is missing"),
    refused(head(host=b"H0st: a"), 400, "Host field is missing"),
    refused(head(host=b"Host:"), 400, "Host field is empty"),
    refused(head(host=b"Host: \t "), 400, "Host field is empty"),
    refused(head(line=b"OPTIONS * HTTP/1.1", host=b"Host:"), 400, "Host field is empty"),
    refused(head(b"Host: b"), 400, "Host field is repeated"),
    refused(head(b"Host: a"), 400, "Host field is repeated"),
    refused(head(b"X: y", b"HOST: a"), 400, "Host field is repeated"),
    refused(head(b"Host: b", line=b"GET / HTTP/1.0"), 400, "Host field is repeated"),
    refused(head(b"Host:", host=b"Host:", line=b"GET / HTTP/1.0"), 400, "Host field is repeated"),
    refused(head(line=b"GET / HTTP/1.0", host=b"Host: a b"), 400, "Host field is malformed"),
    *(
        refused(to(host), 400, "Host field is malformed")
        for host in (
            b"a b",
            b"a, b",
            b"a,b",
            b"a\tb",
            b"a/b",
            b"/",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"http://a",
            b"u@a",
            b"u:p@a",
            b"@a",
            b":80",
            b"a:b",
            b"a:80:80",
            b"a:-1",
            b"a:+1",
            b"a:8 0",
            b"a:65536",
            b"a:099999",
            b"a:\xb2",
            b"a=5000",
            b'"a"',
            b"<a>",
            b"a|b",
            b"a^b",
            b"a{b}",
            b"a%",
            b"a%zz",
            b"\xc3\xa9.example",
            b"::1",
            b"[::1",
            b"::1]",
            b"[]",
            b"[::1]a",
            b"[::1]]",
            b"[[::1]]",
            b"[1:2:3]",
            b"[::g]",
            b"[::1%25eth0]",
            b"[::1%eth0]",
            b"[1::2::3]",
            b"[::1.2.3]",
            b"[::01.2.3.4]",
            b"[v1.x]",
            b"[127.0.0.1]",
            b"a" * 256,
        )
    ),
]
