"""`python -m app.counters`: what it prints, reads, refuses and leaves alone."""

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from app.counters import open_counter
from app.counters.__main__ import main
from app.counters.contract import FileRecord, Kind
from app.counters.lmdb.counter import LmdbCounter
from app.counters.redis import scripts as script
from tests.counters.conftest import Open
from tests.counters.redis_server import RedisServer

NIGHT = 20_000 * 86400


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store with two files, counted over two days."""
    now = [NIGHT - 1.0]
    counter = LmdbCounter(str(tmp_path / "kept"), clock=lambda: now[0])
    for kind in Kind:
        counter.count("/a", kind)
    now[0] += 1
    for _ in range(5):
        counter.count('/b,"c"', Kind.FULL)
    counter.count("/a", Kind.FULL)
    counter.answered(404)
    counter.close()
    return f"lmdb:{tmp_path / 'kept'}"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_show(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "show", "--counts", store).splitlines() == [
        "accesses  full  partial  not_modified  resumed  head  first                 last         "
        "         path",
        "       4     2        1             1        1     1  2024-10-03T23:59:59Z "
        " 2024-10-04T00:00:00Z  /a",
        "       5     5        0             0        0     0  2024-10-04T00:00:00Z "
        ' 2024-10-04T00:00:00Z  /b,"c"',
        "9 accesses to 2 files",
        "answers by status: 200: 7, 206: 2, 304: 1, 404: 1",
    ]


def test_show_by_day(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", "--by-day", "--format", "csv", "--counts", store)
    assert list(csv.reader(StringIO(out))) == [
        ["day", "accesses", "path"],
        ["2024-10-03", "3", "/a"],
        ["2024-10-04", "1", "/a"],
        ["2024-10-04", "5", '/b,"c"'],
    ]


def test_show_one_file_on_one_day(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "show", "--day", "2024-10-03", "--format", "csv", "--counts", store, "/a")
    assert out.splitlines() == ["day,accesses,path", "2024-10-03,3,/a"]


def test_one_day_is_all_that_is_shown_of_it(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "show", "--day", "2024-10-04", "--counts", store).splitlines() == [
        "day         accesses  path",
        "2024-10-04         1  /a",
        '2024-10-04         5  /b,"c"',
        "6 accesses to 2 files",
    ]
    assert run(capsys, "top", "-n", "1", "--day", "2024-10-03", "--counts", store).splitlines()[
        1:
    ] == [
        "2024-10-03         3  /a",
        "3 accesses to 1 files",
    ]
    assert json.loads(
        run(capsys, "show", "--day", "2024-10-04", "--format", "json", "--counts", store)
    ) == {
        "format": 1,
        "day": "2024-10-04",
        "files": {"/a": {"accesses": 1}, '/b,"c"': {"accesses": 5}},
    }


def test_the_document_of_one_day_is_no_export(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "document.json"
    document.write_text(
        run(capsys, "show", "--day", "2024-10-04", "--format", "json", "--counts", store)
    )
    refused(capsys, "import", str(document), "--counts", f"lmdb:{tmp_path / 'other'}")


def test_top(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "top", "-n", "1", "--format", "json", "--counts", store)
    assert list(json.loads(out)["files"]) == ['/b,"c"']
    out = run(capsys, "top", "--day", "2024-10-03", "--format", "json", "--counts", store)
    assert list(json.loads(out)["files"]) == ["/a"]


def test_the_variable_names_the_store(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_COUNTS", store)
    assert json.loads(run(capsys, "export"))["files"]["/a"]["accesses"] == 4


def test_a_store_moves_by_document_and_back_without_loss(
    store: str,
    shared_url: str,
    open_shared: Open,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = tmp_path / "document.json"
    document.write_text(run(capsys, "export", "--counts", store))
    run(capsys, "import", str(document), "--counts", shared_url)
    assert run(capsys, "export", "--counts", shared_url) == document.read_text()
    assert open_shared().count("/a", Kind.FULL) == 5
    back = f"lmdb:{tmp_path / 'back'}"
    run(capsys, "import", shared_url, "--counts", back)
    counter = open_counter(back)
    assert counter.count("/a", Kind.FULL) == 6
    counter.close()


def test_import_refuses_a_store_that_has_counts_unless_it_is_to_add(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "document.json"
    document.write_text(run(capsys, "export", "--counts", store))
    assert "--add" in refused(capsys, "import", str(document), "--counts", store)
    run(capsys, "import", "--add", str(document), "--counts", store)
    files = json.loads(run(capsys, "export", "--counts", store))["files"]
    assert (files["/a"]["accesses"], files["/a"]["days"]) == (8, {"2024-10-03": 6, "2024-10-04": 2})


def test_reset(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--all" in refused(capsys, "reset", "--counts", store)
    assert "/none" in refused(capsys, "reset", "/none", "--counts", store)
    run(capsys, "reset", "/a", "--counts", store)
    assert list(json.loads(run(capsys, "export", "--counts", store))["files"]) == ['/b,"c"']
    run(capsys, "reset", "--all", "--counts", store)
    assert json.loads(run(capsys, "export", "--counts", store))["statuses"] == {}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory:",
        "nothing:",
        "lmdb:/nowhere/at/all",
        "redis://someone:hunter2@127.0.0.1:1/0",
        "redis://h/notadb",
    ],
)
def test_stores_that_cannot_be_read(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hunter2" not in refused(capsys, "show", "--counts", url)
    assert not Path("/nowhere").exists()


@pytest.mark.parametrize(
    "document",
    [
        "", "[]", "{}", '{"format": 2, "files": {}, "other_statuses": {}}', '{"format": 1, "files":'
                                                                            ' []}',
        '{"format": 1, "files": {"/a": {"full": -1}}, "other_statuses": {}}',
        '{"format": 1, "files": {"a": {}}, "other_statuses": {}}',
    ],
)  # fmt: skip
def test_documents_that_are_none(
    document: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "document").write_text(document)
    refused(capsys, "import", str(tmp_path / "document"), "--counts", f"lmdb:{tmp_path / 'kept'}")


@pytest.mark.parametrize("document", [b"\x89PNG\r\n\x1a\n\xff\xfe", b"\0" * 64, b"[" * 100_000])
def test_files_that_are_no_documents(
    document: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "document").write_bytes(document)
    line = refused(
        capsys, "import", str(tmp_path / "document"), "--counts", f"lmdb:{tmp_path / 'kept'}"
    )
    assert "not a document" in line


@pytest.mark.parametrize(
    "change",
    [
        {"days": {"1960-01-01": 1}}, {"last": 253402300800}, {"first": 2**52}, {"days": {"2024-10-03": 5}},
        {"days": {"10000-01-01": 1}}, {"full": 2**53},
    ],
)  # fmt: skip
def test_documents_with_values_that_cannot_be(
    change: dict[str, object], store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(run(capsys, "export", "--counts", store))
    document["files"]["/a"].update(change)
    (tmp_path / "document").write_text(json.dumps(document))
    other = f"lmdb:{tmp_path / 'other'}"
    assert "not a document" in refused(
        capsys, "import", str(tmp_path / "document"), "--counts", other
    )
    assert run(capsys, "show", "--format", "csv", "--counts", other).count("\n") == 1, (
        "nothing of it was taken"
    )


@pytest.mark.parametrize("path", ["/\ud800", "/a\nb", "/\u00e4"])
def test_documents_with_paths_that_no_file_has(
    path: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(run(capsys, "export", "--counts", store))
    document["files"] = {path: document["files"]["/a"]}
    (tmp_path / "document").write_text(json.dumps(document))
    refused(capsys, "import", str(tmp_path / "document"), "--counts", f"lmdb:{tmp_path / 'other'}")


@pytest.mark.parametrize(
    "url", ["s3cr3tPW@127.0.0.1:1/0", "s3cr3tPW", "someone:s3cr3tPW@h/0", "s3cr3tPW:x@h/0"]
)
def test_what_may_be_a_credential_is_not_shown(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "show", "--counts", url)
    assert not any(word in line for word in ("s3cr3t", "someone"))


def test_a_scheme_that_was_mistyped_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "show", "--counts", "redsi://someone:hunter2@h/0")
    assert "'redsi'" in line
    assert "hunter2" not in line
    line = refused(
        capsys, "import", "redsi://someone:hunter2@h/0", "--counts", f"lmdb:{tmp_path / 'kept'}"
    )
    assert "hunter2" not in line


@pytest.mark.parametrize("command", [["show"], ["export"], ["import", "-"], ["reset", "--all"]])
def test_a_newer_format_is_left_alone(
    command: list[str], redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_server.ask("SET", script.FORMAT_KEY, "2")
    redis_server.ask("HSET", script.FILES, "/a", "x")
    assert "format 2" in refused(capsys, *command, "--counts", redis_server.url)
    assert redis_server.ask("HLEN", script.FILES) == b":1\r\n"


def test_reading_writes_nothing(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "export", "--counts", redis_server.url)
    assert redis_server.ask("DBSIZE") == b":0\r\n"


@pytest.mark.parametrize(
    "arguments", [["show", "--day", "2024-13-01"], ["top", "-n", "0"], ["nothing"], []]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    counter = open_counter(f"lmdb:{tmp_path}")
    many = counter.counts()
    many.files = {
        f"/{name}": FileRecord(full=1, first=1, last=1, days={0: 1}) for name in range(5000)
    }
    counter.add(many)
    counter.close()
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "app.counters",
        "show",
        "--counts",
        f"lmdb:{tmp_path}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    with process.stderr:
        assert process.stderr.read() == b""


def test_reading_leaves_the_live_store_as_it_is(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "kept" / "data.mdb"
    snapshot = (tmp_path / "kept" / "snapshot.mdb").stat()
    counter = LmdbCounter(
        str(tmp_path / "kept"), snapshot_interval=3600.0
    )  # its own snapshots are not meant
    before = data.read_bytes()
    command = [sys.executable, "-m", "app.counters", "show", "--counts", store]
    for _ in range(2):
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert data.read_bytes() == before
    assert (tmp_path / "kept" / "snapshot.mdb").stat() == snapshot
    assert counter.count("/a", Kind.FULL) == 5
    counter.close()
