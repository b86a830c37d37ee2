"""What may happen to the file dir/a.txt below the root, and to the directories that lead to it."""

import os
import shutil

from .conftest import Site

#: What is in the file.
TEXT = b"some text " * 100


def nothing(site: Site) -> None: ...


def moved_out(site: Site) -> None:
    shutil.move(site.root / "dir", site.outside / "dir")
    (site.root / "dir").symlink_to(site.outside / "dir")


def moved_inside(site: Site) -> None:
    (site.root / "dir").rename(site.root / "other")
    (site.root / "dir").symlink_to("other")


def hidden(site: Site) -> None:
    (site.root / "dir").rename(site.root / ".dir")
    (site.root / "dir").symlink_to(".dir")


def linked_to_outside(site: Site) -> None:
    (site.root / "dir/a.txt").rename(site.outside / "a.txt")
    (site.root / "dir/a.txt").symlink_to(site.outside / "a.txt")


def gone(site: Site) -> None:
    (site.root / "dir/a.txt").unlink()


def written(site: Site) -> None:
    site.put("dir/a.txt", TEXT + b"and more")


def root_moved(site: Site) -> None:
    """As a deployment does it that switches a link."""
    site.root.rename(site.outside / "root")
    site.root.symlink_to(site.outside / "root")


def root_switched(site: Site) -> None:
    """The new one has the old one's directory by a link, and so outside."""
    site.root.rename(site.outside / "old")
    site.root.mkdir()
    (site.root / "dir").symlink_to(site.outside / "old/dir")


def replaced(site: Site) -> None:
    site.put("dir/new", TEXT[::-1]).rename(site.root / "dir/a.txt")


def replaced_by_a_pipe(site: Site) -> None:
    gone(site)
    os.mkfifo(site.root / "dir/a.txt")


def replaced_by_a_directory(site: Site) -> None:
    gone(site)
    (site.root / "dir/a.txt").mkdir()


def replaced_by_a_large_file(site: Site) -> None:
    site.put("dir/new", TEXT * 100).rename(site.root / "dir/a.txt")


def linked_to_a_dotfile(site: Site) -> None:
    (site.root / "dir/a.txt").rename(site.root / "dir/.a.txt")
    (site.root / "dir/a.txt").symlink_to(".a.txt")


def linked_inside(site: Site) -> None:
    (site.root / "dir/a.txt").rename(site.root / "a.txt")
    (site.root / "dir/a.txt").symlink_to("../a.txt")
