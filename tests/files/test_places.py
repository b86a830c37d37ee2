"""Files that are held, and looked at again a second later: what may have happened to the place where
they lie."""

import gzip
import os
from collections.abc import Callable

import pytest

from . import happenings
from .conftest import Site
from .happenings import TEXT


@pytest.mark.parametrize(("happens", "status", "body"), [
    (happenings.nothing, 200, TEXT),
    (happenings.moved_out, 404, None),
    (happenings.moved_inside, 200, TEXT),
    (happenings.hidden, 404, None),
    (happenings.linked_to_outside, 404, None),
    (happenings.gone, 404, None),
    (happenings.written, 200, TEXT + b"and more"),
    (happenings.root_moved, 200, TEXT),
])  # fmt: skip
def test_what_may_happen_to_a_held_file(
    site: Site,
    seconds_pass: Callable[[], None],
    happens: Callable[[Site], None],
    status: int,
    body: bytes | None,
) -> None:
    site.put("dir/a.txt", TEXT)
    assert site.get("/dir/a.txt").body == TEXT
    assert site.holds("/dir/a.txt")
    seconds_pass()
    assert site.get("/dir/a.txt").status == 200
    happens(site)
    seconds_pass()
    reply = site.get("/dir/a.txt")
    assert reply.status == status
    if body is not None:
        assert reply.body == body


def test_the_second_look_opens_no_file(
    site: Site, seconds_pass: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.txt" for number in range(5)]
    for name in names:
        site.put(f"dir/{name}", TEXT)
    for name in names:
        site.get(f"/dir/{name}")
    seconds_pass()
    opened: list[object] = []
    really_open = os.open

    def noted_open(path: object, *arguments: object, **more: object) -> int:
        opened.append(path)
        return really_open(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noted_open)
    for name in names:
        assert site.get(f"/dir/{name}").body == TEXT
    # The root and the directory, once for all files.
    assert opened == [os.fsencode(site.root), os.fsencode(site.root / "dir")]


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_siblings_that_come_and_go_are_seen(
    site: Site, seconds_pass: Callable[[], None], coding: str
) -> None:
    app = site.application(coded=True)

    def get() -> str:
        reply = site.get("/dir/a.txt", app=app, HTTP_ACCEPT_ENCODING="gzip")
        return reply.fields.get("Content-Encoding", "identity")

    site.put("dir/a.txt", b"x")  # too short to be compressed here
    packed = site.root / "dir/a.txt.gz"
    if coding == "identity":
        packed.write_bytes(gzip.compress(b"x"))
    assert get() == ("identity" if coding == "gzip" else "gzip")
    seconds_pass()
    if coding == "gzip":
        packed.write_bytes(gzip.compress(b"x"))
    else:
        packed.unlink()
    seconds_pass()
    assert get() == coding


def test_a_sibling_that_is_written_in_place_is_seen(
    site: Site, seconds_pass: Callable[[], None]
) -> None:
    app = site.application(coded=True)
    site.put("dir/a.txt", b"x")
    packed = site.root / "dir/a.txt.gz"
    packed.write_bytes(gzip.compress(b"x", mtime=0))
    first = site.get("/dir/a.txt", app=app, HTTP_ACCEPT_ENCODING="gzip")
    seconds_pass()
    packed.write_bytes(gzip.compress(b"x", mtime=1))
    for _ in range(2):
        again = site.get("/dir/a.txt", app=app, HTTP_ACCEPT_ENCODING="gzip")
        assert again.body == gzip.compress(b"x", mtime=1)
        assert again.fields["ETag"] != first.fields["ETag"]
        seconds_pass()
