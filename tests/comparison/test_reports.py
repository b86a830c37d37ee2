"""The reports, from results made by hand: medians, nothing fetched from elsewhere, everything
escaped.
"""

import json
import re
from html.parser import HTMLParser

import pytest

from app.comparison.behaviour import Verdict
from app.comparison.load_order import PERCENTILES
from app.comparison.report_html import as_page
from app.comparison.report_json import as_comparison, as_document, without_rounds
from app.comparison.report_terminal import print_report
from app.comparison.results import Cell, Comparison, Figure, Round, Subject

HOSTILE = '<script>alert(1)</script> [bold] & "quoted"'


def round_of(requests: int, cpu_seconds: float, p50: float = 2.0, share: float = 0.5) -> Round:
    latency = [p50 * (1 + percent / 100) for percent in PERCENTILES]
    return Round(requests, 2.0, latency, cpu_seconds, 2**24, share)


@pytest.fixture
def comparison() -> Comparison:
    fast = Cell(
        "fast", "small", [round_of(1000, 0.01), round_of(1200, 0.012), round_of(2000, 0.03)]
    )
    slow = Cell("slow", "small", [round_of(500, 0.01), round_of(500, 0.02), round_of(100, 0.01)])
    wrong = Cell(
        "wrong", "small", [round_of(10, 0.01)], {}, {"wrong length": 7}, {"wrong length": HOSTILE}
    )
    crowd = Cell(
        "fast", "crowd-idle", [round_of(100, 0.1)], crowd_size=100, held=98, connection_bytes=2048.0
    )
    none = Cell("slow", "crowd-idle", not_offered=HOSTILE)
    verdicts = [
        Verdict("methods", "GET", "MUST", "RFC 9110 9.3.1", "200", "pass"),
        Verdict("methods", HOSTILE, "MUST", "RFC 9110 9.3.1", "200", "deviates", HOSTILE),
        Verdict("ranges", "part", "SHOULD", "RFC 9110 14", "206", "not offered"),
        Verdict("ranges", "other", "SHOULD", "RFC 9110 14", "206", "error", "no answer within 2 s"),
    ]
    comparison = Comparison(
        "2026-01-01", "python -m app.comparison " + HOSTILE, {"processor": HOSTILE}, "fast", 3, 2.0, 64, "wrk",
        [("small", "A small file"), ("crowd-idle", "Idle ones")],
        [
            Subject("fast", "Fast", "1.0", "run fast", start_milliseconds=[10.0, 30.0, 20.0]),
            Subject("slow", "Slow", "2.0", "run slow", start_milliseconds=[10.0]),
            Subject("wrong", "Wrong", HOSTILE, HOSTILE, start_milliseconds=[10.0]),
            Subject("gone", "Gone", "", state="not installed", reason="gone"),
            Subject("broken", "Broken", "", state="did not start", reason=HOSTILE, last_lines=[HOSTILE]),
        ],
        [fast, slow, wrong, crowd, none],
        {"fast": verdicts, "slow": verdicts},
    )  # fmt: skip
    comparison.summarize()
    return comparison


def test_figures_are_medians_and_ratios_are_taken_within_a_round(comparison: Comparison) -> None:
    fast, slow = comparison.cell("fast", "small"), comparison.cell("slow", "small")
    assert fast
    assert slow
    assert fast.figures["rate"] == Figure(600.0, 500.0, 1000.0)
    assert fast.figures["cpu"].median == pytest.approx(10.0)
    assert slow.figures["cpu_ratio"] == pytest.approx((4.0, 2.0, 100 / 15))
    assert fast.figures["cpu_ratio"] == Figure(1.0, 1.0, 1.0)


def test_a_round_without_answers_has_no_figures() -> None:
    cell = Cell("silent", "small", [Round(0, 0.0, [], 0.5, 1, 0.1)])
    cell.summarize(cell)
    assert (cell.figures, cell.generator_bound) == ({}, False)


class Page(HTMLParser):
    """Collects what a browser would fetch, and the tags that are open at the end."""

    VOID = frozenset({"meta", "link", "br", "line", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.anchors: set[str] = set()
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value or "")
            if name in (
                "src",
                "srcset",
                "data",
                "action",
                "poster",
                "href",
                "xlink:href",
                "background",
            ):
                if (value or "").startswith("#"):
                    self.targets.add((value or "")[1:])
                elif value != "data:,":
                    self.fetched.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(comparison: Comparison) -> None:
    text = as_page(comparison)
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.fetched == []
    assert not {"script", "iframe", "img", "object", "embed"} & set(page.tags)
    assert not re.search(r"@import|url\(", text)
    assert page.targets <= page.anchors
    assert "svg" in page.tags


def test_whatever_servers_say_is_escaped(comparison: Comparison) -> None:
    text = as_page(comparison)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 8


def test_the_page_tells_what_was_wrong(comparison: Comparison) -> None:
    text = as_page(comparison)
    for part in (
        "wrong length",
        "98 of 100",
        "not installed: gone",
        "did not start",
        "4.00\u00d7",
        "no answer within 2 s",
    ):
        assert part in text, part


def test_the_json_has_rounds_medians_and_ratios(comparison: Comparison) -> None:
    document = json.loads(json.dumps(as_document(comparison)))
    slow = next(
        cell
        for cell in document["cells"]
        if cell["server"] == "slow" and cell["workload"] == "small"
    )
    assert [one["requests"] for one in slow["rounds"]] == [500, 500, 100]
    assert slow["figures"]["cpu_ratio"][0] == pytest.approx(4.0)
    assert slow["figures"]["rate"] == [250.0, 50.0, 250.0]
    assert document["behaviour"]["outcomes"]["fast"] == "pdne"
    assert document["behaviour"]["said"]["fast"]["1"] == HOSTILE
    assert [subject["state"] for subject in document["subjects"]][3:] == [
        "not installed",
        "did not start",
    ]


def test_a_document_without_rounds_has_all_that_the_reports_tell(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(comparison)
    told = capsys.readouterr().out
    document = json.loads(json.dumps(without_rounds(as_document(comparison))))
    assert not any("rounds" in cell for cell in document["cells"])
    print_report(as_comparison(document))
    assert capsys.readouterr().out == told


def test_the_terminal_report_is_plain_when_piped(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(comparison)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    for part in (
        "4.00\u00d7",
        "wrong length (7)",
        "98 of 100",
        "not installed: gone",
        HOSTILE,
        "1/3",
    ):
        assert part in text, part
