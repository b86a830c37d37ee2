"""Brings to the remote store what journals hold.

That is what dead processes left, finished writers, and journals of the same store's other names.

A store may get another name (`localhost` for `127.0.0.1`), and each name has a directory of its
own. Beside a journal lies the id of its store, once that is known: what waits for the same store is
delivered, whatever the name.
"""

import os
from collections.abc import Iterator
from secrets import token_hex
from threading import Event

from ..contract import CounterError
from ..outage import tell
from .journal import Journal, Writer
from .store import RedisStore

#: Entries that are sent at once. Redis takes some ten microseconds for each, in which it serves
#: nobody else.
_MOST_AT_ONCE = 500
_STORE = "store"
#: An LMDB file was the journal once.
_FORMER_FORMAT = "data.mdb"


class Delivery:
    """Delivers to *remote* what waits in *journal* and beside it. For one thread at a time."""

    def __init__(self, remote: RedisStore, journal: Journal) -> None:
        self._remote = remote
        self._journal = journal
        self._beside: dict[str, Journal] = {}
        self._store_id = ""

    def deliver_all(self, end: Event) -> None:
        """Deliver what nobody holds any more, until *end* is set.

        When something fails, the rest is left to another time.
        """
        try:
            for journal in (self._journal, *self._of_other_names()):
                for writer in journal.adopt():
                    if not self.finish(writer, journal) or end.is_set():
                        return
        except (CounterError, OSError):
            return

    def finish(self, writer: Writer, journal: Journal | None = None) -> bool:
        """Deliver all that a writer left, and give it up.

        Returns False when it has to be left to others.
        """
        journal = journal or self._journal
        delivered = False
        try:
            while writer.has_waiting:
                first, entries, end = journal.waiting(writer, _MOST_AT_ONCE)
                if entries:
                    self._remote.apply(writer.token, first, entries, patient=True)
                journal.delivered(writer, end)
            journal.tell_lost(writer)
            journal.empty(writer)
            self._remote.finish([writer.token])
            delivered = True
        except (CounterError, OSError):
            return False
        finally:
            (journal.retire if delivered else journal.abandon)(writer)
        return True

    def _of_other_names(self) -> Iterator[Journal]:
        """Yield the journals that wait for the same store under another name.

        Tell once of those for other stores.
        """
        store_id = self._remote.store_id
        if not store_id:
            return
        first_time = self._store_id != store_id
        if first_time:
            self._remember(store_id)
            self._tell_of_former_format()
        parent, own = os.path.split(self._journal.directory)
        for name in sorted(os.listdir(parent)):
            path = os.path.join(parent, name)
            if name == own or not name.startswith("redis-") or not os.path.isdir(path):
                continue
            if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                if first_time:
                    tell(
                        f"counts: {path} belongs to another user; what may wait in it is not"
                        " delivered"
                    )
                continue
            its_id, _, its_name = _read(os.path.join(path, _STORE)).strip().partition(" ")
            if its_id == store_id:
                yield self._journal_in(path)
            elif first_time and (waiting := self._waiting(self._journal_in(path))):
                whose = its_name or "a store that was never reached"
                tell(
                    f"counts: {waiting} accesses wait in {path} for {whose}, which is not known to"
                    " be "
                    f"{self._remote.name}; a server that is started with that name delivers them"
                )

    def _tell_of_former_format(self) -> None:
        former = os.path.join(self._journal.directory, _FORMER_FORMAT)
        if os.path.exists(former):
            tell(
                f"counts: {former} is a journal of an earlier version, which this one cannot read;"
                " what may wait in it "
                "is delivered by a server of that version, and the file can go then"
            )

    def _journal_in(self, path: str) -> Journal:
        journal = self._beside.get(path)
        if journal is None:
            journal = self._beside[path] = Journal(path)
        return journal

    def _waiting(self, journal: Journal) -> int:
        waiting = 0
        for writer in journal.adopt():
            waiting += journal.count(writer)
            journal.abandon(writer)
        return waiting

    def _remember(self, store_id: str) -> None:
        path = os.path.join(self._journal.directory, _STORE)
        text = f"{store_id} {self._remote.name}\n"
        if _read(path) != text:
            beside = f"{path}.{token_hex(4)}"
            with open(beside, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.replace(beside, path)
        self._store_id = store_id


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
