"""From a URL path to a file: looked up at each request, so that new, changed and deleted files are seen at once.

Small files are held in memory, whole: header fields and bytes of one version of the file. A held file costs one stat a
request, which must show that very version. Only files that exist are held, in bounded memory, the least recently used
out first. Of larger files only the fields are held; the file is opened for each answer.

Nothing outside the root is served: names are checked before the file system sees them, and the path that the opened
file truly has is checked after all links were followed. What was opened is what is checked, so that no exchange of
names in between matters. HTTP is not known here: what cannot be served is an OSError.
"""

import os
import stat
from collections import OrderedDict
from threading import Lock
from time import time

from app.clock import date_header
from app.files.document_root import RootDirectory, RootLostError, RootWatch
from app.files.encodings import SUFFIXES
from app.files.media_types import media_type_of
from app.files.static_file import StaticFile, canonical_path, version_of

#: Files up to this size are held in memory with their bytes.
HELD_FILE_SIZE = 65536
#: All held files together take no more memory than this.
HELD_TOTAL = 64 * 1024 * 1024
#: What a held file takes beside its bytes: fields, tuples, its place in the table; and its path in several forms.
HELD_OVERHEAD = 2048
HELD_PATHS = 6

# O_NONBLOCK: what became a fifo after the stat must not block; O_NOCTTY: nor may a terminal become ours.
_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | getattr(os, "O_LARGEFILE", 0)

# File systems stamp changes with a clock of up to 10 ms a tick (some, of whole seconds): a change within the same tick
# as the last one does not show in the status.
_TICK = 0.02
_COARSE_TICK = 2.0
_ATTEMPTS = 5

_Held = str | tuple[str, str]  # a URL path; for a sibling, with its coding


class SlashMissingError(Exception):
    """The path names a directory that has an index: the file is at the path with a slash."""


class Catalog:
    """The files below *root*. Safe from any thread."""

    def __init__(self, root: str, *, index: str, cache_control: str, precompressed: bool, held_total: int) -> None:
        self._root = os.fsencode(os.path.abspath(root))
        self._prefix = self._root.rstrip(b"/") + b"/"
        self._index = os.fsencode(index)
        self._cache_control = cache_control
        self._precompressed = precompressed
        self._watch = RootWatch(self._root)
        self._held: OrderedDict[_Held, StaticFile] = OrderedDict()
        self._held_bytes = 0
        self._held_total = held_total
        self._lock = Lock()

    def held(self, url_path: _Held, date: str) -> StaticFile | None:
        """Return the file held with its bytes for *url_path*, if it still is the version on disk.

        *date* is the present Date.
        """
        file = self._held.get(url_path)
        # Moving a directory out of the root and linking it back leaves its files' status as it was; so where a held
        # file truly lies is looked at again once a second.
        if file is None or file.content is None or file.verified != date:
            return None
        try:
            if version_of(os.stat(file.path)) != file.version:
                return None
            self._held.move_to_end(url_path)
        except (OSError, KeyError):
            return None
        return file

    def _reopened(self, url_path: _Held, date: str) -> StaticFile | None:
        """Return the larger file at *url_path* open, if it still is the version whose fields are held."""
        file = self._held.get(url_path)
        if file is None or file.content is not None or file.verified != date:
            return None
        try:
            # Asked before opening: what is a device by now is better left alone.
            if version_of(os.stat(file.path)) != file.version:
                return None
            descriptor = os.open(file.path, _OPEN_FILE)
            self._held.move_to_end(url_path)
        except OSError:
            return None
        except KeyError:
            pass  # given up for others meanwhile
        if version_of(os.fstat(descriptor)) == file.version:
            return file.opened_as(descriptor)
        os.close(descriptor)
        return None

    def find(self, url_path: str) -> StaticFile:
        """Return the file at *url_path*, held or open (then the caller closes it).

        *url_path* is as in PATH_INFO: decoded bytes as latin-1. Raises SlashMissingError, RootLostError and OSError;
        FileNotFoundError for whatever is not to be served.
        """
        date = date_header()
        if file := self.held(url_path, date) or self._reopened(url_path, date):
            return file
        name = _file_name(url_path)
        if not name or name.endswith(b"/"):
            name += self._index
        try:
            file = self._load(url_path, name)
        except IsADirectoryError:
            if url_path.endswith("/"):
                raise FileNotFoundError(url_path) from None
            self.find(url_path + "/").close()
            raise SlashMissingError from None
        except OSError:
            self._look_at_root()
            raise
        self._watch.seen()
        return file

    def sibling(self, url_path: str, coding: str, of: StaticFile) -> StaticFile | None:
        """Return the file beside *of* (found at *url_path*) that holds it in *coding*; None without a current one."""
        date = date_header()
        file = self.held((url_path, coding), date) or self._reopened((url_path, coding), date)
        if file is None:
            name = of.path[len(self._prefix) :] + SUFFIXES[coding].encode()
            try:
                file = self._load((url_path, coding), name, coding=coding, of=of)
            except OSError:
                return None  # whatever is wrong with it, the file itself is there
        if file.modified < of.modified:
            # Compressed from an earlier version of the file. In whole seconds: a copy of both gives them times of its
            # own, in any order.
            file.close()
            return None
        return file

    def _look_at_root(self) -> None:
        try:
            self._watch.look()
        except RootLostError:
            with self._lock:
                self._held.clear()
                self._held_bytes = 0
            raise

    def _load(self, url_path: _Held, name: bytes, *, coding: str = "", of: StaticFile | None = None) -> StaticFile:
        for attempt in range(_ATTEMPTS):
            with RootDirectory(self._root) as root:
                try:
                    descriptor, status = _open_inside(root, name)
                except FileNotFoundError:
                    if attempt < _ATTEMPTS - 1 and not root.is_current():
                        continue  # a deployment switched the root meanwhile
                    raise
            try:
                file = self._take(url_path, name, descriptor, status, coding, of)
            except BaseException:
                os.close(descriptor)
                raise
            if file is None or file.descriptor < 0:
                os.close(descriptor)
            if file is not None:
                return file
        # It was written to at each attempt.
        raise BlockingIOError(name)

    def _take(
        self, url_path: _Held, name: bytes, descriptor: int, status: os.stat_result, coding: str, of: StaticFile | None
    ) -> StaticFile | None:
        """Describe an open file, and hold it if it is small. None: it changed while it was read."""
        date = date_header()
        known = self._held.get(url_path)
        if known is not None and known.version == version_of(status):
            known.verified = date
            return known if known.content is not None else known.opened_as(descriptor)
        now = time()
        file = StaticFile(
            status,
            path=self._prefix + name,
            key=of.key if of else canonical_path(name),
            media_type=of.media_type if of else media_type_of(name),
            coding=coding,
            cache_control=self._cache_control,
            vary=self._precompressed,
            now=now,
        )
        file.verified = date
        if file.size > HELD_FILE_SIZE:
            if not _racy(status, now):
                self._hold(url_path, file)
            return file.opened_as(descriptor)
        content = _read_whole(descriptor, file.size)
        if len(content) != file.size or version_of(os.fstat(descriptor)) != file.version:
            return None
        file.content = content
        if not _racy(status, now):
            self._hold(url_path, file)
        return file

    def _hold(self, url_path: _Held, file: StaticFile) -> None:
        with self._lock:
            if earlier := self._held.pop(url_path, None):
                self._held_bytes -= weight_of(earlier)
            self._held[url_path] = file
            self._held_bytes += weight_of(file)
            while self._held_bytes > self._held_total:
                _, oldest = self._held.popitem(last=False)
                self._held_bytes -= weight_of(oldest)


def weight_of(file: StaticFile) -> int:
    """Return the bytes of memory that holding *file* is reckoned at."""
    return len(file.content or b"") + HELD_OVERHEAD + HELD_PATHS * len(file.path)


def _racy(status: os.stat_result, now: float) -> bool:
    """Return whether a change could go unseen: one within the clock tick of the last, or a date still to come."""
    tick = _TICK if status.st_ctime_ns % 1_000_000_000 else _COARSE_TICK
    return now - status.st_ctime_ns / 1e9 < tick or status.st_mtime_ns / 1e9 > now


def _file_name(url_path: str) -> bytes:
    """Return the path below the root that *url_path* names. Raises FileNotFoundError if it may not be one."""
    try:
        raw = url_path.encode("latin-1")
        raw.decode("utf-8")
    except UnicodeError:
        raise FileNotFoundError(url_path) from None
    segments = raw.split(b"/")
    # An empty segment would make two names for one file.
    if segments[0] or b"" in segments[1:-1] or b"\0" in raw or _hidden(segments[1:]):
        raise FileNotFoundError(url_path)
    return raw[1:]


def _hidden(segments: list[bytes]) -> bool:
    """Return whether the path goes through dot segments or dotfiles, other than the root's .well-known (RFC 8615)."""
    visible = segments[1:] if segments[:1] == [b".well-known"] else segments
    return any(segment.startswith(b".") for segment in visible)


def _open_inside(root: RootDirectory, name: bytes) -> tuple[int, os.stat_result]:
    """Open the regular file *name*. The status is of what was opened."""
    # Asked before opening: opening a device can do something.
    _require_regular(os.stat(name, dir_fd=root.descriptor), name)
    descriptor = os.open(name, _OPEN_FILE, dir_fd=root.descriptor)
    try:
        status = os.fstat(descriptor)
        _require_regular(status, name)
        inner = root.inner_path(descriptor, name)
        if inner is None or _hides(inner):
            raise FileNotFoundError(name)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def _hides(inner: bytes) -> bool:
    *directories, base = inner.split(b"/")
    # Kubernetes publishes volumes through directories such as ..data and ..2026_11_22, which no URL can name.
    return _hidden([part for part in directories if not part.startswith(b"..")] + [base])


def _require_regular(status: os.stat_result, name: bytes) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(name)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(name)


def _read_whole(descriptor: int, size: int) -> bytes:
    """Return the file's bytes, one more than *size* at most, so that growth shows."""
    data = os.read(descriptor, size + 1)
    while 0 < len(data) < size:
        more = os.read(descriptor, size + 1 - len(data))
        if not more:
            break
        data += more
    return data
