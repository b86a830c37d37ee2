"""Every row of the tables, however it is cut and whatever came before it."""

from collections.abc import Iterator
from types import ModuleType

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
_EACH_TABLE = pytest.mark.parametrize("table", _MODULES, ids=lambda module: module.__name__)
_BEFORE = head(line=b"GET /before HTTP/1.1")
_BEFORE_EVENT = request("/before")


def _is_as_told(events: list[Event], expected: tuple[Event, ...]) -> bool:
    if len(events) != len(expected):
        return False
    for event, wanted in zip(events, expected, strict=True):
        if isinstance(event, Refused) and isinstance(wanted, Refused):
            if event.status != wanted.status or wanted.reason not in event.reason:
                return False
        elif event != wanted:
            return False
    return True


def _faults(row: Case) -> Iterator[str]:
    whole = events_of([row.raw], row.limits)
    if not _is_as_told(whole, row.expected):
        yield f"{row.raw!r} gives {whole}, not {row.expected}"
    for way, pieces, expected in (
        ("by byte", by_byte(row.raw), whole),
        ("behind another", [_BEFORE + row.raw], [_BEFORE_EVENT, *whole]),
        ("by byte behind another", by_byte(_BEFORE + row.raw), [_BEFORE_EVENT, *whole]),
    ):
        if (events := events_of(pieces, row.limits)) != expected:
            yield f"{row.raw!r} {way} gives {events}, not {expected}"


# One test for each table: the hundreds of rows take less than what a test costs its runner.
@_EACH_TABLE
def test_whole_by_byte_and_behind_another(table: ModuleType) -> None:
    assert [fault for row in table.CASES for fault in _faults(row)] == []


@_EACH_TABLE
def test_no_row_is_there_twice(table: ModuleType) -> None:
    rows = [(row.raw, row.limits) for row in table.CASES]
    assert len(set(rows)) == len(rows) > 10


def test_a_row_that_is_not_as_told_is_seen() -> None:
    [fault] = _faults(Case(head(), (request("/other"),)))
    assert "/other" in fault
    assert list(_faults(Case(b"GET\r\n", (Refused(400, "other words"),))))
    assert list(_faults(Case(head() + head(), (request(),))))
    assert list(_faults(Case(head(), (request(), request()))))
