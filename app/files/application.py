"""The WSGI application: find the file, decide what to answer, count, answer.

Most requests are a GET for a small file without preconditions or range: `__call__` answers these at
once from the form that is held. Everything else goes through `_answer`, which decides step by step:
method, file, content coding, preconditions, range. An access is counted before its answer leaves,
so a client that has its answer has been counted.

Nothing is known here of sockets, parsing or framing; OS errors become HTTP statuses in `_status_of`
alone.
"""

import errno
import logging
from collections.abc import Callable, Iterable
from functools import partial
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from ..clock import date_header
from ..counters.contract import Counter, Kind
from .catalog import ATTEMPTS, HELD_TOTAL, Catalog, FileReplacedError, SlashMissingError
from .codings import IDENTITY
from .conditional import PRECONDITIONS, Outcome, evaluate, if_range
from .document_root import RootLostError
from .file_slice import BLOCK, MultipartBody
from .forms import Forms
from .pages import STATUS_LINES, page
from .ranges import ByteRange, Multipart, UnsatisfiableRangeError, multipart, select_ranges
from .static_file import Fields, StaticFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CountLine = Callable[[str, str, str, int | None], None]

_log = logging.getLogger("tally.files")

_METHODS = ("GET", "HEAD")
_ALLOW = ("Allow", "GET, HEAD, OPTIONS")
_NOT_FOUND_PAGE = "/404.html"
_RETRY_AFTER = "5"
_ENCODED_SLASH = "%2F"
# A request with one of these may get something else than the whole file.
_SELECTING = (*PRECONDITIONS, "HTTP_RANGE")
# A query's own characters (RFC 3986 section 3.4) and "%", since it is encoded already.
_SAFE_IN_QUERY = "%/?:@!$&'()*+,;=~-._"

# ENXIO and ENODEV: a socket or a device without a driver; EINVAL and EILSEQ: a name that the file
# system cannot have.
_MISSING = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENXIO,
    errno.ENODEV,
    errno.EINVAL,
    errno.EILSEQ,
}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


class _Answer(NamedTuple):
    status: int
    fields: Fields  # all but Date
    body: Iterable[bytes]
    file: StaticFile | None = None  # with `kind`: what is counted
    kind: Kind | None = None


class FileApplication:
    """Serves the files below *root* as a WSGI application. Safe from any thread.

    *counter* is told of every answer, and *count_line* of every access: with the file's key, the
    client's address and port, and the access's number (None when it is not known yet). *index* is
    the file that stands for a directory, *max_age* the seconds for which clients may use an answer
    without asking again. With *coded*, text goes out compressed to clients that accept it: from
    siblings such as `style.css.gz`, or compressed here. With *count_header*, answers carry
    Tally-Count.
    """

    def __init__(
        self,
        root: str,
        *,
        counter: Counter,
        count_line: CountLine | None = None,
        index: str = "index.html",
        max_age: int = 0,
        coded: bool = True,
        count_header: bool = False,
        held_total: int = HELD_TOTAL,
    ) -> None:
        self._cache_control = f"public, max-age={max_age}" if max_age else "no-cache"
        self._catalog = Catalog(
            root, index=index, cache_control=self._cache_control, coded=coded, held_total=held_total
        )
        self._forms = Forms(self._catalog)
        self._counter = counter
        self._count_line = count_line
        self._count_header = count_header
        self._warned = ""  # the Date of the last warning

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        date = date_header()
        head = environ["REQUEST_METHOD"] == "HEAD"
        form = self._at_hand(environ, date)
        if form is None:
            answer = self._answer(environ, head)
        elif form.content is not None and not head and environ.keys().isdisjoint(_SELECTING):
            fields = [*form.fields, ("Date", date)]
            self._count(environ, form, Kind.FULL, fields)
            start_response("200 OK", fields)
            return [form.content]
        else:
            try:
                answer = self._answer_with(form, environ, head)
            except (FileReplacedError, OSError):
                answer = self._answer(environ, head)
        fields = [*answer.fields, ("Date", date_header())]
        kind = answer.kind
        if kind is not None and answer.file is not None:
            self._count(environ, answer.file, kind, fields)
        if kind is None or kind is Kind.HEAD:  # the other kinds tell their status
            self._counter.answered(answer.status)
        start_response(STATUS_LINES[answer.status], fields)
        return [] if head else answer.body

    def _at_hand(self, environ: "WSGIEnvironment", date: str) -> StaticFile | None:
        """Return the form of a file that a GET or HEAD is about, when it is held."""
        if environ["REQUEST_METHOD"] not in _METHODS:
            return None
        file = self._catalog.held(environ.get("PATH_INFO", ""), date)
        if (
            file is not None
            and file.is_compressible
            and (accepted := environ.get("HTTP_ACCEPT_ENCODING"))
        ):
            try:
                return self._forms.preferred(file, accepted)
            except FileReplacedError:
                return None
        return file

    def _count(
        self, environ: "WSGIEnvironment", file: StaticFile, kind: Kind, fields: Fields
    ) -> None:
        announce = None
        if self._count_line is not None:
            address, port = environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT")
            announce = partial(self._count_line, file.key, address, str(port or 0))
        number = self._counter.count(file.key, kind, announce)
        if self._count_header and number is not None:
            fields.append(("Tally-Count", str(number)))

    def _answer(self, environ: "WSGIEnvironment", head: bool) -> _Answer:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return _Answer(204, [_ALLOW], [])
        if method not in _METHODS:
            return _error(405, _ALLOW)
        url_path = environ.get("PATH_INFO", "") or ("" if environ.get("SCRIPT_NAME") else "/")
        for _ in range(ATTEMPTS):
            try:
                return self._answer_from_file(environ, url_path, head)
            except FileReplacedError:
                continue
            except SlashMissingError:
                return self._redirect(environ, url_path)
            except OSError as error:
                return self._failure(error, head)
        return self._failure(BlockingIOError(url_path), head)

    def _answer_from_file(self, environ: "WSGIEnvironment", url_path: str, head: bool) -> _Answer:
        if not url_path:
            self._catalog.find("/")
            raise SlashMissingError
        file: StaticFile | None = self._catalog.find(url_path)
        assert file is not None
        vary = file.vary
        if file.is_compressible:
            file = self._forms.preferred(file, environ.get("HTTP_ACCEPT_ENCODING", ""))
        return _error(406, *vary) if file is None else self._answer_with(file, environ, head)

    def _redirect(self, environ: "WSGIEnvironment", url_path: str) -> _Answer:
        path = environ.get("SCRIPT_NAME", "") + url_path
        target: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
        if _ENCODED_SLASH in target.partition("?")[0].upper():
            # What is one segment to the client cannot be the base of a path relative to the last
            # one.
            location = "/" + path.lstrip("/")
        else:
            # Relative to the last segment, it holds behind any proxy, also one that takes a prefix
            # off. BusyBox wget cannot follow it; but a path would lead every other client behind
            # such a proxy astray. With "./" before it and all but a path's own characters encoded,
            # it can be read neither as a scheme nor as another host.
            location = "./" + path.rpartition("/")[2]
        location = quote(location, safe="/!$&'()*+,;=:@~-._", encoding="latin-1") + "/"
        if query := environ.get("QUERY_STRING"):
            location += "?" + quote(
                query, safe=_SAFE_IN_QUERY, encoding="latin-1", errors="replace"
            )
        return _page(301, self._cache_control, ("Location", location))

    def _failure(self, error: OSError, head: bool) -> _Answer:
        status = _status_of(error)
        if status == 503:
            if not isinstance(error, RootLostError):
                self._warn(error)
            return _error(503, ("Retry-After", _RETRY_AFTER))
        return self._not_found(head) if status == 404 else _error(status)

    def _warn(self, error: OSError) -> None:
        # When descriptors run out every request fails, so one line a second has to do.
        date = date_header()
        if date != self._warned:
            self._warned = date
            _log.warning("a file cannot be opened: %s", error.strerror or "it is being written to")

    def _not_found(self, head: bool) -> _Answer:
        """The site's own 404.html, if it has one, else ours."""
        try:
            file = self._catalog.find(_NOT_FOUND_PAGE)
            body = [] if head else self._body(file, None)
        except (OSError, SlashMissingError, FileReplacedError):
            return _error(404)
        return _Answer(404, _page_fields(file.media_type, file.size, "no-store"), body)

    def _answer_with(self, file: StaticFile, environ: "WSGIEnvironment", head: bool) -> _Answer:
        now = time()
        outcome = evaluate(environ, file.etag, file.modified, now)
        if outcome is Outcome.FAILED:
            return _error(412, *file.vary)
        if outcome is Outcome.NOT_MODIFIED:
            return _Answer(
                304, file.not_modified_fields, [], file, Kind.HEAD if head else Kind.NOT_MODIFIED
            )
        if head:
            # Range is for GET alone (RFC 9110 section 14.2).
            return _Answer(200, file.fields, [], file, Kind.HEAD)
        if "HTTP_RANGE" in environ:
            condition = environ.get("HTTP_IF_RANGE")
            if condition is None or if_range(condition, file.etag, file.modified, now):
                return self._ranged(file, environ)
        return self._whole(file, environ)

    def _whole(self, file: StaticFile, environ: "WSGIEnvironment") -> _Answer:
        body = self._body(file, environ.get("wsgi.file_wrapper"))
        return _Answer(200, file.fields, body, file, Kind.FULL)

    def _ranged(self, file: StaticFile, environ: "WSGIEnvironment") -> _Answer:
        try:
            ranges = select_ranges(environ["HTTP_RANGE"], file.size)
        except UnsatisfiableRangeError:
            unsatisfied = ("Content-Range", f"bytes */{file.size}")
            return _error(416, unsatisfied, ("Accept-Ranges", "bytes"), *file.vary)
        if ranges is None:
            return self._whole(file, environ)
        kind = Kind.PARTIAL if any(item.first == 0 for item in ranges) else Kind.RESUMED
        if len(ranges) == 1:
            fields = [
                ("Content-Type", file.media_type),
                ("Content-Length", str(ranges[0].length)),
                ("Content-Range", ranges[0].content_range(file.size)),
                *file.representation_fields,
            ]
            return _Answer(
                206,
                fields,
                self._body(file, environ.get("wsgi.file_wrapper"), ranges[0]),
                file,
                kind,
            )
        if file.coding != IDENTITY:
            # Content-Encoding would seem to be about the multipart body, which has no coding.
            return self._whole(file, environ)
        # The boundary cannot be foreseen, so that no file can contain it on purpose.
        layout = multipart(ranges, file.size, file.media_type, token_hex(16))
        if layout is None:
            return self._whole(file, environ)
        fields = [
            ("Content-Type", layout.media_type),
            ("Content-Length", str(layout.length)),
            *file.representation_fields,
        ]
        return _Answer(206, fields, self._multipart_body(file, layout), file, kind)

    def _body(
        self, file: StaticFile, wrapper: Any, part: ByteRange | None = None
    ) -> Iterable[bytes]:
        if file.content is not None:
            return [file.content if part is None else file.content[part.first : part.last + 1]]
        piece = self._catalog.open(file, part or ByteRange(0, file.size - 1))
        body: Iterable[bytes] = piece if wrapper is None else wrapper(piece, BLOCK)
        return body

    def _multipart_body(self, file: StaticFile, layout: Multipart) -> Iterable[bytes]:
        if file.content is None:
            return MultipartBody(layout, self._catalog.open(file, ByteRange(0, file.size - 1)))
        parts: list[bytes] = []
        for head, item in zip(layout.heads, layout.ranges, strict=True):
            parts += (head, file.content[item.first : item.last + 1])
        return [b"".join((*parts, layout.end))]


def _status_of(error: OSError) -> int:
    """Return the status that tells the client of *error*: the one place where errors of the system
    become HTTP.
    """
    if isinstance(error, RootLostError):
        return 503
    # Without an errno it is one of ours: nothing to be served there, or a file that would not keep
    # still.
    number = error.errno or (errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EAGAIN)
    if number in _MISSING:
        return 404
    # The rest (EMFILE, ENFILE, EIO, ESTALE, ...) says nothing of the file: the client may come
    # again.
    return 403 if number in _FORBIDDEN else 503


def _page_fields(media_type: str, size: int, cache_control: str) -> Fields:
    return [
        ("Content-Type", media_type),
        ("Content-Length", str(size)),
        ("Cache-Control", cache_control),
        ("X-Content-Type-Options", "nosniff"),
    ]


def _page(status: int, cache_control: str, *more: tuple[str, str]) -> _Answer:
    content = page(status)
    return _Answer(
        status,
        [*_page_fields("text/html; charset=utf-8", len(content), cache_control), *more],
        [content],
    )


def _error(status: int, *more: tuple[str, str]) -> _Answer:
    return _page(status, "no-store", *more)
