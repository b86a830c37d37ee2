"""What is in the logs of running servers: the same as was counted, no token, no health check."""

import gzip
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.client import Client, fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, LiveServer, running
from tests.programs import program
from tests.waiting import wait_until

TOKEN = "a-token-of-the-tests-own"
LARGE = 8_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a b.txt").write_bytes(b"x" * 100)
    (root / "large.bin").write_bytes(bytes(LARGE))
    return root


def lines_in(path: Path) -> list[str]:
    """Return the whole lines: of a batch that is being written a part may be there already."""
    return path.read_text().split("\n")[:-1] if path.exists() else []


def logged(log: Path, number: int) -> list[dict[str, Any]]:
    lines = wait_until(
        lambda: len(found := lines_in(log)) >= number and found, message=f"{number} lines"
    )
    return [json.loads(line) for line in lines]


NOTHING = {"path": None, "kind": None, "class": None, "number": None, "completed": False}
SMALL, LARGE_PATH = "/a%20b.txt", "/large.bin"
CURL = [("User-Agent", "curl/8.5.0")]
# method, target, fields, what the log says of it
REQUESTS = [
    ("GET", SMALL, [], (SMALL, "full", "people", 1, True)),
    ("GET", SMALL, CURL, (SMALL, "full", "tools", 2, True)),
    ("GET", "/a%20%62.txt?x", CURL, (SMALL, "full", "tools", 3, True)),
    ("HEAD", SMALL, CURL, (SMALL, "head", None, None, False)),
    ("GET", SMALL, [*CURL, ("Range", "bytes=0-9")], (SMALL, "partial", "tools", 4, False)),
    ("GET", SMALL, [*CURL, ("Range", "bytes=0-1")], (SMALL, "probe", None, None, False)),
    ("GET", SMALL, [*CURL, ("Range", "bytes=9-")], (SMALL, "resumed", None, None, True)),
    ("GET", LARGE_PATH, CURL, (LARGE_PATH, "full", "tools", 1, True)),
    ("GET", LARGE_PATH, [*CURL, ("Range", "bytes=0-99999")], (LARGE_PATH, "partial", "tools", 2, False)),
    ("GET", LARGE_PATH, [*CURL, ("Range", "bytes=7000000-")], (LARGE_PATH, "resumed", None, None, True)),
    ("GET", "/missing", CURL, (None, None, None, None, False)),
    ("POST", SMALL, CURL, (None, None, None, None, False)),
]  # fmt: skip


def people(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return fields or [("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-w", "2"), ("--threads", "0")])
def test_the_json_log_knows_what_was_counted(
    root: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    log = tmp_path / "log"
    more = ("--access-logfile", str(log), "--access-logformat", "json")
    with running(BUILTIN, *more, *options, root=root) as server:
        for method, target, fields, _ in REQUESTS:
            fetch(server.port, target, people(fields), method)
            # Each is written before the next comes, which another worker may take.
            logged(log, [row[1] for row in REQUESTS].index(target) + 1)
        found = sorted(logged(log, len(REQUESTS)), key=lambda line: str(line["time"]))
        told = [
            (line["path"], line["kind"], line["class"], line["number"], line["completed"])
            for line in found
        ]
        assert sorted(map(repr, told)) == sorted(repr(row[3]) for row in REQUESTS)
        assert {line["request_id"] for line in found} == {None}
        assert server.stop() == 0


def test_a_download_that_was_cut_off(root: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    more = ("--access-logfile", str(log), "--access-logformat", "json")
    with running(BUILTIN, *more, root=root) as server:
        with Client(server.port) as client:
            client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.socket.recv(1000)
        [line] = logged(log, 1)
        assert (line["aborted"], line["completed"], line["number"]) == (True, False, 1)
        assert 0 < line["bytes"] < LARGE


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
# fields, the id in the log
IDS = [
    ([("X-Request-ID", "abc-1")], "abc-1"),
    ([("traceparent", TRACE)], "0af7651916cd43dd8448eb211c80319c"),
    ([("X-Request-ID", "abc-1"), ("traceparent", TRACE)], "abc-1"),
    ([("X-Request-ID", "a b"), ("traceparent", TRACE)], "0af7651916cd43dd8448eb211c80319c"),
    ([("X-Request-ID", "x" * 201)], None),
    ([("X-Request-ID", "")], None),
    ([("traceparent", TRACE[:-1])], None),
    ([("traceparent", "ff" + TRACE[2:])], None),
    ([("traceparent", "00-" + "0" * 32 + TRACE[35:])], None),
    ([], None),
]


@pytest.mark.slow
@pytest.mark.parametrize("trusted", [True, False])
def test_the_id_that_a_proxy_gives(root: Path, tmp_path: Path, trusted: bool) -> None:
    log = tmp_path / "log"
    more = ["--access-logfile", str(log), "--access-logformat", "json"]
    if trusted:
        more += ["--forwarded-allow-ips", "127.0.0.1"]
    with running(BUILTIN, *more, root=root) as server:
        for number, (fields, _) in enumerate(IDS, 1):
            assert fetch(server.port, SMALL, fields).status == 200
            logged(log, number)  # a line is written after its answer, perhaps after the next one
        found = [line["request_id"] for line in logged(log, len(IDS))]
        assert found == [identifier if trusted else None for _, identifier in IDS]


def access_log_of(kind: str, log: Path, log_format: str) -> list[str]:
    options = ["--access-logfile", str(log)]
    if kind == GUNICORN and log_format == "combined":
        # Every atom that could show a query.
        return [*options, "--access-logformat", '%(r)s %(q)s %({raw_uri}e)s %(U)s "%(f)s"']
    return [*options, "--access-logformat", log_format]


@pytest.mark.parametrize(
    ("kind", "log_format"),
    [(BUILTIN, "combined"), (BUILTIN, "combined+"), (BUILTIN, "json"), (GUNICORN, "combined")],
)
def test_no_log_shows_the_token(kind: str, log_format: str, root: Path, tmp_path: Path) -> None:
    log, counts = tmp_path / "log", tmp_path / "counts"
    more = access_log_of(kind, log, log_format)
    environ = {"TALLY_STATS_TOKEN": TOKEN, "TALLY_COUNT_LOG": str(counts)}
    targets = [
        f"/-/tally/enter?token={TOKEN}",
        f"/-/tally/enter?%74oken={TOKEN}",
        f"/-/tally/%65nter?token={TOKEN}",
        f"/-/tally/entre?token={TOKEN}",
        f"/-/tally?token={TOKEN}",
        f"/-/tally/?token={TOKEN}",
        f"/-/tally/metrics?token={TOKEN}",
        f"/-/tally/api/v1/totals?a=1&token={TOKEN}",
    ]
    with running(kind, *more, root=root, **environ) as server:
        for target in targets:
            fetch(server.port, target)
        fetch(server.port, "/-/tally/metrics", [("Authorization", f"Bearer {TOKEN}")])
        wait_until(lambda: len(lines_in(log)) > len(targets), message="the lines")
        assert server.stop() == 0
        assert len([line for line in lines_in(log) if "token=-" in line]) == len(targets)
        everything = [*lines_in(log), *lines_in(counts), *server.out, *server.err]
        assert [line for line in everything if TOKEN in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-w", "2"), ("--threads", "0")])
def test_health_checks_are_in_no_log_and_no_count(
    kind: str, options: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    if kind == GUNICORN and "--threads" in options:
        options = ("--threads", "1")
    log, counts = tmp_path / "log", tmp_path / "counts"
    more = ["--access-logfile", str(log), *options]
    environ = {"TALLY_STATS_TOKEN": TOKEN, "TALLY_COUNT_LOG": str(counts)}
    with running(kind, *more, root=root, **environ) as server:
        for method in ("GET", "HEAD", "POST", "GET"):
            fetch(server.port, "/-/tally/health", method=method)
        assert fetch(server.port, "/-/tally/health?x=1").status == 400
        assert fetch(server.port, SMALL).status == 200
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        totals = json.loads(fetch(server.port, "/-/tally/api/v1/totals", bearer).body)
        assert (totals["accesses"], totals["statuses"]) == (1, {"200": 1})
        wait_until(lambda: len(lines_in(log)) >= 2, message="the lines")
        assert server.stop() == 0
        assert sorted("totals" in line for line in lines_in(log)) == [False, True]
        assert len(lines_in(counts)) == 1
        assert "/-/tally/health" not in "".join([*lines_in(log), *server.out, *server.err])


def rotate(recipe: Path) -> None:
    logrotate = program("logrotate", "/usr/sbin/logrotate")
    state = recipe.with_name("state")
    subprocess.run([logrotate, "-f", "-s", state, recipe], check=True, timeout=30)


def of_contrib(server: LiveServer, directory: Path) -> str:
    """Return the recipe in contrib, for a server that is no unit of systemd."""
    import grp
    import pwd

    text = (HOME / "contrib" / "logrotate.conf").read_text()
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    for place, own in (
        ("/var/log/tally/", f"{directory}/"),
        ("create 0640 tally tally", f"create 0640 {user} {group}\n    su {user} {group}"),
        (
            "systemctl kill --kill-whom=main --signal=USR1 tally.service",
            f"kill -USR1 {server.process.pid}",
        ),
    ):
        assert text.count(place) == 1
        text = text.replace(place, own)
    return text


@pytest.mark.slow
def test_the_recipe_for_logrotate_loses_no_line(kind: str, root: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o755)
    names = ["access.log", "counts.log"]
    with running(
        kind,
        "-w",
        "2",
        "--access-logfile",
        str(logs / "access.log"),
        root=root,
        TALLY_COUNT_LOG=str(logs / "counts.log"),
    ) as server:
        recipe = tmp_path / "recipe"
        recipe.write_text(of_contrib(server, logs))
        recipe.chmod(0o644)
        rotated = -10.0
        for turn in range(3):
            # Within a second each process goes on in the new file; what is older is compressed.
            wait_until(lambda: time.monotonic() - rotated > 1.5, message="the new files")  # noqa: B023
            for _ in range(10):
                assert fetch(server.port, SMALL).status == 200
            wait_until(
                lambda turn=turn: all(  # type: ignore[misc]
                    total(logs, name) == 10 * (turn + 1) for name in names
                ),
                message="the lines",
            )
            rotate(recipe)
            rotated = time.monotonic()
        wait_until(lambda: all((logs / name).exists() for name in names), message="the new files")
        assert server.stop(signal.SIGTERM) == 0
        for name in names:
            assert total(logs, name) == 30
            assert (logs / f"{name}.1").exists()
            assert (logs / f"{name}.2.gz").exists()


def total(directory: Path, name: str) -> int:
    """Return the lines of a log and all that it was before."""
    lines = 0
    for path in directory.iterdir():
        if path.name.startswith(name):
            data = path.read_bytes()
            lines += (gzip.decompress(data) if path.suffix == ".gz" else data).count(b"\n")
    return lines
