"""A standard error that nobody reads: the program beside this, in small."""

import pytest

from tests.server.full_stderr import CASES, Case, try_case


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if place else [])
        for place, case in enumerate(CASES)
    ],
)
def test_requests_are_answered_and_the_server_ends(case: Case) -> None:
    outcome = try_case(case, rounds=24)
    assert outcome.is_good, outcome
