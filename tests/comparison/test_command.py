"""The command as people run it: a report at the end, and nothing left behind however it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SHORT = [
    "--workloads",
    "small",
    "--rounds",
    "1",
    "--seconds",
    "0.2",
    "--connections",
    "4",
    "--generator",
    "bundled",
]
SHORT += ["--no-behaviour", "--age", "0"]


def comparison(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start the command with its temporary files under *tmp_path*, so that what it leaves is seen."""
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.comparison", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    )  # fmt: skip


def processes_that_name(text: str) -> list[int]:
    """The processes with *text* in their command line: the servers have the document root there."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if text in Path(f"/proc/{name}/cmdline").read_text("utf-8", "replace"):
                found.append(int(name))
        except OSError:
            continue
    return found


def test_a_server_against_itself_with_every_report(tmp_path: Path) -> None:
    html, told = tmp_path / "report.html", tmp_path / "report.json"
    arguments = [
        "--only",
        "http.server,http.server",
        *SHORT,
        "--html",
        str(html),
        "--json",
        str(told),
    ]
    with comparison(tmp_path, *arguments) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 0, err
    document = json.loads(told.read_text())
    assert [subject["state"] for subject in document["subjects"]] == ["measured", "measured"]
    assert [cell["examples"] for cell in document["cells"]] == [{}, {}]
    assert all(cell["rounds"][0]["requests"] > 0 for cell in document["cells"])
    assert "127.0.0.1" in document["subjects"][0]["command"]
    assert "http.server (2)" in out
    assert "small, round 1" in err
    assert "http.server (2)" in html.read_text()
    assert not list((tmp_path / "temporary").iterdir())


def test_a_report_that_cannot_be_written_costs_neither_the_other_nor_the_figures(
    tmp_path: Path,
) -> None:
    html = Path(
        os.fsdecode(bytes(tmp_path) + b"/\xff.html")
    )  # also not UTF-8: no name keeps a report from being made
    arguments = ["--only", "http.server", *SHORT, "--json", "/dev/full", "--html", str(html)]
    with comparison(tmp_path, *arguments) as process:
        out, err = process.communicate(timeout=50)
    assert process.returncode == 1
    assert (
        err.splitlines()[-1]
        == "python -m app.comparison: '/dev/full' was not written: No space left on device"
    )
    assert "Traceback" not in err
    assert "http.server" in html.read_text()
    assert out.endswith(f"written: {tmp_path}/\\xff.html\n")


def test_standard_output_that_is_a_file_takes_a_report_behind_the_table(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("w") as file:
        arguments = [
            "--only",
            "http.server",
            *SHORT,
            "--json",
            "/dev/stdout",
            "--html",
            "/dev/null",
        ]
        command = [sys.executable, "-m", "app.comparison", *arguments]
        ended = subprocess.run(
            command, stdout=file, stderr=subprocess.PIPE, text=True, timeout=50, check=False
        )
    assert ended.returncode == 0, ended.stderr
    table, brace, rest = output.read_text().partition("\n{\n")
    document, end = json.JSONDecoder().raw_decode(brace + rest, 1)
    assert "http.server" in table
    assert document["subjects"][0]["state"] == "measured"
    assert (brace + rest)[end:].split("\n") == [
        "",
        "written: /dev/stdout",
        "written: /dev/null",
        "",
    ]


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_ending_it_ends_everything_it_started(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    arguments = ["--only", "http.server", *SHORT, "--seconds", "40"]
    with comparison(tmp_path, *arguments) as process:
        mark = str(tmp_path)
        # The server and the generator: the latter has its order's file in the command line.
        wait_until(lambda: len(processes_that_name(mark)) >= 2, timeout=30)
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == status
        wait_until(lambda: not processes_that_name(mark))
        wait_until(lambda: not list((tmp_path / "temporary").iterdir()))
