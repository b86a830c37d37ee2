"""RFC 9112 section 3.2: the forms of the request target; RFC 3986: what may stand in them."""

from tests.http11.wire import case, head, refused, request


def get(target: bytes) -> bytes:
    return head(line=b"GET " + target + b" HTTP/1.1")


def options(target: bytes) -> bytes:
    return head(line=b"OPTIONS " + target + b" HTTP/1.1")


NOT_ALLOWED = "a character or a percent-encoding that is not allowed"

CASES = [
    # Section 3.2.1: origin form
    case(get(b"/a/b.html"), request("/a/b.html")),
    case(get(b"/a?b=c&d=e"), request("/a?b=c&d=e")),
    case(get(b"/a?"), request("/a?")),
    case(get(b"/a??b?c"), request("/a??b?c", path="/a", query="?b?c")),
    case(get(b"/?/../x"), request("/?/../x")),
    case(get(b"//a//b"), request("//a//b")),
    case(get(b"/a/../b/./c"), request("/a/../b/./c")),
    case(get(b"/-._~!$&'()*+,;=:@"), request("/-._~!$&'()*+,;=:@")),
    case(get(b"/%20%c3%A9%2F"), request("/%20%c3%A9%2F")),
    case(get(b"/%00"), request("/%00")),
    case(get(b"/?q=%e2%82%ac+1"), request("/?q=%e2%82%ac+1")),
    case(get(b"/?q=100%"), request("/?q=100%")),
    case(get(b"/?q=%zz"), request("/?q=%zz")),
    # Browsers leave these as they are
    case(get(b"/a|b[1]^"), request("/a|b[1]^")),
    case(get(b"/?a[]=1&b={`|^\\}"), request("/?a[]=1&b={`|^\\}")),
    refused(get(b"/a#b"), 400, NOT_ALLOWED),
    refused(get(b"/a?b#c"), 400, NOT_ALLOWED),
    refused(get(b"/%"), 400, NOT_ALLOWED),
    refused(get(b"/%2"), 400, NOT_ALLOWED),
    refused(get(b"/%zz"), 400, NOT_ALLOWED),
    refused(get(b"/%u00e9"), 400, NOT_ALLOWED),
    # Raw bytes of the path or query: a redirect to where they are encoded
    refused(get(b"/\xc3\xa9"), 301, "percent-encoded"),
    refused(get(b"/?\xff"), 301, "percent-encoded"),
    refused(get(b"//a/\xe9?\xe9"), 301, "percent-encoded"),
    refused(get(b"http://b/\xc3\xa9"), 301, "percent-encoded"),
    refused(get(b"http://\xc3\xa9/"), 400, "host"),
    refused(get(b"/\xc3\xa9#b"), 400, NOT_ALLOWED),
    refused(get(b"/\xc3\xa9%zz"), 400, NOT_ALLOWED),
    refused(get(b"/<\xe9>"), 400, NOT_ALLOWED),
    refused(head(line=b"POST /\xc3\xa9 HTTP/1.1"), 400, NOT_ALLOWED),
    refused(get(b"\xc3\xa9"), 400, "neither a path nor"),
    refused(get(b"/a\x00b"), 400, NOT_ALLOWED),
    refused(get(b"/a\x01"), 400, NOT_ALLOWED),
    refused(get(b"/a\tb"), 400, NOT_ALLOWED),
    refused(get(b"/a\x0b"), 400, NOT_ALLOWED),
    refused(get(b"/a\x0c"), 400, NOT_ALLOWED),
    refused(get(b"/a\x1f?b"), 400, NOT_ALLOWED),
    refused(get(b"/a\x7f"), 400, NOT_ALLOWED),
    refused(get(b"/a\x85b"), 301, "percent-encoded"),
    refused(get(b"/<b>"), 400, NOT_ALLOWED),
    refused(get(b'/?"'), 400, NOT_ALLOWED),
    refused(get(b"/\\a"), 400, NOT_ALLOWED),
    # Section 3.2.2: absolute form; its authority replaces Host
    case(
        get(b"http://b/c?d"), request("http://b/c?d", path="/c", query="d", scheme="http", host="b")
    ),
    case(get(b"HTTP://b/"), request("HTTP://b/", path="/", scheme="http", host="b")),
    case(
        get(b"https://b:8443/c"),
        request("https://b:8443/c", path="/c", scheme="https", host="b:8443"),
    ),
    case(get(b"http://b"), request("http://b", path="/", scheme="http", host="b")),
    case(get(b"http://b?c"), request("http://b?c", path="/", query="c", scheme="http", host="b")),
    case(
        get(b"http://[::1]:80/"),
        request("http://[::1]:80/", path="/", scheme="http", host="[::1]:80"),
    ),
    case(
        head(line=b"GET http://b/ HTTP/1.0", host=b""),
        request(
            "http://b/", path="/", scheme="http", host="b", version="HTTP/1.0", keep_alive=False
        ),
    ),
    case(
        head(line=b"GET http://b/ HTTP/1.1", host=b"Host:"),
        request("http://b/", path="/", scheme="http", host="b"),
    ),
    refused(head(line=b"GET http://b/ HTTP/1.1", host=b""), 400, "Host field is missing"),
    refused(
        head(line=b"GET http://b/ HTTP/1.1", host=b"Host: a/b"), 400, "Host field is malformed"
    ),
    refused(get(b"http://"), 400, "host in the request target"),
    refused(get(b"http:///a"), 400, "host in the request target"),
    refused(get(b"http://:80/a"), 400, "host in the request target"),
    refused(get(b"http://u@b/"), 400, "host in the request target"),
    refused(get(b"http://u:p@b/"), 400, "host in the request target"),
    refused(get(b"http://b:x/"), 400, "host in the request target"),
    refused(get(b"http://b\\c/"), 400, "host in the request target"),
    refused(get(b"http://b/c#d"), 400, NOT_ALLOWED),
    refused(get(b"http://b/%"), 400, NOT_ALLOWED),
    refused(get(b"http://b#c"), 400, NOT_ALLOWED),
    refused(get(b"ftp://b/"), 400, "scheme"),
    refused(get(b"s://]ufd/:"), 400, "scheme"),
    refused(get(b"1http://b/"), 400, "neither a path nor"),
    refused(get(b"http:/b"), 400, "neither a path nor"),
    refused(get(b"urn:a:b"), 400, "neither a path nor"),
    refused(get(b"foo/bar"), 400, "neither a path nor"),
    refused(get(b"?a"), 400, "neither a path nor"),
    refused(get(b"example.com:443"), 400, "neither a path nor"),
    refused(get(b"\\"), 400, "neither a path nor"),
    refused(get(b"\xef\xbb\xbf/"), 400, "neither a path nor"),
    # Section 3.2.3: authority form, for CONNECT only
    refused(head(line=b"CONNECT a:443 HTTP/1.1"), 501, "CONNECT is not supported"),
    refused(head(line=b"CONNECT [::1]:443 HTTP/1.1"), 501, "CONNECT is not supported"),
    refused(head(line=b"CONNECT a HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT a: HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT [::1] HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT :443 HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT / HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT http://a:443/ HTTP/1.1"), 400, "target of CONNECT"),
    refused(head(line=b"CONNECT u@a:443 HTTP/1.1"), 400, "target of CONNECT"),
    # Section 3.2.4: asterisk form, for OPTIONS only
    case(options(b"*"), request("*", "OPTIONS")),
    case(options(b"/"), request("/", "OPTIONS")),
    case(
        options(b"http://b:1"),
        request("http://b:1", "OPTIONS", path="*", scheme="http", host="b:1"),
    ),
    case(options(b"http://b/"), request("http://b/", "OPTIONS", path="/", scheme="http", host="b")),
    case(
        options(b"http://b?c"),
        request("http://b?c", "OPTIONS", path="/", query="c", scheme="http", host="b"),
    ),
    refused(get(b"*"), 400, "for OPTIONS only"),
    refused(options(b"**"), 400, "neither a path nor"),
    refused(options(b"*?a"), 400, "neither a path nor"),
]
