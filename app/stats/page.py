"""The page for people: the site, one file, one directory.

Its whole state is in the address, so it works without script, can be sent on, and each control is
a link or a form. The script does nothing but keep the numbers up to date.
"""

from collections.abc import Callable
from glob import escape as escape_pattern
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ..counters.contract import CLASSES, KINDS
from ..counters.periods import SECONDS_PER_DAY, Period, Unit, day_number
from ..counters.reading import ClientDays, Ranking, Series, Totals
from .answers import Answer, Environ, RefusedError, answer, redirect
from .charts import chart, spark
from .kept import KeptAnswers
from .parameters import LAST_HOURS, Parameters
from .templating import encoded, rendered

_HTML = "text/html; charset=utf-8"
_DEFAULT_PERIOD = "30d"
_PERIODS = (
    (LAST_HOURS, "24 hours"),
    ("today", "Today"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("90d", "90 days"),
    ("year", "Year"),
    ("all", "All"),
)
_MOST_MISSED = 10
_ROWS = 50
_MOST_DAYS_BY_HOUR = 7
_MEANINGS = {
    "full": "The whole file was asked for, and sent.",
    "partial": "A part that begins with the first byte: how players and download tools begin.",
    "not_modified": "The client showed that it has this very version; nothing had to be sent.",
    "resumed": "A part from further on: the rest of a download. It is no access of its own.",
    "probe": "One or two bytes, by which players find out whether parts can be had. No access.",
    "head": "The fields alone, without the file. No access.",
}


class Shown(NamedTuple):
    """What the address asks to see."""

    period: Period | None
    #: Of the curve: the same, or for `all` from the first access on.
    span: Period
    unit: Unit


class Listed(NamedTuple):
    """A page of the list of files, drawn."""

    text: str
    is_filled: bool
    as_of: int


class Pages:
    """Makes the pages from the counts that *kept* gives. Safe from any thread.

    Every method may raise RefusedError, and CounterError when there never was an answer.
    *is_lasting* says whether the counts outlive the server, *root* is the reference to the site.
    """

    def __init__(
        self,
        kept: KeptAnswers,
        *,
        is_lasting: bool,
        root: str,
        has_session: bool,
        shows_badge: Callable[[str], bool],
        shows_missed: bool,
        store: str,
        workers: Callable[[], int],
        classes_by: str,
    ) -> None:
        self._workers = workers
        self._shows_missed = shows_missed
        self._shows_badge = shows_badge
        self._kept = kept
        self._fixed = {
            "is_lasting": is_lasting,
            "root": root,
            "has_session": has_session,
            "store": store,
            "classes_by": classes_by,
            "all_classes": CLASSES,
            "meanings": {kind: _MEANINGS[kind] for kind in KINDS},
        }

    def site(self, parameters: Parameters, environ: Environ) -> Answer:
        if moved := _with_dates(parameters):
            return moved
        totals, away = self._kept.ask("totals", lambda reader: reader.totals())
        shown = _shown(parameters, totals, of_site=True)
        classes = parameters.classes()
        series, series_away = self._curve(shown, None)
        listed, list_away = self._listed(parameters, shown, parameters.text("q"))
        assert series is not None
        series = parameters.within_hours(series)
        return self._page(
            "site.html",
            parameters,
            environ,
            missed=self._missed(),
            totals=totals,
            away=away or series_away or list_away,
            chart=chart(series, classes),
            has_accesses=any(tally.accesses for _, tally in series.points),
            whole_class=classes,
            standing=series,
            search=parameters.text("q"),
            order=parameters.order(),
            toggles=_toggles(parameters),
            listed=listed,
        )

    def file(self, parameters: Parameters, environ: Environ) -> Answer:
        if moved := _with_dates(parameters):
            return moved
        path = parameters.path()
        totals, away = self._kept.ask("totals", lambda reader: reader.totals())
        shown = _shown(parameters, totals, of_site=False)
        found, _ = self._kept.share(("file", path), lambda reader: reader.file(path))
        if found is None:
            raise RefusedError(404, "No such file was counted.")
        series, series_away = self._curve(shown, path)
        assert series is not None
        return self._page(
            "file.html",
            parameters,
            environ,
            totals=totals,
            away=away or series_away,
            found=found,
            clients=self._clients(path, shown.span) if found.file.tally["clients"] else None,
            chart=chart(series, None),
            standing=series,
            crumbs=_crumbs(path),
            path=path,
            has_badge=self._shows_badge(path),
            badge=_badge_address(environ, path),
        )

    def directory(self, parameters: Parameters, environ: Environ) -> Answer:
        if moved := _with_dates(parameters):
            return moved
        path = parameters.path(of_directory=True)
        totals, away = self._kept.ask("totals", lambda reader: reader.totals())
        found, _ = self._kept.share(("directory", path), lambda reader: reader.directory(path))
        if not found.files:
            raise RefusedError(404, "No file below this directory was counted.")
        shown = _shown(parameters, totals, of_site=False)
        listed, list_away = self._listed(parameters, shown, escape_pattern(path) + "*")
        return self._page(
            "directory.html",
            parameters,
            environ,
            totals=totals,
            away=away or list_away,
            found=found,
            standing=found,
            crumbs=_crumbs(path),
            path=path,
            listed=listed,
        )

    def _clients(self, path: str, span: Period) -> ClientDays | None:
        found, _ = self._kept.share(("file", path, span), lambda reader: reader.file(path, span))
        return found.file.clients if found else None

    def _curve(self, shown: Shown, path: str | None) -> tuple[Series | None, str]:
        return self._kept.ask(
            ("series", shown.unit, shown.span, path),
            lambda reader: reader.series(shown.unit, shown.span, path),
        )

    def _listed(self, parameters: Parameters, shown: Shown, match: str) -> tuple[Listed, str]:
        """Return the table of files. It is drawn once for as long as its answer is kept."""
        question = (
            parameters.order(),
            shown.period,
            match,
            parameters.text("after"),
            parameters.limit(_ROWS),
            parameters.classes(),
        )
        try:
            return self._kept.share(
                (question, parameters.link()),
                lambda reader: _drawn_list(parameters, reader.ranked(*question)),
            )
        except ValueError as error:
            raise RefusedError(400, str(error)) from None

    def _missed(self) -> list[tuple[str, int]]:
        if not self._shows_missed:
            return []
        found, _ = self._kept.ask("missed", lambda reader: reader.missed())
        return list(found.names.items())[:_MOST_MISSED]

    def _page(
        self, template: str, parameters: Parameters, environ: Environ, **values: Any
    ) -> Answer:
        period = parameters.period_text(_DEFAULT_PERIOD)
        body = rendered(
            template,
            **self._fixed,
            **values,
            workers=self._workers(),
            home=_home(environ),
            host=_host(environ),
            link=parameters.link,
            periods=_PERIODS,
            period=period,
            parameters=parameters.values,
            query=_query,
            reason=_reason,
        )
        return answer(_HTML, encoded(body))


def refusal_page(refusal: RefusedError, title: str, *, root: str) -> Answer:
    """Return a refusal for people; at 401 with a field for the token."""
    asks = refusal.status in (401, 429)
    body = rendered(
        "refusal.html",
        title=title,
        detail=refusal.detail,
        asks=asks,
        status=refusal.status,
        root=root,
    )
    return answer(_HTML, encoded(body), *refusal.fields, status=refusal.status)


def _host(environ: Environ) -> str:
    """Return the name of the site, as the client has it."""
    return str(environ.get("HTTP_HOST") or environ.get("SERVER_NAME", ""))


def _home(environ: Environ) -> str:
    """Return the address of the site, as the client has it."""
    scheme, below = environ.get("wsgi.url_scheme", "http"), environ.get("SCRIPT_NAME", "")
    return f"{scheme}://{_host(environ)}{below}/"


def _badge_address(environ: Environ, path: str) -> str:
    """Return the address of a file's badge, to be put into other pages."""
    prefix = environ["PATH_INFO"].rpartition("/")[0]
    return f"{_home(environ)[:-1]}{prefix}/badge.svg{_query(path=path)}"


def _reason(status: int) -> str:
    """Return what a status is called, "" for one that nobody named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _query(**values: str) -> str:
    """Return a query of *values*, without the empty ones."""
    return "?" + urlencode({name: value for name, value in values.items() if value})


def _with_dates(parameters: Parameters) -> Answer | None:
    """Return the way to the address with a period, when a form gave it as two dates."""
    first, last = parameters.text("from"), parameters.text("to")
    if not (first or last):
        return None
    try:
        ordered = sorted((day_number(first or last), day_number(last or first)))
    except ValueError:
        raise RefusedError(400, "These are not two days such as 2026-11-25.") from None
    period = str(Period(*ordered))
    return redirect(303, parameters.link(**{"from": "", "to": "", "period": period}))


def _shown(parameters: Parameters, totals: Totals, *, of_site: bool) -> Shown:
    period = parameters.period(_DEFAULT_PERIOD)
    today = totals.as_of // SECONDS_PER_DAY
    span = period or Period(totals.first // SECONDS_PER_DAY if totals.first else today, today)
    unit = parameters.unit(span, of_site=of_site, by_hour=_MOST_DAYS_BY_HOUR)
    return Shown(period, span, unit)


def _drawn_list(parameters: Parameters, ranking: Ranking) -> Listed:
    rows, classes = ranking.rows, parameters.classes()
    top = max((row.tally.accesses_of(classes) for row in rows), default=0)
    text = rendered(
        "files.html",
        ranking=ranking,
        rows=rows,
        order=ranking.order,
        top=top or 1,
        classes=classes,
        has_clients=any(row.clients for row in rows),
        has_today=_ends_today(ranking) and classes is None,
        first_row=rows[0].rank if rows else 0,
        next_link=parameters.link(after=ranking.next) if ranking.next else "",
        is_first_page=not parameters.text("after"),
        link=parameters.link,
        parameters=parameters.values,
        query=_query,
        spark=spark,
    )
    return Listed(text, bool(rows), ranking.as_of)


def _ends_today(ranking: Ranking) -> bool:
    """Tell whether the last number of the rows' series is today's, and one of several."""
    period = ranking.period
    if period is None or ranking.unit != "day" or period.days == 1:
        return False
    return period.last == ranking.as_of // SECONDS_PER_DAY


def _toggles(parameters: Parameters) -> list[tuple[str, bool, str]]:
    """Return each class, whether it is shown, and the link that turns it on or off."""
    shown = parameters.classes() or frozenset(CLASSES)
    found = []
    for one in CLASSES:
        rest = shown ^ {one}
        value = "" if len(rest) in (0, len(CLASSES)) else ",".join(c for c in CLASSES if c in rest)
        found.append((str(one), one in shown, parameters.link(**{"class": value, "after": ""})))
    return found


def _crumbs(path: str) -> list[tuple[str, str]]:
    """Return each directory above *path*: its last segment, and the query for its page."""
    found, above = [], "/"
    for segment in path.split("/")[1:-1]:
        above += segment + "/"
        found.append((segment, f"dir?path={quote(above, safe='/')}"))
    return found
