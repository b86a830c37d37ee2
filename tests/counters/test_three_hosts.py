"""Three hosts, and a failover of their Redis, in small."""

import pytest

from tests.counters import three_hosts
from tests.namespaces import missing, run_inside


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["kill", "apart"])
def test_nothing_is_lost_in_a_failover(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    if reason := missing("redis-server", "redis-cli", "curl"):
        pytest.skip(reason)
    arguments = ["--numbered", "100", "--round", kind, "--replicas", "1"]
    done = run_inside(three_hosts.__name__, arguments)
    told = capfd.readouterr()
    assert done.returncode == 0, f"{told.out}\n{told.err}"
    assert told.out.endswith(": exact\n")
