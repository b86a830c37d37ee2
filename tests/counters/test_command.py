"""The command line over the reading contract: what it prints, reads, refuses and leaves alone."""

import csv
import io
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from app.counters.command import main
from app.counters.contract import ACCESSES, CLASSES, KINDS, CounterError
from app.counters.memory import MemoryCounter
from app.counters.periods import day_text
from app.counters.reading import Store
from tests.counters.traffic import BEGIN, DAY, Answered, Clock, answers, expected, run

TODAY = BEGIN // DAY + 2
PERIOD = f"{day_text(TODAY - 2)}..{day_text(TODAY)}"


class Kept(MemoryCounter):
    """A store that outlives being closed, as one in a directory does."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(clock: Clock) -> dict[str, Kept]:
    return {"lmdb:full": Kept(clock), "lmdb:empty": Kept(clock)}


@pytest.fixture
def given(stores: dict[str, Kept], clock: Clock) -> list[Answered]:
    """What was counted in lmdb:full."""
    counted = list(answers(3, 200))
    run(stores["lmdb:full"], counted, clock)
    stores["lmdb:full"].answered(404)
    return counted


Run = Callable[..., str]


@pytest.fixture
def command(stores: dict[str, Kept], capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on lmdb:full, and returns what it prints."""

    def run_it(*arguments: str, status: int = 0, counts: str = "lmdb:full") -> str:
        def open_store(url: str, create: bool) -> Store:
            if url not in stores:
                raise CounterError(f"counts: {url}: no counts are kept there")
            return stores[url]

        before = sum(store.closed for store in stores.values())
        assert main([*arguments, "--counts", counts], open_store, "counts") == status
        assert sum(store.closed for store in stores.values()) > before or status
        out, err = capsys.readouterr()
        if status:
            assert out == ""
            assert err.count("\n") == 1
            return err
        assert err == ""
        return out

    return run_it


def test_top_as_a_table(stores: dict[str, Kept], clock: Clock, command: Run) -> None:
    store = stores["lmdb:full"]
    store.count("/b,c.iso", "full", None, "people", 1234, True)
    store.count("/b,c.iso", "not_modified", None, "robots")
    store.count("/a", "partial", None, "tools", 10)
    assert command("top").splitlines() == [
        "no.  accesses  people  tools  robots  own  unknown  completed  sent bytes  last                  path",
        "  1         2       1      0       1    0        0          1        1234  2026-11-20T00:00:00Z  /b,c.iso",
        "  2         1       0      1       0    0        0          0          10  2026-11-20T00:00:00Z  /a",
        "2 of 2 files",
        "as of 2026-11-20T00:00:00Z",
    ]
    assert command("top", "--class", "tools", "-n", "1").splitlines()[1].split()[-1] == "/a"
    assert "more: --after " in command("top", "-n", "1")


def test_top_as_json(given: list[Answered], command: Run) -> None:
    document = json.loads(command("top", "--period", PERIOD, "-n", "3", "--json"))
    assert document["period"] == {"from": day_text(TODAY - 2), "to": day_text(TODAY), "unit": "day"}
    assert (document["exact"], document["uncounted"], document["pending"]) == (True, 0, 0)
    assert document["matched"] == len({answer.path for answer in given if answer.kind in ACCESSES})
    assert [row["rank"] for row in document["files"]] == [1, 2, 3]
    for row in document["files"]:
        tally = expected(given, lambda one, path=row["path"]: one.path == path)  # type: ignore[misc]
        assert (
            row["accesses"] == tally.accesses == sum(row["series"]) == sum(row["classes"].values())
        )
        assert row["kinds"] == tally.kinds
        assert list(row["kinds"]) == list(KINDS)
        assert row["classes"] == tally.classes
        assert list(row["classes"]) == list(CLASSES)
        assert (row["completed"], row["sent_bytes"]) == (tally.completed, tally.sent_bytes)
        assert row["first"] < row["last"]
    following = json.loads(
        command("top", "--period", PERIOD, "--json", "--after", document["next"])
    )
    assert following["files"][0]["rank"] == 4


def test_clients_as_json(stores: dict[str, Kept], clock: Clock, command: Run) -> None:
    for client in (b"a", b"b", b"a"):
        stores["lmdb:full"].count("/f", "full", None, "people", 9, True, client, 5)
    [row] = json.loads(command("top", "--period", PERIOD, "--json"))["files"]
    assert row["clients"] == {"mean_per_day": 2, "highest": 2, "highest_day": day_text(TODAY - 2)}
    assert (row["downloads"], row["total_requests"], row["unique_requests"]) == (2, 2, 2)
    [headings, cells] = csv.reader(StringIO(command("top", "--period", PERIOD, "--csv")))
    cell = dict(zip(headings, cells, strict=True))
    assert (cell["mean_clients_per_day"], cell["highest_clients"], cell["downloads"]) == (
        "2",
        "2",
        "2",
    )


@pytest.mark.parametrize("order", ["accesses", "bytes", "path", "last"])
def test_top_as_csv(given: list[Answered], command: Run, order: str) -> None:
    rows = list(csv.DictReader(StringIO(command("top", "-n", "100", "--order", order, "--csv"))))
    assert {row["path"] for row in rows} == {answer.path for answer in given}
    for row in rows:
        tally = expected(given, lambda one, path=row["path"]: one.path == path)  # type: ignore[misc]
        assert {name: int(row[name]) for name in (*KINDS, *CLASSES)} == {
            **tally.kinds,
            **tally.classes,
        }
        assert int(row["sent_bytes"]) == tally.sent_bytes


def test_show_lists_every_file_by_its_path(given: list[Answered], command: Run) -> None:
    paths = sorted({answer.path for answer in given})
    assert [line.split()[-1] for line in command("show").splitlines()[1:-2]] == paths
    document = json.loads(command("show", "--json"))
    assert [row["path"] for row in document["files"]] == paths
    assert (document["matched"], document["next"]) == (len(paths), "")
    assert [row["path"] for row in csv.DictReader(StringIO(command("show", "--csv")))] == paths


def test_show_lists_more_files_than_a_page_has(stores: dict[str, Kept], command: Run) -> None:
    for number in range(2100):
        stores["lmdb:full"].count(f"/f{number:04}", "full")
    assert len(json.loads(command("show", "--json"))["files"]) == 2100
    assert command("show").count("/f") == 2100
    assert json.loads(command("show", "--json", "--match", "nothing"))["files"] == []


def test_show_one_file_and_a_directory(given: list[Answered], command: Run) -> None:
    document = json.loads(command("show", "/d0/f0.bin", "--json"))
    tally = expected(given, lambda one: one.path == "/d0/f0.bin")
    assert (document["path"], document["kinds"], document["rank"]) == ("/d0/f0.bin", tally.kinds, 1)
    one, other = json.loads(command("show", "/d0/f0.bin", "/d0/", "--json"))
    assert one == document
    assert other["accesses"] == expected(given, lambda one: one.path.startswith("/d0/")).accesses
    assert [
        line.split()[-1] for line in command("show", "/d0/", "/d0/f0.bin").splitlines()[1:3]
    ] == [
        "/d0/",
        "/d0/f0.bin",
    ]
    assert "no such file was counted" in command("show", "/d0/none", status=1)


def test_series(given: list[Answered], command: Run) -> None:
    document = json.loads(command("series", "--period", PERIOD, "--json"))
    assert [point["at"] for point in document["series"]] == [
        day_text(TODAY - 2 + day) for day in range(3)
    ]
    assert sum(point["accesses"] for point in document["series"]) == expected(given).accesses
    [month] = json.loads(
        command("series", "--unit", "month", "--period", PERIOD, "--json", "/d0/f0.bin")
    )["series"]
    assert (month["at"], month["kinds"]) == (
        "2026-11",
        expected(given, lambda one: one.path == "/d0/f0.bin").kinds,
    )
    table = command("series", "--unit", "hour", "--period", day_text(TODAY)).splitlines()
    assert table[1].startswith(f"{day_text(TODAY)}T00Z")
    rows = list(csv.DictReader(StringIO(command("series", "--period", PERIOD, "--csv"))))
    assert sum(int(row["people"]) for row in rows) == expected(given).classes["people"]


def test_totals(given: list[Answered], command: Run) -> None:
    document = json.loads(command("totals", "--json"))
    assert document["classes"] == expected(given).classes
    assert document["statuses"]["404"] == 1
    assert document["files_counted"] == len({answer.path for answer in given})
    assert str(expected(given).accesses) in command("totals").splitlines()[0]


def test_what_is_not_exact_is_said(
    stores: dict[str, Kept], given: list[Answered], command: Run
) -> None:
    stores["lmdb:full"].uncounted(3, 0, BEGIN)
    for arguments in (
        ["top"],
        ["show"],
        ["totals"],
        ["series", "--period", PERIOD],
        ["show", "/d0/f0.bin"],
    ):
        assert "3 accesses were not counted" in command(*arguments)
        document = json.loads(command(*arguments, "--json"))
        assert (document["exact"], document["uncounted"]) == (False, 3)
        assert len(document["reasons"]) == 1


def assert_moved(stores: dict[str, Kept]) -> None:
    full, other = stores["lmdb:full"], stores["lmdb:empty"]
    (site, files), (its_site, its_files) = full.contents(), other.contents()
    assert (its_site, dict(its_files)) == (site, dict(files))
    assert other.totals() == full.totals()


def test_a_store_moves_by_document(
    stores: dict[str, Kept],
    given: list[Answered],
    command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = tmp_path / "document"
    document.write_text(command("export"))
    accesses, files = expected(given).accesses, stores["lmdb:full"].totals().files
    out = command("import", str(document), counts="lmdb:empty")
    assert out == f"{accesses} accesses to {files} files imported\n"
    assert_moved(stores)
    assert "--add" in command("import", str(document), counts="lmdb:empty", status=1)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(document.read_bytes())))
    command("import", "-", "--add", counts="lmdb:empty")
    assert stores["lmdb:empty"].totals().tally.accesses == 2 * accesses


def test_a_store_moves_directly(
    stores: dict[str, Kept], given: list[Answered], command: Run
) -> None:
    command("import", "lmdb:full", counts="lmdb:empty")
    assert_moved(stores)
    assert "no counts are kept there" in command(
        "import", "lmdb:nowhere", "--add", counts="lmdb:empty", status=1
    )


def damaged(lines: list[str]) -> list[tuple[str, list[str]]]:
    head, first, *_, end = lines
    return [
        ("nothing", []),
        ("no document", ["hello\n"]),
        ("a list", ["[]\n"]),
        ("cut off", lines[:-1]),
        ("a file left out", [*lines[:1], *lines[2:]]),
        ("a file twice", [head, first, *lines[1:]]),
        ("something behind", [*lines, first]),
        ("half a line", [head, first[:20] + "\n", *lines[2:]]),
        ("a newer format", [head.replace('"format":2', '"format":3'), *lines[1:]]),
        ("a path that no file has", [head, first.replace('"/', '"'), *lines[2:]]),
        ("a number that is none", [head, first.replace('"accesses":', '"accesses":-'), *lines[2:]]),
        (
            "a number too large",
            [head, first.replace('"accesses":', '"accesses":9007199254740992'), *lines[2:]],
        ),
        ("an unknown number", [head, first.replace('"accesses"', '"visitors"'), *lines[2:]]),
        (
            "more classes than accesses",
            [head, first.replace('"tools":', '"tools":99999'), *lines[2:]],
        ),
        ("an hour that is none", [head.replace("T00Z", "T24Z"), *lines[1:]]),
        ("a wrong end", [*lines[:-1], end.replace("}", ',"more":1}')]),
    ]


NAMES = [name for name, _ in damaged(["{}"] * 3)]


@pytest.mark.parametrize("name", NAMES)
def test_documents_that_cannot_be_taken(
    name: str, stores: dict[str, Kept], given: list[Answered], command: Run, tmp_path: Path
) -> None:
    lines = command("export").splitlines(keepends=True)
    changed = dict(damaged(lines))[name]
    assert changed != lines
    (tmp_path / "document").write_text("".join(changed))
    command("import", str(tmp_path / "document"), counts="lmdb:empty", status=1)
    assert stores["lmdb:empty"].totals().files == 0, "nothing was added"


def test_documents_of_the_format_before(
    stores: dict[str, Kept], clock: Clock, command: Run, tmp_path: Path
) -> None:
    old = {
        "format": 1,
        "files": {
            "/a": {
                "accesses": 8, "full": 5, "partial": 1, "not_modified": 2, "resumed": 3, "head": 4,
                "first": BEGIN - DAY, "last": BEGIN,
                "days": {day_text(TODAY - 3): 6, day_text(TODAY - 2): 2},
            },
        },
        "statuses": {"200": 5, "404": 7},
        "other_statuses": {"404": 7},
    }  # fmt: skip
    (tmp_path / "document").write_text(json.dumps(old, indent=1))
    assert (
        command("import", str(tmp_path / "document"), counts="lmdb:empty")
        == "8 accesses to 1 files imported\n"
    )
    document: dict[str, Any] = json.loads(command("show", "/a", "--json", counts="lmdb:empty"))
    assert document["kinds"] == {
        "full": 5, "partial": 1, "not_modified": 2, "resumed": 3, "probe": 0, "head": 4,
    }  # fmt: skip
    assert document["classes"]["unknown"] == 8
    assert document["reasons"][0].startswith(
        "classes, completed downloads and bytes are kept since"
    )
    totals = json.loads(command("totals", "--json", counts="lmdb:empty"))
    assert totals["statuses"] == {"200": 5, "206": 4, "304": 2, "404": 7}


def test_reset(stores: dict[str, Kept], given: list[Answered], command: Run) -> None:
    assert "/none" in command("reset", "/d0/f0.bin", "/none", status=1)
    assert command("reset", "/d0/f0.bin") == ""
    assert stores["lmdb:full"].file("/d0/f0.bin") is None
    assert "reset what?" in command("reset", status=1)
    command("reset", "--all")
    assert stores["lmdb:full"].totals().files == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["top", "--period", "week"],
        ["top", "-n", "0"],
        ["top", "-n", "1001"],
        ["top", "--class", "humans"],
        ["top", "--class", ""],
        ["top", "--order", "size"],
        ["top", "--after", "nonsense"],
        ["top", "--json", "--csv"],
        ["show", "--match", "x" * 2000],
        ["show", "/d/", "--period", "7d"],
        ["series", "--unit", "hour", "/d0/f0.bin"],
        ["series", "--unit", "week"],
        ["series", "--period", "all"],
        ["nothing"],
        [],
    ],
)
def test_wrong_usage(
    arguments: list[str],
    stores: dict[str, Kept],
    given: list[Answered],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(
            [*arguments, *(["--counts", "lmdb:full"] if arguments else [])],
            lambda url, _: stores[url],
            "counts",
        )
    assert exit_.value.code == 2
    assert capsys.readouterr().out == ""


def test_which_counts(
    command: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TALLY_COUNTS", raising=False)
    assert main(["totals"], lambda url, _: MemoryCounter(), "counts") == 1
    assert "which ones?" in capsys.readouterr().err
    monkeypatch.setenv("TALLY_COUNTS", "lmdb:x")
    stores = {"lmdb:x": MemoryCounter()}
    assert main(["totals"], lambda url, _: stores.pop(url), "counts") == 0
    assert stores == {}
