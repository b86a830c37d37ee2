"""The metrics of many files as text. The lines of a file whose numbers stayed are not made again.

A scrape of 10,000 files has 80,000 lines, for which the library takes most of a second. Between two
scrapes most files had no access. What stands around the lines is the library's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric

from ..counters.contract import ACCESSES, KINDS
from ..counters.tally import Tally
from .first_files import Row

#: The library's: from a registry to text.
Encode: TypeAlias = Callable[[CollectorRegistry], bytes]
#: How OpenMetrics ends.
_END = b"# EOF\n"


class _Family(NamedTuple):
    name: str
    documentation: str
    #: Of these there is a sample each; none: of `number` alone.
    kinds: tuple[str, ...] = ()
    number: str = ""

    def lines(self, label: str, tally: Tally, kinds: dict[str, int]) -> bytes:
        """Return the samples of the file whose escaped path is *label*."""
        if self.number:
            return f'{self.name}_total{{path="{label}"}} {tally[self.number]}\n'.encode()
        return "".join(
            f'{self.name}_total{{kind="{kind}",path="{label}"}} {kinds[kind]}\n'
            for kind in self.kinds
        ).encode()

    def head(self, encode: Encode) -> bytes:
        """Return what stands before the samples."""
        family = CounterMetricFamily(self.name, self.documentation, labels=["path"])
        return encode(collected([family])).removesuffix(_END)


_FAMILIES = (
    _Family(
        "tally_file_accesses",
        "Accesses to a file: it was sent from its first byte on, or the client's copy confirmed",
        kinds=tuple(kind for kind in KINDS if kind in ACCESSES),
    ),
    _Family(
        "tally_file_other_requests",
        "Answers about a file that are no accesses",
        kinds=tuple(kind for kind in KINDS if kind not in ACCESSES),
    ),
    _Family(
        "tally_file_completed", "Accesses whose whole file was handed over", number="completed"
    ),
    _Family("tally_file_sent_bytes", "Bytes of a file that were handed over", number="sent_bytes"),
)


class FileLines:
    """Remembers the lines of the files that it was given last. For one thread at a time."""

    def __init__(self) -> None:
        #: By path: the tally, and the lines for each family.
        self._known: dict[str, tuple[int, list[bytes]]] = {}
        self._families: list[bytes] = []

    def learn(self, rows: Sequence[Row]) -> None:
        """Take over the numbers of *rows*; the lines of other files are forgotten."""
        known, now = self._known, {}
        for path, tally in rows:
            kept = known.get(path)
            if kept is None or kept[0] != tally.lanes:
                kept = tally.lanes, list(_lines(path, tally))
            now[path] = kept
        self._known = now
        lines = [kept[1] for kept in now.values()]
        self._families = [
            b"".join([each[place] for each in lines]) for place in range(len(_FAMILIES))
        ]

    def text(self, encode: Encode) -> bytes:
        """Return the text of what was learned, without an end."""
        parts = zip(_FAMILIES, self._families, strict=True)
        return b"".join(family.head(encode) + lines for family, lines in parts)


def _lines(path: str, tally: Tally) -> Iterator[bytes]:
    # As the exposition formats have it; of paths, which are percent-encoded, nearly none has any.
    label = path.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    kinds = tally.kinds
    return (family.lines(label, tally, kinds) for family in _FAMILIES)


class _Collected:
    """Metrics that were read already, as a registry wants them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def collected(metrics: Iterable[Metric]) -> CollectorRegistry:
    """Return *metrics* as what the library puts into text."""
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    return registry
