"""The published run: its page in the guide is what the command makes of it."""

import json
import shutil
from pathlib import Path

import pytest

from app.comparison import publish
from app.comparison.report_json import as_comparison


def test_the_page_of_the_guide_is_made_from_the_published_run() -> None:
    page = Path(publish.PAGE).read_text("utf-8")
    assert page == publish.published_page(), "python -m app.comparison.publish mends it"
    assert len(page.encode()) < 60_000


def test_the_page_tells_what_was_measured_and_when() -> None:
    run = as_comparison(json.loads(Path(publish.RUN).read_text("utf-8")))
    page = publish.published_page()
    assert f"{run.date} at commit {run.commit}" in page
    assert run.commit
    assert run.measured
    for subject in run.measured:
        assert f"<th>{subject.title}</th>" in page
    for name, _ in run.workloads:
        assert f'id="{name}"' in page


def test_a_report_takes_the_place_of_the_published_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, run, page = (tmp_path / name for name in ("report.json", "run.json", "page.html"))
    shutil.copy(publish.RUN, report)
    document = json.loads(report.read_text("utf-8"))
    report.write_text(json.dumps({**document, "date": "2030-01-01 00:00 UTC"}), "utf-8")
    monkeypatch.setattr(publish, "RUN", str(run))
    monkeypatch.setattr(publish, "PAGE", str(page))
    assert publish.main([str(report)]) == 0
    assert json.loads(run.read_text("utf-8")) == {**document, "date": "2030-01-01 00:00 UTC"}
    assert "2030-01-01" in page.read_text("utf-8")


def test_a_senseless_command_line_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert publish.main(["--help"]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
