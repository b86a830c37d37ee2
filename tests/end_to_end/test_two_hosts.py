"""Two hosts with one tree behind nginx, in small."""

import pytest

from tests.end_to_end import two_hosts
from tests.end_to_end.servers import BUILTIN, GUNICORN
from tests.namespaces import missing, run_inside


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [BUILTIN, GUNICORN])
def test_two_hosts_are_as_good_as_one(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    if reason := missing(*two_hosts.PROGRAMS):
        pytest.skip(reason)
    done = run_inside(two_hosts.__name__, ["--server", kind, "--files", "9", "--rounds", "1"])
    told = capfd.readouterr()
    assert done.returncode == 0, f"{told.out}\n{told.err}"
    assert told.out.count("304 by tag, small files") == 4
