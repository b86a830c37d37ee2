"""Which form of a file a client gets, and the making of forms that no sibling holds.

A compressible file that is asked for again is compressed once for each of its versions, beside the
requests; until that is done it is sent as it is. Only a client that has kept a coded form waits for
it, so that a restart or a new deployment makes nobody fetch again what has not changed.
"""

import re
from contextlib import suppress
from functools import partial

from . import compression
from .catalog import Catalog, FileReplacedError
from .codings import IDENTITY, SUFFIXES, choose
from .static_file import StaticFile

_ALL = (*SUFFIXES, IDENTITY)
#: The end of a coded form's tag (`static_file`).
_CODED_TAG = re.compile(rf'-({"|".join(SUFFIXES)})"')


class Forms:
    """The coded forms of the files of *catalog*. Safe from any thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._compressor = compression.Compressor()

    def preferred(
        self, file: StaticFile, accept_encoding: str, if_none_match: str = ""
    ) -> StaticFile | None:
        """Return the form of *file* that the client prefers; None when it refuses all that there
        can be (406).

        Raises FileReplacedError when the form that it prefers is a sibling that has changed or is
        gone.
        """
        if if_none_match and not file.has_all_forms:
            file = self._with_kept_form(file, accept_encoding, if_none_match)
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

    def _with_kept_form(
        self, file: StaticFile, accept_encoding: str, if_none_match: str
    ) -> StaticFile:
        """Return *file* with the form that the client has by its tag: made now if it is missing.

        A file that is not held is left alone: each request would make the form anew. Raises
        FileReplacedError and OSError.
        """
        tag = _CODED_TAG.search(if_none_match)
        if (
            tag is None
            or tag[1] in file.forms
            or choose(accept_encoding, (tag[1], *_ALL)) != tag[1]
            or not _may_be_compressed(file)
            or not self._catalog.is_held(file)
        ):
            return file
        return self._make(file, (tag[1],))

    def _made_now(self, file: StaticFile, accept_encoding: str) -> StaticFile | None:
        """For a client that does not take the file as it is, and so cannot wait.

        Raises FileReplacedError and OSError.
        """
        if not _may_be_compressed(file) or choose(accept_encoding, _ALL) is None:
            return None
        made = self._make(file)
        coding = choose(accept_encoding, made.order)
        return made.forms[coding] if coding else None

    def _make(self, file: StaticFile, codings: tuple[str, ...] = (*SUFFIXES,)) -> StaticFile:
        """Return *file* in those of *codings* that it does not have yet.

        Raises FileReplacedError and OSError.
        """
        content = self._catalog.read(file)
        levels = {
            coding: compression.QUICK[coding] for coding in codings if coding not in file.forms
        }
        forms = [
            file.coded(coding, form) for coding, form in compression.forms(content, levels).items()
        ]
        are_all = len(codings) == len(SUFFIXES)
        return self._catalog.add_forms(file, forms, are_all=are_all) if forms or are_all else file


def _may_be_compressed(file: StaticFile) -> bool:
    in_bounds = compression.LEAST_BYTES <= file.size <= compression.MOST_BYTES
    return file.is_compressible and in_bounds and len(file.order) < len(_ALL)
