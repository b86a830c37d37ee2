"""The site: pages are whole, links and assets resolve, and the guide and the README name every
option.
"""

import posixpath
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from app.options import GROUPS
from app.settings import Settings
from tests import options_table
from tests.end_to_end import memory

#: Where it is said how much memory a process takes.
MEMORY_TOLD = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "app/settings.py",
               "app/stats/processes.py", "www/guide/server.html"]  # fmt: skip
PROJECT = Path(__file__).resolve().parent.parent
SITE = PROJECT / "www"
PAGES = sorted(SITE.rglob("*.html"))
REFERENCES = {
    ("a", "href"),
    ("link", "href"),
    ("img", "src"),
    ("script", "src"),
    ("section", "data-target"),
}
VOID = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
}
OPTIONS = list(Settings.__annotations__)


@cache
def page_at(path: Path) -> "Page":
    return Page(path)


class Page(HTMLParser):
    """What a page says of itself: language, encoding, title, anchors, and what it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.language = self.encoding = self.title = ""
        self.identifiers: list[str] = []
        self.references: list[str] = []
        self.missing_alternatives: list[str] = []
        self._open: list[str] = []
        self._in_title = False
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == [], f"{path} leaves elements open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, dict(attrs))
        self._in_title = tag == "title" and "svg" not in self._open
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (
            f"</{tag}> at line {self.getpos()[0]} closes another element"
        )
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data

    def _take(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag == "html":
            self.language = attributes.get("lang") or ""
        if tag == "meta" and "charset" in attributes:
            self.encoding = attributes["charset"] or ""
        if tag == "img" and "alt" not in attributes:
            self.missing_alternatives.append(attributes.get("src") or "")
        if identifier := attributes.get("id"):
            self.identifiers.append(identifier)
        self.references.extend(
            value for name, value in attributes.items() if value and (tag, name) in REFERENCES
        )


def _resolve(page: Path, reference: str) -> Path:
    """Return the file that a browser on *page* gets for *reference*."""
    base = "/" + page.relative_to(SITE).as_posix()
    path = unquote(
        posixpath.normpath(
            posixpath.join(posixpath.dirname(base), urlsplit(reference).path or base)
        )
    )
    found = SITE / path.lstrip("/")
    return found / "index.html" if found.is_dir() else found


def _name(page: Path) -> str:
    return page.relative_to(SITE).as_posix()


def test_the_site_has_its_pages() -> None:
    assert {"index.html", "404.html", "comparison.html", "guide/index.html"} <= {
        _name(page) for page in PAGES
    }


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_page_is_whole(path: Path) -> None:
    page = page_at(path)
    assert page.language == "en"
    assert page.encoding.lower() == "utf-8"
    assert page.title.strip()
    assert page.missing_alternatives == []
    assert len(page.identifiers) == len(set(page.identifiers))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_and_assets_resolve(path: Path) -> None:
    references = [
        text
        for text in page_at(path).references
        if not urlsplit(text).scheme and not urlsplit(text).netloc
    ]
    broken = []
    for reference in references:
        target = _resolve(path, reference)
        fragment = urlsplit(reference).fragment
        if not target.is_file() or (fragment and fragment not in page_at(target).identifiers):
            broken.append(reference)
    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_page_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [
        word
        for word in ('src="http', 'src="//', "@import", "url(http", 'rel="preconnect"')
        if word in text
    ]


def test_the_404_page_works_at_any_depth() -> None:
    for reference in page_at(SITE / "404.html").references:
        assert reference.startswith("/"), reference


def test_the_guide_has_the_options_that_there_are() -> None:
    page = options_table.PAGE.read_text("utf-8")
    assert options_table.page_with_tables(page) == page, "python -m tests.options_table mends it"
    assert [name for name in OPTIONS if f"--{name.replace('_', '-')}" not in page] == []


def test_the_readme_names_options_that_there_are() -> None:
    text = (PROJECT / "README.md").read_text("utf-8")
    options = [option for _, group in GROUPS for option in group]
    named = set(re.findall(r"`(--[a-z-]+)[^`]*` \| `TALLY", text))
    assert len(named) >= 10
    assert named <= {option.flags[-1] for option in options}
    variables = set(re.findall(r"`(TALLY_[A-Z_]+)`", text))
    assert variables <= {option.variable for option in options} | {"TALLY_CI", "TALLY_SLOW"}


def test_every_module_that_the_documents_run_exists() -> None:
    documents = [PROJECT / "README.md", *PAGES]
    text = "\n".join(document.read_text(encoding="utf-8") for document in documents)
    modules = set(re.findall(r"python -m ((?:app|tests)(?:\.\w+)+)", text))
    assert {"app.comparison", "app.counters"} <= modules
    for module in modules:
        path = PROJECT / module.replace(".", "/")
        assert (path / "__main__.py").is_file() or path.with_suffix(".py").is_file(), module


@pytest.mark.parametrize("ending", ["run_builtin.py", "-m pytest"])
def test_the_readme_gives_each_command_on_one_line(ending: str) -> None:
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    command = (
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python "
        + ending
    )
    assert command in lines[:40]
    assert command.replace("&", "&amp;") in (SITE / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", MEMORY_TOLD)
def test_the_bound_of_memory_is_the_same_everywhere(place: str) -> None:
    text = " ".join(re.sub(r'"\n\s+" ', " ", (PROJECT / place).read_text("utf-8")).split())
    assert f"{memory.BOUND >> 20} MiB more than at its start" in text
    assert f"{memory.PER_COUNT} bytes for each file" in text or (
        f"each file that was counted takes another {memory.PER_COUNT} bytes" in text
    )
