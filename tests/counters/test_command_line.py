"""`python -m app.counters`: what it prints, reads, refuses and leaves alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.counters import open_counter
from app.counters.__main__ import main
from app.counters.contract import KINDS
from app.counters.lmdb.counter import LmdbCounter
from app.counters.redis import scripts as script
from tests.counters.conftest import Open
from tests.counters.kept import record
from tests.counters.redis_server import RedisServer

NIGHT = 20_000 * 86400


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store with two files, counted over two days."""
    now = [NIGHT - 1.0]
    counter = LmdbCounter(str(tmp_path / "kept"), clock=lambda: now[0])
    for kind in KINDS:
        counter.count("/a", kind)
    now[0] += 1
    for _ in range(5):
        counter.count('/b,"c"', "full")
    counter.count("/a", "full")
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


def exported(capsys: pytest.CaptureFixture[str], url: str) -> list[str]:
    """Return the lines of an export, in one order for every store."""
    head, *files, end = run(capsys, "export", "--counts", url).splitlines()
    return [head, *sorted(files), end]


def test_the_variable_names_the_store(
    store: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLY_COUNTS", store)
    assert json.loads(run(capsys, "totals", "--json"))["accesses"] == 9


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
    assert exported(capsys, shared_url) == exported(capsys, store)
    assert open_shared().count("/a", "full") == 5
    back = f"lmdb:{tmp_path / 'back'}"
    run(capsys, "import", shared_url, "--counts", back)
    counter = open_counter(back)
    assert counter.count("/a", "full") == 6
    counter.close()


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
        "", "[]", "{}", '{"format": 3, "files": {}, "other_statuses": {}}', '{"format": 1, "files":'
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


@pytest.mark.parametrize("path", ["/\ud800", "/a\nb", "/\u00e4"])
def test_documents_with_paths_that_no_file_has(
    path: str, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, *_, file, end = run(capsys, "export", "--counts", store).splitlines()
    changed = json.dumps({**json.loads(file), "path": path})
    (tmp_path / "document").write_text(f"{head}\n{changed}\n{end}\n")
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
    redis_server.ask("SET", script.FORMAT_KEY, "4")
    redis_server.ask("HSET", script.FILES, "/a", "x")
    assert "format 4" in refused(capsys, *command, "--counts", redis_server.url)
    assert redis_server.ask("HLEN", script.FILES) == b":1\r\n"


def test_reading_writes_nothing(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "export", "--counts", redis_server.url)
    assert redis_server.ask("DBSIZE") == b":0\r\n"


@pytest.mark.parametrize(
    "arguments", [["show", "--period", "2024-13-01"], ["top", "-n", "0"], ["nothing"], []]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    counter = open_counter(f"lmdb:{tmp_path}")
    counter.add((f"/{name}", record(1, 0)) for name in range(5000))
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
    counter = LmdbCounter(
        str(tmp_path / "kept"), snapshot_interval=3600.0
    )  # its own snapshots are not meant
    counter._tidy()
    snapshot = (tmp_path / "kept" / "snapshot.mdb").stat()
    before = data.read_bytes()
    command = [sys.executable, "-m", "app.counters", "show", "--counts", store]
    for _ in range(2):
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    assert data.read_bytes() == before
    assert (tmp_path / "kept" / "snapshot.mdb").stat() == snapshot
    assert counter.count("/a", "full") == 5
    counter.close()


@pytest.mark.parametrize(
    "command", ["totals", "top", "show", "series", "export", "import", "reset"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"{command} [-h]" in capsys.readouterr().out
