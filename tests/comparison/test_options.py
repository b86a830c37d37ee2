import subprocess
import sys

import pytest

from app.comparison.options import read_options

DEFAULTS = ["builtin", "builtin-threads-0", "gunicorn-gthread", "gunicorn-sync"]
CROWDS = ["crowd-idle", "crowd-readers", "crowd-headers"]
SENSELESS = [
    "--rounds 0",
    "--rounds 1.5",
    "--rounds many",
    "--seconds 0",
    "--seconds nan",
    "--seconds -1",
    "--connections 0",
    "--connections 100000",
    "--servers apache",
    "--servers ,",
    "--only builtin --servers nginx",
    "--baseline nginx",
    "--workloads huge",
    "--workloads none --no-behaviour",
    "--generator ab",
    "--json /no/such/directory/report.json",
    "--html /no/such/directory/report.html",
    "--quik",
    "surplus",
]


@pytest.mark.parametrize("line", SENSELESS)
def test_senseless_values_are_one_line_and_status_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read_options(line.split())
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m app.comparison: ")
    assert printed.err.count("\n") == 1


def test_without_options_the_installed_servers_and_every_workload() -> None:
    plan = read_options([]).plan
    assert [server.name for server in plan.servers] == [
        "builtin",
        "builtin-threads-0",
        "gunicorn-gthread",
        "gunicorn-sync",
    ]
    assert [workload.name for workload in plan.workloads] == [
        "small", "browser", "large", "ranges", "conditional", "close", "mixed", *CROWDS,
    ]  # fmt: skip
    assert plan.behaviour


def test_servers_adds_and_only_replaces() -> None:
    added = [server.name for server in read_options(["--servers", "nginx,builtin"]).plan.servers]
    assert added == [*DEFAULTS, "nginx"]
    options = read_options(["--only", "nginx,http.server", "--baseline", "http.server"])
    assert [server.name for server in options.plan.servers] == ["nginx", "http.server"]
    assert options.baseline == "http.server"


def test_a_server_named_twice_is_compared_with_itself() -> None:
    assert [server.name for server in read_options(["--only", "nginx,nginx"]).plan.servers] == ["nginx", "nginx (2)"]


def test_all_servers_are_those_that_the_help_names(capsys: pytest.CaptureFixture[str]) -> None:
    names = [server.name for server in read_options(["--servers", "all"]).plan.servers]
    with pytest.raises(SystemExit) as ended:
        read_options(["--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert len(names) > 20
    assert all(name in told for name in names)


def test_the_command_itself_refuses() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app.comparison", "--rounds", "0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
