"""A request: its line and target (RFC 9112 section 3), and what its fields say about framing and
persistence.

`parse_request_line` reads the line; `Request` decides about the head as a whole, when every field
line was found valid. Nothing of where the bytes came from is known here.
"""

from typing import Any, NamedTuple, final
from urllib.parse import unquote_to_bytes

from .errors import ProtocolError
from .grammar import (
    ABSOLUTE_FORM,
    HTTP_VERSION,
    NOT_ASCII,
    ORIGIN_FORM,
    ORIGIN_FORM_LINE,
    TOKEN,
    TRANSFER_CODING,
    UNENCODED_TARGET,
    is_authority,
    list_members,
)

_LONGEST_METHOD = 32
#: What clients say in Connection, nearly all of them.
_PERSISTENCE = {"keep-alive": True, "close": False}
_LONGEST_REMEMBERED = 256
_LINES_REMEMBERED = 4096


@final
class RequestLine:
    """A request line, taken apart. Never changed: many requests may have it."""

    __slots__ = (
        "authority",
        "method",
        "path",
        "query",
        "scheme",
        "target",
        "text",
        "variables",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        query: str,
        version: str,
        scheme: str = "",
        authority: str = "",
        text: str = "",
    ) -> None:
        #: The line as a log shows it, with the version to answer by.
        self.text = text or f"{method} {target} {version}"
        self.method = method  # as received: case-sensitive
        self.target = target  # as received, ASCII
        self.path = path  # percent-encoded; "*" for the asterisk form
        self.query = query  # without "?"; "" if none
        self.version = version  # "HTTP/1.1" or "HTTP/1.0": the version to answer by
        self.scheme = scheme  # of an absolute-form target in lower case, else ""
        self.authority = authority  # of an absolute-form target, else ""
        if "%" in path:
            path = unquote_to_bytes(path).decode("latin-1")
        #: The line's part of the CGI variables.
        self.variables = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": target,
            "PATH_INFO": path if path != "*" else "",  # PEP 3333: empty, or a path
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": version,
        }


class RequestLineMemory(dict[str, RequestLine]):
    """Request lines with what `parse_request_line` returned for them. Safe from any thread.

    The same files are asked for again and again. A line with a query is not kept, since a query
    may bear a secret, nor is a long one. Forgets everything when it is full, as `LineMemory` does.
    """

    __slots__ = ()

    def __missing__(self, line: str) -> RequestLine:
        parsed = parse_request_line(line)
        if len(line) <= _LONGEST_REMEMBERED and not parsed.query:
            if len(self) >= _LINES_REMEMBERED:
                self.clear()
            self[line] = parsed
        return parsed


def parse_request_line(line: str) -> RequestLine:
    """Return the parts of *line*. Raises ProtocolError: 400, 501 (method), 505 (version)."""
    match = ORIGIN_FORM_LINE.fullmatch(line)
    if match is not None:
        method, target, path, query, version = match.groups()
        if method != "CONNECT":
            return RequestLine(method, target, path, query or "", version, text=line)
    parts = line.split(" ")
    if len(parts) != 3:
        raise ProtocolError(400, "The request line is not a method, a target and a version.")
    method, target, version = parts
    if not TOKEN.fullmatch(method):
        raise ProtocolError(400, "The method is not a token.")
    version = _understood_version(version)
    if len(method) > _LONGEST_METHOD:
        raise ProtocolError(501, "The method is not known here.")
    if method == "CONNECT":
        raise _refused_connect(target)
    return _take_target_apart(method, target, version)


def _understood_version(version: str) -> str:
    match = HTTP_VERSION.fullmatch(version)
    if match is None:
        raise ProtocolError(400, "The request line does not end in an HTTP version.")
    major, minor = match.groups()
    if major == "2":
        raise ProtocolError(505, "This port speaks HTTP/1.1, not HTTP/2.")
    if major != "1":
        raise ProtocolError(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    # A higher minor version is answered as the highest one that is known (RFC 9110 section 2.5).
    return "HTTP/1.0" if minor == "0" else "HTTP/1.1"


def _refused_connect(target: str) -> ProtocolError:
    # Refused here and not by the application: what follows a CONNECT is no HTTP message, so the
    # connection must close.
    host, _, port = target.rpartition(":")
    if is_authority(target) and host and port and not port.endswith("]"):
        return ProtocolError(501, "CONNECT is not supported: this is no proxy.")
    return ProtocolError(400, "The target of CONNECT is not a host and a port.")


def _take_target_apart(method: str, target: str, version: str) -> RequestLine:
    if method in ("GET", "HEAD") and UNENCODED_TARGET.fullmatch(target):
        raise _redirect_to_encoded(method, target, version)
    if target.startswith("/"):
        path, query = _path_and_query(target)
        return RequestLine(method, target, path, query, version)
    if target == "*":
        if method != "OPTIONS":
            raise ProtocolError(400, "The target * is for OPTIONS only.")
        return RequestLine(method, target, "*", "", version)
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise ProtocolError(400, "The request target is neither a path nor an absolute URI.")
    scheme, authority, rest = match.groups()
    if scheme.lower() not in ("http", "https"):
        raise ProtocolError(400, "The scheme of the request target is not http or https.")
    if not is_authority(authority):
        raise ProtocolError(400, "The host in the request target is malformed.")
    if not rest and method == "OPTIONS":
        # RFC 9112 section 3.2.4: OPTIONS for a URI with an empty path is about the server as a
        # whole.
        path, query = "*", ""
    else:
        path, query = _path_and_query(rest if rest.startswith("/") else "/" + rest)
    return RequestLine(method, target, path, query, version, scheme.lower(), authority)


def _redirect_to_encoded(method: str, target: str, version: str) -> ProtocolError:
    """Return the redirect for a path or query with raw bytes that had to be percent-encoded.

    Old browsers, BusyBox wget and embedded clients send them, and no two readers disagree about
    what is meant. RFC 9112 section 3 offers the redirect. Raises ProtocolError for other faults of
    the target.
    """
    encoded = NOT_ASCII.sub(lambda found: f"%{ord(found[0]):02X}", target)
    _take_target_apart(method, encoded, version)
    # Two slashes would begin another host's name.
    location = "/" + encoded.lstrip("/") if encoded.startswith("/") else encoded
    return ProtocolError(301, "The target has to be percent-encoded.", location)


def _path_and_query(target: str) -> tuple[str, str]:
    match = ORIGIN_FORM.fullmatch(target)
    if match is None:
        raise ProtocolError(
            400, "The request target holds a character or a percent-encoding that is not allowed."
        )
    path, query = match.groups()
    return path, query or ""


class Body(NamedTuple):
    """How a request's body comes."""

    length: int  # in bytes; 0 when it is chunked
    is_chunked: bool
    #: Whether the client waits for 100 (Continue) before it sends it (RFC 9110 section 10.1.1).
    expects_continue: bool


@final
class Request:
    """One request, its body apart."""

    __slots__ = ("body", "keep_alive", "line", "method", "variables", "version")

    def __init__(self, line: RequestLine, variables: dict[str, Any], largest_body: int) -> None:
        """Decide about a complete head; *largest_body* in bytes, 0 for no limit.

        Raises ProtocolError: 400 (host, framing), 413, 417, 501 (transfer coding).
        """
        self.line = line
        self.method = line.method
        self.version = version = line.version
        #: What line and fields say, as CGI variables (RFC 3875 section 4.1), values as latin-1
        #: text; and what the receiver was given for each request. The request's own.
        self.variables = variables
        #: None when there is none.
        self.body: Body | None = None
        if line.authority or not variables.get("HTTP_HOST"):
            _settle_host(version, line.authority, variables)
        if (
            "HTTP_TRANSFER_ENCODING" in variables
            or "CONTENT_LENGTH" in variables
            or "HTTP_EXPECT" in variables
        ):
            self.body = _body_of(version, variables, largest_body)
        connection = variables.get("HTTP_CONNECTION")
        #: Whether the client lets the connection persist (RFC 9112 section 9.3).
        self.keep_alive = (
            version == "HTTP/1.1" if connection is None else _persists(version, connection)
        )


def _settle_host(version: str, authority: str, variables: dict[str, Any]) -> None:
    # RFC 9112 section 3.2. An empty Host says that the target has no authority: http targets always
    # have one, so it is let pass only where the authority is in the target itself, or where the
    # client need not have sent Host at all.
    host = variables.get("HTTP_HOST")
    if version == "HTTP/1.1" and host is None:
        raise ProtocolError(400, "The Host field is missing.")
    if authority:
        variables["HTTP_HOST"] = authority
    elif version == "HTTP/1.1":
        raise ProtocolError(400, "The Host field is empty.")


def _body_of(version: str, variables: dict[str, Any], largest: int) -> Body | None:
    length = 0
    chunked = "HTTP_TRANSFER_ENCODING" in variables
    if chunked:
        _require_chunked(version, variables)
    elif "CONTENT_LENGTH" in variables:
        length = int(variables["CONTENT_LENGTH"])
        if largest and length > largest:
            raise ProtocolError(413, "The request body is larger than allowed.")
    expects = "HTTP_EXPECT" in variables and _expects_continue(version, variables["HTTP_EXPECT"])
    return Body(length, chunked, expects) if chunked or length else None


def _require_chunked(version: str, variables: dict[str, Any]) -> None:
    # RFC 9112 sections 6.1 and 6.3. Whatever two recipients could read differently is refused: it
    # smuggles requests.
    if version == "HTTP/1.0":
        raise ProtocolError(400, "Transfer-Encoding is not part of HTTP/1.0.")
    if "CONTENT_LENGTH" in variables:
        raise ProtocolError(400, "Content-Length and Transfer-Encoding exclude each other.")
    codings = [part.strip(" \t").lower() for part in variables["HTTP_TRANSFER_ENCODING"].split(",")]
    if codings == ["chunked"]:
        return
    if not all(map(TRANSFER_CODING.fullmatch, codings)):
        raise ProtocolError(400, "The Transfer-Encoding field is malformed.")
    if codings[-1] != "chunked":
        raise ProtocolError(400, "Transfer-Encoding does not end in chunked.")
    if any(coding.partition(";")[0].rstrip(" \t") == "chunked" for coding in codings[:-1]):
        raise ProtocolError(400, "Transfer-Encoding holds chunked more than once.")
    raise ProtocolError(501, "A transfer coding other than chunked is not supported.")


def _persists(version: str, connection: str) -> bool:
    if (known := _PERSISTENCE.get(connection)) is not None:
        return known
    options = list_members(connection)
    return "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)


def _expects_continue(version: str, expect: str) -> bool:
    if version == "HTTP/1.0":
        return False  # RFC 9110 section 10.1.1: such an expectation is ignored
    expectations = list_members(expect)
    if any(expectation != "100-continue" for expectation in expectations):
        raise ProtocolError(417, "The only expectation that can be met is 100-continue.")
    return bool(expectations)
