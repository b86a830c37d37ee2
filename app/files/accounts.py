"""Counts each answer with a file: what became of the request, who asked, and how much of the body
was handed over.

A body that is in memory is handed over with the answer. A larger one is sent afterwards; how far it
got is counted when the server closes it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import time
from typing import TYPE_CHECKING

from ..before_answer import BEFORE_ANSWER, Work
from ..clients import Classifier
from ..counters.contract import ACCESSES, Announce, Class, Count, Counter, Kind
from ..request_note import NOTE, RequestNote
from .answer import Answer
from .policy import Fields

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Called for each access with the file's key, the client's address and port, and the number.
CountLine = Callable[[str, str, str, int | None], None]


def kind_of_range(first: int, last: int, size: int) -> Kind:
    """Return the kind of an answer with the bytes from *first* to *last* of *size*."""
    if last <= 1 and size > 2:
        return "probe"
    return "partial" if first == 0 else "resumed"


_NOBODY: tuple[None, int] = None, 0


def _unknown(_environ: "WSGIEnvironment") -> Class:
    return "unknown"


class Accounts:
    """Counts answers in *counter*. Safe from any thread.

    *classifier* says what class of client asked; without it all are `unknown`. With it and
    *download_bytes*, distinct clients are counted; that many bytes of a file, or all of a smaller
    one, make a download. With *count_header*, answers carry Tally-Count. With *notes*, the environ
    gets a `RequestNote` about each file that was asked for.
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
        #: Whether counts are left to be made together, where the server offers it.
        self.leaves_counts = counter.pays_together_from > 0 and not count_header
        # Functions of what requests leave to be done together; each the same object every time.
        self._counts_work, self._statuses_work = self._count_together, self._note_answers

    def count(self, environ: "WSGIEnvironment", answer: Answer, fields: Fields) -> None:
        """Count an answer about a file. When its body is sent later, have its end counted, too."""
        key, kind, source = answer.key, answer.kind, answer.source
        assert kind is not None
        class_: Class = "unknown"
        announce: Announce | None = None
        if kind in ACCESSES:
            class_ = self._classify(environ)
            if self._count_line is not None:
                announce = self._announce(environ, key)
        client, enough = self._client(environ, answer.size) if self._tells_clients else _NOBODY
        at = 0 if source is None else int(time())
        completed = source is None and answer.completes
        note = None
        if self._notes:
            class_noted = class_ if kind in ACCESSES else ""
            environ[NOTE] = note = RequestNote(key, kind, class_noted, None, completed)
        work: list[Work] | None = environ.get(BEFORE_ANSWER) if self.leaves_counts else None
        if work is not None and source is None:
            count = key, kind, announce, class_, answer.held, completed, client, enough
            work.append((self._counts_work, (note, count)))
            return
        number = self.counter.count(
            key, kind, announce, class_, answer.held, completed, client, enough, at
        )
        if note is not None:
            note.number = number
        if source is not None:
            source.ended = partial(
                self._ended, key, kind, answer.completes, at, client, enough, note
            )
        if self._count_header and number is not None:
            fields.append(("Tally-Count", str(number)))

    def answered(self, environ: "WSGIEnvironment", status: int) -> None:
        """Count an answer whose status no kind tells."""
        work: list[Work] | None = environ.get(BEFORE_ANSWER) if self.leaves_counts else None
        if work is None:
            self.counter.answered(status)
        else:
            work.append((self._statuses_work, status))

    def _note_answers(self, statuses: Sequence[int]) -> None:
        for status in set(statuses):
            self.counter.answered(status, statuses.count(status))

    def _count_together(self, left: Sequence[tuple[RequestNote | None, Count]]) -> None:
        """Count what several requests have left, just before their answers go out."""
        numbers = self.counter.count_together([count for _, count in left])
        for (note, _), number in zip(left, numbers, strict=True):
            if note is not None:
                note.number = number

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

    def _client(self, environ: "WSGIEnvironment", size: int) -> tuple[bytes | None, int]:
        """Return what tells the client from others, and how many bytes make a download.

        Also of answers that are no access: the rest of a download adds to its bytes.
        """
        assert self._classifier is not None
        assert self._download_bytes is not None
        class_ = self._classify(environ)
        return self._classifier.client(environ, class_), min(self._download_bytes, size)

    def _announce(self, environ: "WSGIEnvironment", key: str) -> Announce:
        assert self._count_line is not None
        address, port = environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT")
        return partial(self._count_line, key, address, str(port or 0))
