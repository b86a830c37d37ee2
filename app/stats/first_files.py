"""The files that were accessed first, with what was counted of them.

Which they are hardly ever changes, and to find out takes a look at every file. So the list is read
once, and then the numbers of its files alone.
"""

from collections.abc import Callable
from time import monotonic

from ..counters.reading import MOST_LISTED, CountReader, RankedFile, Totals
from ..counters.tally import Tally

Row = tuple[str, Tally]

#: An import may bring files that were accessed earlier.
_LIST_SECONDS = 600.0
#: A file whose first access was so long ago comes before every new one, whatever the hosts' clocks.
_SETTLED_SECONDS = 60


class FirstFiles:
    """Reads at most *most* files whose paths match *match*; "": any. For one thread at a time."""

    def __init__(self, most: int, match: str, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._match = match
        self._clock = clock
        self._paths: list[str] = []
        self._firsts: list[int] = []
        #: Files in the store when the list was read.
        self._files = -1
        self._read_at = 0.0

    def read(self, reader: CountReader) -> tuple[Totals, list[Row]]:
        """Return the site's numbers, and the files in the order of their first accesses.

        The files come first: what is counted in between is of other files, not of less than none.
        """
        files = self._known(reader)
        totals = reader.totals()
        if files is None or self._is_outdated(totals):
            files = self._listed(reader)
            totals = reader.totals()
        return totals, files

    def _known(self, reader: CountReader) -> list[Row] | None:
        """Return the files of the list, None when it does not hold any more."""
        if self._files < 0 or self._clock() - self._read_at >= _LIST_SECONDS:
            return None
        files = []
        found = reader.tallies(self._paths)
        for path, first, now in zip(self._paths, self._firsts, found, strict=True):
            if now is None or now[0] != first:  # it was reset
                return None
            files.append((path, now[2]))
        return files

    def _is_outdated(self, totals: Totals) -> bool:
        if totals.files == self._files or not self._most:
            return False
        is_full = len(self._paths) >= self._most
        return not (is_full and self._firsts[-1] < totals.as_of - _SETTLED_SECONDS)

    def _listed(self, reader: CountReader) -> list[Row]:
        read_at, files = self._clock(), reader.totals().files
        rows: list[RankedFile] = []
        after = ""
        while (wanted := self._most - len(rows)) > 0:
            part = reader.ranked("first", None, self._match, after, min(wanted, MOST_LISTED))
            rows += part.rows
            after = part.next
            if not after:
                break
        # All at once: a store that fails on the way leaves the list as it was.
        self._read_at, self._files = read_at, files
        self._paths = [row.path for row in rows]
        self._firsts = [row.first for row in rows]
        return [(row.path, row.tally) for row in rows]
