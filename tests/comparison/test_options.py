import os
import subprocess
import sys
from pathlib import Path

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
    "--age -1",
    "--age 601",
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


def assert_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and status 2."""
    with pytest.raises(SystemExit) as ended:
        read_options(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m app.comparison: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("line", SENSELESS)
def test_senseless_values_are_one_line_and_status_2(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(line.split(), capsys)


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
    assert [server.name for server in read_options(["--only", "nginx,nginx"]).plan.servers] == [
        "nginx",
        "nginx (2)",
    ]


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


@pytest.mark.parametrize("flag", ["--json", "--html"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/proc/report",
        "{here}/",
        "{here}/new/",
        "{here}/loop",
        "{here}/" + "n" * 300,
        "{here}/astray",
        "{here}/full/x",
    ],
)
def test_a_report_that_cannot_be_written_is_known_before_the_run(
    flag: str, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "astray").symlink_to("/no/such/directory/report")
    (tmp_path / "full").write_text("a file")
    before = sorted(tmp_path.iterdir())
    assert_refused([flag, path.format(here=tmp_path)], capsys)
    assert sorted(tmp_path.iterdir()) == before


def test_both_reports_in_one_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to("new")
    (tmp_path / "old").write_text("an earlier report")
    (tmp_path / "hard").hardlink_to(tmp_path / "old")
    for json, html in (("new", "new"), ("new", "link"), ("old", "old"), ("old", "hard")):
        assert_refused(["--json", str(tmp_path / json), "--html", str(tmp_path / html)], capsys)
    assert not (tmp_path / "new").exists()


def test_asking_whether_a_report_can_be_written_changes_nothing(tmp_path: Path) -> None:
    old, new, link = tmp_path / "old.json", tmp_path / "new.html", tmp_path / "link"
    old.write_text("an earlier report")
    link.symlink_to("behind")
    options = read_options(["--json", str(old), "--html", str(new)])
    assert (options.json_path, options.html_path) == (str(old), str(new))
    read_options(["--json", str(link)])
    assert old.read_text() == "an earlier report"
    assert sorted(tmp_path.iterdir()) == [link, old]


def test_devices_and_pipes_are_as_good_as_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # Without a reader, opening the pipe would wait for one; with one, closing it again would be the
    # end for it.
    read_options(["--json", str(pipe)])
    read_options(["--json", "/dev/null", "--html", "/dev/null"])
    read_options(["--json", "/dev/stdout", "--html", "/dev/null"])


@pytest.mark.parametrize(
    ("line", "age"), [("", 45), ("--quick", 0), ("--age 7", 7), ("--quick --age 7", 7)]
)
def test_the_files_are_as_old_as_those_of_a_site(line: str, age: float) -> None:
    plan = read_options(line.split()).plan
    assert (plan.age, plan.waits) == (age, age > 0)
    assert not read_options(["--workloads", "none", *line.split()]).plan.waits
