"""Counts of every host behind a load balancer, in Redis or Valkey.

Here is what is asked of the server, and nothing else. Who asks is `sender.py`, which keeps what the
server does not take.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from secrets import token_hex
from threading import Event
from time import monotonic, time
from typing import cast

from ..contract import Class, CounterError
from ..missed import MOST_NAMES
from ..periods import SECONDS_PER_DAY, Period, Unit, month_of
from ..ranking import Query
from ..reading import (
    Contents,
    DirectoryAnswer,
    FileAnswer,
    FileRecord,
    Missed,
    Order,
    Ranking,
    Series,
    SiteRecord,
    Totals,
)
from ..tally import LIMIT, Tally
from . import address, scripts
from .day_salts import RedisSalts
from .days_at_hand import TooManyDaysError
from .entries import Entry, import_batches, uncounted_entry
from .kept_answers import KEPT_SECONDS
from .packing import Packing
from .reader import RedisReader
from .server import ANSWER_SECONDS, RemoteAwayError, RemoteRefusedError, Server

#: So many files of the old format are converted in one step; some milliseconds of the server's
#: time.
_AT_ONCE = 200


class RedisStore:
    """The counts in the Redis that *url* names: redis-py's forms, and redis+sentinel://.

    Connects at the first use. Safe from any thread. Lists are kept for *kept_seconds*.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = ANSWER_SECONDS,
        keep_days: int | None = None,
        clock: Callable[[], float] = time,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        place = address.parse(url)
        #: Names the store without credentials.
        self.name = place.name
        #: An access is not held up for longer.
        self.timeout = timeout
        #: Names the store itself, under whatever name it is reached; "" until a check has passed.
        self.store_id = ""
        self._clock = clock
        self._server = Server(place, timeout)
        self._reader = RedisReader(self._server, clock, keep_days, kept_seconds)
        self._packing = Packing(self._server, clock)
        self.salts = RedisSalts(self._server, clock)
        self._keeps_all = keep_days is None
        self._forgotten_before = 0
        self._is_converted = False

    @property
    def identity(self) -> str:
        """The same text for the same store, fit for a file name."""
        return "redis-" + sha256(self.name.encode()).hexdigest()[:16]

    # Counting

    def check(self, *, quick: bool = False) -> float:
        """Do what `apply` does, with nothing to count, to see that the server takes it.

        Return the seconds it took.

        Waits as long as `apply` does: patiently, unless *quick*. Raises RemoteAwayError or
        RemoteRefusedError.
        """
        client = self._server.quick if quick else self._server.patient
        self._begin(quick=quick)
        self._server.ask(client, "SETNX", scripts.ID_KEY, token_hex(16))
        kept = bytes(self._server.ask(client, "GET", scripts.ID_KEY))
        self.store_id = kept.decode("ascii", "replace")
        begun = monotonic()
        self._server.run(client, scripts.APPLY, ["check", "1"])
        return monotonic() - begun

    def check_format(self) -> None:
        """See that what is kept can be read.

        Writes nothing. Raises RemoteAwayError or RemoteRefusedError.
        """
        kept = self._kept_format()
        if kept is not None and kept.decode("ascii", "replace") not in scripts.KNOWN_FORMATS:
            raise self._unknown_format(kept)

    def _kept_format(self) -> bytes | None:
        kept = self._server.ask(self._server.patient, "GET", scripts.FORMAT_KEY)
        return None if kept is None else bytes(kept)

    def _begin(self, *, quick: bool = False) -> None:
        """Make the store one of this format; see whether something is to be converted."""
        client = self._server.quick if quick else self._server.patient
        today = int(self._clock()) // SECONDS_PER_DAY
        kept, waiting = self._server.run(client, scripts.BEGIN, [str(today)])
        if kept != scripts.FORMAT.encode():
            raise self._unknown_format(kept)
        self._is_converted = not waiting

    def _unknown_format(self, kept: bytes) -> RemoteRefusedError:
        shown = bytes(kept)[:20].decode("ascii", "replace")
        return RemoteRefusedError(
            f"counts: {self.name}: kept in format {shown}, this program knows format"
            f" {scripts.FORMAT}"
        )

    def convert(self) -> None:
        """Convert what is kept in the format before, if anything is. Counting goes on meanwhile.

        Each step is whole, and whoever comes next goes on, on any host. Raises RemoteAwayError or
        RemoteRefusedError.
        """
        if not self._is_converted and self._kept_format() is None:
            return  # nothing was ever kept, and reading writes nothing
        while not self._is_converted:
            self._begin()
            # Files first: their days are added to them.
            for what, key in (("files", scripts.OLD_FILES), ("days", scripts.OLD_DAYS)):
                for part in self._server.scan(key):
                    names = [name.decode("utf-8", "surrogatepass") for name, _ in part]
                    for begin in range(0, len(names), _AT_ONCE):
                        self._server.run(
                            self._server.patient,
                            scripts.CONVERT,
                            [what, *names[begin : begin + _AT_ONCE]],
                        )

    def forget_old_days(self) -> None:
        """Delete days that are not shown any more. To be called now and then.

        Raises RemoteAwayError or RemoteRefusedError.
        """
        if self._keeps_all:
            return
        oldest = self._reader.oldest_day()
        if oldest > self._forgotten_before:
            arguments = [str(oldest), str(month_of(oldest))]
            self._server.run(self._server.patient, scripts.FORGET_DAYS, arguments)
            self._forgotten_before = oldest

    def pack(self) -> None:
        """Pack some days that are over. To be called now and then.

        Raises RemoteAwayError or RemoteRefusedError.
        """
        self._packing.go_on()

    def make_lists(self, end: Event) -> None:
        """Make lists of many files ready for whoever looks first. To be called now and then.

        Returns early at *end*. Raises RemoteAwayError or RemoteRefusedError.
        """
        try:
            self._reader.make_lists(end)
        except TooManyDaysError:  # as after an import
            self._packing.begin_again()

    def apply(
        self, writer: str, first: int, entries: Sequence[Entry], *, patient: bool = False
    ) -> list[int]:
        """Apply *entries*, numbered from *first*, unless they were before.

        Return each one's access number or 0.

        Waits for `ANSWER_SECONDS` or, when *patient*, for `PATIENT_SECONDS`.
        """
        arguments = [writer, str(first)]
        for entry in entries:
            arguments += entry
        client = self._server.patient if patient else self._server.quick
        return cast(list[int], self._server.run_on_replicas(client, scripts.APPLY, arguments))

    def finish(self, writers: Sequence[str]) -> None:
        """Tell that *writers* deliver nothing any more."""
        self._server.run(self._server.patient, scripts.FINISH, writers)

    def uncounted(self, accesses: int, transfers: int, at: int) -> None:
        self._begin()
        self._once([[uncounted_entry(accesses, transfers, at)]])

    def add_missed(self, names: Mapping[str, int]) -> None:
        arguments = [str(MOST_NAMES), *(str(part) for pair in names.items() for part in pair)]
        self._server.run(self._server.patient, scripts.ADD_MISSED, arguments)

    # Reading

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        """Return the accesses of *paths*. Waits for `ANSWER_SECONDS`."""
        found = self._server.run(self._server.quick, scripts.ACCESSES, paths) if paths else []
        return dict(zip(paths, found, strict=True))

    def totals(self) -> Totals:
        self.convert()
        return self._reader.totals()

    def series(self, unit: Unit, period: Period, path: str | None = None) -> Series | None:
        self.convert()
        return self._reader.series(unit, period, path)

    def ranked(
        self,
        order: Order = "accesses",
        period: Period | None = None,
        match: str = "",
        after: str = "",
        limit: int = 100,
        classes: frozenset[Class] | None = None,
    ) -> Ranking:
        query = Query.of(order, period, match, after, limit, classes)
        self.convert()
        return self._reader.ranked(query)

    def file(self, path: str, period: Period | None = None) -> FileAnswer | None:
        self.convert()
        return self._reader.file(path, period)

    def tallies(self, paths: Sequence[str]) -> list[tuple[int, int, Tally] | None]:
        self.convert()
        return self._reader.tallies(paths)

    def directory(self, path: str) -> DirectoryAnswer:
        self.convert()
        return self._reader.directory(path)

    def missed(self) -> Missed:
        return self._reader.missed()

    # Moving

    def contents(self) -> Contents:
        self.convert()
        return self._reader.contents()

    def add(
        self, records: Iterable[tuple[str, FileRecord]], site: SiteRecord | None = None
    ) -> None:
        """Add files, in parts.

        When that breaks off, repeating it goes on where it stopped and doubles nothing.
        """
        added = sorted(records, key=lambda pair: pair[0])
        self.check()
        self.convert()
        total = sum((record.total for _, record in added), self._reader.totals().tally)
        if max(total) >= LIMIT or any(max(record.total) >= LIMIT for _, record in added):
            raise CounterError("counts: these are too many to be added")
        self._once(list(import_batches(added, site)))
        self._reader.forget()

    def _once(self, batches: list[list[Entry]]) -> None:
        """Apply what belongs together, and go on where the same stopped before."""
        writer = scripts.IMPORT + sha256(repr(batches).encode()).hexdigest()[:32]
        server, arrived, total = self._server, 0, sum(map(len, batches))
        try:
            if not any(
                server.ask(server.patient, "HLEN", key)
                for key in (scripts.RECORDS, scripts.STATUSES)
            ):
                # whatever arrived before was reset since
                server.run(server.patient, scripts.FORGET, [writer])
            for batch in batches:
                self.apply(writer, arrived + 1, batch, patient=True)
                arrived += len(batch)
            server.run(server.patient, scripts.FORGET, [writer])
        except RemoteAwayError as error:
            raise CounterError(
                f"{error}; {arrived} of {total} parts arrived; repeat it with --add to finish"
            ) from None

    def reset(self, paths: Iterable[str] | None = None) -> None:
        self.convert()
        if paths is None:
            self._server.run(self._server.patient, scripts.RESET, [scripts.IMPORT])
        else:
            for path in paths:  # not in one call, which would hold up those who count
                self._server.run(self._server.patient, scripts.RESET, [scripts.IMPORT, path])
        self._reader.forget()

    def close(self) -> None:
        self._reader.close()
        self._server.close()
