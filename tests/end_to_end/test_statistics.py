"""The statistics of running servers: closed, opened by the token, and the same from each worker."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.counters.redis_server import redis_running
from tests.end_to_end.client import Answer, accesses, fetch
from tests.end_to_end.servers import (
    BUILTIN,
    GUNICORN,
    HOME,
    LiveServer,
    command_of,
    running,
    running_quietly,
    started,
)
from tests.waiting import wait_until

TOKEN = "a-token-of-the-tests-own"
PREFIX = "/-/tally/"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("text")
    return root


def link_of(server: LiveServer) -> str:
    """Return the link in the banner, from its path on."""

    def link() -> str:
        found = (re.search(r":\d+(/-/\S*)", line) for line in server.out)
        return next((str(match[1]) for match in found if match), "")

    return str(wait_until(link, message="the link"))


def ask(server: LiveServer, address: str, token: str = TOKEN) -> Answer:
    return fetch(server.port, PREFIX + address, [("Authorization", f"Bearer {token}")])


def test_every_worker_knows_the_token_that_the_banner_names(root: Path) -> None:
    with running(BUILTIN, "-w", "2", root=root) as server:
        link = link_of(server)
        token = link.partition("token=")[2]
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", token)
        for _ in range(5):
            assert fetch(server.port, "/a.txt").status == 200
        for _ in range(20):
            entered = fetch(server.port, link)
            assert (entered.status, entered["location"]) == (303, "./")
            cookie = entered["set-cookie"].partition(";")[0]
            page = fetch(server.port, PREFIX + "api/v1/totals", [("Cookie", cookie)])
            assert json.loads(page.body)["accesses"] == 5
            assert fetch(server.port, PREFIX + "api/v1/totals").status == 401


def test_another_start_makes_another_token(root: Path) -> None:
    links = []
    for _ in range(2):
        with running(BUILTIN, root=root) as server:
            links.append(link_of(server))
    assert len(set(links)) == 2


def test_no_link_for_what_is_closed_or_given(root: Path) -> None:
    for options, environ in (
        (["--stats", "off"], {}),
        (["--stats-public"], {}),
        ([], {"TALLY_STATS_TOKEN": TOKEN}),
    ):
        with running(BUILTIN, *options, root=root, **environ) as server:
            wait_until(lambda server=server: "Serving " in server.printed(), message="the banner")  # type: ignore[misc]
            assert "token" not in server.printed()


def test_the_given_token_opens_both_servers(kind: str, root: Path) -> None:
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for _ in range(7):
            fetch(server.port, "/a.txt")
        assert {accesses(server.port, TOKEN) for _ in range(10)} == {7}
        assert ask(server, "api/v1/totals", "x" * 22).status == 401
        # Nothing below the prefix is an access, or has a line.
        assert {line[0] for line in server.counted(7)} == {"/a.txt"}
        found = json.loads(ask(server, "api/v1/totals").body)
        assert found["statuses"] == {"200": 7}


@pytest.mark.slow
def test_what_was_missed_is_the_same_from_every_worker(kind: str, root: Path) -> None:
    def missed() -> set[str]:
        answers = [ask(server, "api/v1/missed") for _ in range(10)]
        return {json.dumps(json.loads(answer.body)["missed"]) for answer in answers}

    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for address in ("/none?x=1", "/none", "/none", "/a.txt/", "/%C3%B6%1B", "/a.txt"):
            fetch(server.port, address)
        assert ask(server, "no-such").status == 404  # below the prefix
        expected = [
            {"path": "/none", "times": 3},
            {"path": "/%C3%B6%1B", "times": 1},
            {"path": "/a.txt/", "times": 1},
        ]
        wait_until(lambda: missed() == {json.dumps(expected)}, message="the names")


def test_gunicorn_without_a_token_has_none_of_it(root: Path) -> None:
    with running(GUNICORN, root=root) as server:
        for address in ("", "enter?token=x", "api/v1/totals"):
            assert fetch(server.port, PREFIX + address).status == 404
        assert fetch(server.port, PREFIX + "health").body == b"ok\n"


def test_a_token_file(kind: str, root: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"# of this year\n{TOKEN}\n")
    with running(kind, root=root, TALLY_STATS_TOKEN_FILE=str(file)) as server:
        assert accesses(server.port, TOKEN) == 0


@pytest.mark.parametrize("text", [None, "short"])
def test_a_token_that_cannot_be_is_refused_at_the_start(
    kind: str, root: Path, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    command = command_of(kind, "--bind", "127.0.0.1:0")
    environ = {"TALLY_ROOT": str(root), "TALLY_STATS_TOKEN_FILE": str(file)}
    with started(command, **environ) as server:
        assert server.wait() == 2
        assert str(file) in server.refusal()


def test_another_prefix_or_none(root: Path) -> None:
    with running(BUILTIN, "--stats", "/numbers", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        assert fetch(server.port, "/numbers/health").status == 200
        assert fetch(server.port, "/numbers")["location"] == "./numbers/"
        assert fetch(server.port, "/numbersome").status == 404
        assert fetch(server.port, PREFIX + "health").status == 404
    with running(BUILTIN, "--stats", "off", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        assert fetch(server.port, PREFIX + "health").status == 404


def test_health_says_when_the_root_is_gone(root: Path) -> None:
    with running(BUILTIN, "--root-grace", "never", root=root) as server:
        assert fetch(server.port, PREFIX + "health").status == 200
        root.rename(root.with_name("elsewhere"))
        wait_until(
            lambda: fetch(server.port, PREFIX + "health").status == 503, message="an unhealthy root"
        )


def test_nothing_of_it_is_loaded_before_it_is_asked_for(root: Path) -> None:
    code = (
        "import sys; from run_builtin import load; wsgi = load('wsgi');"
        " app = wsgi.make_app(wsgi.Settings.from_environment(), 'x' * 22); app.open();"
        " print([name for name in sys.modules if '.stats' in name.removesuffix('.stats_tokens')"
        " or name in ('jinja2', 'prometheus_client')]); app.close()"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, check=True)
    assert found.stdout == b"[]\n"


# options, the line after the last access
@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "Served 3 accesses of 1 file."),
        (["-w", "2"], "Served 3 accesses of 1 file."),
        (["--counts", "lmdb:counts"], "Counted so far: 3 accesses of 1 file."),
        (["-w", "2", "--counts", "lmdb:counts"], "Counted so far: 3 accesses of 1 file."),
        (["-q"], ""),
    ],
)
def test_the_last_line_says_what_was_counted(
    root: Path, tmp_path: Path, options: list[str], line: str
) -> None:
    given = [option.replace("lmdb:", f"lmdb:{tmp_path}/") for option in options]
    assert last_lines(root, *given) == ([line] if line else [])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_last_line_with_redis(root: Path, tmp_path: Path, workers: str) -> None:
    journal = f"--counts-journal={tmp_path / 'journal'}"
    with redis_running() as redis:
        said = last_lines(root, "-w", workers, "--counts", redis.url, journal)
    assert said == ["Counted so far: 3 accesses of 1 file."]


def last_lines(root: Path, *options: str) -> list[str]:
    """Return what a server says of accesses when it is stopped after three of a file."""
    with running_quietly(BUILTIN, *options, root=root) as server:
        wait_until(lambda: answers(server), message="the server")
        for _ in range(3):
            assert fetch(server.port, "/a.txt").status == 200
        assert server.stop(signal.SIGINT) == 0
        assert server.err == []
        return [each for each in server.out if "accesses" in each]


def answers(server: LiveServer) -> bool:
    try:
        return fetch(server.port, PREFIX + "health").status == 200
    except OSError:
        return False


def test_what_the_prefix_hides_is_said_at_the_start(kind: str, root: Path) -> None:
    (root / "-" / "tally").mkdir(parents=True)
    (root / "-" / "tally" / "x.txt").write_text("hidden")
    with running(kind, root=root) as server:
        assert fetch(server.port, PREFIX + "x.txt").status == 404
        server.stop()  # and so all is read that it has printed
        said = [line for line in server.err if "the statistics hide" in line]
        assert len(said) == 1
        assert str(root / "-" / "tally") in said[0]
