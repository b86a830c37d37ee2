"""Answers as JSON documents: one shape for the command line and for the page's interface."""

from typing import Any

from .client_rows import MOST_CLIENTS
from .periods import Period, Unit, day_text, time_text, unit_text
from .reading import (
    Answer,
    ClientDays,
    DirectoryAnswer,
    FileAnswer,
    FileNumbers,
    Missed,
    RankedFile,
    Ranking,
    Series,
    Totals,
)
from .tally import Tally

Document = dict[str, Any]

#: The numbers that only stores with `--clients` have; of one file or day they may be added up.
_OF_CLIENTS = ("downloads", "total_requests", "unique_requests")


def totals_document(totals: Totals) -> Document:
    return {
        **_standing(totals),
        "files_counted": totals.files,
        **tally_document(totals.tally),
        "first": time_text(totals.first),
        "last": time_text(totals.last),
        "today": tally_document(totals.today),
        "hour": tally_document(totals.hour),
        "statuses": {str(status): answers for status, answers in totals.statuses.items()},
    }


def ranking_document(ranking: Ranking) -> Document:
    return {
        **_standing(ranking),
        **_period(ranking.period, ranking.unit),
        "order": ranking.order,
        "matched": ranking.matched,
        "files": [ranked_document(row) for row in ranking.rows],
        "next": ranking.next,
    }


def series_document(series: Series) -> Document:
    return {
        **_standing(series),
        "unit": series.unit,
        **({} if series.path is None else {"path": series.path}),
        "series": [
            {"at": unit_text(series.unit, at), **tally_document(tally)}
            for at, tally in series.points
        ],
    }


def file_document(answer: FileAnswer, period: Period | None) -> Document:
    return {
        **_standing(answer),
        **_period(period, "day"),
        **_numbers(answer.file),
        "rank": answer.rank,
        "today": tally_document(answer.today),
    }


def directory_document(answer: DirectoryAnswer) -> Document:
    return {
        **_standing(answer),
        "path": answer.path,
        "files_counted": answer.files,
        **tally_document(answer.tally),
        "first": time_text(answer.first),
        "last": time_text(answer.last),
    }


def missed_document(answer: Missed) -> Document:
    names = [{"path": name, "times": times} for name, times in answer.names.items()]
    return {**_standing(answer), "missed": names}


def ranked_document(row: RankedFile) -> Document:
    """Return a row of a ranking."""
    return {
        "rank": row.rank,
        **_numbers(row),
        **({"series": list(row.series)} if row.series else {}),
    }


def tally_document(tally: Tally) -> Document:
    return {
        "accesses": tally.accesses,
        "kinds": tally.kinds,
        "classes": tally.classes,
        "completed": tally.completed,
        "resumed_completed": tally["resumed_completed"],
        "sent_bytes": tally.sent_bytes,
        **{name: tally[name] for name in _OF_CLIENTS if tally["clients"]},
    }


def _numbers(numbers: FileNumbers) -> Document:
    return {
        "path": numbers.path,
        **tally_document(numbers.tally),
        **({} if numbers.clients is None else {"clients": _clients(numbers.clients)}),
        "first": time_text(numbers.first),
        "last": time_text(numbers.last),
    }


def _clients(clients: ClientDays) -> Document:
    return {
        "mean_per_day": clients.mean_per_day,
        "highest": min(clients.highest, MOST_CLIENTS),
        "highest_day": day_text(clients.highest_day),
        **({"more_than": MOST_CLIENTS} if clients.is_more else {}),
    }


def _standing(answer: Answer) -> Document:
    return {
        "as_of": time_text(answer.as_of),
        "exact": answer.exact,
        **({} if answer.exact else {"reasons": answer.reasons}),
        "uncounted": answer.uncounted,
        "pending": answer.pending,
    }


def _period(period: Period | None, unit: Unit) -> Document:
    if period is None:
        return {"period": None}
    return {"period": {"from": day_text(period.first), "to": day_text(period.last), "unit": unit}}
