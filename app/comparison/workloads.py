"""What is asked for: each workload a list of requests with the answers they must get, and an order
to send them in.
"""

import random
from dataclasses import dataclass

from .documents import LARGE_BYTES, Documents
from .exchange import Answer, exchange

#: Stands in a request where the changing part of the cookie goes; the generators put 16 hexadecimal
#: digits there.
COOKIE = b"@@@@@@@@@@@@@@@@"
_CHROME = (
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Referer: http://127.0.0.1/index.html",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    f"Cookie: theme=dark; session={COOKIE.decode()}",
)
_ORDER_LENGTH = 20_000
ANY_LENGTH = -1


@dataclass(frozen=True)
class Ask:
    """A request and its answer: *status*, and the *length* of the content (-1: not known
    beforehand).

    The content is the bytes *first* to *end* of *path*; *path* is empty where there is none to
    compare. *instead* is another status that is right where a server does not offer the feature.
    """

    head: bytes
    status: int
    length: int
    path: str = ""
    first: int = 0
    instead: int = 0


@dataclass(frozen=True)
class Script:
    """A workload made ready for one server: *order* holds indexes into *asks*, to be sent again and
    again.
    """

    asks: tuple[Ask, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """*connections* of None: as many as the options say.

    *crowd* names who is connected beside the small GETs.
    """

    name: str
    title: str
    connections: int | None = None
    bundled_only: bool = False
    closes: bool = False
    crowd: str = ""
    needs_validators: bool = False


_ALL = (
    Workload("small", "One file of 1 KiB, a bare request"),
    Workload("browser", "1,000 pages of 1 to 16 KiB, skewed; Chrome's 16 fields, a cookie that changes"),
    # wrk holds whole answers in memory to check them; the bundled generator counts the bytes as
    # they pass.
    Workload("large", "One file of 100 MB", connections=4, bundled_only=True),
    Workload("ranges", "Parts of 1 to 64 KiB of the 100 MB file"),
    Workload("conditional", "Browsers that have the page already: 304", needs_validators=True),
    # wrk takes the end of a connection that was not announced for an error.
    Workload("close", "A connection for each small GET", bundled_only=True, closes=True),
    Workload("mixed", "Pages, 304s, parts and 404s, as a site sees them", needs_validators=True),
    Workload("crowd-idle", "Small GETs beside idle connections", bundled_only=True, crowd="idle"),
    Workload("crowd-readers", "Small GETs beside readers that take 1 KiB a second", bundled_only=True, crowd="readers"),
    Workload("crowd-headers", "Small GETs beside clients that dribble a head", bundled_only=True, crowd="headers"),
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in _ALL}
#: The names that `--workloads` knows; one name is three stages.
CHOICES = ("small", "browser", "large", "ranges", "conditional", "close", "mixed", "crowd")


def chosen(names: tuple[str, ...]) -> list[Workload]:
    """Return the workloads that *names* (of CHOICES) stand for, in the order of the table."""
    return [workload for workload in WORKLOADS.values() if workload.name.partition("-")[0] in names]


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", ""]).encode(
        "latin-1"
    )


def script(workload: Workload, documents: Documents, port: int, patience: float) -> Script:
    """Return the requests of *workload* for the server on *port*, which is asked for its validators
    if need be.
    """
    source = random.Random(workload.name)  # noqa: S311 - the same requests for every server and every run
    tags = _validators(documents, port, patience) if workload.needs_validators else {}
    small = documents.small
    size = len(documents.content(small))
    if workload.name == "browser":
        return Script(_pages(documents), _skewed(len(documents.pages), source))
    if workload.name == "large":
        return Script((Ask(head(documents.large), 200, LARGE_BYTES, documents.large),), (0,))
    if workload.name == "ranges":
        return Script(_parts(documents, source), tuple(range(200)))
    if workload.name == "conditional":
        asks = _unmodified(tags)
        return Script(asks, _skewed(len(asks), source))
    if workload.name == "mixed":
        return _mixed(documents, tags, source)
    lines = ("Connection: close",) if workload.closes else ()
    return Script((Ask(head(small, *lines), 200, size, small),), (0,))


def _pages(documents: Documents) -> tuple[Ask, ...]:
    return tuple(Ask(head(path, *_CHROME), 200, length, path) for path, length in documents.pages)


def _parts(documents: Documents, source: random.Random) -> tuple[Ask, ...]:
    asks = []
    for length in source.sample(range(1024, 65536), 200):
        first = source.randrange(LARGE_BYTES - length)
        lines = (*_CHROME, f"Range: bytes={first}-{first + length - 1}")
        asks.append(
            Ask(head(documents.large, *lines), 206, length, documents.large, first, instead=200)
        )
    return tuple(asks)


def _unmodified(tags: dict[str, tuple[str, ...]]) -> tuple[Ask, ...]:
    return tuple(
        Ask(head(path, *_CHROME, *lines), 304, 0, instead=200) for path, lines in tags.items()
    )


def _mixed(documents: Documents, tags: dict[str, tuple[str, ...]], source: random.Random) -> Script:
    """70 % pages, 15 % 304, 10 % parts, 5 % 404, where the server offers them; else pages in their
    place.
    """
    groups = [(_pages(documents), 70), (_unmodified(tags), 15), (_parts(documents, source), 10)]
    groups.append(((Ask(head("/nothing.html", *_CHROME), 404, ANY_LENGTH),), 5))
    asks: list[Ask] = []
    order: list[int] = []
    for group, share in groups:
        indexes = _skewed(len(group), source) if group else _skewed(len(documents.pages), source)
        start = len(asks) if group else 0
        order += [start + index for index in indexes[: _ORDER_LENGTH * share // 100]]
        asks += group
    source.shuffle(order)
    return Script(tuple(asks), tuple(order))


def _skewed(count: int, source: random.Random) -> tuple[int, ...]:
    """Return indexes chosen by Zipf's law: the n-th most popular is asked for 1/n as often as the
    first.
    """
    weights = [1 / (rank + 1) for rank in range(count)]
    return tuple(source.choices(range(count), weights, k=_ORDER_LENGTH))


def _validators(documents: Documents, port: int, patience: float) -> dict[str, tuple[str, ...]]:
    """Return the conditional fields a browser would send for the first 100 pages; empty if there
    are no validators.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path, _length in documents.pages[:100]:
        seen = exchange(port, [head(path, *_CHROME)], patience=patience)
        if not seen.answers:
            return found
        lines = _conditional_fields(seen.answers[0])
        if lines:
            found[path] = lines
    return found


def _conditional_fields(answer: Answer) -> tuple[str, ...]:
    tag, date = answer.value("ETag"), answer.value("Last-Modified")
    return (f"If-None-Match: {tag}",) * bool(tag) + (f"If-Modified-Since: {date}",) * bool(date)
