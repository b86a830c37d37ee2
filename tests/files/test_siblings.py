"""Directories that are read once to know that no file in them has a sibling."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.files import siblings
from app.files.document_root import exists
from app.files.version import version_of

from .conftest import Site, wait_for_the_next_tick

TEXT = b"some text " * 100
NAMES = [f"{number}.txt" for number in range(100)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The siblings that were asked for."""
    paths: list[bytes] = []
    really = exists

    def noted(path: bytes) -> bool:
        paths.append(path)
        return really(path)

    monkeypatch.setattr(siblings, "exists", noted)
    return paths


def test_a_sibling_that_comes_is_seen_in_the_next_second(
    site: Site, seconds_pass: Callable[[], None], asked: list[bytes]
) -> None:
    app = site.application(held_total=0, coded=True)
    for name in NAMES:
        site.put(f"dir/{name}", TEXT)

    def codings() -> set[str | None]:
        replies = [site.get(f"/dir/{name}", app=app, HTTP_ACCEPT_ENCODING="gzip") for name in NAMES]
        return {reply.fields.get("Content-Encoding") for reply in replies}

    seconds_pass()
    assert codings() == {None}
    assert len(asked) == siblings._LEAST_LOOK_UPS * len(siblings.SIBLINGS)
    seconds_pass()
    asked.clear()
    assert codings() == {None}
    assert not asked  # a second later it still is known
    for name in NAMES:
        (site.root / f"dir/{name}.gz").write_bytes(gzip.compress(TEXT))
    seconds_pass()
    assert codings() == {"gzip"}
    assert len(asked) == len(NAMES) * len(siblings.SIBLINGS)


def _nothing(directory: Path) -> None: ...


def _a_sibling(directory: Path) -> None:
    (directory / "7.txt.br").write_bytes(b"")


def _a_sibling_of_another_file(directory: Path) -> None:
    (directory / "archive.tar.gz").write_bytes(b"")


def _more_names_than_are_read(directory: Path) -> None:
    for number in range(siblings._LEAST_LOOK_UPS * siblings._NAMES_EACH):
        (directory / f"more {number}").write_bytes(b"")


def _another_version(directory: Path) -> None:
    wait_for_the_next_tick(directory)


def _another_directory(directory: Path) -> None:
    directory.rename(directory.with_name("old"))
    directory.mkdir()


def _gone(directory: Path) -> None:
    directory.rename(directory.with_name("old"))


# Before the version is known, and between that and the reading.
@pytest.mark.parametrize(("before", "between", "asks_on"), [
    (_nothing, _nothing, False),
    (_a_sibling, _nothing, True),
    (_a_sibling_of_another_file, _nothing, True),
    (_more_names_than_are_read, _nothing, True),
    (_nothing, _another_version, True),
    (_nothing, _another_directory, True),
    (_nothing, _gone, True),
])  # fmt: skip
def test_what_is_read_is_the_version_that_was_meant(
    tmp_path: Path, before: Callable[[Path], None], between: Callable[[Path], None], asks_on: bool
) -> None:
    directory = tmp_path / "dir"
    directory.mkdir()
    for name in NAMES:
        (directory / name).write_bytes(b"")
    before(directory)
    names = siblings.SiblingNames(os.fsencode(directory), version_of(directory.stat()))
    between(directory)
    for _ in range(siblings._LEAST_LOOK_UPS):
        names.beside(os.fsencode(directory / "0.txt"))
    directory.mkdir(exist_ok=True)
    (directory / "0.txt.zst").write_bytes(b"")
    there = names.beside(os.fsencode(directory / "0.txt"))
    assert [coding for coding, _ in there] == (["zstd"] if asks_on else [])


def test_a_name_that_comes_while_the_directory_is_read_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0.txt").write_bytes(b"")
    names = siblings.SiblingNames(os.fsencode(tmp_path), version_of(tmp_path.stat()))
    really_scan = os.scandir

    def scan(descriptor: int) -> Any:
        with really_scan(descriptor) as entries:
            found = list(entries)
        wait_for_the_next_tick(tmp_path)
        (tmp_path / "0.txt.gz").write_bytes(b"")
        monkeypatch.setattr(os, "scandir", really_scan)
        return _Entries(found)

    monkeypatch.setattr(os, "scandir", scan)
    for _ in range(siblings._LEAST_LOOK_UPS + 1):
        there = names.beside(os.fsencode(tmp_path / "0.txt"))
    assert [coding for coding, _ in there] == ["gzip"]


class _Entries(list[Any]):
    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *_: object) -> None: ...
