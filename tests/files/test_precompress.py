"""`tally compress`: forms written ahead of time, and only those that are ours removed."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import brotli
import pytest
import zstandard

from app.files.precompress import compress_tree, main
from tests.end_to_end.servers import HOME
from tests.files.conftest import EARLIER, Site

TEXT = b"body { color: black }\n" * 500
SUFFIXES = (".zst", ".br", ".gz")


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def forms(*names: str) -> set[str]:
    return {name + suffix for name in names for suffix in SUFFIXES}


def test_forms_are_what_the_file_is(site: Site) -> None:
    site.put("style.css", TEXT)
    written, removed, saved = compress_tree(str(site.root), 2)
    assert (written, removed) == (3, 0)
    assert saved > len(TEXT) // 2
    decoded = {
        ".gz": gzip.decompress,
        ".br": brotli.decompress,
        ".zst": lambda data: zstandard.ZstdDecompressor().decompress(data),
    }
    for suffix, decode in decoded.items():
        form = site.root / f"style.css{suffix}"
        assert decode(form.read_bytes()) == TEXT
        assert form.stat().st_mtime == EARLIER
        assert form.stat().st_mode == (site.root / "style.css").stat().st_mode
    site.settle()
    reply = site.get("/style.css", app=site.application(), HTTP_ACCEPT_ENCODING="br")
    assert reply.body == (site.root / "style.css.br").read_bytes()


def test_it_does_nothing_twice(site: Site) -> None:
    site.put("a/b/page.html", TEXT)
    assert compress_tree(str(site.root), 2)[0] == 3
    before = {name: (site.root / name).stat().st_ino for name in forms("a/b/page.html")}
    assert compress_tree(str(site.root), 2)[:2] == (0, 0)
    assert {name: (site.root / name).stat().st_ino for name in before} == before
    site.put("a/b/page.html", TEXT + b"more", age=10)
    assert compress_tree(str(site.root), 2)[:2] == (3, 0)
    assert gzip.decompress((site.root / "a/b/page.html.gz").read_bytes()) == TEXT + b"more"


def test_what_is_left_as_it_is(site: Site) -> None:
    site.put("photo.jpg", os.urandom(5000))
    site.put("short.txt", b"short")
    site.put("random.txt", os.urandom(5000))
    site.put(".hidden.txt", TEXT)
    site.put(".git/config.txt", TEXT)
    (site.root / "link.txt").symlink_to("short.txt")
    before = files(site.root)
    assert compress_tree(str(site.root), 2) == (0, 0, 0)
    assert files(site.root) == before


def test_only_our_own_forms_are_removed(site: Site) -> None:
    site.put("gone.css", TEXT)
    site.put("kept.css", TEXT)
    site.put("data.csv.gz", b"somebody's")
    site.put("style.css", TEXT)
    site.put("style.css.gz", b"made by hand")
    compress_tree(str(site.root), 2)
    (site.root / "gone.css").unlink()
    site.put("gone.css.br", b"replaced by hand")
    assert compress_tree(str(site.root), 2)[:2] == (0, 2)
    left = files(site.root) - {".tally-compressed"}
    assert left == {
        "kept.css", *forms("kept.css"), "gone.css.br", "data.csv.gz", "style.css", *forms("style.css"),
    }  # fmt: skip
    assert (site.root / "style.css.gz").read_bytes() == b"made by hand"
    site.put("kept.css", os.urandom(5000), age=5)  # it does not shrink any more
    assert compress_tree(str(site.root), 2)[:2] == (0, 3)


@pytest.mark.parametrize("notes", ["", "[]", "{", '{"../../etc/passwd": [1, 2], "a": 3}', "\xff"])
def test_notes_that_make_no_sense(site: Site, notes: str) -> None:
    site.put(".tally-compressed", notes.encode("latin-1"))
    site.put("style.css", TEXT)
    site.put("old.css.gz", b"x")
    assert compress_tree(str(site.root), 1)[:2] == (3, 0)
    assert (site.root / "old.css.gz").exists()


def test_a_directory_that_cannot_be_read_ends_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.put("below/style.css", TEXT)
    compress_tree(str(site.root), 1)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert main([str(site.root)]) == 1
    assert "Permission denied" in capsys.readouterr().err
    monkeypatch.undo()
    assert compress_tree(str(site.root), 1)[:2] == (0, 0)  # they still are ours


def test_a_file_that_changes_while_it_is_read_gets_no_form(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.put("style.css", TEXT)
    stat = os.fstat

    def change(descriptor: int) -> os.stat_result:
        path.write_bytes(TEXT + b"more")
        return stat(descriptor)

    monkeypatch.setattr("app.files.precompress.os.fstat", change)
    with pytest.raises(BlockingIOError):
        compress_tree(str(site.root), 1)
    assert files(site.root) == {"style.css"}


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "1000", "٣", "9" * 5000])
def test_jobs_that_make_no_sense(site: Site, jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(site.root), "--jobs", jobs])
    assert ended.value.code == 2
    assert "is not a whole number" in capsys.readouterr().err


def test_the_command(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.put("style.css", TEXT)
    assert main([str(site.root)]) == 0
    assert capsys.readouterr().out.startswith("3 forms written, 0 removed; ")
    assert main([str(site.root / "missing")]) == 1
    assert "No such file or directory" in capsys.readouterr().err
    ended = subprocess.run(
        [sys.executable, "-m", "app.files.precompress", str(site.root), "-q"],
        cwd=HOME, capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert ended.stdout + ended.stderr == b""
