"""Assembles the application: the files under a root, a counter, the count log, the statistics.

Importing this module opens nothing and starts no thread. Counter and log are opened by the first
request in each process, or by `Application.open`, so that a server may import the module before it
forks (`gunicorn --preload`). They are closed at the end of the process, or by `Application.close`.
"""

import atexit
import os
from collections.abc import Iterable
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING

from . import failure_log, files, host_figures
from .client_address import shown_address
from .clients import Classifier, Networks, list_version
from .counters import CounterError, CountLog, open_counter
from .counters.missed import MissedNames
from .counters.open_counter import open_store
from .counters.retrying import DeferredCounter
from .files import FileApplication
from .files.names import Visibility
from .files.policy import Policy
from .line_log import tell
from .settings import Settings
from .stats_tokens import TokenError, Tokens, given_tokens, new_token

__all__ = [
    "Application",
    "CounterError",
    "Settings",
    "app",
    "make_app",
    "new_token_for",
    "place_of_counts",
    "private_counts",
    "root_problem",
    "start_problem",
]

_EACH_FOR_ITSELF = (
    "tally: several processes serve and each counts for itself; TALLY_COUNTS=lmdb:DIR lets them"
    " count together"
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .counters.lmdb.private_directory import PrivateDirectory
    from .counters.reading import CountingStore
    from .files.accounts import CountLine
    from .stats.application import StatsApplication


class Application:
    """The files under one root, counted, and the statistics of their counts.

    Safe from any thread; to be opened after a fork, not before. *token* opens the statistics where
    the settings and the environment have none.
    """

    def __init__(self, settings: Settings, token: str = "") -> None:
        self._settings = settings
        self._made_token = token
        self._tokens = Tokens()
        self._lock = Lock()
        self._files: FileApplication | None = None
        #: What answers for files: the bound method of `_files`, once they are open.
        self._serve: WSGIApplication = self._open_and_serve
        self._statistics: StatsApplication | None = None
        self._counter: CountingStore | DeferredCounter | None = None
        self._missed: MissedNames | None = None
        self._log = _count_log(settings)
        #: Of the statistics; "" when they are off.
        self._prefix = settings.stats.removesuffix("/")

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if self._prefix and environ.get("PATH_INFO", "").startswith(self._prefix):
            path = environ["PATH_INFO"]
            if path == self._prefix or path.startswith(self._settings.stats):
                return self._stats(environ)(environ, start_response)
        return self._serve(environ, start_response)

    @property
    def answers_together_from(self) -> int:
        """See before_answer.py. Known once it is open."""
        return 0 if self._files is None else self._files.answers_together_from

    def _open_and_serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        files = self.open(is_one_of_several=environ["wsgi.multiprocess"])
        return files(environ, start_response)

    def open(self, *, is_one_of_several: bool = False, notes: bool = False) -> FileApplication:
        """Open the counter now rather than at the first request.

        With *notes*, the server gets a `RequestNote` of each file; the built-in one's access log
        does whenever its format says something of it. When the counter does not open, files are
        served all the same: one line says so, and counting begins when the counter opens.
        """
        with self._lock:
            if self._files is None:
                settings = self._settings
                counts = _counts(settings)
                # The combined format has no place for what is noted.
                notes |= bool(settings.access_logfile) and settings.access_logformat != "combined"
                if is_one_of_several and not counts:
                    tell(_EACH_FOR_ITSELF)
                self._counter = _counter(counts, settings)
                self._tokens = _tokens(settings, self._made_token)
                # Only the owner sees what others asked for: it may be anything.
                if self._prefix and self._tokens.read and not settings.stats_public:
                    self._missed = MissedNames(self.counts)
                atexit.register(self.close)
                self._files = FileApplication(
                    settings.root,
                    counter=self._counter,
                    count_line=_count_line(self._log, settings),
                    classifier=_classifier(settings),
                    download_bytes=settings.download_bytes if settings.clients else None,
                    policy=_policy(settings),
                    indexes=settings.index,
                    spa=settings.spa or "",
                    lists=settings.listing,
                    visible=Visibility(settings.dotfiles, settings.follow_symlinks),
                    coded=not settings.no_compression,
                    count_header=settings.count_header,
                    missed=None if self._missed is None else self._missed.add,
                    notes=notes,
                )
                self._serve = self._files.__call__
            return self._files

    def _stats(self, environ: "WSGIEnvironment") -> "StatsApplication":
        if self._statistics is None:
            self.open(is_one_of_several=environ["wsgi.multiprocess"])
            # Few servers are asked for them, so they are loaded when the first is.
            from .stats.application import Host, StatsApplication, StatsOptions

            settings = self._settings
            options = StatsOptions(
                prefix=settings.stats,
                tokens=self._tokens,
                is_public=settings.stats_public,
                is_lasting=_is_lasting(_counts(settings)),
                badges=settings.badge,
                metrics_files=settings.metrics_files,
                metrics_match=settings.metrics_match,
                store=_kind_of_store(_counts(settings)),
                classes_by=list_version,
            )
            # Two first requests at once make two; the one that stays does not matter.
            host = Host(host_figures.figures, self._pending, self._problem)
            self._statistics = StatsApplication(options, self.counts, host)
        return self._statistics

    def _pending(self) -> int:
        counter = self._counter
        return 0 if counter is None else counter.pending()

    def _problem(self) -> str | None:
        """Return in a line why no more clients should come here, or None."""
        if host_figures.is_stopping():
            return "the server stops"
        if problem := root_problem(self._settings):
            return problem
        if self._counter is not None and not self._counter.is_counting():
            return "accesses are not counted"
        return None

    def counts(self) -> "CountingStore":
        """Return what the counts can be read with. Raises CounterError while they cannot."""
        counter = self._counter
        if counter is None:
            raise CounterError("counts: nothing is counted yet")
        return counter.opened() if isinstance(counter, DeferredCounter) else counter

    def farewell(self) -> str:
        """Close, and return in a line what was counted; "" when nothing was or it cannot be read.

        To be called when no request runs any more, also in a process that only had workers.
        """
        counts = _counts(self._settings)
        try:
            if self._counter is not None:
                totals = self.counts().totals()
            elif counts.startswith("memory"):
                return ""
            else:
                with closing(open_store(counts, create=False)) as store:
                    totals = store.totals()
        except CounterError:
            return ""
        finally:
            self.close()
        if not totals.tally.accesses:
            return ""
        accesses = f"{totals.tally.accesses:,} access{'' if totals.tally.accesses == 1 else 'es'}"
        files = f"{totals.files:,} file{'' if totals.files == 1 else 's'}"
        if _is_lasting(counts):
            return f"Counted so far: {accesses} of {files}."
        return f"Served {accesses} of {files}."

    def reopen(self) -> None:
        """Go on in a new count log of the same name, after it was renamed.

        Safe in a signal handler.
        """
        self._log.reopen()

    def close(self) -> None:
        """Write down what is still held.

        To be called when no request runs any more; again does nothing.
        """
        atexit.unregister(self.close)
        if self._missed is not None:
            self._missed.close()
        if self._counter is not None:
            self._counter.close()
        self._log.close()


def make_app(settings: Settings, token: str = "") -> Application:
    """Return the application for *settings*; nothing is opened yet. See `Application`."""
    return Application(settings, token)


def root_problem(settings: Settings) -> str | None:
    """Return in one line why nothing can be served from the root, or None."""
    return files.root_problem(settings.root)


def start_problem(settings: Settings) -> str | None:
    """Return in one line why the application cannot start (root, counter, count log), or None.

    Opens and closes the counter: to be called before a fork, or before the application is opened.
    """
    if problem := root_problem(settings):
        return problem
    try:
        open_counter(
            settings.counts, journal=settings.counts_journal, keep_days=settings.keep_days or None
        ).close()
    except CounterError as error:
        return str(error)
    try:
        given_tokens(settings.stats_token_file, os.environ)
    except TokenError as error:
        return str(error)
    hidden = settings.root.rstrip("/") + settings.stats.removesuffix("/")
    if settings.stats and os.path.lexists(hidden):
        tell(f"tally: the statistics hide {hidden}; --stats PATH puts them elsewhere")
    log = _count_log(settings)
    try:
        log.check()
    except OSError as error:
        return f"{log.target}: {error.strerror}"
    finally:
        log.close()
    return None


def place_of_counts(settings: Settings) -> str:
    """Return in words where the counts are kept, without a user's name or password."""
    counts = _counts(settings)
    if not _is_lasting(counts):
        return "the counts end with the server (--counts lmdb:DIR keeps them)"
    scheme, _, place = counts.partition(":")
    if scheme == "lmdb":
        return f"counts are kept in {place}"
    return f"counts are kept in {scheme}://{place.partition('?')[0].rpartition('@')[2].lstrip('/')}"


def private_counts(owner: tuple[int, int] | None = None, *, joined: str = "") -> "PrivateDirectory":
    """Hold a new directory where several processes count together, or *joined*, another master's.

    *owner* is the user and group of those that count in it, where root makes it for others. Raises
    CounterError.
    """
    from .counters.lmdb.private_directory import PrivateDirectory

    return PrivateDirectory.join(joined) if joined else PrivateDirectory.make(owner)


def new_token_for(settings: Settings) -> str:
    """Return a new token for the statistics, "" when the operator gave tokens or wants none."""
    if settings.stats_public or given_tokens(settings.stats_token_file, os.environ):
        return ""
    return new_token()


def _counts(settings: Settings) -> str:
    # With `gunicorn --preload`, gunicorn.conf.py names the workers' directory after this module was
    # read.
    return settings.counts or os.environ.get("TALLY_COUNTS", "")


def _kind_of_store(counts: str) -> str:
    scheme = counts.partition(":")[0] or "memory"
    return "redis" if scheme in ("rediss", "unix") else scheme


def _is_lasting(counts: str) -> bool:
    scheme, _, place = counts.partition(":")
    if scheme != "lmdb":
        return scheme not in ("", "memory")
    from .counters.lmdb.private_directory import is_private

    return not is_private(place)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_age=settings.max_age,
        immutable=settings.immutable,
        headers=settings.header,
        cors=settings.cors or "",
        download=settings.download,
        media_types=dict(settings.mime),
        charset=settings.charset,
    )


def _classifier(settings: Settings) -> Classifier:
    return Classifier(own=Networks(settings.own), more_robots=settings.robots)


def _count_line(log: CountLog, settings: Settings) -> "CountLine | None":
    if not log.enabled:
        return None
    shown = settings.log_clients
    if shown == "full":
        return log.write

    def write(path: str, address: str, port: str, number: int | None) -> None:
        log.write(path, shown_address(address, shown), port if shown == "network" else "0", number)

    return write


def _tokens(settings: Settings, made: str) -> Tokens:
    try:
        given = given_tokens(settings.stats_token_file, os.environ)
    except TokenError as error:
        tell(f"tally: {error}; the statistics stay closed")
        return Tokens()
    return given or Tokens(read=(made,) if made else ())


def _counter(counts: str, settings: Settings) -> "CountingStore | DeferredCounter":
    def open_store() -> "CountingStore":
        return open_counter(
            counts, journal=settings.counts_journal, keep_days=settings.keep_days or None
        )

    try:
        return open_store()
    except CounterError as error:
        return DeferredCounter(open_store, error)


def _count_log(settings: Settings) -> CountLog:
    return CountLog("off" if settings.quiet else settings.count_log)


failure_log.install()
app = make_app(Settings.from_environment())
