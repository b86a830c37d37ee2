"""The templates of the page, and the files that it loads: each has a name that changes with it."""

import os
from functools import cache
from hashlib import sha256
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from . import wording

_HERE = os.path.dirname(os.path.abspath(__file__))
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A file that the page loads."""

    media_type: str
    content: bytes


@cache
def assets() -> dict[str, Asset]:
    """Return what the page loads, by name below `static/`."""
    found = {}
    for entry in os.scandir(os.path.join(_HERE, "static")):
        extension = entry.name.rpartition(".")[2]
        with open(entry.path, "rb") as file:
            content = file.read()
        name = f"{sha256(content).hexdigest()[:16]}.{extension}"
        found[name] = Asset(_MEDIA_TYPES[extension], content)
    return found


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(os.path.join(_HERE, "templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= wording.FILTERS
    environment.globals["assets"] = {name.rpartition(".")[2]: name for name in assets()}
    return environment


def rendered(template: str, **values: object) -> str:
    """Return a page, or a part that stands in one as it is."""
    return _environment().get_template(template).render(values)


def encoded(page: str) -> bytes:
    """Return a page as it is sent."""
    return page.encode("utf-8", "replace")
