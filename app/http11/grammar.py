"""The grammar of RFC 9110, 9112 and 3986 that a request is checked against: patterns and
predicates, nothing else.

Every pattern is used with `fullmatch` and runs in linear time: no two neighbouring repetitions
accept the same character. Digits are spelled out, because `\\d` and `int()` accept more than the
RFCs do.
"""

import re
from ipaddress import AddressValueError, IPv6Address

_TCHAR = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
_PERCENT_ENCODED = r"%[0-9A-Fa-f]{2}"

# RFC 3986 section 3.3, and the characters that browsers leave as they are (WHATWG URL,
# percent-encode sets). In a query they also leave a "%" that encodes nothing: what a query means is
# the application's affair, a path names a file.
_PATH_CHAR = r"A-Za-z0-9\-._~!$&'()*+,;=:@/|\[\]^"
_QUERY_CHAR = _PATH_CHAR + r"?{}`\\%"
_PATH_AND_QUERY = (
    rf"(/[{_PATH_CHAR}]*(?:{_PERCENT_ENCODED}[{_PATH_CHAR}]*)*)(?:\?([{_QUERY_CHAR}]*))?"
)

#: A token (RFC 9110 section 5.6.2): method, field name, coding.
TOKEN = re.compile(rf"[{_TCHAR}]+")

#: Octets that a token may begin with, for a look at the first one of a message.
TCHARS = frozenset(byte for byte in range(128) if TOKEN.fullmatch(chr(byte)))

#: A field value without the white space around it (RFC 9110 section 5.5), obs-text included.
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

#: The request line of nearly every request: method, target, its path and query, version (RFC 9112
#: section 3.2.1).
ORIGIN_FORM_LINE = re.compile(rf"([{_TCHAR}]{{1,32}}) ({_PATH_AND_QUERY}) (HTTP/1\.[01])")

#: The path and query of an origin-form target.
ORIGIN_FORM = re.compile(_PATH_AND_QUERY)

#: A target with raw bytes in its path or query, of origin or absolute form.
UNENCODED_TARGET = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+\-.]*://[!-.0-~]+)?/[!-~]*[\x80-\xff][!-~\x80-\xff]*"
)
#: A byte that should have been percent-encoded.
NOT_ASCII = re.compile(r"[\x80-\xff]")

#: Scheme, authority and the rest of an absolute-form target (RFC 9112 section 3.2.2).
ABSOLUTE_FORM = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#]*)(.*)")

#: RFC 9112 section 2.3: case-sensitive, one digit on each side.
HTTP_VERSION = re.compile(r"HTTP/([0-9])\.([0-9])")

#: RFC 9110 section 8.6. More digits than a 64-bit number has are nobody's length.
CONTENT_LENGTH = re.compile(r"[0-9]{1,19}")

#: One member of Transfer-Encoding: a coding, and its parameters if any (RFC 9112 section 7).
TRANSFER_CODING = re.compile(
    rf"([{_TCHAR}]+)((?:[ \t]*;[ \t]*[{_TCHAR}]+[ \t]*=[ \t]*(?:[{_TCHAR}]+|\"[^\"]*\"))*)"
)

#: Chunk size and chunk extensions (RFC 9112 section 7.1). White space is allowed before a `;` only.
CHUNK_LINE = re.compile(
    rf"([0-9A-Fa-f]{{1,16}})"
    rf"((?:[ \t]*;[ \t]*[{_TCHAR}]+(?:[ \t]*=[ \t]*(?:[{_TCHAR}]+|"
    r"\"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*\"))?)*)"
)

# The sub-delims of RFC 3986's reg-name are left out: no registered name has them, and a comma or a
# quote in Host only serves to pose as two hosts, or to break out of where an application writes it.
_REG_NAME = r"(?:[A-Za-z0-9\-._~]|%[0-9A-Fa-f]{2}){1,255}"
_AUTHORITY = re.compile(rf"(?:{_REG_NAME}|\[([0-9A-Fa-f:.]{{2,45}})\])(?::([0-9]{{0,5}}))?")


def is_authority(text: str) -> bool:
    """Tell whether *text* is a host that is not empty, with an optional port (RFC 9110 section 4.2,
    7.2).
    """
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return False
    address, port = match.groups()
    if port and int(port) > 65535:
        return False
    return address is None or _is_ipv6_address(address)


def _is_ipv6_address(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def list_members(value: str) -> list[str]:
    """Return the members of a comma-separated list in lower case, the empty ones left out (RFC 9110
    section 5.6.1).
    """
    return [member for part in value.lower().split(",") if (member := part.strip(" \t"))]
