"""Says when the store's numbers have gone back: it was reset, or begins with older data."""

from time import gmtime, strftime

from ..outage import tell


class NumberWatch:
    """For one thread at a time."""

    def __init__(self, store_name: str) -> None:
        self._store_name = store_name
        self._last: dict[str, int] = {}

    def note(self, path: str, number: int, now: float) -> None:
        """Note a number that the store gave; say once when it is not above the one before."""
        last = self._last.get(path, 0)
        if number <= last:
            self._last.clear()  # the other files' went back with it
            moment = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now))
            tell(
                f"counts: {self._store_name}: counts went back by {moment}, those of {path} from"
                f" {last} to {number}: they were reset, or the store begins with older data;"
                " numbers come a second time"
            )
        self._last[path] = number
