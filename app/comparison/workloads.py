"""What is asked for: each workload is a list of requests and an order to send them in."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .documents import LARGE_BYTES, Documents
from .exchange import exchange

#: Stands in a request where the changing part of the cookie goes; the generators put 16 hexadecimal
#: digits there.
COOKIE = b"@@@@@@@@@@@@@@@@"
#: The fields that Chrome sends beside Host.
CHROME = (
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
    """A request and its answer: the *status* and the *length* of the content (-1: not known yet).

    The content is what *path* has from byte *first* on; without a path there is none to compare.
    *instead* is another status that is right where a server does not offer the feature.
    """

    head: bytes
    status: int
    length: int
    path: str = ""
    first: int = 0
    instead: int = 0


@dataclass(frozen=True)
class Script:
    """A workload for one server: *order* holds indexes into *asks*, to be sent again and again."""

    asks: tuple[Ask, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """A mix of requests: *groups* are names of _GROUPS with their shares in percent.

    *connections* of None: as many as the options say. *crowd* names who is connected beside.
    """

    name: str
    title: str
    groups: dict[str, int]
    connections: int | None = None
    bundled_only: bool = False
    crowd: str = ""


_SMALL, _BUNDLED = {"small": 100}, True
_ALL = (
    Workload("small", "One file of 1 KiB, a bare request", _SMALL),
    Workload("browser", "1,000 pages of 1 to 16 KiB, skewed; Chrome's 16 fields, a cookie that changes",
             {"pages": 100}),
    # wrk holds whole answers in memory to check them; the bundled generator counts the bytes as
    # they pass.
    Workload("large", "One file of 100 MB", {"large": 100}, 4, _BUNDLED),
    Workload("ranges", "Parts of 1 to 64 KiB of the 100 MB file", {"parts": 100}),
    Workload("conditional", "Browsers that have the page already: 304", {"unmodified": 100}),
    # wrk takes the end of a connection that was not announced for an error.
    Workload("close", "A connection for each small GET", {"closing": 100}, None, _BUNDLED),
    Workload("mixed", "Pages, 304s, parts and 404s, as a site sees them",
             {"pages": 70, "unmodified": 15, "parts": 10, "missing": 5}),
    Workload("crowd-idle", "Small GETs beside idle connections", _SMALL, 4, _BUNDLED, "idle"),
    Workload("crowd-readers", "Small GETs beside readers that take 1 KiB a second", _SMALL, 4, _BUNDLED, "readers"),
    Workload("crowd-headers", "Small GETs beside clients that dribble a head", _SMALL, 4, _BUNDLED, "headers"),
)  # fmt: skip
WORKLOADS = {workload.name: workload for workload in _ALL}
#: The names that `--workloads` knows; one name is three stages.
CHOICES = tuple(dict.fromkeys(name.partition("-")[0] for name in WORKLOADS))


def chosen(names: Sequence[str]) -> list[Workload]:
    """Return the workloads that *names* (of CHOICES) stand for, in the order of the table."""
    return [workload for workload in WORKLOADS.values() if workload.name.partition("-")[0] in names]


def head(path: str, *lines: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *lines, "", "")
    return "\r\n".join(lines).encode("latin-1")


def script(workload: Workload, documents: Documents, port: int, patience: float) -> Script:
    """Return the requests of *workload* for the server on *port*.

    The server is asked for its validators if need be. What it does not offer gives its share to the
    first group.
    """
    source = random.Random(workload.name)  # noqa: S311 - the same requests for every server and every run
    asks: list[Ask] = []
    order: list[int] = []
    first = range(0)
    for name, share in workload.groups.items():
        group = _GROUPS[name](documents, port, patience)
        chosen = range(len(asks), len(asks) + len(group)) if group else first
        first = first or chosen
        asks += group
        # Zipf's law: the n-th most popular is asked for 1/n as often as the first.
        weights = [1 / (rank + 1) for rank in range(len(chosen))]
        if chosen:
            order += source.choices(chosen, weights, k=_ORDER_LENGTH * share // 100)
    source.shuffle(order)
    return Script(tuple(asks), tuple(order))


def _small(documents: Documents, *lines: str) -> list[Ask]:
    size = len(documents.content(documents.small))
    return [Ask(head(documents.small, *lines), 200, size, documents.small)]


def _parts(large: str) -> list[Ask]:
    source = random.Random(large)  # noqa: S311 - see above
    asks = []
    for length in source.sample(range(1024, 65536), 200):
        first = source.randrange(LARGE_BYTES - length)
        lines = (*CHROME, f"Range: bytes={first}-{first + length - 1}")
        asks.append(Ask(head(large, *lines), 206, length, large, first, instead=200))
    return asks


def _unmodified(documents: Documents, port: int, patience: float) -> list[Ask]:
    """What a browser sends for the first 100 pages when it has them; nothing without validators."""
    asks: list[Ask] = []
    for path, _length in documents.pages[:100]:
        seen = exchange(port, [head(path, *CHROME)], patience=patience)
        if not seen.answers:
            return asks
        validators = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
        values = {name: seen.answers[0].value(of) for name, of in validators.items()}
        if lines := [f"{name}: {value}" for name, value in values.items() if value]:
            asks.append(Ask(head(path, *CHROME, *lines), 304, 0, instead=200))
    return asks


_GROUPS: dict[str, Callable[[Documents, int, float], list[Ask]]] = {
    "small": lambda documents, *_: _small(documents),
    "closing": lambda documents, *_: _small(documents, "Connection: close"),
    "pages": lambda documents, *_: [
        Ask(head(path, *CHROME), 200, length, path) for path, length in documents.pages
    ],
    "large": lambda documents, *_: [Ask(head(documents.large), 200, LARGE_BYTES, documents.large)],
    "parts": lambda documents, *_: _parts(documents.large),
    "unmodified": _unmodified,
    "missing": lambda *_: [Ask(head("/nothing.html", *CHROME), 404, ANY_LENGTH)],
}
