"""Gunicorn started by root with workers of another user: they count in everything that the master
made for them.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import GUNICORN, HOME, command_of, open_files, running, started

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can start workers of another user"
)

USER = "nobody"
OPTIONS = ("-w", "2", "-u", USER, "-g", "nogroup")


@pytest.fixture(autouse=True, scope="module")
def _the_user_may_read_what_it_runs() -> None:
    """A checkout below a directory such as /root is closed to everybody else."""
    tried = subprocess.run(
        ["test", "-r", HOME / "app" / "wsgi.py"], user=USER, group="nogroup", check=False
    )
    if tried.returncode:
        pytest.skip(f"{USER} cannot read this checkout")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter, with a root in it and, for the workers' user alone,
    `own`.
    """
    place = Path(tempfile.mkdtemp(prefix="tally-test-"))
    place.chmod(0o755)
    (place / "root").mkdir()
    (place / "root" / "a.txt").write_text("a")
    (place / "own").mkdir(mode=0o700)
    shutil.chown(place / "own", USER, "nogroup")
    yield place
    shutil.rmtree(place)


def numbers(place: Path, *options: str, **environ: str) -> list[str]:
    with running(
        GUNICORN, *OPTIONS, *options, root=place / "root", TALLY_COUNT_HEADER="1", **environ
    ) as server:
        seen = [fetch(server.port, "/a.txt")["tally-count"] for _ in range(6)]
        assert server.stop() == 0
    assert "tally: " not in server.printed()
    return seen


def owners(directory: Path) -> set[str]:
    return {pwd.getpwuid(path.lstat().st_uid).pw_name for path in directory.rglob("*")}


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_they_count_in_the_private_store(place: Path, options: tuple[str, ...]) -> None:
    with running(
        GUNICORN, *OPTIONS, *options, root=place / "root", TALLY_COUNT_HEADER="1"
    ) as server:
        assert [fetch(server.port, "/a.txt")["tally-count"] for _ in range(6)] == [
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
        ]
        [held] = [path for path in open_files(server.process.pid) if path.name == "owners.lock"]
        assert held.parent.owner() == USER
        assert server.stop() == 0
    assert not held.parent.exists()


def test_they_count_in_a_directory_of_theirs(place: Path) -> None:
    log = place / "own" / "log"
    counts = {"TALLY_COUNTS": f"lmdb:{place / 'own' / 'counts'}", "TALLY_COUNT_LOG": str(log)}
    assert numbers(place, "--preload", **counts) == ["1", "2", "3", "4", "5", "6"]
    assert numbers(place, **counts)[0] == "7"
    assert len(log.read_text().splitlines()) == 12
    assert owners(place / "own") == {USER}


def test_they_keep_a_journal(place: Path) -> None:
    counts = {
        "TALLY_COUNTS": f"unix://{place / 'nobody-listens'}",
        "TALLY_COUNTS_JOURNAL": str(place / "own" / "j"),
    }
    with running(GUNICORN, *OPTIONS, root=place / "root", **counts) as server:
        assert fetch(server.port, "/a.txt").status == 200
        server.stop(signal.SIGTERM)
    assert "not counted" not in server.printed()
    assert list((place / "own" / "j").rglob("*.journal"))
    assert owners(place / "own") == {USER}


@pytest.mark.parametrize(
    ("variable", "value"), [("TALLY_COUNTS", "lmdb:{}/counts"), ("TALLY_COUNT_LOG", "{}/log")]
)
def test_what_they_could_not_use_is_known_at_the_start(
    place: Path, variable: str, value: str
) -> None:
    (place / "roots").mkdir(mode=0o755)
    environ = {variable: value.format(place / "roots"), "TALLY_ROOT": str(place / "root")}
    with started(command_of(GUNICORN, *OPTIONS), **environ) as server:
        assert server.wait() == 2
    assert "Permission denied" in server.refusal()
    assert list((place / "roots").iterdir()) == []
