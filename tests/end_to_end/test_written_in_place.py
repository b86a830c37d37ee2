"""A short run of `written_in_place`, under both servers."""

import pytest

from tests.end_to_end.servers import BUILTIN, GUNICORN
from tests.end_to_end.written_in_place import run


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BUILTIN, GUNICORN])
def test_half_of_a_write_does_not_outlive_the_write(kind: str) -> None:
    rounds, answers, faults = run(kind, minutes=0, loops=1)
    assert faults == []
    assert rounds == 1
    assert answers > 10
