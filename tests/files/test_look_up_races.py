"""Files that are not held: how they are opened, and what may happen to the way that leads to them
while they are looked up, all within one second.
"""

import os
from collections.abc import Callable

import pytest

from app.files.names import Visibility

from . import happenings
from .conftest import Site
from .happenings import TEXT

MOMENTS = ("before the request", "before the opening", "after the opening")


@pytest.fixture(params=["a directory", "a link"])
def site_of_one(
    request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A site whose root is a directory, or a link to one; nothing is held, and no second ends."""
    if request.param == "a link":
        release = site.root.with_name("release")
        site.root.rename(release)
        site.root.symlink_to(release)
    for module in ("application", "catalog"):
        monkeypatch.setattr(f"app.files.{module}.date_header", lambda: "this second")
    site.app = site.application(held_total=0)
    site.put("dir/a.txt", TEXT)
    site.put("dir/b.txt", TEXT)
    site.settle()
    return site


def _happens_at(
    moment: str, what: Callable[[Site], None], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open
    yet_to_come = [what]

    def open_meanwhile(path: bytes, *arguments: int, **more: int) -> int:
        is_it = bool(yet_to_come) and os.fsencode(path).endswith(b"a.txt")
        if is_it and moment == "before the opening":
            yet_to_come.pop()(site)
        descriptor: int = really_open(path, *arguments, **more)
        if is_it and moment == "after the opening":
            yet_to_come.pop()(site)
        return descriptor

    if moment == "before the request":
        what(site)
    monkeypatch.setattr(os, "open", open_meanwhile)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("what", "status", "body"), [
    (happenings.nothing, 200, TEXT),
    (happenings.moved_out, 404, None),
    (happenings.moved_inside, 200, TEXT),
    (happenings.hidden, 404, None),
    (happenings.linked_to_outside, 404, None),
    (happenings.linked_to_a_dotfile, 404, None),
    (happenings.linked_inside, 200, TEXT),
    (happenings.gone, 404, None),
    (happenings.written, 200, TEXT + b"and more"),
    (happenings.replaced, 200, TEXT[::-1]),
    (happenings.replaced_by_a_large_file, 200, TEXT * 100),
    (happenings.replaced_by_a_pipe, 404, None),
    (happenings.replaced_by_a_directory, 404, None),
    (happenings.root_moved, 200, TEXT),
    (happenings.root_switched, 404, None),
])  # fmt: skip
def test_what_may_happen_during_a_look_up(
    site_of_one: Site,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    what: Callable[[Site], None],
    status: int,
    body: bytes | None,
) -> None:
    site = site_of_one
    assert site.get("/dir/b.txt").status == 200  # its directory is looked at
    _happens_at(moment, what, site, monkeypatch)
    reply = site.get("/dir/a.txt")
    assert reply.status == status
    if body is not None:
        assert reply.body == body


# Where the file lies, what else is there, and whether it takes opening the root to know.
@pytest.mark.parametrize(("link", "to", "path", "opens_root"), [
    (None, "", "/dir/a.txt", False),
    ("dir/a.txt.gz", "b.txt", "/dir/a.txt", True),  # a sibling
    ("dir/link.txt", "a.txt", "/dir/link.txt", True),
    ("link", "dir", "/link/a.txt", True),
])  # fmt: skip
def test_only_behind_a_link_or_with_siblings_the_root_is_opened(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    link: str | None,
    to: str,
    path: str,
    opens_root: bool,
) -> None:
    for module in ("application", "catalog"):
        monkeypatch.setattr(f"app.files.{module}.date_header", lambda: "this second")
    site.put("dir/a.txt", TEXT)
    site.put("dir/b.txt", TEXT)
    if link is not None:
        (site.root / link).symlink_to(to)
    app = site.application(held_total=0, coded=True)
    assert site.get(path, app=app).body == TEXT
    opened: list[object] = []
    really_open = os.open

    def noted(path: object, *arguments: object, **more: object) -> int:
        opened.append(path)
        return really_open(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", noted)
    assert site.get(path, app=app).body == TEXT
    if opens_root:
        assert os.fsencode(site.root) in opened
    else:
        assert opened == [os.fsencode(site.root) + path.encode()]


def test_an_index_that_is_a_dotfile_is_not_served(site: Site) -> None:
    site.put("dir/.index.html", TEXT)
    hides = site.application(indexes=[".index.html"])
    shows = site.application(indexes=[".index.html"], visible=Visibility(dotfiles=True))
    assert [site.get("/dir/", app=app).status for app in (hides, shows)] == [404, 200]
