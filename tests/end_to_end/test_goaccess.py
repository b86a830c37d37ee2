"""A real GoAccess and what clients fetched agree."""

from pathlib import Path

import pytest

from tests.end_to_end.goaccess import OWN_FORMAT, run
from tests.end_to_end.servers import HOME


@pytest.mark.parametrize("log_format", ["combined", "combined+"])
@pytest.mark.slow
def test_goaccess_finds_what_was_fetched(tmp_path: Path, log_format: str) -> None:
    run(tmp_path, 1400, log_format)


def test_the_format_is_that_of_the_guide() -> None:
    assert OWN_FORMAT in (HOME / "www" / "guide" / "server.html").read_text()
