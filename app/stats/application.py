"""The WSGI application below the prefix: from an address to a handler, and its answer.

A request for the prefix without its slash is redirected to the one with it. All references in the
answers are relative, so that they hold behind a proxy that puts the prefix elsewhere.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

from ..counters.contract import CounterError
from ..request_note import NOTE, RequestNote
from ..stats_tokens import Tokens
from .access import Access, Scope
from .answers import REASONS, Answer, Environ, RefusedError, answer, plain, problem, redirect
from .api import Api
from .badges import Badges
from .kept import KeptAnswers
from .parameters import Parameters, read_query

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..counters.reading import CountReader
    from ..host_figures import HostFigures
    from .metrics import Metrics
    from .page import Pages

_log = logging.getLogger("tally.stats")

#: How a refusal is put into words.
Wording: TypeAlias = Literal["page", "problem", "text"]
Handler: TypeAlias = Callable[[Parameters, Environ], Answer]

_LONGEST_FORM = 1024
_RETRY = ("Retry-After", "5")
_IMMUTABLE = "public, max-age=31536000, immutable"
#: What the addresses take. Empty values are as good as none.
_SITE = ("period", "class", "q", "order", "after", "limit", "from", "to")
_FILE = ("path", "period", "from", "to")
_DIRECTORY = ("path", "period", "class", "order", "after", "limit", "from", "to")
_BADGE = ("path", "number", "period", "label", "short")
_LIST = ("period", "order", "match", "class", "after", "limit", "format", "excel")


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """What the operator chose."""

    prefix: str  # with a slash at both ends
    tokens: Tokens
    is_public: bool = False
    #: The counts outlive the server.
    is_lasting: bool = False
    badges: tuple[str, ...] = ()
    metrics_files: int = 1000
    metrics_match: str = ""
    store: str = "memory"
    #: Names the list by which clients are told apart, and its version.
    classes_by: Callable[[], str] = str


class Host(NamedTuple):
    """What is asked of the host that serves, rather than of the store."""

    figures: "Callable[[], HostFigures]"
    #: How many accesses wait here for the store.
    pending: Callable[[], int]
    #: Why no more clients should come here, in a line, or None.
    problem: Callable[[], str | None]


class Route(NamedTuple):
    """What answers an address, for whom, with which parameters."""

    scope: Scope
    wording: Wording
    allowed: tuple[str, ...]
    handler: Handler


class StatsApplication:
    """Answers below the prefix. Safe from any thread.

    *reader* returns the counts, or raises CounterError while there are none.
    """

    def __init__(
        self,
        options: StatsOptions,
        reader: "Callable[[], CountReader]",
        host: Host,
    ) -> None:
        self._options = options
        self._prefix = options.prefix
        self._reader = reader
        self._pages: Pages | None = None
        self._access = Access(options.tokens, prefix=options.prefix, is_public=options.is_public)
        self._host = host
        self._metrics: Metrics | None = None
        self._kept = KeptAnswers(reader)
        # Badges are for everybody: what is kept for them must not take the place of the others.
        self._badges = badges = Badges(KeptAnswers(reader), options.badges)
        api = Api(reader, self._kept)
        self._routes: dict[str, Route] = {
            "": Route("read", "page", _SITE, lambda *asked: self._page().site(*asked)),
            "file": Route("read", "page", _FILE, lambda *asked: self._page().file(*asked)),
            "dir": Route("read", "page", _DIRECTORY, lambda *asked: self._page().directory(*asked)),
            "health": Route("everybody", "text", (), self._health),
            "api/v1/totals": Route("read", "problem", (), api.totals),
            "api/v1/files": Route("read", "problem", _LIST, api.files),
            "api/v1/file": Route(
                "read", "problem", ("path", "period", "format", "excel"), api.file
            ),
            "api/v1/series": Route(
                "read", "problem", ("path", "period", "unit", "format", "excel"), api.series
            ),
            "api/v1/directory": Route("read", "problem", ("path",), api.directory),
            "api/v1/live": Route("read", "problem", ("since", "path"), api.live),
            "badge.svg": Route("everybody", "text", _BADGE, badges.svg),
            "badge.json": Route("everybody", "problem", _BADGE, badges.json),
            "metrics": Route("metrics", "text", (), lambda *asked: self._measures().host(*asked)),
            "metrics/files": Route(
                "metrics", "text", (), lambda *asked: self._measures().files(*asked)
            ),
            "api/v1/openapi.json": Route("read", "problem", (), api.description),
        }
        if not options.is_public:  # what anybody may ask for is not shown to everybody
            self._routes["api/v1/missed"] = Route("read", "problem", (), api.missed)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        address = environ["PATH_INFO"].removeprefix(self._prefix)
        if address == "health":
            environ[NOTE] = RequestNote(is_told=False)
        elif "token" in unquote_plus(environ.get("QUERY_STRING", "")):
            environ[NOTE] = RequestNote(target=_without_query(environ))
        found = self._answer(environ, address)
        fields = [("Content-Length", str(len(found.body))), *found.fields]
        if found.status == 304:
            del fields[0]
        start_response(f"{found.status} {REASONS[found.status]}", fields)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [found.body]

    def _answer(self, environ: "WSGIEnvironment", address: str) -> Answer:
        wording: Wording = "problem" if address.startswith("api/") else "page"
        try:
            if environ["PATH_INFO"] + "/" == self._prefix:
                return self._with_slash(environ)
            if address == "enter":
                return self._enter(environ)
            if address == "leave":
                return self._leave(environ)
            if address.startswith("static/"):
                return self._static(environ, address.removeprefix("static/"))
            route = self._routes.get(address)
            if route is None:
                raise RefusedError(404, "There is nothing here.")
            wording = route.wording
            return self._answer_from(route, environ)
        except RefusedError as refusal:
            return self._refuse(refusal, wording)
        except CounterError as error:
            return self._refuse(RefusedError(503, str(error), _RETRY), wording)

    def _answer_from(self, route: Route, environ: "WSGIEnvironment") -> Answer:
        # Only holders of a token learn which methods there are.
        self._access.check(environ, route.scope)
        _demand(environ, "GET", "HEAD")
        parameters = Parameters(environ.get("QUERY_STRING", ""), route.allowed)
        return route.handler(parameters, environ)

    def _refuse(self, refusal: RefusedError, wording: Wording) -> Answer:
        if wording == "problem":
            return problem(refusal)
        # Without tokens, or as text, no template is needed, and its library is not loaded.
        if wording == "text" or not (self._access.has_tokens or self._options.is_public):
            return plain(refusal)
        from .page import refusal_page

        return refusal_page(refusal, REASONS[refusal.status], root="../" * self._depth)

    @property
    def _depth(self) -> int:
        return self._prefix.count("/") - 1

    def _page(self) -> "Pages":
        # Loaded with the first page: the library for templates takes as long as half a start.
        from .page import Pages

        if self._pages is None:
            self._pages = Pages(
                self._kept,
                is_lasting=self._options.is_lasting,
                root="../" * self._depth,
                has_session=self._access.has_tokens,
                shows_badge=self._badges.shows,
                shows_missed=not self._options.is_public,
                store=self._options.store,
                workers=lambda: len(self._host.figures().processes),
                classes_by=self._options.classes_by(),
            )
        return self._pages

    def _measures(self) -> "Metrics":
        from .metrics import Metrics

        if self._metrics is None:
            self._metrics = Metrics(
                self._reader,
                self._host,
                most_files=self._options.metrics_files,
                match=self._options.metrics_match,
                store=self._options.store,
            )
        return self._metrics

    def _static(self, environ: "WSGIEnvironment", name: str) -> Answer:
        from .templating import assets

        asset = assets().get(name)
        if asset is None:
            raise RefusedError(404, "There is nothing here.")
        _demand(environ, "GET", "HEAD")
        found = answer(asset.media_type, asset.content)
        kept = [field for field in found.fields if field[0] != "Cache-Control"]
        return found._replace(fields=[*kept, ("Cache-Control", _IMMUTABLE)])

    def _with_slash(self, environ: "WSGIEnvironment") -> Answer:
        _demand(environ, "GET", "HEAD")
        last = self._prefix.rstrip("/").rpartition("/")[2]
        return redirect(301, f"./{last}/")

    # Sessions

    def _enter(self, environ: "WSGIEnvironment") -> Answer:
        _demand(environ, "GET", "HEAD", "POST")
        is_form = environ["REQUEST_METHOD"] == "POST"
        query = _form(environ) if is_form else environ.get("QUERY_STRING", "")
        cookie = self._access.enter(environ, read_query(query).get("token", ""))
        return redirect(303, "./", cookie)

    def _leave(self, environ: "WSGIEnvironment") -> Answer:
        _demand(environ, "POST")
        return redirect(303, "./", self._access.leave(environ))

    def _health(self, _parameters: Parameters, _environ: Environ) -> Answer:
        if found := self._host.problem():
            _log.debug("not healthy: %s", found)
            raise RefusedError(503, "Not ready.", _RETRY)
        return answer("text/plain; charset=utf-8", b"ok\n")


def _demand(environ: "WSGIEnvironment", *methods: str) -> None:
    if environ["REQUEST_METHOD"] not in methods:
        raise RefusedError(405, "There is no such method here.", ("Allow", ", ".join(methods)))


def _without_query(environ: "WSGIEnvironment") -> str:
    """Return the request's target without what would open the statistics to readers of a log."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI") or environ["PATH_INFO"]
    return f"{target.partition('?')[0]}?token=-"


def _form(environ: "WSGIEnvironment") -> str:
    """Return a short form's body, as QUERY_STRING has it. Raises RefusedError."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit() and len(length) < 10):
        raise RefusedError(400, "The form has no length.")
    if int(length) > _LONGEST_FORM:
        raise RefusedError(413, "The form is too long.")
    body: bytes = environ["wsgi.input"].read(int(length))
    return body.decode("latin-1")
