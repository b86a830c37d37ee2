"""The WSGI application: find the file, decide what to answer, count, answer.

It is decided step by step: method, file, content coding, preconditions, range. Most requests are
for a file that is at hand (`_held_answer`), and most of the answers are ready: a held file has its
own (`StaticFile`). An access is counted before its answer leaves, so a client that has its answer
has been counted.

Nothing is known here of sockets, parsing or framing; OS errors become HTTP statuses in `_status_of`
alone.
"""

import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from time import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..clients import Classifier
from ..clock import date_header
from ..counters.contract import Counter, Kind
from .accounts import Accounts, CountLine, kind_of_range
from .answer import Answer, error, page_answer, page_fields
from .catalog import ATTEMPTS, HELD_TOTAL, Catalog, FileReplacedError, SlashMissingError
from .codings import IDENTITY
from .conditional import Outcome, evaluate, has_preconditions, if_range
from .document_root import RootLostError
from .file_slice import BLOCK, FileSlice, MultipartBody
from .forms import Forms
from .names import DEFAULT_VISIBILITY, Visibility
from .pages import STATUS_LINES
from .policy import Fields, Policy, with_field
from .ranges import Multipart, UnsatisfiableRangeError, multipart, plain_range, select_ranges
from .static_file import StaticFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger("tally.files")

# Looked up for every answer; a member of an enumeration is ten times as far away.
_NOT_MODIFIED, _FAILED = Outcome.NOT_MODIFIED, Outcome.FAILED

#: For answers that leave no counts to be made together. To make all that are asked for at the
#: moment and then to send them takes a tenth less time than to do both for one after the other.
#: With few clients, the next requests would not come meanwhile, and the process would sleep.
_ANSWERS_TOGETHER_FROM = 24

_METHODS = ("GET", "HEAD")
_ALLOW = ("Allow", "GET, HEAD, OPTIONS")
_NOT_FOUND_PAGE = b"404.html"
#: The fields that tell a navigation from other requests.
_NAVIGATION = "Accept, Sec-Fetch-Mode"
_RETRY_AFTER = "5"
_ENCODED_SLASH = "%2F"
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


class FileApplication:
    """Serves the files below *root* as a WSGI application. Safe from any thread.

    *counter* counts every answer. *count_line* is called for every access with the file's key, the
    client's address and port, and the access's number (None when it is not known yet).
    *classifier*, *download_bytes* and *count_header* are those of `accounts.Accounts`. *indexes*
    are the names of files that stand for their directory, the first that exists; *spa* is the name
    of the file that browsers get where there is none. With *lists*, directories without an index
    are listed. With *coded*, text goes out compressed to clients that accept it: from siblings such
    as `style.css.gz`, or compressed here. *missed* is called with the path of each 404.
    """

    def __init__(
        self,
        root: str,
        *,
        counter: Counter,
        count_line: CountLine | None = None,
        classifier: Classifier | None = None,
        download_bytes: int | None = None,
        policy: Policy | None = None,
        indexes: Sequence[str] = ("index.html",),
        spa: str = "",
        lists: bool = False,
        coded: bool = True,
        count_header: bool = False,
        notes: bool = False,
        held_total: int = HELD_TOTAL,
        visible: Visibility = DEFAULT_VISIBILITY,
        missed: Callable[[str], None] | None = None,
    ) -> None:
        self._policy = policy or Policy()
        self._spa = spa
        self._lists = lists
        self._catalog = Catalog(
            root,
            indexes=indexes,
            policy=self._policy,
            coded=coded,
            held_total=held_total,
            visible=visible,
        )
        self._forms = Forms(self._catalog)
        self._counter = counter
        self._missed = missed
        self._accounts = Accounts(
            counter,
            classifier=classifier,
            count_line=count_line,
            download_bytes=download_bytes,
            count_header=count_header,
            notes=notes,
        )
        #: See before_answer.py.
        self.answers_together_from = (
            counter.pays_together_from if self._accounts.leaves_counts else _ANSWERS_TOGETHER_FROM
        )
        self._warned = ""  # the Date of the last warning

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        date = date_header()
        method = environ["REQUEST_METHOD"]
        answer = self._held_answer(environ, method, date) if method in _METHODS else None
        if answer is None:
            answer = self._answer(environ, method)
            date = date_header()
        status, kind = answer.status, answer.kind
        fields = [*answer.fields, ("Date", date)]
        if kind is not None:
            self._accounts.count(environ, answer, fields)
        elif self._policy.has_rules:
            fields = self._policy.fields_without_file(
                _name_in(environ), fields, is_error=status >= 400
            )
        if kind is None or kind == "head":  # the other kinds tell their status
            self._accounts.answered(environ, status)
            if status == 404 and self._missed is not None:
                self._missed(environ.get("PATH_INFO", ""))
        start_response(STATUS_LINES[status], fields)
        return () if method == "HEAD" else answer.body

    def _held_answer(self, environ: "WSGIEnvironment", method: str, date: str) -> Answer | None:
        """Return the answer to a GET or HEAD when the file is at hand: no look-up is needed."""
        file = self._catalog.held(environ.get("PATH_INFO", ""), date)
        if file is None:
            return None
        try:
            if file.is_compressible and (accepted := environ.get("HTTP_ACCEPT_ENCODING")):
                file = self._forms.preferred(file, accepted, environ.get("HTTP_IF_NONE_MATCH", ""))
            return None if file is None else self._answer_with(file, environ, method)
        except (FileReplacedError, OSError):
            return None

    def _answer(self, environ: "WSGIEnvironment", method: str) -> Answer:
        if method == "OPTIONS":
            return Answer(204, [_ALLOW, *self._preflight(environ)], [])
        if method not in _METHODS:
            return error(405, _ALLOW)
        url_path = environ.get("PATH_INFO", "") or ("" if environ.get("SCRIPT_NAME") else "/")
        for _ in range(ATTEMPTS):
            try:
                return self._attempt(environ, url_path, method)
            except FileReplacedError:
                continue
        return self._failure(environ, url_path, BlockingIOError(url_path))

    def _attempt(self, environ: "WSGIEnvironment", url_path: str, method: str) -> Answer:
        try:
            return self._answer_from_file(environ, url_path, method)
        except SlashMissingError:
            return self._redirect(environ, url_path)
        except OSError as problem:
            return self._failure(environ, url_path, problem)

    def _preflight(self, environ: "WSGIEnvironment") -> Fields:
        """Return what a browser wants to know before it asks for another site's file."""
        if not self._policy.cors or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ:
            return []
        return self._policy.preflight(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))

    def _answer_from_file(self, environ: "WSGIEnvironment", url_path: str, method: str) -> Answer:
        if not url_path:
            self._catalog.find("/")
            raise SlashMissingError
        file: StaticFile | None = self._catalog.find(url_path)
        assert file is not None
        vary = file.vary
        if file.is_compressible:
            file = self._forms.preferred(
                file,
                environ.get("HTTP_ACCEPT_ENCODING", ""),
                environ.get("HTTP_IF_NONE_MATCH", ""),
            )
        return error(406, *vary) if file is None else self._answer_with(file, environ, method)

    def _redirect(self, environ: "WSGIEnvironment", url_path: str) -> Answer:
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
        return page_answer(301, self._policy.cache_control, ("Location", location))

    def _failure(self, environ: "WSGIEnvironment", url_path: str, problem: OSError) -> Answer:
        status = _status_of(problem)
        if status == 503:
            if not isinstance(problem, RootLostError):
                self._warn(problem)
            return error(503, ("Retry-After", _RETRY_AFTER))
        return self._not_found(environ, url_path) if status == 404 else error(status)

    def _warn(self, problem: OSError) -> None:
        # When descriptors run out every request fails, so one line a second is written.
        date = date_header()
        if date != self._warned:
            self._warned = date
            _log.warning(
                "a file cannot be opened: %s", problem.strerror or "it is being written to"
            )

    def _not_found(self, environ: "WSGIEnvironment", url_path: str) -> Answer:
        """Answer for an address without a file: see `_instead`; or with the nearest 404.html."""
        if answer := self._instead(environ, url_path):
            return answer
        path = self._catalog.nearest(_NOT_FOUND_PAGE, url_path)
        if path is None:
            return error(404)
        try:
            file = self._catalog.find(path)
            is_head = environ["REQUEST_METHOD"] == "HEAD"
            body = () if is_head else self._body(file, {}, 0, file.size - 1)[0]
        except (OSError, SlashMissingError, FileReplacedError):
            return error(404)
        return Answer(404, page_fields(file.media_type, file.size, "no-store"), body)

    def _instead(self, environ: "WSGIEnvironment", url_path: str) -> Answer | None:
        """Return a listing, or the one page for all addresses. Raises FileReplacedError."""
        if self._lists and (answer := self._listing(environ, url_path)):
            return answer
        if not (self._spa and _is_navigation(environ)):
            return None
        try:
            answer = self._answer_from_file(environ, "/" + self._spa, environ["REQUEST_METHOD"])
        except (OSError, SlashMissingError):
            return None
        return answer.with_fields(with_field(answer.fields, "Vary", _NAVIGATION))

    def _listing(self, environ: "WSGIEnvironment", url_path: str) -> Answer | None:
        """Return the listing of the directory at *url_path*; None when there is none to be seen."""
        try:
            directory = self._catalog.directory(url_path or "/")
        except OSError as problem:
            missing = _status_of(problem) == 404
            return None if missing else self._failure(environ, url_path, problem)
        # Few sites list anything, so this is loaded with the first listing.
        from .listing import Query, listing

        with directory:
            if not url_path.endswith("/"):
                return self._redirect(environ, url_path)
            query = Query.of(environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT", ""))
            fields, body = listing(directory, query, self._counter.accesses)
        outcome = evaluate(environ, dict(fields)["ETag"], None, time())
        if outcome is Outcome.FAILED:
            return error(412)
        if outcome is Outcome.NOT_MODIFIED:
            kept = [(name, value) for name, value in fields if not name.startswith("Content-")]
            return Answer(304, kept, [])
        return Answer(200, fields, [body])

    def _answer_with(self, file: StaticFile, environ: "WSGIEnvironment", method: str) -> Answer:
        """Return the answer about *file*. Raises FileReplacedError and OSError."""
        if has_preconditions(environ):
            outcome = evaluate(environ, file.etag, file.modified, time())
            if outcome is _NOT_MODIFIED:
                answer = file.not_modified or file.make_not_modified()
                if method == "HEAD":
                    return Answer(304, answer.fields, (), file.key, file.size, "head")
                return answer
            if outcome is _FAILED:
                return error(412, *file.vary)
        if method == "HEAD":
            # Range is for GET alone (RFC 9110 section 14.2).
            return Answer(200, file.fields, (), file.key, file.size, "head")
        if "HTTP_RANGE" in environ:
            condition = environ.get("HTTP_IF_RANGE")
            if condition is None or if_range(condition, file.etag, file.modified, time()):
                return self._ranged(file, environ)
        return file.whole or self._whole(file, environ)

    def _whole(self, file: StaticFile, environ: "WSGIEnvironment") -> Answer:
        body, source = self._body(file, environ, 0, file.size - 1)
        return Answer(200, file.fields, body, file.key, file.size, "full", True, 0, source)

    def _ranged(self, file: StaticFile, environ: "WSGIEnvironment") -> Answer:
        text = environ["HTTP_RANGE"]
        if plain := plain_range(text, file.size):
            first, last = plain
            return self._one_range(file, environ, first, last)
        try:
            ranges = select_ranges(text, file.size)
        except UnsatisfiableRangeError:
            unsatisfied = ("Content-Range", f"bytes */{file.size}")
            return error(416, unsatisfied, ("Accept-Ranges", "bytes"), *file.vary)
        if ranges is not None and len(ranges) == 1:
            return self._one_range(file, environ, *ranges[0])
        # Of a coded form, Content-Encoding would seem to be the multipart body's: it has none.
        layout = None
        if ranges is not None and file.coding == IDENTITY:
            # The boundary cannot be foreseen, so that no file can contain it on purpose.
            layout = multipart(ranges, file.size, file.media_type, os.urandom(16).hex())
        if layout is None:
            return file.whole or self._whole(file, environ)
        return self._several_ranges(file, layout)

    def _several_ranges(self, file: StaticFile, layout: Multipart) -> Answer:
        fields = [
            ("Content-Type", layout.media_type),
            ("Content-Length", str(layout.length)),
            *file.fields[2:],  # all but the file's own Content-Type and Content-Length
        ]
        kind: Kind = "partial" if any(item.first == 0 for item in layout.ranges) else "resumed"
        about = (file.key, file.size, kind, False)
        if file.content is None:
            whole = self._catalog.open(file, 0, file.size - 1)
            source = MultipartBody(layout, whole)
            return Answer(206, fields, source, *about, 0, source)
        content = layout.filled(file.content)
        return Answer(206, fields, (content,), *about, len(content))

    def _one_range(
        self, file: StaticFile, environ: "WSGIEnvironment", first: int, last: int
    ) -> Answer:
        size = file.size
        length = last - first + 1
        # What differs from part to part comes last: servers may remember how a head begins.
        fields = [
            *(file.part_fields or file.make_part_fields()),
            ("Content-Length", str(length)),
            ("Content-Range", f"bytes {first}-{last}/{size}"),
        ]
        kind = kind_of_range(first, last, size)
        completes = last == size - 1 and (first == 0 or kind == "resumed")
        body, source = self._body(file, environ, first, last)
        in_memory = length if source is None else 0
        return Answer(206, fields, body, file.key, size, kind, completes, in_memory, source)

    def _body(
        self, file: StaticFile, environ: "WSGIEnvironment", first: int, last: int
    ) -> tuple[Iterable[bytes], FileSlice | None]:
        """Return a body, and what it is read from while it is sent, if it is not in memory."""
        if file.content is not None:
            return (file.content[first : last + 1],), None
        if last - first < BLOCK:
            # To read it now costs less than to have it sent, and its end counted, afterwards.
            return (self._catalog.part(file, first, last + 1 - first),), None
        wrapper = environ.get("wsgi.file_wrapper")
        shares = getattr(wrapper, "sends_spans", False)
        piece = self._catalog.open(file, first, last, shares=shares)
        return (piece if wrapper is None else wrapper(piece, BLOCK)), piece


def _name_in(environ: "WSGIEnvironment") -> bytes:
    return str(environ.get("PATH_INFO", "")).lstrip("/").encode("latin-1", "replace")


def _is_navigation(environ: "WSGIEnvironment") -> bool:
    """Return whether somebody opens an address in a browser, rather than a page asking for data."""
    mode = environ.get("HTTP_SEC_FETCH_MODE", "navigate")
    return mode == "navigate" and "text/html" in environ.get("HTTP_ACCEPT", "")


def _status_of(problem: OSError) -> int:
    """Return the status that tells the client of *problem*.

    It is the one place where errors of the system become HTTP.
    """
    if isinstance(problem, RootLostError):
        return 503
    # Without an errno it is one of ours: nothing to be served there, or a file that would not keep
    # still.
    number = problem.errno or (
        errno.ENOENT if isinstance(problem, FileNotFoundError) else errno.EAGAIN
    )
    if number in _MISSING:
        return 404
    # The rest (EMFILE, ENFILE, EIO, ESTALE, ...) says nothing of the file: the client may come
    # again.
    return 403 if number in _FORBIDDEN else 503
