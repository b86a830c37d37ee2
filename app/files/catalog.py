"""From a URL path to a file: looked up at each request, so that new, changed and deleted files are
seen at once.

Small files are held in memory, whole: header fields and bytes of one version of the file. A held
file costs one stat a request, which must show that very version. Only files that exist are held, in
bounded memory. Of larger files only the description is held; the file is opened for each body.

Nothing outside the root is served: names are checked before the file system sees them, and the path
that the opened file truly has is checked after all links were followed. What was opened is what is
checked, so that no exchange of names in between matters. HTTP is not known here: what cannot be
served is an OSError.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from time import time

from ..clock import date_header
from .codings import IDENTITY
from .compression import MOST_BYTES, is_compressible, is_packed, unpack
from .directory import Directory, open_directory
from .document_root import RootDirectory, RootLostError, RootWatch
from .file_slice import FileSlice, OwnSlice
from .held import HeldStore
from .names import Visibility, canonical_path, file_name
from .open_files import OpenFile, OpenFiles
from .opening import OPEN_FILE, open_inside, open_plain, read_whole
from .places import Places
from .policy import Policy
from .siblings import siblings_beside
from .static_file import Place, StaticFile
from .version import (
    attributes_of,
    digest_of,
    digest_of_large,
    has_grown_only,
    is_settled,
    may_be_held,
    salt_after,
    sample,
    version_of,
)

#: Files up to this size are held in memory with their bytes.
HELD_FILE_SIZE = 65536
#: All held files together take no more memory than this.
HELD_TOTAL = 64 * 1024 * 1024

#: How many directories deep an error page of a directory's own is looked for.
_MOST_LEVELS = 16

#: How often a file is looked up anew because it was replaced or written to meanwhile.
ATTEMPTS = 20


class SlashMissingError(Exception):
    """The path names a directory that has an index: the file is at the path with a slash."""


class FileReplacedError(Exception):
    """The file is no longer the one that was found: the answer is to be made anew."""


class Catalog:
    """The files below *root*. Safe from any thread.

    With *coded*, compressible files have forms: the siblings that hold them in a content coding.
    """

    def __init__(
        self,
        root: str,
        *,
        indexes: Sequence[str],
        policy: Policy,
        coded: bool,
        held_total: int,
        visible: Visibility,
    ) -> None:
        self._root = os.fsencode(os.path.abspath(root))
        self._prefix = self._root.rstrip(b"/") + b"/"
        self._indexes = [os.fsencode(index) for index in indexes]
        self._policy = policy
        self._visible = visible
        self._coded = coded
        self._watch = RootWatch(self._root)
        self._held: HeldStore[str, StaticFile] = HeldStore(held_total)
        self._open_files = OpenFiles()
        self._places = Places(self._root, visible)

    def held(self, url_path: str, date: str) -> StaticFile | None:
        """Return the file held for *url_path*, if it still is the version on disk.

        *date* is the present Date.
        """
        file = self._held.get(url_path)
        if file is None:
            return None
        if file.verified != date:
            return file if self._is_in_place(file, date) else None
        try:
            if version_of(os.stat(file.path)) != file.version:
                return None
        except OSError:
            return None
        file.asked = True
        return file

    def _is_in_place(self, file: StaticFile, date: str) -> bool:
        """Look again, once a second, whether a held file lies where it did, and is no link.

        A compressible one may have got a sibling meanwhile, unless its directory is as it was.
        """
        if file.place is None or not is_settled(file.version, time()):
            return False
        place = self._places.look(os.path.dirname(file.path), date).version
        if place is None or (file.is_compressible and place != file.place):
            return False
        try:
            if version_of(os.lstat(file.path)) != file.version:
                return False
        except OSError:
            return False
        file.verified = date
        file.asked = True
        return True

    def find(self, url_path: str) -> StaticFile:
        """Return the file at *url_path*, as it is now.

        *url_path* is as in PATH_INFO: decoded bytes as latin-1. Raises SlashMissingError,
        RootLostError and OSError; FileNotFoundError for whatever is not to be served.
        """
        date = date_header()
        if file := self.held(url_path, date):
            return file
        name = file_name(url_path, dotfiles=self._visible.dotfiles)
        held_as = "/" + name.decode("latin-1")
        if held_as != url_path and (file := self.held(held_as, date)):
            return file
        try:
            existing, seen = self._existing(name)
            if existing in (name, name + self._indexes[0]):
                file = self._load(held_as, existing, seen, date)
            else:
                # Held under its own path: a better index may come at any moment.
                own_path = "/" + existing.decode("latin-1")
                file = self.held(own_path, date) or self._load(own_path, existing, seen, date)
        except IsADirectoryError:
            if held_as.endswith("/"):
                raise FileNotFoundError(url_path) from None
            self.find(held_as + "/")
            raise SlashMissingError from None
        except OSError:
            self._look_at_root()
            raise
        self._watch.seen()
        return file

    def _existing(self, name: bytes) -> tuple[bytes, os.stat_result]:
        """Return *name*, or of a directory its index, and its status.

        Most of what is not there is known here.
        """
        path = self._prefix + name
        if name and not name.endswith(b"/"):
            return name, os.stat(path)
        for index in self._indexes[:-1]:
            with suppress(FileNotFoundError):
                return name + index, os.stat(path + index)
        return name + self._indexes[-1], os.stat(path + self._indexes[-1])

    def directory(self, url_path: str) -> Directory:
        """Open the directory at *url_path*, to be listed. Raises OSError."""
        name = file_name(url_path, dotfiles=self._visible.dotfiles)
        with RootDirectory(self._root) as root:
            return open_directory(root, name.rstrip(b"/"), self._visible)

    def nearest(self, base: bytes, url_path: str) -> str | None:
        """Return the URL path of the file *base* in the directory of *url_path*, or the nearest
        one above it; None when there is none.
        """
        try:
            name = file_name(url_path, dotfiles=self._visible.dotfiles)
            directories = name.split(b"/", _MOST_LEVELS)[:-1]
        except FileNotFoundError:
            directories = []
        while True:
            name = b"/".join((*directories, base))
            # Asked first, since most directories have none, and an error costs more than an answer.
            if os.access(self._prefix + name, os.F_OK):
                with suppress(OSError):
                    if stat.S_ISREG(os.stat(self._prefix + name).st_mode):
                        return "/" + name.decode("latin-1")
            if not directories:
                return None
            directories.pop()

    def part(self, file: StaticFile, first: int, length: int) -> bytes:
        """Return *length* bytes of the larger *file*, from byte *first* on.

        *file* is as `held` or `find` has just returned it. Raises FileReplacedError and OSError.
        """
        opened = self._open_files.get(file)
        if is_new := opened is None:
            opened = _opened(file)
        content = os.pread(opened.descriptor, length, first)
        # Asked afterwards: a change that came before the read shows in the status by now.
        if _is_unchanged(opened, file) and is_new:
            self._open_files.put(file, opened)
        if len(content) != length:
            raise FileReplacedError
        return content

    def open(self, file: StaticFile, first: int, last: int, *, shares: bool = False) -> FileSlice:
        """Open the larger *file* for one body, of a server that *shares* descriptors or does not.

        *file* is as `held` or `find` has just returned it. Raises FileReplacedError and OSError.
        """
        if shares and (opened := self._open_files.get(file)):
            return FileSlice(opened, first, last, file)
        opened = _opened(file)
        if _is_unchanged(opened, file) and shares:
            self._open_files.put(file, opened)
            return FileSlice(opened, first, last, file)
        return OwnSlice(opened, first, last, file)

    def read(self, file: StaticFile) -> bytes:
        """Return the bytes of *file*. Raises FileReplacedError and OSError."""
        if file.content is not None:
            return file.content
        descriptor = os.open(file.path, OPEN_FILE)
        try:
            content = read_whole(descriptor, file.size)
            if len(content) != file.size or version_of(os.fstat(descriptor)) != file.version:
                raise FileReplacedError
        finally:
            os.close(descriptor)
        return content

    def is_fresh(self, form: StaticFile) -> bool:
        """Tell whether a *form* that has a file of its own still is the version on disk."""
        try:
            fresh: bool = version_of(os.stat(form.path)) == form.version
        except OSError:
            return False
        return fresh

    def is_held(self, file: StaticFile) -> bool:
        """Tell whether this very *file* is held under its path."""
        return self._held.get(file.held_as) is file

    def add_forms(
        self, file: StaticFile, forms: list[StaticFile], *, are_all: bool = True
    ) -> StaticFile:
        """Return *file* with more forms, and hold it so, unless another version is held by now.

        With *are_all*, no form is missing that is worth having.
        """
        other = file.with_forms([*file.forms.values(), *forms])
        other.wanted = other.has_all_forms = are_all
        if self.is_held(file):
            self._held.put(file.held_as, other)
        return other

    def _look_at_root(self) -> None:
        try:
            self._watch.look()
        except RootLostError:
            self._held.clear()
            raise

    def _load(self, held_as: str, name: bytes, seen: os.stat_result, date: str) -> StaticFile:
        media_type = self._policy.content_type(name)
        coded, packed = self._coded and is_compressible(media_type), is_packed(name, media_type)
        path, known = self._prefix + name, self._held.get(held_as)
        place = Place(
            name, name, held_as, canonical_path(name), media_type, coded, packed, IDENTITY, known
        )
        directory = os.path.dirname(path)
        has_siblings = coded and not packed
        for attempt in range(ATTEMPTS):
            look = self._places.look(directory, date)
            # Asked by the path: what is there is then opened in the root that has the file, and
            # what comes after the look is seen in the next second.
            beside = look.siblings.beside if look.siblings else siblings_beside
            there = beside(path) if has_siblings else []
            try:
                found = None
                if look.is_plain and not (there or attempt):
                    found = self._plain(place, seen)
                file, may_hold = found or self._in_root(place, there, None if attempt else seen)
            except FileReplacedError:
                continue
            file.verified, file.place = date, look.version
            if self._held.get(held_as) is file:
                file.asked = True
            elif may_hold:
                self._held.put(held_as, file)
            return file
        # It was written to at each attempt.
        raise BlockingIOError(name)

    def _plain(self, place: Place, seen: os.stat_result) -> tuple[StaticFile, bool] | None:
        """Return what `_in_root` does of a file without siblings; None when it takes a look at the
        root to know, or to fail as that does.
        """
        # See `_read`: of a small file nothing is used but what is *seen* after the reading, too.
        compares = place.known is None and seen.st_size <= HELD_FILE_SIZE
        opened = open_plain(self._prefix, place.name, self._visible, seen, compares=compares)
        try:
            return opened and _with_siblings(*self._describe(*opened, place), [])
        except OSError:
            return None  # perhaps it is no regular file any more

    def _in_root(
        self, place: Place, there: list[tuple[str, bytes]], seen: os.stat_result | None
    ) -> tuple[StaticFile, bool]:
        """Return the file at *place*, as it is now, and whether it may be held.

        *there* is what was found of its siblings a moment ago: of those, and of the file, one look
        at the root decides. *seen* is as in `open_inside`. Raises OSError, and FileReplacedError
        when the file changed while it was read, or the root was switched.
        """
        with RootDirectory(self._root) as root:
            try:
                opened = open_inside(root, place.name, self._visible, seen)
            except FileNotFoundError:
                if root.is_current():
                    raise
                raise FileReplacedError from None  # a deployment switched the root meanwhile
            file, may_hold = self._describe(*opened, place)
            siblings = []
            for coding, suffix in there:
                name, known = place.name + suffix, file.forms.get(coding)
                its_place = place._replace(name=name, coding=coding, known=known)
                # Whatever is wrong with it, the file itself is there.
                with suppress(OSError, FileReplacedError):
                    opened = open_inside(root, name, self._visible)
                    siblings.append(self._describe(*opened, its_place))
        return _with_siblings(file, may_hold, siblings)

    def _describe(
        self, descriptor: int, status: os.stat_result, place: Place
    ) -> tuple[StaticFile, bool]:
        """Return what was opened at *place*, and whether it may be held. Closes it.

        Raises FileReplacedError when it changed while it was read.
        """
        now = time()
        try:
            file = place.known
            if (
                file is None
                or not file.is_version(self._prefix + place.name, version_of(status))
                or not is_settled(file.version, now)
            ):
                file = self._read(descriptor, status, now, place)
                if place.known and place.known.is_same_as(file):
                    file = place.known
        finally:
            os.close(descriptor)
        return file, may_be_held(status, now)

    def _read(
        self, descriptor: int, status: os.stat_result, now: float, place: Place
    ) -> StaticFile:
        size, version, known = status.st_size, version_of(status), place.known
        path = self._prefix + place.name
        content, sampled, salt = None, b"", 0
        if size <= (MOST_BYTES if place.is_packed else HELD_FILE_SIZE):
            content = read_whole(descriptor, size)
        else:
            sampled = sample(descriptor, size)
            if known is not None and known.sampled:
                salt = salt_after(known.version, known.attributes, known.salt, status)
        after = os.fstat(descriptor)
        is_same = version_of(after) == version and (content is None or len(content) == size)
        # What is appended to a larger file meanwhile lies behind what was read.
        if not is_same and (content is not None or after.st_size <= size):
            raise FileReplacedError
        if content is None:
            digest = digest_of_large(status, sampled, now=now, salt=salt)
        elif known is not None and known.is_version(path, version) and known.content == content:
            return known  # as nearly always when a file is read again because it is young
        else:
            digest = digest_of(content)
        unpacked = unpack(content) if place.is_packed and content is not None else None
        if place.is_packed and unpacked is None:
            # Too large to be unpacked for a client that wants it so: what it is, to be saved.
            place = place._replace(media_type="application/gzip", is_compressible=False)
        file = StaticFile(path, place, version, self._policy, digest, now, size, content)
        if content is None:
            file.sampled, file.attributes, file.salt = sampled, attributes_of(status), salt
        return file if unpacked is None or unpacked is content else file.unpacked(unpacked)


def _with_siblings(
    file: StaticFile, may_hold: bool, siblings: list[tuple[StaticFile, bool]]
) -> tuple[StaticFile, bool]:
    """Return *file* with the *siblings* that are no older, and with the forms made here; and
    whether all of it may be held.
    """
    if not siblings and not file.forms:
        return file, may_hold
    forms = {coding: form for coding, form in file.forms.items() if form.path == file.path}
    for form, form_may_hold in siblings:
        # In whole seconds: a copy of both gives them times of its own, in any order.
        if (form.modified or 0) >= (file.modified or 0):
            forms[form.coding] = form
            may_hold = may_hold and form_may_hold
    if forms == file.forms:
        return file, may_hold
    file = file.with_forms(list(forms.values()))
    file.wanted = file.has_all_forms = False
    return file, may_hold


def _opened(file: StaticFile) -> OpenFile:
    try:
        return OpenFile(os.open(file.path, OPEN_FILE))
    except FileNotFoundError:
        raise FileReplacedError from None


def _is_unchanged(opened: OpenFile, file: StaticFile) -> bool:
    """Tell whether what is *opened* still is the version that *file* describes.

    False for one that has only grown since, which is sent to the length that it had. Raises
    FileReplacedError for any other.
    """
    status = os.fstat(opened.descriptor)
    version = version_of(status)
    if version == file.version:
        return True
    if version[:2] != file.version[:2] or not has_grown_only(
        opened.descriptor, status, file.size, file.sampled
    ):
        raise FileReplacedError
    return False
