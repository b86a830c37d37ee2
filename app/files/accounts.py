"""Tells the counter of each answer about a file: what became of the request, who asked, and how
much of the body was handed over.

A body that is held in memory is handed over with the answer. A larger one is sent afterwards, and
its end is told when the server closes it.
"""

from collections.abc import Callable
from functools import partial
from time import time
from typing import TYPE_CHECKING

from ..clients import Classifier
from ..counters.contract import ACCESSES, Announce, Class, Counter, Kind
from ..request_note import NOTE, RequestNote
from .answer import Answer
from .policy import Fields
from .ranges import ByteRange
from .static_file import StaticFile

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Called for each access with the file's key, the client's address and port, and the number.
CountLine = Callable[[str, str, str, int | None], None]


def kind_of_range(part: ByteRange, size: int) -> Kind:
    """Return the kind of an answer to one range of a file of *size* bytes."""
    if part.last <= 1 and size > 2:
        return "probe"
    return "partial" if part.first == 0 else "resumed"


_NOBODY: tuple[None, int] = None, 0


def _unknown(_environ: "WSGIEnvironment") -> Class:
    return "unknown"


class Accounts:
    """Counts answers in *counter*. Safe from any thread.

    *classifier* says what class of client asked; without it all are `unknown`. With it and
    *download_bytes*, clients are told apart; that many bytes of a file, or all of a smaller one,
    make a download. With *count_header*, answers carry Tally-Count. With *notes*, the environ gets
    a `RequestNote` about each file that was asked for.
    """

    def __init__(
        self,
        counter: Counter,
        *,
        classifier: Classifier | None,
        count_line: CountLine | None,
        download_bytes: int | None,
        count_header: bool,
        notes: bool,
    ) -> None:
        self.counter = counter
        self._classifier = classifier
        self._classify = _unknown if classifier is None else classifier.classify
        self._tells_clients = classifier is not None and download_bytes is not None
        self._count_line = count_line
        self._download_bytes = download_bytes
        self._count_header = count_header
        self._notes = notes

    def count_held(self, environ: "WSGIEnvironment", file: StaticFile, fields: Fields) -> None:
        """Count the whole of a file that is held."""
        class_ = self._classify(environ)
        client, enough = self._client(environ, file, class_) if self._tells_clients else _NOBODY
        number = self.counter.count(
            file.key, "full", self._announce(environ, file), class_, file.size, True, client, enough
        )
        if self._notes:
            environ[NOTE] = RequestNote(file.key, "full", class_, number, True)
        if self._count_header and number is not None:
            fields.append(("Tally-Count", str(number)))

    def count(self, environ: "WSGIEnvironment", answer: Answer, fields: Fields) -> None:
        """Count an answer about a file, and see that the end of its body is counted."""
        file, kind, source = answer.file, answer.kind, answer.source
        assert file is not None
        assert kind is not None
        class_: Class = self._classify(environ) if kind in ACCESSES else "unknown"
        client, enough = self._client(environ, file, class_) if self._tells_clients else _NOBODY
        at, held = (int(time()), 0) if source is not None else (0, answer.held_bytes)
        number = self.counter.count(
            file.key,
            kind,
            self._announce(environ, file),
            class_,
            held,
            bool(held) and answer.completes,
            client,
            enough,
            at,
        )
        note = None
        if self._notes:
            class_noted = class_ if kind in ACCESSES else ""
            completed = bool(held) and answer.completes
            environ[NOTE] = note = RequestNote(file.key, kind, class_noted, number, completed)
        if source is not None:
            source.ended = partial(
                self._ended, file.key, kind, answer.completes, at, client, enough, note
            )
        if self._count_header and number is not None:
            fields.append(("Tally-Count", str(number)))

    def _ended(
        self,
        key: str,
        kind: Kind,
        completes: bool,
        at: int,
        client: bytes | None,
        enough: int,
        note: RequestNote | None,
        sent: int,
        is_whole: bool,
    ) -> None:
        if note is not None:
            note.completed, note.sent = completes and is_whole, sent
        if sent:
            self.counter.sent(key, kind, sent, completes and is_whole, at, client, enough)

    def _client(
        self, environ: "WSGIEnvironment", file: StaticFile, class_: Class
    ) -> tuple[bytes | None, int]:
        """Return what tells the client from others, and how many bytes make a download."""
        assert self._classifier is not None
        assert self._download_bytes is not None
        return self._classifier.client(environ, class_), min(self._download_bytes, file.size)

    def _announce(self, environ: "WSGIEnvironment", file: StaticFile) -> Announce | None:
        if self._count_line is None:
            return None
        address, port = environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT")
        return partial(self._count_line, file.key, address, str(port or 0))
