"""One file as it was found: its validators, and the header fields that follow from it alone, made once."""

import os
from copy import copy
from operator import attrgetter
from urllib.parse import quote_from_bytes

from app.clock import http_date

Fields = list[tuple[str, str]]

#: What tells one version of a file from another. ctime moves even when a tool sets mtime back after writing.
version_of = attrgetter("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")

# pchar without what would need care elsewhere (RFC 3986 section 3.3)
_SAFE_IN_PATH = "/!$&'()*+,;=:@~-._"


def canonical_path(name: bytes) -> str:
    """Return the URL path of the file *name* below the root, percent-encoded in one way only."""
    return "/" + quote_from_bytes(name, _SAFE_IN_PATH)


class StaticFile:
    """A regular file below the root: with its bytes in `content`, or open, with a descriptor to be closed.

    A held one is shared between threads and never changed, `verified` apart.
    """

    __slots__ = (
        "coding",
        "content",
        "descriptor",
        "etag",
        "fields",
        "key",
        "media_type",
        "modified",
        "modified_ns",
        "not_modified_fields",
        "path",
        "representation_fields",
        "size",
        "verified",
        "version",
    )

    def __init__(
        self,
        status: os.stat_result,
        *,
        path: bytes,
        key: str,
        media_type: str,
        coding: str,
        cache_control: str,
        vary: bool,
        now: float,
    ) -> None:
        self.path = path  # through the root's own path, so that a stat of it sees the root move
        self.key = key  # what accesses are counted under
        self.version: tuple[int, int, int, int, int] = version_of(status)
        self.size = status.st_size
        self.modified_ns = status.st_mtime_ns
        # RFC 9110 section 8.8.2.1: never later than the message's Date
        self.modified = max(0, min(status.st_mtime_ns // 1_000_000_000, int(now)))
        suffix = f"-{coding}" if coding else ""
        # With ctime: tools set mtime back, and file systems give a removed file's inode to the next one. A tag that
        # outlived other bytes would let a resumed download mix two versions.
        parts = status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns
        self.etag = '"' + "-".join(f"{part:x}" for part in parts) + suffix + '"'
        self.media_type = media_type
        self.coding = coding
        self.content: bytes | None = None
        self.descriptor = -1
        self.verified = ""  # the Date at which the file was last seen to lie inside the root

        self.not_modified_fields: Fields = [("ETag", self.etag), ("Cache-Control", cache_control)]
        if vary:
            self.not_modified_fields.append(("Vary", "Accept-Encoding"))
        # What 200 and 206 have in common: all but Content-Type and Content-Length
        self.representation_fields: Fields = [
            ("Last-Modified", http_date(self.modified)),
            *self.not_modified_fields,
            ("Accept-Ranges", "bytes"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if coding:
            self.representation_fields.append(("Content-Encoding", coding))
        self.fields: Fields = [
            ("Content-Type", media_type),
            ("Content-Length", str(self.size)),
            *self.representation_fields,
        ]

    def opened_as(self, descriptor: int) -> "StaticFile":
        """Return the same version of the file, open, for one answer."""
        opened = copy(self)
        opened.descriptor = descriptor
        return opened

    def close(self) -> None:
        """Release the descriptor, if there is one."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
