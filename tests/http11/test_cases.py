"""Every row of the tables, however it is cut and whatever came before it."""

from itertools import chain

import pytest

from tests.http11.cases import (
    chunks,
    fields,
    framing,
    host,
    persistence,
    request_line,
    request_target,
    smuggling,
)
from tests.http11.wire import Case, Event, Refused, by_byte, events_of, head, request

_MODULES = (request_line, request_target, host, fields, framing, chunks, persistence, smuggling)
_CASES: list[Case] = list(chain.from_iterable(module.CASES for module in _MODULES))
_BEFORE = head(line=b"GET /before HTTP/1.1")
_BEFORE_EVENT = request("/before")


def _check(events: list[Event], expected: tuple[Event, ...]) -> None:
    told = tuple(
        wanted._replace(to_head=event.to_head)
        if isinstance(event, Refused)
        and isinstance(wanted, Refused)
        and event.status == wanted.status
        and wanted.reason in event.reason
        else event
        for event, wanted in zip(events, chain(expected, [None] * len(events)), strict=False)
    )
    assert told == expected


def _id(row: Case) -> str:
    return repr(row.raw[-60:])


@pytest.mark.parametrize("row", _CASES, ids=_id)
def test_whole_by_byte_and_behind_another(row: Case) -> None:
    whole = events_of([row.raw], row.limits)
    _check(whole, row.expected)
    assert events_of(by_byte(row.raw), row.limits) == whole
    assert events_of([_BEFORE + row.raw], row.limits) == [_BEFORE_EVENT, *whole]
    assert events_of(by_byte(_BEFORE + row.raw), row.limits) == [_BEFORE_EVENT, *whole]


@pytest.mark.parametrize("module", _MODULES, ids=lambda module: module.__name__)
def test_no_row_is_there_twice(module: object) -> None:
    rows = [(row.raw, row.limits) for row in module.CASES]  # type: ignore[attr-defined]
    assert len(set(rows)) == len(rows)
