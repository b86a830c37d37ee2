"""The metrics of many files as text. The lines of a file whose numbers stayed are not made again.

The text of a sample is dear, and between two scrapes most files had no access. What is put into
text is put so by the library; here it is only taken apart by lines and files, and joined again.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeAlias

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from ..counters.tally import Tally

Row: TypeAlias = tuple[str, Tally]
#: The library's: from a registry to text.
Encode: TypeAlias = Callable[[CollectorRegistry], bytes]
#: How OpenMetrics ends.
_END = b"# EOF\n"


class FileLines:
    """Lines of the metrics that *families* makes of files, in one format.

    Each of *families* has the same number of samples of each file, in the order of the files.
    """

    def __init__(self, families: Callable[[Sequence[Row]], Iterable[Metric]]) -> None:
        self._families = families
        self._heads: list[bytes] = []
        #: By path: the tally, and the lines for each family.
        self._known: dict[str, tuple[int, list[bytes]]] = {}

    def text(self, rows: Sequence[Row], encode: Encode) -> bytes:
        """Return the text of all of *rows*, without an end. *encode* is the same each time."""
        known = self._known
        changed = [row for row in rows if known.get(row[0], (-1,))[0] != row[1].lanes]
        if changed:
            self._learn(changed, encode(collected(self._families(changed))))
        if len(known) > 2 * len(rows):  # many files were reset
            self._known = known = {path: known[path] for path, _ in rows}
        lines = [known[path][1] for path, _ in rows]
        return b"".join(
            part
            for family, head in enumerate(self._heads)
            for part in (head, *(each[family] for each in lines))
        )

    def _learn(self, rows: Sequence[Row], text: bytes) -> None:
        heads: list[bytes] = []
        families: list[list[bytes]] = []
        for line in text.removesuffix(_END).removesuffix(b"\n").split(b"\n"):
            if not line.startswith(b"#"):
                families[-1].append(line + b"\n")
            elif families and not families[-1]:
                heads[-1] += line + b"\n"
            else:
                heads.append(line + b"\n")
                families.append([])
        self._heads = heads
        shares = [iter(lines) for lines in families]
        sizes = [len(lines) // len(rows) for lines in families]
        for path, tally in rows:
            own = [b"".join(islice(*each)) for each in zip(shares, sizes, strict=True)]
            self._known[path] = (tally.lanes, own)


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
