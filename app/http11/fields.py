"""Field lines (RFC 9112 section 5), each turned into a CGI variable and its value.

Browsers repeat nearly every field line with every request. So a line that was found valid is
remembered with its result, and the next time costs one look-up. The memory is shared by all
connections and threads, and holds neither long lines nor any that may bear a secret: only fields
known to be repeated and harmless are kept. Validators are what all clients have of a file, and all
parts of a page are asked for with the page as Referer.
"""

from sys import intern

from .errors import ProtocolError
from .grammar import CONTENT_LENGTH, FIELD_VALUE, TOKEN, is_authority

#: The variable of a field that is left out of the request.
DROPPED = ""

_LONGEST_REMEMBERED = 256
_LINES_REMEMBERED = 4096

# fmt: off
_REPEATED = (
    "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language",
    "Access-Control-Request-Headers", "Access-Control-Request-Method", "Cache-Control",
    "Connection", "Content-Type", "DNT", "Expect", "Host", "If-Modified-Since", "If-None-Match",
    "Keep-Alive", "Origin", "Pragma", "Priority", "Purpose", "Save-Data",
    "sec-ch-prefers-color-scheme", "sec-ch-ua", "sec-ch-ua-arch", "sec-ch-ua-bitness",
    "sec-ch-ua-full-version", "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile", "sec-ch-ua-model", "sec-ch-ua-platform", "sec-ch-ua-platform-version",
    "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-GPC",
    "Sec-Purpose", "TE", "Transfer-Encoding", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent",
    "Via", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Requested-With",
)
_EVER_DIFFERENT = (
    "Authorization", "Content-Length", "Cookie", "Forwarded", "If-Match", "If-Range",
    "If-Unmodified-Since", "Range", "Referer", "X-Forwarded-For", "X-Real-IP", "X-Request-ID",
)
# fmt: on

# Names that would pose as a framing field once "_" reads as "-".
_FRAMING_LOOKALIKES = frozenset({"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"})

#: RFC 9110 section 5.3: fields of one value, for which it matters which one is taken.
_SINGLE = {"HTTP_HOST": "Host", "CONTENT_LENGTH": "Content-Length", "CONTENT_TYPE": "Content-Type"}

#: Variables whose values have a grammar of their own that is checked.
_CHECKED = frozenset({"HTTP_HOST", "CONTENT_LENGTH"})

#: RFC 9110 section 6.5.1: framing and routing are settled before the content is.
_NOT_IN_TRAILERS = frozenset({"HTTP_HOST", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"})


def _variable_of(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + variable


_VARIABLES = {
    # The same objects as the names in programs: then a look-up compares no characters.
    spelling: intern(_variable_of(name))
    for name in _REPEATED + _EVER_DIFFERENT
    for spelling in (name, name.lower(), name.title())
}
_REMEMBERED_VARIABLES = frozenset(map(_variable_of, _REPEATED))


def parse_field_line(line: str) -> tuple[str, str]:
    """Return the variable (or DROPPED) and the value of a field line. Raises ProtocolError 400."""
    name, colon, value = line.partition(":")
    variable = _VARIABLES.get(name)
    if variable is None or not colon:
        if not colon or not TOKEN.fullmatch(name):
            raise _bad_name(line, name, colon)
        variable = _variable_of(name)
        if "_" in name:
            if variable in _FRAMING_LOOKALIKES:
                raise ProtocolError(400, "A field name poses as that of a framing field.")
            variable = DROPPED
        elif variable == "HTTP_PROXY":
            variable = DROPPED  # CGI programs take it for the proxy they are to use: CVE-2016-5385
    value = value.strip(" \t")
    # The quick answer for nearly every value; the pattern decides about the rest.
    if not (value.isascii() and value.isprintable()) and not FIELD_VALUE.fullmatch(value):
        raise ProtocolError(400, "A field value holds a control character.")
    if variable in _CHECKED:
        if variable == "HTTP_HOST" and value and not is_authority(value):
            raise ProtocolError(400, "The Host field is malformed.")
        if variable == "CONTENT_LENGTH" and not CONTENT_LENGTH.fullmatch(value):
            raise ProtocolError(400, "Content-Length is not one decimal number.")
    return variable, value


def _bad_name(line: str, name: str, colon: str) -> ProtocolError:
    if line[:1] in (" ", "\t"):
        return ProtocolError(400, "A field line begins with white space.")
    if not colon:
        return ProtocolError(400, "A field line has no colon.")
    if name[-1:] in (" ", "\t"):
        return ProtocolError(400, "There is white space before the colon of a field line.")
    return ProtocolError(400, "A field name is not a token.")


def check_trailer_line(line: str) -> None:
    """Raise ProtocolError 400 unless *line* is a field line that may stand in a trailer section."""
    variable, _ = parse_field_line(line)
    if variable in _NOT_IN_TRAILERS:
        raise ProtocolError(400, "A framing or routing field stands in the trailer section.")


class FieldSection:
    """The fields of one head, put together line by line."""

    __slots__ = ("_repeated", "_variables")

    def __init__(self) -> None:
        self._variables: dict[str, str] = {}
        self._repeated: dict[str, list[str]] = {}  # joined at the end: time stays linear

    def add(self, variable: str, value: str) -> None:
        """Add a parsed field line.

        Raises ProtocolError 400 when it repeats a field that has one value only.
        """
        if variable == DROPPED:
            return
        if variable not in self._variables:
            self._variables[variable] = value
        elif variable in _SINGLE:
            raise ProtocolError(400, f"The {_SINGLE[variable]} field is repeated.")
        else:
            self._repeated.setdefault(variable, [self._variables[variable]]).append(value)

    def finish(self) -> dict[str, str]:
        """Return all variables; a repeated field is a list (RFC 9110 section 5.3)."""
        for variable, values in self._repeated.items():
            separator = "; " if variable == "HTTP_COOKIE" else ", "  # cookies: RFC 6265 section 5.4
            self._variables[variable] = separator.join(values)
        return self._variables


class LineMemory(dict[str, tuple[str, str]]):
    """Field lines with what `parse_field_line` returned for them. Safe from any thread.

    When it is full it is emptied. So a flood of new lines can neither make it grow nor keep other
    clients' lines out. Each of those is only parsed once more for every few thousand lines of the
    flood.
    """

    __slots__ = ()

    def __missing__(self, line: str) -> tuple[str, str]:
        field = parse_field_line(line)
        variable = field[0]
        if len(line) <= _LONGEST_REMEMBERED and (
            variable in _REMEMBERED_VARIABLES
            # A query may bear a secret.
            or (variable == "HTTP_REFERER" and "?" not in line)
        ):
            if len(self) >= _LINES_REMEMBERED:
                self.clear()
            self[line] = field
        return field
