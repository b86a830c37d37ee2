"""What the operator says of files by their names: types, caching, fields to add or take away.

A pattern is a shell's: `*` and `?` stand for any characters, `[...]` for one of several. A pattern
with a slash is compared with the whole path below the root, any other with the last name alone.
What follows from a name is made when a file is described, not at each request.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from typing import NamedTuple

from .media_types import media_type_of

Fields = list[tuple[str, str]]

#: For how long a file with a hash in its name may be used: a year.
IMMUTABLE = "public, max-age=31536000, immutable"

# What a server makes of the message itself, or this program of the very bytes: a rule that changed
# it would make the message another one, or untrue.
_OURS = frozenset(
    [
        "accept-ranges",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "etag",
        "keep-alive",
        "last-modified",
        "location",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
# How long an answer may be kept. A rule sets these for files, never for an error.
_CACHING = frozenset(
    ["age", "cache-control", "cdn-cache-control", "expires", "pragma", "surrogate-control"]
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")

# Names to which build tools add a hash of the content: a stem, a mark, the hash, the extension.
# Hexadecimal digits (webpack, Django, ServeStatic), or eight characters of base64url or base32
# (Vite, Rollup, esbuild). In all of them a letter comes after a digit, and one of base64url has
# letters of both cases. So dates, serial numbers and words that end with a number are not taken for
# hashes. Some hashes are overlooked; that costs a 304.
_HASHED = re.compile(
    r"(?:.*[.\-_])?"
    r"(?:(?=[0-9]*[a-f]*[0-9]+[a-f])[0-9a-f]{8,64}"
    r"|(?<=-)(?=[^.]*[0-9][^.]*[A-Za-z])(?=[^.]*[A-Z])(?=[^.]*[a-z])[0-9A-Za-z_\-]{8}"
    r"|(?<=-)(?=[^.]*[2-7][^.]*[A-Z])(?=[^.]*[A-Z])[A-Z2-7]{8})"
    r"(?:\.(?:min|module|chunk|bundle|legacy|worker))?"
    r"\.(?:m?js|cjs|css|map|wasm|woff2?|ttf|otf|eot|svg|png|jpe?g|gif|webp|avif|ico|mp4|webm|mp3)"
    r"(?:\.map)?"
)

_EXPOSED = "Content-Length, Content-Range, Content-Encoding, Accept-Ranges, ETag, Tally-Count"
_PREFLIGHT_AGE = "86400"


class HeaderRule(NamedTuple):
    """Gives files that match *pattern* the field *name*: *value*; without a value it is removed."""

    pattern: str
    name: str
    value: str


def parse_header_rule(text: str) -> HeaderRule:
    """Return the rule that `PATTERN Name: value` stands for. Raises ValueError."""
    pattern, space, field = text.strip().partition(" ")
    name, colon, value = field.partition(":")
    name, value = name.strip(), value.strip(" \t")
    if not (space and colon and _TOKEN.fullmatch(name)):
        raise ValueError(f"{text!r} is not PATTERN Name: value")
    if value and not _VALUE.fullmatch(value):
        raise ValueError(f"{text!r} has characters that no field value may have")
    if name.lower() in _OURS:
        raise ValueError(f"{name} follows from the file or the connection, and cannot be set")
    return HeaderRule(pattern, name, value)


class Policy:
    """The rules of one site. Immutable, and safe from any thread."""

    def __init__(
        self,
        *,
        max_age: int = 0,
        immutable: Sequence[str] = ("auto",),
        headers: Sequence[HeaderRule] = (),
        cors: str = "",
        download: Sequence[str] = (),
        media_types: Mapping[str, str] | None = None,
        charset: str = "utf-8",
    ) -> None:
        self.cache_control = f"public, max-age={max_age}" if max_age else "no-cache"
        self.cors = cors
        self._immutables = [pattern for pattern in immutable if pattern not in ("auto", "off")]
        self._is_immutable = _any_of(self._immutables)
        self._knows_hashes = "auto" in immutable
        self._downloads = bool(download)
        self._is_download = _any_of(download)
        self._media_types = {key.lower(): value for key, value in (media_types or {}).items()}
        self._charset = charset
        self._rules = [(_matcher(rule.pattern), rule.name, rule.value) for rule in headers]
        #: Whether answers without a file get other fields, too.
        self.has_rules = bool(headers or cors)

    def content_type(self, name: bytes) -> str:
        """Return the Content-Type of the file *name* below the root."""
        media_type = (self._media_types and self._given_type(name)) or media_type_of(name)
        if self._charset and media_type.startswith("text/") and ";" not in media_type:
            return f"{media_type}; charset={self._charset}"
        return media_type

    def _given_type(self, name: bytes) -> str:
        """Return the type given to the longest extension, ".tar.gz" before ".gz", or ""."""
        base = name.rpartition(b"/")[2].decode("latin-1").lower()
        place = base.find(".")
        while place >= 0:
            if media_type := self._media_types.get(base[place:]):
                return media_type
            place = base.find(".", place + 1)
        return ""

    def cache_control_of(self, name: bytes) -> str:
        """Return the Cache-Control of the file *name* below the root."""
        path = name.decode("latin-1")
        if (self._immutables and self._is_immutable(path)) or (
            self._knows_hashes and _HASHED.fullmatch(path.rpartition("/")[2])
        ):
            return IMMUTABLE
        return self.cache_control

    def fields_of(self, name: bytes, fields: Fields) -> Fields:
        """Return the *fields* of an answer with the file *name* as the rules have them."""
        if not (self._downloads or self.has_rules):
            return fields
        if _has(fields, "Content-Type") and self._is_download(name.decode("latin-1")):
            fields = [*fields, ("Content-Disposition", "attachment")]
        return self.fields_without_file(name, fields, is_error=False)

    def fields_without_file(self, name: bytes, fields: Fields, *, is_error: bool) -> Fields:
        """Return the *fields* of an answer about *name* that has no file of that name in it."""
        path = name.decode("latin-1")
        if self.cors:
            fields = [
                *fields,
                ("Access-Control-Allow-Origin", self.cors),
                ("Access-Control-Expose-Headers", _EXPOSED),
                ("Cross-Origin-Resource-Policy", "cross-origin"),
            ]
        for matches, field, value in self._rules:
            if matches(path) and not (is_error and field.lower() in _CACHING):
                fields = with_field(fields, field, value)
        return fields

    def preflight(self, asked: str) -> Fields:
        """Return the fields that let a browser send a request with the fields *asked* for."""
        names = [name.strip() for name in asked.split(",")]
        allowed = ", ".join(name for name in names if _TOKEN.fullmatch(name))
        return [
            ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
            *([("Access-Control-Allow-Headers", allowed)] if allowed else []),
            ("Access-Control-Max-Age", _PREFLIGHT_AGE),
            ("Vary", "Access-Control-Request-Headers"),
        ]


def with_field(fields: Fields, name: str, value: str) -> Fields:
    """Return *fields* with *name*: *value* in place of what it was; without a value, without it."""
    lower = name.lower()
    if lower == "vary" and value:
        # What decides about the answer stays named, or a cache would mix what must be kept apart.
        value = ", ".join([*(old for key, old in fields if key.lower() == lower), value])
    kept = [(key, old) for key, old in fields if key.lower() != lower]
    return [*kept, (name, value)] if value else kept


def _has(fields: Fields, name: str) -> bool:
    return any(key == name for key, _ in fields)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return a predicate of paths below the root, in latin-1."""
    encoded = pattern.encode("utf-8", "surrogateescape").decode("latin-1")
    expression = re.compile(translate(encoded.lstrip("/")))
    if "/" in encoded:
        return lambda path: expression.match(path) is not None
    return lambda path: expression.match(path.rpartition("/")[2]) is not None


def _any_of(patterns: Sequence[str]) -> Callable[[str], bool]:
    matchers = [_matcher(pattern) for pattern in patterns]
    return lambda path: any(matches(path) for matches in matchers)
