"""The interface for programs, version 1: JSON, and CSV for lists.

What an answer looks like is said by `counters.documents` and `counters.tables`, which the command
line uses too, and by `openapi.json` for those who write programs.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pkgutil import get_data
from typing import Any
from urllib.parse import quote

from ..counters import documents, tables
from ..counters.periods import time_text
from ..counters.reading import Answer as CountsAnswer
from ..counters.reading import CountReader
from ..counters.tally import Tally
from .answers import Answer, Environ, RefusedError, answer, json_answer, not_modified
from .kept import KeptAnswers
from .parameters import Parameters

_FORMATS = ("json", "csv")
_CSV = "text/csv; charset=utf-8; header=present"
#: Where a spreadsheet would see a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BYTE_ORDER_MARK = "\ufeff"
_RETRY = ("Retry-After", "5")


class Api:
    """Answers questions about the counts that *reader* gives. Safe from any thread.

    What is dear and looked at again and again is in *kept*.

    Every method may raise RefusedError, and CounterError when the store cannot be read.
    """

    def __init__(self, reader: Callable[[], CountReader], kept: KeptAnswers) -> None:
        self._reader = reader
        self._kept = kept

    def totals(self, _parameters: Parameters, _environ: Environ) -> Answer:
        return json_answer(documents.totals_document(self._reader().totals()))

    def files(self, parameters: Parameters, environ: Environ) -> Answer:
        try:
            ranking = self._reader().ranked(
                parameters.order(),
                parameters.period(),
                parameters.text("match"),
                parameters.text("after"),
                parameters.limit(),
                parameters.classes(),
            )
        except ValueError as error:
            raise RefusedError(400, str(error)) from None
        following = parameters.link(after=ranking.next) if ranking.next else ""
        links = [("Link", f'<files{following}>; rel="next"')] if following else []
        if _format(parameters, environ) == "json":
            return json_answer(documents.ranking_document(ranking), *links)
        rows = [tables.file_row(row) for row in ranking.rows]
        return _csv("files", tables.FILE_HEADINGS, rows, parameters, ranking, *links)

    def file(self, parameters: Parameters, environ: Environ) -> Answer:
        path, period = parameters.path(), parameters.period()
        found = self._reader().file(path, period)
        if found is None:
            raise RefusedError(404, "path: no such file was counted")
        if _format(parameters, environ) == "json":
            return json_answer(documents.file_document(found, period))
        rows = [tables.file_row(found.file)]
        return _csv("file", tables.FILE_HEADINGS, rows, parameters, found)

    def series(self, parameters: Parameters, environ: Environ) -> Answer:
        path = parameters.path() if "path" in parameters.values else None
        period = parameters.period("30d")
        if period is None:
            raise RefusedError(400, "period: a curve needs one with two ends")
        unit = parameters.unit(period, of_site=path is None)
        found = self._reader().series(unit, period, path)
        if found is None:
            raise RefusedError(404, "path: no such file was counted")
        found = parameters.within_hours(found)
        if _format(parameters, environ) == "json":
            return json_answer(documents.series_document(found))
        rows = tables.series_rows(found)
        return _csv("series", tables.SERIES_HEADINGS, rows, parameters, found)

    def directory(self, parameters: Parameters, _environ: Environ) -> Answer:
        found = self._reader().directory(parameters.path(of_directory=True))
        if not found.files:
            raise RefusedError(404, "path: no file below it was counted")
        return json_answer(documents.directory_document(found))

    def missed(self, _parameters: Parameters, _environ: Environ) -> Answer:
        return json_answer(documents.missed_document(self._reader().missed()))

    def live(self, parameters: Parameters, _environ: Environ) -> Answer:
        """Return the numbers at the top of a page, or 304 when they are those of `since`."""
        of_file = "path" in parameters.values
        found = self._live_file(parameters.path()) if of_file else self._live_site()
        standing, document = found
        tag = hashlib.sha256(repr(document).encode()).hexdigest()[:16]
        if parameters.text("since") == tag:
            return not_modified()
        return json_answer({**standing, **document, "since": tag})

    def _live_site(self) -> tuple[dict[str, Any], dict[str, Any]]:
        totals = self._reader().totals()
        return _standing(totals), {
            **_live_numbers(totals, totals.tally, totals.today.accesses),
            "files_counted": totals.files,
        }

    def _live_file(self, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
        # By its rank an answer takes a look at every file.
        found, away = self._kept.share(("file", path), lambda reader: reader.file(path))
        if away:
            raise RefusedError(503, away, _RETRY)
        if found is None:
            raise RefusedError(404, "path: no such file was counted")
        reader = self._reader()
        totals = reader.totals()
        [now] = reader.tallies([path])
        if now is None:
            raise RefusedError(404, "path: no such file was counted")
        _, last, tally = now
        # What came since the answer that is kept came today.
        since_then = max(0, tally.accesses - found.file.tally.accesses)
        return _standing(totals), {
            **_live_numbers(totals, tally, found.today.accesses + since_then),
            "rank": found.rank,
            "last": time_text(last),
            "kinds": tally.kinds,
            "classes": tally.classes,
        }

    def description(self, _parameters: Parameters, _environ: Environ) -> Answer:
        """Return the description of this interface (OpenAPI 3.1)."""
        return answer("application/json", get_data(__package__, "openapi.json") or b"")


def _standing(found: CountsAnswer) -> dict[str, Any]:
    return {"as_of": time_text(found.as_of), "exact": found.exact}


def _live_numbers(found: CountsAnswer, tally: Tally, today: int) -> dict[str, Any]:
    return {
        "accesses": tally.accesses,
        "completed": tally.completed,
        "sent_bytes": tally.sent_bytes,
        "today": today,
        "uncounted": found.uncounted,
        "pending": found.pending,
    }


def _format(parameters: Parameters, environ: Environ) -> str:
    _is_for_excel(parameters)  # a value that makes no sense is refused with JSON, too
    prefers_csv = environ.get("HTTP_ACCEPT", "").lower().lstrip().startswith("text/csv")
    return parameters.choice("format", _FORMATS, "csv" if prefers_csv else "json")


def _is_for_excel(parameters: Parameters) -> bool:
    return parameters.choice("excel", ("0", "1"), "0") == "1"


def _csv(
    name: str,
    headings: Sequence[object],
    rows: Iterable[Sequence[object]],
    parameters: Parameters,
    found: CountsAnswer,
    *links: tuple[str, str],
) -> Answer:
    guarded = [[_guarded(cell) for cell in row] for row in (headings, *rows)]
    mark = _BYTE_ORDER_MARK if _is_for_excel(parameters) else ""
    standing = [("Tally-As-Of", time_text(found.as_of))]
    standing.append(
        ("Tally-Exact", "yes" if found.exact else quote("; ".join(found.reasons), " ;,"))
    )
    disposition = ("Content-Disposition", f'attachment; filename="tally-{name}.csv"')
    text = mark + tables.csv_lines(guarded)
    return answer(_CSV, text.encode(), disposition, *standing, *links)


def _guarded(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
