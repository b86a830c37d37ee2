"""From a URL path to the name of a file below the root, and from the name to the one URL path that
counts.

Names are bytes, as the file system has them: a name need not be UTF-8. "." and empty segments are
nothing (RFC 3986 section 5.2.4; nginx and Apache httpd drop them as well); ".." is refused.
"""

from string import ascii_letters, digits
from typing import NamedTuple
from urllib.parse import quote_from_bytes

# pchar without what would need care elsewhere (RFC 3986 section 3.3)
_SAFE_IN_PATH = "/!$&'()*+,;=:@~-._"
#: All that is not to be encoded: those, and letters and digits.
_PLAIN = (_SAFE_IN_PATH + ascii_letters + digits).encode()
_NOTHING = (b"", b".")


class Visibility(NamedTuple):
    """What is served that is not served by default."""

    dotfiles: bool = False
    outside: bool = False  # what symbolic links below the root lead to


DEFAULT_VISIBILITY = Visibility()


def file_name(url_path: str, *, dotfiles: bool = False) -> bytes:
    """Return the name below the root for *url_path*; a directory's is empty or ends in a slash.

    *url_path* is as in PATH_INFO: decoded bytes as latin-1. Raises FileNotFoundError if no file may
    have the name.
    """
    if url_path[:1] == "/" and not ("/." in url_path or "//" in url_path or "\0" in url_path):
        return _encoded(url_path[1:])  # nearly every path: there is nothing to be left out
    first, *segments = _encoded(url_path).split(b"/")
    if first or not segments or "\0" in url_path:
        raise FileNotFoundError(url_path)
    names = [segment for segment in segments if segment not in _NOTHING]
    if b".." in names or (not dotfiles and is_hidden(names)):
        raise FileNotFoundError(url_path)
    if names and segments[-1] in _NOTHING:
        names.append(b"")
    return b"/".join(names)


def _encoded(url_path: str) -> bytes:
    try:
        return url_path.encode("latin-1")
    except UnicodeError:
        raise FileNotFoundError(url_path) from None


def is_hidden(names: list[bytes]) -> bool:
    """Tell whether a path goes up or through dotfiles, other than the root's .well-known (RFC
    8615).
    """
    visible = names[1:] if names[:1] == [b".well-known"] else names
    return any(name.startswith(b".") for name in visible)


def canonical_path(name: bytes) -> str:
    """Return the URL path of the file *name* below the root, percent-encoded in one way only."""
    if not name.rstrip(_PLAIN):
        return "/" + name.decode()  # nearly every name
    return "/" + quote_from_bytes(name, _SAFE_IN_PATH)
