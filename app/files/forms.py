"""Which form of a file a client gets, and the making of forms that no sibling holds.

A compressible file that is asked for again is compressed once for each of its versions, beside the
requests; until that is done it is sent as it is.
"""

from contextlib import suppress
from functools import partial

from . import compression
from .catalog import Catalog, FileReplacedError
from .codings import IDENTITY, SUFFIXES, choose
from .static_file import StaticFile

_ALL = (*SUFFIXES, IDENTITY)


class Forms:
    """The coded forms of the files of *catalog*. Safe from any thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._compressor = compression.Compressor()

    def preferred(self, file: StaticFile, accept_encoding: str) -> StaticFile | None:
        """Return the form of *file* that the client prefers; None when it refuses all that there
        can be (406).

        Raises FileReplacedError when the form that it prefers is a sibling that has changed or is
        gone.
        """
        if not file.wanted and file.asked and choose(accept_encoding, _ALL) != IDENTITY:
            self._want(file)
        coding = choose(accept_encoding, file.order)
        if coding == IDENTITY:
            is_final = file.has_all_forms or choose(accept_encoding, _ALL) == IDENTITY
            return file if is_final or not _may_be_compressed(file) else file.interim()
        if coding is None:
            return self._made_now(file, accept_encoding)
        form = file.forms[coding]
        if form.path == file.path or self._catalog.is_fresh(form):
            return form
        file.verified, file.place = "", None  # so that its siblings are looked up anew
        raise FileReplacedError

    def _want(self, file: StaticFile) -> None:
        file.wanted = True
        if not _may_be_compressed(file):
            file.has_all_forms = True
        elif not self._compressor.submit(partial(self._make_later, file)):
            file.wanted = False

    def _make_later(self, file: StaticFile) -> None:
        with suppress(OSError, FileReplacedError):
            self._make(file)

    def _made_now(self, file: StaticFile, accept_encoding: str) -> StaticFile | None:
        """For a client that does not take the file as it is, and so cannot wait.

        Raises FileReplacedError and OSError.
        """
        if not _may_be_compressed(file) or choose(accept_encoding, _ALL) is None:
            return None
        made = self._make(file)
        coding = choose(accept_encoding, made.order)
        return made.forms[coding] if coding else None

    def _make(self, file: StaticFile) -> StaticFile:
        """Return *file* in all codings that it does not have yet.

        Raises FileReplacedError and OSError.
        """
        content = self._catalog.read(file)
        levels = {
            coding: level for coding, level in compression.QUICK.items() if coding not in file.forms
        }
        made = compression.forms(content, levels)
        return self._catalog.add_forms(
            file, [file.coded(coding, form) for coding, form in made.items()]
        )


def _may_be_compressed(file: StaticFile) -> bool:
    in_bounds = compression.LEAST_BYTES <= file.size <= compression.MOST_BYTES
    return file.is_compressible and in_bounds and len(file.order) < len(_ALL)
