"""Hours, days and months as numbers and as text."""

import pytest

from app.counters.periods import (
    UNITS,
    Period,
    by_unit,
    day_number,
    day_text,
    first_day_of,
    month_of,
    time_text,
    unit_of,
    unit_text,
    units_of,
)

TODAY = day_number("2026-11-25")

PERIODS = [
    ("today", "2026-11-25..2026-11-25"),
    ("1d", "2026-11-25..2026-11-25"),
    ("7d", "2026-11-19..2026-11-25"),
    ("30d", "2026-10-27..2026-11-25"),
    ("year", "2025-11-26..2026-11-25"),
    ("2026-11-03", "2026-11-03..2026-11-03"),
    ("2026-11-03..2026-11-05", "2026-11-03..2026-11-05"),
    ("99999d", "1970-01-01..2026-11-25"),
    ("9999-12-31", "9999-12-31..9999-12-31"),
]


@pytest.mark.parametrize(("text", "period"), PERIODS)
def test_periods(text: str, period: str) -> None:
    assert str(Period.parse(text, TODAY)) == period


def test_all_is_no_period() -> None:
    assert Period.parse("all", TODAY) is None


@pytest.mark.parametrize(
    "text",
    ["", "0d", "-1d", "7", "7D", "d", "100000d", "week", "2026-11-31", "2026-11-05..2026-11-03", "1969-12-31",
     "20261103", "2026-11-03..", "..2026-11-03", "2026-W45", "2026-11-03 ", "\u0667d",
     "2026-11-03..2026-11-03..2026-11-03"],
)  # fmt: skip
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(ValueError, match="no period") as refused:
        Period.parse(text, TODAY)
    assert "\n" not in str(refused.value)


def test_units() -> None:
    at = TODAY * 86400 + 14 * 3600 + 202
    assert time_text(at) == "2026-11-25T14:03:22Z"
    assert time_text(0) == ""
    assert [unit_text(unit, unit_of(unit, at)) for unit in UNITS] == [
        "2026-11-25T14Z",
        "2026-11-25",
        "2026-11",
    ]
    period = Period(TODAY - 30, TODAY)
    assert [len(units_of(unit, period)) for unit in UNITS] == [31 * 24, 31, 2]


def test_months_begin_where_days_say() -> None:
    for month in (0 + 12 * 1970, 12 * 1999 + 11, 12 * 2024 + 1, 12 * 9999 + 11):
        first, following = first_day_of(month), first_day_of(month + 1)
        assert (month_of(first), month_of(following - 1)) == (month, month)
        assert 28 <= following - first <= 31
    assert day_text(first_day_of(12 * 2024 + 1)) == "2024-02-01"


def test_days_added_up() -> None:
    days = {TODAY: 1, TODAY - 24: 2, TODAY - 25: 4, TODAY + 1: 8}
    period = Period(TODAY - 25, TODAY)
    assert by_unit("day", days, period) == {TODAY: 1, TODAY - 24: 2, TODAY - 25: 4}
    assert by_unit("month", days, period) == {12 * 2026 + 10: 3, 12 * 2026 + 9: 4}
