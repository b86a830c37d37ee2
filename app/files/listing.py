"""A directory as a page, as JSON, or as an Atom feed of its newest files.

Only what the query says is looked at: `q` (a part of the name), `sort` (name, size, modified),
`order` (asc, desc), `page`, `format`. The page loads nothing; its script filters while somebody
types, and is not needed for anything.
"""

import json
import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from heapq import nlargest
from html import escape
from pkgutil import get_data
from string import Template
from typing import NamedTuple
from urllib.parse import parse_qs, quote_from_bytes, urlencode

from .directory import Directory, Entry
from .names import canonical_path
from .policy import Fields

PAGE_SIZE = 500
_FEED_ENTRIES = 50
_LONGEST_FILTER = 200

# What no HTML document may have in it: control characters, halves of pairs, and noncharacters.
_NOT_IN_HTML = re.compile(
    "[^\t\n\f\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]"
    "|[\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0010fffe\U0010ffff]"
)

_ORDERS = ("name", "size", "modified")
_HEADINGS = (("name", "Name", ""), ("size", "Size", "number"), ("modified", "Modified", "date"))
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "atom": "application/atom+xml; charset=utf-8",
}


class Query(NamedTuple):
    """What is asked of a listing."""

    filter: str
    sort: str
    descending: bool
    page: int  # from 1 on
    format: str  # a key of _MEDIA_TYPES

    @classmethod
    def of(cls, query: str, accept: str) -> "Query":
        """Read a query string and an Accept field; what makes no sense is ignored."""
        try:
            given = {
                name: values[-1] for name, values in parse_qs(query, max_num_fields=20).items()
            }
        except ValueError:  # more fields than anybody needs
            given = {}
        sort = given.get("sort", "name")
        page = given.get("page", "1")
        chosen = given.get("format", "")
        return cls(
            filter=given.get("q", "")[:_LONGEST_FILTER],
            sort=sort if sort in _ORDERS else "name",
            descending=given.get("order") == "desc",
            page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 else 1,
            format=chosen if chosen in _MEDIA_TYPES else _preferred(accept),
        )

    def link(self, **changes: object) -> str:
        """Return the reference to the same listing with *changes*."""
        changed = self._replace(**changes)  # type: ignore[arg-type]
        wanted = {
            "q": changed.filter,
            "sort": changed.sort if changed.sort != "name" else "",
            "order": "desc" if changed.descending else "",
            "page": str(changed.page) if changed.page > 1 else "",
        }
        return "?" + urlencode({name: value for name, value in wanted.items() if value})


#: From paths to their accesses
Accesses = Callable[[Sequence[str]], Mapping[str, int]]


class Selection(NamedTuple):
    """The entries on one page, and what they are a part of."""

    entries: list[Entry]
    matching: int
    pages: int
    page: int


def listing(directory: Directory, query: Query, accesses: Accesses) -> tuple[Fields, bytes]:
    """Return the fields and the content of an answer that lists *directory*.

    *accesses* tells of paths, percent-encoded, how often each was accessed; what is not known it
    leaves out.
    """
    if query.format == "atom":
        body = _atom(directory)
    else:
        selection = select(directory, query)
        paths = {
            entry.name: canonical_path(_below(directory, entry.name))
            for entry in selection.entries
            if not entry.is_directory
        }
        known = accesses(list(paths.values()))
        counts = {name: known[path] for name, path in paths.items() if path in known}
        write = _json if query.format == "json" else _page
        body = write(directory, query, selection, counts)
    fields = [
        ("Content-Type", _MEDIA_TYPES[query.format]),
        ("Content-Length", str(len(body))),
        ("ETag", f'"{sha256(body).hexdigest()[:30]}"'),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if query.format == "html":
        fields.append(("Content-Security-Policy", _CONTENT_SECURITY_POLICY))
    return fields, body


def select(directory: Directory, query: Query) -> Selection:
    """Return the page that is asked for, or the last one: directories first, then in order."""
    # In the form that names have here, in a locale other than UTF-8, too.
    wanted = os.fsdecode(query.filter.encode("utf-8", "replace")).casefold()
    directories = _matching(directory.directories, wanted)
    files = _matching(directory.files, wanted)
    matching = len(directories) + len(files)
    pages = max(1, -(-matching // PAGE_SIZE))
    page = max(1, min(query.page, pages))
    first, end = (page - 1) * PAGE_SIZE, page * PAGE_SIZE
    entries = [
        *_part(directory, query, directories, slice(first, end), are_directories=True),
        *_part(
            directory,
            query,
            files,
            slice(max(0, first - len(directories)), max(0, end - len(directories))),
            are_directories=False,
        ),
    ]
    return Selection(entries, matching, pages, page)


def _matching(names: list[str], wanted: str) -> list[str]:
    return [name for name in names if wanted in name.casefold()] if wanted else names


def _part(
    directory: Directory, query: Query, names: list[str], part: slice, *, are_directories: bool
) -> list[Entry]:
    """Return *part* of *names* in the order that is asked for."""
    ordered = sorted(names)  # so that names that differ in case alone are in one order, too
    ordered.sort(key=str.lower, reverse=query.descending and query.sort == "name")
    # A directory's own size says nothing.
    if query.sort == "modified" or (query.sort == "size" and not are_directories):
        values = directory.values(ordered, query.sort)
        ordered.sort(key=values.__getitem__, reverse=query.descending)
    return directory.entries(ordered[part], are_directories=are_directories)


def _preferred(accept: str) -> str:
    """Return the format that is named first; a browser names text/html."""
    for member in accept.lower().split(","):
        essence = member.partition(";")[0].strip()
        for name, media_type in _MEDIA_TYPES.items():
            if essence == media_type.partition(";")[0]:
                return name
    return "html"


def _below(directory: Directory, name: bytes) -> bytes:
    return directory.name + b"/" + name if directory.name else name


def _text(name: bytes) -> str:
    """Return *name* to be read: what cannot be seen, or turns text around, as an escape."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _reference(entry: Entry) -> str:
    # "./" keeps a colon in the name from being read as the end of a scheme.
    return "./" + quote_from_bytes(entry.name, "") + ("/" if entry.is_directory else "")


def _moment(seconds: float) -> str:
    moment = datetime.fromtimestamp(max(0, min(seconds, 253402300799)), UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


# The page


def _load(name: str) -> str:
    data = get_data(__package__, name)
    assert data is not None
    return data.decode()


def _source(code: str) -> str:
    """Return the source by which a policy (CSP) lets *code* through, and nothing else."""
    return f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'"


_STYLE = _load("listing.css")
_SCRIPT = _load("listing.js")
_PAGE = Template(_load("listing.html"))
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self';"
    f" style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}"
)


def _page(
    directory: Directory, query: Query, selection: Selection, counts: Mapping[bytes, int]
) -> bytes:
    path = _text(directory.name)
    return _PAGE.substitute(
        title=escape(f"/{path}/" if path else "/"),
        style=_STYLE,
        script=_SCRIPT,
        breadcrumbs=_breadcrumbs(directory.name),
        filter=escape(query.filter),
        status=f"{selection.matching:,} of {len(directory):,} entries match."
        if query.filter
        else "",
        sort=query.sort,
        order="desc" if query.descending else "asc",
        headings="".join(_heading(query, *heading) for heading in _HEADINGS)
        + '<th scope="col" class="number">Accesses</th>',
        rows=_rows(directory, selection.entries, counts),
        pages=_pages(query, selection),
        readme=_readme(directory) if selection.page == 1 else "",
        summary=_summary(directory, selection),
    ).encode("utf-8", "replace")


def _breadcrumbs(name: bytes) -> str:
    parts = name.split(b"/") if name else []
    crumbs = [f'<a href="{"../" * len(parts) or "./"}">root</a>']
    for depth, part in enumerate(parts, 1):
        shown = f"<bdi>{escape(_text(part))}</bdi>"
        up = len(parts) - depth
        crumbs.append(f'<a href="{"../" * up}">{shown}</a>' if up else shown)
    return " <span>/</span> ".join(crumbs)


def _heading(query: Query, key: str, title: str, style: str) -> str:
    is_current = query.sort == key
    turned = is_current and not query.descending
    link = escape(query.link(sort=key, descending=turned, page=1))
    state = (
        f' aria-sort="{"descending" if query.descending else "ascending"}"' if is_current else ""
    )
    return f'<th scope="col" class="{style}"{state}><a href="{link}">{title}</a></th>'


def _rows(directory: Directory, entries: Iterable[Entry], counts: Mapping[bytes, int]) -> str:
    rows = []
    if directory.name:
        rows.append(
            '<tr class="up"><td><a href="../">../</a></td>'
            '<td class="number"></td><td class="date"></td><td></td></tr>\n'
        )
    for entry in entries:
        slash = "/" if entry.is_directory else ""
        moment = _moment(entry.modified)
        rows.append(
            f'<tr><td><a href="{_reference(entry)}">'
            f"<bdi>{escape(_text(entry.name))}</bdi>{slash}</a>"
            f'</td><td class="number">{"" if entry.is_directory else _size(entry.size)}</td>'
            f'<td class="date"><time datetime="{moment}">{moment[:10]} {moment[11:16]}</time></td>'
            f'<td class="number">{f"{counts[entry.name]:,}" if entry.name in counts else ""}</td>'
            "</tr>\n"
        )
    return "".join(rows)


def _pages(query: Query, selection: Selection) -> str:
    if selection.pages == 1:
        return ""
    page = selection.page
    places = (
        ("First", 1, page > 1),
        ("Previous", page - 1, page > 1),
        ("Next", page + 1, page < selection.pages),
        ("Last", selection.pages, page < selection.pages),
    )
    links = [
        f'<a href="{escape(query.link(page=number))}">{title}</a>'
        for title, number, is_there in places
        if is_there
    ]
    here = f"<span>Page {page} of {selection.pages}</span>"
    return f'<nav aria-label="Pages">{here} {" ".join(links)}</nav>'


def _readme(directory: Directory) -> str:
    text = _NOT_IN_HTML.sub("\ufffd", directory.readme())
    return f"<h2>README</h2>\n<pre>{escape(text)}</pre>" if text else ""


def _summary(directory: Directory, selection: Selection) -> str:
    total = len(directory)
    if selection.matching != total:
        return f"{selection.matching:,} of {total:,} entries"
    return "1 entry" if total == 1 else f"{total:,} entries"


# For programs


def _json(
    directory: Directory, _query: Query, selection: Selection, counts: Mapping[bytes, int]
) -> bytes:
    document = {
        "path": "/" + quote_from_bytes(directory.name) + ("/" if directory.name else ""),
        "entries": [
            {
                "name": entry.name.decode("utf-8", "replace"),
                "href": _reference(entry),
                "type": "directory" if entry.is_directory else "file",
                "size": None if entry.is_directory else entry.size,
                "modified": _moment(entry.modified),
                "accesses": counts.get(entry.name),
            }
            for entry in selection.entries
        ],
        "total": len(directory),
        "matching": selection.matching,
        "page": selection.page,
        "pages": selection.pages,
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _atom(directory: Directory) -> bytes:
    """Return the newest files as a feed (RFC 4287). What a file is about is its address alone."""
    modified = directory.values(sorted(directory.files), "modified")
    newest = directory.entries(
        nlargest(_FEED_ENTRIES, modified, key=modified.__getitem__), are_directories=False
    )
    path = "/" + quote_from_bytes(directory.name)
    name = escape(_text(directory.name) or "/")
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n'
        f"<title>{name}</title>\n<id>{_identifier(path)}</id>\n"
        f"<author><name>{name}</name></author>\n"
        '<link rel="self" href="?format=atom"/>\n<link rel="alternate" href="./"/>\n'
        f"<updated>{_moment(newest[0].modified if newest else 0)}</updated>\n"
    ]
    for entry in newest:
        moment = _moment(entry.modified)
        identifier = _identifier(f"{path}/{quote_from_bytes(entry.name)} {moment}")
        parts.append(
            f"<entry><title>{escape(_text(entry.name))}</title><id>{identifier}</id>"
            f'<link href="{_reference(entry)}"/><updated>{moment}</updated>'
            f"<summary>{_size(entry.size)}</summary></entry>\n"
        )
    parts.append("</feed>\n")
    return "".join(parts).encode()


def _identifier(of: str) -> str:
    digest = sha256(of.encode()).hexdigest()
    return f"urn:uuid:{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
