"""Larger files that stay open between requests: for whom, how many, and for how long."""

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from app.files import FileApplication, open_files
from app.server.sendfile import FileWrapper
from tests.waiting import wait_until

from .conftest import Reply, Site

SIZE = 100_000
#: Too long to be read at once.
LONG_PART = 70_000
_TWO_PARTS = ((0, 4), (100, 104))


@pytest.fixture
def site_of_large(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site whose unasked files are closed soon."""
    monkeypatch.setattr(open_files, "_LOOK_SECONDS", 0.02)
    site.put("a.bin", b"a" * SIZE)
    site.settle()
    return site


def part(
    site: Site,
    path: str = "/a.bin",
    *,
    length: int = LONG_PART,
    shares: bool = True,
    app: FileApplication | None = None,
) -> Reply:
    more: dict[str, Any] = {"wsgi.file_wrapper": FileWrapper} if shares else {}
    return site.get(path, app=app, HTTP_RANGE=f"bytes=10-{length + 9}", **more)


def open_descriptors(path: Path) -> int:
    """Return how many descriptors of this process lead to *path*, also when it was deleted."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        found += target.removesuffix(" (deleted)") == os.fspath(path)
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The paths that are opened."""
    paths: list[object] = []
    really_open = os.open

    def noted(path: object, *arguments: object, **more: object) -> int:
        paths.append(path)
        return really_open(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noted)
    return paths


@pytest.mark.parametrize("shares", [True, False])
def test_a_server_that_says_where_to_send_from_shares_the_descriptor(
    site_of_large: Site, monkeypatch: pytest.MonkeyPatch, opened: list[object], shares: bool
) -> None:
    monkeypatch.setattr(open_files, "_LOOK_SECONDS", 60)
    path = site_of_large.root / "a.bin"
    part(site_of_large, shares=shares)  # described, and opened
    opened.clear()
    for _ in range(3):
        assert part(site_of_large, shares=shares).body == b"a" * LONG_PART
    assert opened.count(os.fsencode(path)) == (0 if shares else 3)
    assert open_descriptors(path) == (1 if shares else 0)


@pytest.mark.parametrize("shares", [True, False])
def test_short_parts_share_the_descriptor_under_every_server(
    site_of_large: Site, monkeypatch: pytest.MonkeyPatch, opened: list[object], shares: bool
) -> None:
    monkeypatch.setattr(open_files, "_LOOK_SECONDS", 60)
    path = site_of_large.root / "a.bin"
    site_of_large.get("/a.bin", "HEAD")  # described
    opened.clear()
    for _ in range(3):
        assert part(site_of_large, length=10, shares=shares).body == b"a" * 10
    assert opened.count(os.fsencode(path)) == 1
    assert open_descriptors(path) == 1


def test_what_was_deleted_is_closed(site_of_large: Site) -> None:
    path = site_of_large.root / "a.bin"
    assert part(site_of_large).status == 206
    assert open_descriptors(path) == 1
    path.unlink()
    wait_until(lambda: open_descriptors(path) == 0)
    assert part(site_of_large).status == 404


def test_another_version_is_opened_anew(site_of_large: Site) -> None:
    path = site_of_large.root / "a.bin"
    assert part(site_of_large).body == b"a" * LONG_PART
    site_of_large.put("new", b"b" * SIZE).rename(path)
    site_of_large.settle()
    assert part(site_of_large).body == b"b" * LONG_PART


def test_no_more_stay_open_than_the_process_can_spare(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (96, 96))
    monkeypatch.setattr(open_files, "_LOOK_SECONDS", 60)
    app = site.application()
    for number in range(9):
        site.put(f"{number}.bin", b"%d" % number * SIZE)
    site.settle()
    for number in range(9):
        reply = part(site, f"/{number}.bin", app=app)
        assert reply.body == b"%d" % number * LONG_PART
    assert sum(open_descriptors(site.root / f"{number}.bin") for number in range(9)) == 3


def test_two_bodies_of_one_file_keep_their_places(site_of_large: Site) -> None:
    catalog = site_of_large.app._catalog
    site_of_large.put("b.bin", bytes(range(256)) * 1000)
    site_of_large.settle()
    file = catalog.find("/b.bin")
    one, two = (catalog.open(file, *each, shares=True) for each in _TWO_PARTS)
    assert one.fileno() == two.fileno()
    assert [one.read(2), two.read(2), one.read(), two.read()] == [
        bytes([0, 1]), bytes([100, 101]), bytes([2, 3, 4]), bytes([102, 103, 104])]  # fmt: skip
    one.close()
    assert two.seek(100) == 100
    assert two.read(1) == bytes([100])
    two.close()
