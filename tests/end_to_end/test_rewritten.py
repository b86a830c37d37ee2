"""A short run of `rewritten`, under both servers."""

import pytest

from tests.end_to_end.rewritten import CASES, Case, run


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_no_answer_is_of_another_version(kind: str, case: Case) -> None:
    assert run(kind, case, 101, 1) == []
