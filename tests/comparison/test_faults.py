"""A broken server is reported as such, for each kind of fault, by either generator."""

from html import unescape

import pytest

from app.comparison.bench import Bench
from app.comparison.documents import Documents
from app.comparison.measure import measure
from app.comparison.plan import Plan
from app.comparison.processes import Guard
from app.comparison.report_html import as_page
from app.comparison.results import Comparison
from app.comparison.servers import Server
from app.comparison.workloads import WORKLOADS
from tests.comparison.contestants import faulty
from tests.programs import program

pytestmark = pytest.mark.slow

#: More answers than the look before the load takes: the fault begins under load.
UNDER_LOAD = 20


def compare(
    guard: Guard,
    scratch: str,
    documents: Documents,
    *servers: Server,
    wrk: str = "",
    loads: tuple[str, ...] = ("small",),
) -> Comparison:
    workloads = tuple(WORKLOADS[name] for name in loads)
    plan = Plan(
        servers,
        workloads,
        rounds=1,
        seconds=0.25,
        connections=8,
        patience=2.0,
        starts=1,
        behaviour=False,
    )
    comparison = Comparison(
        "today",
        "test",
        {},
        servers[0].name,
        1,
        0.25,
        8,
        "bundled",
        [(name, name) for name in loads],
    )
    measure(plan, comparison, Bench(guard, scratch, documents, wrk), lambda _step: None)
    return comparison


@pytest.fixture(params=["bundled", "wrk"])
def wrk(request: pytest.FixtureRequest) -> str:
    """The program, or empty for the bundled generator."""
    if request.param == "bundled":
        return ""
    return program("wrk")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("wrong-length", "wrong length"),
        ("wrong-status", "wrong status"),
        ("wrong-content", "wrong content"),
        ("crash", "crashed"),
        ("silence", "no answer"),
    ],
)
def test_a_fault_that_begins_under_load(
    fault: str, kind: str, wrk: str, guard: Guard, scratch: str, documents: Documents
) -> None:
    comparison = compare(guard, scratch, documents, faulty(fault, UNDER_LOAD), wrk=wrk)
    (cell,) = comparison.cells
    assert cell.faults.get(kind, 0) >= 1, cell.faults
    assert cell.examples[kind] in unescape(as_page(comparison))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("wrong-length", "wrong length"),
        ("wrong-content", "wrong content"),
        ("cut-short", "wrong length"),
        ("crash", "crashed"),
    ],
)
def test_a_fault_that_the_first_look_finds(
    fault: str, kind: str, guard: Guard, scratch: str, documents: Documents
) -> None:
    comparison = compare(guard, scratch, documents, faulty(fault, after=1))
    (cell,) = comparison.cells
    assert cell.faults.get(kind, 0) >= 1, cell.faults
    assert not cell.answered, "a server that is known to be wrong is not ranked by its speed"


@pytest.mark.parametrize("fault", ["cut-short", "surplus"])
def test_bad_framing_under_load_is_a_wrong_length(
    fault: str, guard: Guard, scratch: str, documents: Documents
) -> None:
    (cell,) = compare(guard, scratch, documents, faulty(fault, UNDER_LOAD)).cells
    assert cell.faults.get("wrong length", 0) >= 1, cell.faults


def test_a_server_that_crashes_is_started_again_and_its_last_lines_kept(
    guard: Guard, scratch: str, documents: Documents
) -> None:
    comparison = compare(
        guard, scratch, documents, faulty("crash", UNDER_LOAD), loads=("small", "close")
    )
    (subject,) = comparison.subjects
    # A crash between two requests leaves none unanswered.
    assert [set(cell.faults) | {"no answer"} for cell in comparison.cells] == [
        {"no answer", "crashed"}
    ] * 2
    assert set(subject.last_lines) == {"the last words of a server"}
    assert "ended with status 3" in subject.reason
    assert len(subject.start_milliseconds) == 2
    assert subject.reason in as_page(comparison)


def test_a_server_that_never_starts(guard: Guard, scratch: str, documents: Documents) -> None:
    comparison = compare(guard, scratch, documents, faulty("never-starts"), faulty("none"))
    broken, sound = comparison.subjects
    assert (broken.state, broken.last_lines) == (
        "did not start",
        ["a configuration that does not make sense"],
    )
    assert sound.state == "measured"
    assert [cell.server for cell in comparison.cells] == ["faulty-none"]
    assert "a configuration that does not make sense" in as_page(comparison)


def test_a_server_that_starts_and_never_answers(
    guard: Guard, scratch: str, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.comparison.starting.START_PATIENCE", 0.5)
    (subject,) = compare(guard, scratch, documents, faulty("never-answers")).subjects
    assert subject.state == "did not start"
    assert "no 200 within" in subject.reason


def test_a_program_that_is_not_installed_is_named(
    guard: Guard, scratch: str, documents: Documents
) -> None:
    missing = Server("missing", "Missing", "no-such-program", needs=("no-such-program",))
    (subject,) = compare(guard, scratch, documents, missing).subjects
    assert (subject.state, subject.reason) == ("not installed", "no-such-program")


@pytest.mark.parametrize("fault", ["none", "chunked", "until-close"])
def test_a_sound_server_is_reported_right(
    fault: str, guard: Guard, scratch: str, documents: Documents
) -> None:
    comparison = compare(guard, scratch, documents, faulty(fault))
    (cell,) = comparison.cells
    assert not cell.faults, cell.examples
    assert cell.answered[0].requests > 20
    assert 1 < cell.figures["cpu"].median < 100_000
    assert cell.figures["pss"].median > 2**20
    assert comparison.subjects[0].start_milliseconds[0] > 1
