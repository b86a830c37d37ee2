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
# What happens, what is sent then, and whether the file as it was may be sent as well if it was opened
# before, or the root that it lay in.
@pytest.mark.parametrize(("what", "status", "body", "or_as_it_was"), [
    (happenings.nothing, 200, TEXT, False),
    (happenings.moved_out, 404, None, False),
    (happenings.moved_inside, 200, TEXT, False),
    (happenings.hidden, 404, None, False),
    (happenings.linked_to_outside, 404, None, False),
    (happenings.linked_to_a_dotfile, 404, None, False),
    (happenings.linked_inside, 200, TEXT, False),
    (happenings.gone, 404, None, True),
    (happenings.written, 200, TEXT + b"and more", False),
    (happenings.replaced, 200, TEXT[::-1], True),
    (happenings.replaced_by_a_large_file, 200, TEXT * 100, True),
    (happenings.replaced_by_a_pipe, 404, None, True),
    (happenings.replaced_by_a_directory, 404, None, True),
    (happenings.root_moved, 200, TEXT, False),
    (happenings.root_switched, 404, None, True),
])  # fmt: skip
def test_what_may_happen_during_a_look_up(
    site_of_one: Site,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    what: Callable[[Site], None],
    status: int,
    body: bytes | None,
    or_as_it_was: bool,
) -> None:
    site = site_of_one
    assert site.get("/dir/b.txt").status == 200  # its directory is looked at
    _happens_at(moment, what, site, monkeypatch)
    reply = site.get("/dir/a.txt")
    if or_as_it_was and moment != "before the request" and reply.body == TEXT:
        assert reply.status == 200
        return
    assert reply.status == status
    if body is not None:
        assert reply.body == body


# A link and where it leads, the file that is asked for, and what is opened for it: "/" is the root;
# what begins with a slash is opened by its path, all else below the root that was opened before.
@pytest.mark.parametrize(("link", "to", "path", "opened"), [
    (None, "", "/a.txt", ["/a.txt"]),
    (None, "", "/dir/a.txt", ["/dir/a.txt"]),
    ("dir/a.txt.gz", "b.txt", "/dir/a.txt", ["/", "dir/a.txt", "dir/a.txt.gz"]),  # a sibling
    ("dir/link.txt", "a.txt", "/dir/link.txt", ["/dir/link.txt", "/", "dir/link.txt"]),
    ("link", "dir", "/link/a.txt", ["/", "link/a.txt"]),
    ("../link", "www", "/dir/a.txt", ["/", "dir/a.txt"]),  # the root itself
])  # fmt: skip
def test_the_root_is_opened_only_for_links_and_siblings(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    link: str | None,
    to: str,
    path: str,
    opened: list[str],
) -> None:
    for module in ("application", "catalog"):
        monkeypatch.setattr(f"app.files.{module}.date_header", lambda: "this second")
    for name in ("a.txt", "dir/a.txt", "dir/b.txt"):
        site.put(name, TEXT)
    if link is not None:
        (site.root / link).symlink_to(to)
    if link == "../link":
        site.root = site.root.with_name("link")
    app = site.application(held_total=0, coded=True)
    assert site.get(path, app=app).body == TEXT
    found: list[str] = []
    really_open = os.open

    def noted(name: bytes, *arguments: int, **more: int) -> int:
        found.append(os.fsdecode(name).removeprefix(str(site.root)) or "/")
        return really_open(name, *arguments, **more)

    monkeypatch.setattr(os, "open", noted)
    assert site.get(path, app=app).body == TEXT
    assert found == opened


def test_an_index_that_is_a_dotfile_is_not_served(site: Site) -> None:
    site.put("dir/.index.html", TEXT)
    hides = site.application(indexes=[".index.html"])
    shows = site.application(indexes=[".index.html"], visible=Visibility(dotfiles=True))
    assert [site.get("/dir/", app=app).status for app in (hides, shows)] == [404, 200]
