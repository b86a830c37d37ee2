"""When a file may be held, and what its tags say: half-written files, mappings, copies of a tree,
growth.
"""

import mmap
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.files import catalog

from .conftest import Site, call, wait_for_the_next_tick

SIZES = [3000, 64 * 1024, 64 * 1024 + 1, 300_000]


def tag(site: Site, path: str = "/a.bin") -> str:
    return site.get(path).fields["ETag"]


@pytest.fixture
def next_second(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the Date go on, so that held files are looked at again."""
    seconds = iter(range(10**6))

    def go_on() -> None:
        date = f"second {next(seconds)}"
        for module in ("application", "catalog"):
            monkeypatch.setattr(f"app.files.{module}.date_header", lambda: date)

    return go_on


# seconds since the last change, and since the last write as mtime has it
@pytest.mark.parametrize(
    ("age", "mtime_age", "held"),
    [
        (0.1, 0.1, False),
        (1.9, 1.9, False),
        (1.9, 5000, False),
        (2.5, 2.5, True),
        (2.5, 5000, True),
        (2.5, -5, False),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_young_files_are_not_held(
    site: Site,
    age: float,
    mtime_age: float,
    held: bool,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = site.put("a.bin", b"x" * size)
    now = time.time()
    os.utime(path, (now + age - mtime_age,) * 2)
    # A clock that stands: a busy machine may take longer than what is left of two seconds.
    monkeypatch.setattr(catalog, "time", lambda: now + age)
    assert site.get("/a.bin").status == 200
    assert site.holds("/a.bin") is held


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_through_a_mapping_is_seen(
    site: Site, size: int, next_second: Callable[[], None]
) -> None:
    """The status stands still while the page is dirty."""
    path = site.put("a.bin", b"a" * size)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[:3] = b"one"
        site.ahead = 10
        next_second()
        before = site.get("/a.bin")
        assert (before.body[:3], site.holds("/a.bin")) == (b"one", True)
        status = path.stat()
        mapping[:3] = b"two"
        assert path.stat().st_ctime_ns == status.st_ctime_ns
        next_second()
        after = site.get("/a.bin")
        assert after.body[:3] == b"two"
        assert after.fields["ETag"] != before.fields["ETag"]


def test_half_of_a_write_does_not_outlive_the_write(
    site: Site, next_second: Callable[[], None]
) -> None:
    """The status before and after agree on bytes that are half of one version and half of the next."""
    path = site.put("a.bin", b"old." * 1000)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[:2000] = b"new." * 500
        half = site.get("/a.bin")
        assert half.body == b"new." * 500 + b"old." * 500
        assert not site.holds("/a.bin")
        mapping[2000:] = b"new." * 500
    site.ahead = 2.5
    next_second()
    whole = site.get("/a.bin", HTTP_IF_NONE_MATCH=half.fields["ETag"])
    assert (whole.status, whole.body) == (200, b"new." * 1000)


def test_a_settled_file_is_not_read_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, next_second: Callable[[], None]
) -> None:
    for size in SIZES:
        site.put(f"{size}.bin", b"a" * size)
    site.ahead = 41
    for size in SIZES:
        site.get(f"/{size}.bin")
    next_second()
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("read"))
    for size in SIZES:
        assert site.get(f"/{size}.bin", "HEAD").status == 200


def test_a_young_file_that_is_what_it_was_is_not_described_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch, next_second: Callable[[], None]
) -> None:
    site.put("a.bin", b"a" * 3000)
    site.ahead = 3
    before = site.get("/a.bin")
    next_second()
    monkeypatch.setattr(catalog, "StaticFile", lambda *_: pytest.fail("described"))
    after = site.get("/a.bin")
    assert (after.body, after.fields["ETag"]) == (before.body, before.fields["ETag"])


@pytest.mark.parametrize("size", SIZES)
def test_nothing_changes_while_nothing_is_written(
    site: Site, size: int, next_second: Callable[[], None]
) -> None:
    site.put("a.bin", b"a" * size)
    replies = []
    for age in (0, 1, 3, 4, 20, 39, 45):
        site.ahead = age
        next_second()
        replies.append(site.get("/a.bin"))
    assert (
        len(
            {
                str(sorted(reply.fields.items() - {("Date", reply.fields["Date"])}))
                for reply in replies
            }
        )
        == 1
    )


# Tags


@pytest.mark.parametrize("size", SIZES)
def test_two_copies_of_a_tree_agree(site: Site, tmp_path: Path, size: int) -> None:
    site.put("a.bin", os.urandom(size))
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other")
    shutil.copytree(site.root, other.root, dirs_exist_ok=True)  # with the times, as rsync -a does
    site.settle()
    first, second = site.get("/a.bin"), call(other.app, "/a.bin")
    for name in ("ETag", "Last-Modified"):
        assert first.fields[name] == second.fields[name]


def _replace_by_a_copy(path: Path) -> None:
    shutil.copy2(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


KEEPING: dict[str, Callable[[Path], object]] = {
    "chmod": lambda path: path.chmod(0o600),
    "link": lambda path: os.link(path, path.with_suffix(".link")),
    "replaced by a copy": _replace_by_a_copy,
}


@pytest.mark.parametrize("change", KEEPING.values(), ids=KEEPING)
@pytest.mark.parametrize("size", SIZES)
def test_tags_outlast_what_leaves_the_bytes_alone(
    site: Site, change: Callable[[Path], object], size: int
) -> None:
    path = site.put("a.bin", b"a" * size)
    site.settle()
    before = tag(site)
    path.chmod(0o640)
    assert tag(site) == before
    change(path)
    assert tag(site) == before
    site.settle()
    assert tag(site) == before


def test_a_small_file_deployed_anew_keeps_its_tag(site: Site) -> None:
    path = site.put("a.bin", b"a" * 1000)
    before = tag(site)
    path.unlink()
    os.utime(site.put("a.bin", b"a" * 1000), (1_800_000_000,) * 2)
    assert tag(site) == before


def _write_and_set_the_time_back(path: Path, position: int) -> None:
    status = path.stat()
    wait_for_the_next_tick(path.parent.parent)
    with path.open("r+b") as file:
        file.seek(position)
        file.write(b"!")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("size", "position"), [(3000, 1500), (65536, 40_000), (300_000, 0), (300_000, 299_999)]
)
def test_other_bytes_of_the_same_date_have_another_tag(
    site: Site, size: int, position: int
) -> None:
    path = site.put("a.bin", b"a" * size)
    site.settle()
    before = tag(site)
    _write_and_set_the_time_back(path, position)
    path.chmod(0o600)  # so that ctime tells nothing
    assert tag(site) != before


@pytest.mark.parametrize("part", [0.0, 0.1, 0.33, 0.5, 0.9])
def test_a_write_that_no_sample_shows_is_told_by_ctime(site: Site, part: float) -> None:
    path = site.put("a.bin", b"a" * 300_000)
    site.settle()
    before = tag(site)
    _write_and_set_the_time_back(path, int(300_000 * part))
    site.settle()
    after = tag(site)
    assert after != before
    path.chmod(0o600)
    assert tag(site) == after


# Growth


def test_a_file_that_grows_all_the_time_is_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.put("log.bin", b"a line\n" * 20_000)
    real_open = os.open

    def open_while_it_grows(*arguments: object, **keywords: object) -> int:
        with path.open("ab") as file:
            file.write(b"another line\n")
        return real_open(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", open_while_it_grows)
    for _ in range(3):
        reply = site.get("/log.bin")
        assert (reply.status, int(reply.fields["Content-Length"])) == (200, len(reply.body))
        assert path.read_bytes().startswith(reply.body)
