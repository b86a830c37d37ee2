"""One version of a file as it was found: its validators, and the header fields that follow from it
alone, made once.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from types import MappingProxyType
from typing import Final, NamedTuple

from ..clock import http_date
from .answer import Answer
from .codings import IDENTITY
from .policy import Fields, Policy
from .version import Version, digest_of

#: What holding a file takes beside its bytes: fields, tuples, its place in the table; and its path
#: in several forms.
_OVERHEAD = 2048
_PATHS = 6
#: And what the allocator takes beside that, for the holes that entries leave as they come and go:
#: of 64 MiB by the numbers above it had 72 for files alone, and 84 with coded forms.
_HOLES = 1.3
#: Seconds for which a shared cache keeps a file as it is when a coded form is about to be made.
_INTERIM_AGE = 10
_NO_FORMS: Final[Mapping[str, "StaticFile"]] = MappingProxyType({})
_VARY = (("Vary", "Accept-Encoding"),)


class Place(NamedTuple):
    """Where a file lies, what follows from that alone, and what is known of it."""

    name: bytes  # below the root
    plain_name: bytes  # without a coding's suffix
    held_as: str
    key: str
    media_type: str
    is_compressible: bool
    is_packed: bool  # in gzip, by its name
    coding: str
    known: "StaticFile | None"


class StaticFile:
    """A regular file below the root, or a coded form of it; never changed but for what the store
    and the forms note in it.

    `content` has the bytes of a small file; a larger one is opened for each body. `forms` are the
    file's other forms by coding, and `order` all codings, the shortest form first. `whole` is the
    ready answer of a held file to a plain GET; what other requests need is made for the first of
    them. Shared between threads.
    """

    __slots__ = (
        "_cache_control",
        "_is_interim",
        "_name",
        "_policy",
        "asked",
        "attributes",
        "coding",
        "content",
        "etag",
        "fields",
        "forms",
        "has_all_forms",
        "held_as",
        "is_compressible",
        "key",
        "media_type",
        "modified",
        "not_modified",
        "order",
        "part_fields",
        "path",
        "place",
        "salt",
        "sampled",
        "size",
        "vary",
        "verified",
        "version",
        "wanted",
        "weight",
        "whole",
    )

    def __init__(
        self,
        path: bytes,
        place: Place,
        version: Version,
        policy: Policy,
        digest: str,
        now: float,
        size: int,
        content: bytes | None,
    ) -> None:
        self.path = path  # through the root's own path, so that a stat of it sees the root move
        self.key = place.key  # what accesses are counted under
        self.held_as = place.held_as  # the URL path, decoded, without what is nothing in it
        self.version = version
        self.size = size
        self.content = content
        self.media_type = place.media_type
        self.is_compressible = place.is_compressible
        self.coding = place.coding
        self.etag = _tag(digest, place.coding)
        self.modified = _modified(version[3] // 1_000_000_000, now)
        self.forms = _NO_FORMS
        self.order: tuple[str, ...] = (IDENTITY,)
        self.weight = _weight(0 if content is None else size, path)
        # Of a larger file: what its tag was made from
        self.sampled = b""
        self.attributes: object = None
        self.salt = 0
        self._name = place.plain_name  # below the root, without a coding's suffix
        self._policy = policy
        self.verified = ""  # the Date at which the file was last seen to lie inside the root
        #: The version of its directory before the file and its siblings were looked up.
        self.place: Version | None = None
        self.asked = False  # for the store
        self.wanted = False  # whether its coded forms have been asked for
        self.has_all_forms = False  # whether all that are worth it have been made
        self._is_interim = False
        self._make_fields()

    def _make_fields(self) -> None:
        policy, name = self._policy, self._name
        self.vary = _VARY if self.is_compressible else ()
        self._cache_control = policy.cache_control_of(name)
        fields = [("Content-Type", self.media_type)]
        if self.modified is not None:
            fields.append(("Last-Modified", http_date(self.modified)))
        fields += self._common_fields()
        fields += (("Accept-Ranges", "bytes"), ("X-Content-Type-Options", "nosniff"))
        if self.coding != IDENTITY:
            fields.append(("Content-Encoding", self.coding))
        fields = policy.fields_of(name, fields)
        fields.insert(1, ("Content-Length", str(self.size)))
        self.fields: Fields = fields
        size, content = self.size, self.content
        self.whole = (
            Answer(200, fields, (content,), self.key, size, "full", True, size)
            if content is not None
            else None
        )
        self.not_modified: Answer | None = None
        self.part_fields: Fields | None = None

    def _common_fields(self) -> Fields:
        cache_control = self._cache_control
        if self._is_interim:
            cache_control += f", s-maxage={_INTERIM_AGE}"
        return [("ETag", self.etag), ("Cache-Control", cache_control), *self.vary]

    def make_not_modified(self) -> Answer:
        """Return `not_modified`, the answer for those who have the file, for the first of them."""
        fields = self._policy.fields_of(self._name, self._common_fields())
        self.not_modified = Answer(304, fields, (), self.key, self.size, "not_modified")
        return self.not_modified

    def make_part_fields(self) -> Fields:
        """Return `part_fields`, those of a 206 without Content-Length, for the first part."""
        content_type, _, *others = self.fields
        self.part_fields = [content_type, *others]
        return self.part_fields

    def is_version(self, path: bytes, version: Version) -> bool:
        """Return whether this was the file at *path* when its status was *version*."""
        return self.path == path and self.version == version

    def is_same_as(self, other: "StaticFile") -> bool:
        """Return whether *other* is the same version of the same file."""
        return self.is_version(other.path, other.version) and self.etag == other.etag

    def with_forms(self, forms: "Sequence[StaticFile]") -> "StaticFile":
        """Return the same version of the file with these coded forms of it."""
        other = copy(self)
        other.forms = MappingProxyType({form.coding: form for form in forms})
        other.order = tuple(
            form.coding for form in sorted((self, *forms), key=lambda form: form.size)
        )
        alone = self.weight - sum(form.weight for form in self.forms.values())
        other.weight = alone + sum(form.weight for form in forms)
        return other

    def interim(self) -> "StaticFile":
        """Return the file as it is sent until its coded forms are made: not to be kept for long."""
        if "max-age" not in self._cache_control:
            return self
        other = copy(self)
        other._is_interim = True
        other._make_fields()
        return other

    def unpacked(self, content: bytes) -> "StaticFile":
        """Return the file whose gzip form is this one: *content* is what this one holds."""
        whole = copy(self)
        whole.content, whole.size = content, len(content)
        whole.etag = _tag(digest_of(content), IDENTITY)
        whole.weight = _weight(len(content), self.path)
        whole._make_fields()
        return whole.with_forms([whole.coded("gzip", self.content or b"")])

    def coded(self, coding: str, content: bytes) -> "StaticFile":
        """Return the form of the file in *coding*, made from this very version of it."""
        form = copy(self)
        form.coding, form.content, form.size = coding, content, len(content)
        form.etag = _tag(digest_of(content), coding)
        form.weight = _weight(len(content))
        form.forms, form.order = _NO_FORMS, ()
        form._make_fields()
        return form


def _weight(size: int, path: bytes = b"") -> int:
    return int(_HOLES * (size + _OVERHEAD + _PATHS * len(path)))


def _tag(digest: str, coding: str) -> str:
    # Each coding has a tag of its own (RFC 9110 section 8.8.3.3), even for what is the same in
    # both.
    return f'"{digest}"' if coding == IDENTITY else f'"{digest}-{coding}"'


def _modified(mtime: int, now: float) -> int | None:
    """Return what Last-Modified says, in seconds, or None when the time means nothing.

    Package builds set mtime to 0 or 1 to make the same bytes everywhere (Nix, for one). RFC 9110
    section 8.8.2.1: never later than the message's Date.
    """
    return min(mtime, int(now)) if mtime > 1 else None
