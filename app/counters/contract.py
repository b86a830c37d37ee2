"""What every counter promises, to those who write: the server and the tests.

1. The numbers handed out for a path are 1, 2, 3, ...: distinct and without gaps, whichever thread,
   process or host asks.
2. An access that was answered is counted once: not lost and not doubled when a thread, worker or
   host dies or a call is retried.
3. A value read after `count` returned includes it.
4. Values never fall, except by `reset`.
5. Each access has one kind and one class, so the kinds that are accesses add up to the accesses,
   and so do the classes. What was completed never exceeds what was begun.
6. The site's numbers are the sum of its files' numbers at every moment, because both are written in
   one transaction.
7. All numbers of one answer belong to one second, the one in which it was counted, and so to one
   UTC hour and one UTC day.

`reading.py` is the part of the contract that counts are read with. The tests `test_contract.py` and
`test_reading_contract.py` hold every store to both.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias, get_args

#: What became of a request for a file:
#:
#:  - full: 200
#:  - partial: 206 with the first byte in it
#:  - not_modified: 304; the file was asked for, and the client shows what it has
#:  - resumed: 206 that begins later in the file
#:  - probe: 206 to one range within the first two bytes of a longer file, by which players find out
#:    whether ranges work
#:  - head: any answer to HEAD
Kind: TypeAlias = Literal["full", "partial", "not_modified", "resumed", "probe", "head"]

#: Who asked, by what the client says of itself. It describes the request, not a human being.
#:
#:  - people: none of the others
#:  - tools: a program that somebody runs, such as curl, pip or a script
#:  - robots: a program that comes by itself, such as a crawler, a monitor, or a browser that
#:    fetches ahead
#:  - own: an address of the operator's (`--own`)
#:  - unknown: nobody looked, because too many new User-Agents came at once, or because there were
#:    no classes yet when it was counted
Class: TypeAlias = Literal["people", "tools", "robots", "own", "unknown"]

KINDS: tuple[Kind, ...] = get_args(Kind)
CLASSES: tuple[Class, ...] = get_args(Class)

#: The kinds that are an access, and so get a number. The others are only kept.
ACCESSES: frozenset[Kind] = frozenset({"full", "partial", "not_modified"})

#: The status that goes without saying when `count` is called with a kind. HEAD may be 200 or 304.
STATUS_OF_KIND: dict[Kind, int] = {
    "full": 200,
    "partial": 206,
    "not_modified": 304,
    "resumed": 206,
    "probe": 206,
}

#: Called with the access's number, or None when the number is not known yet (a remote store that is
#: away).
Announce: TypeAlias = Callable[[int | None], None]


#: What `Counter.count` is given, but for the moment, which is now: path, kind, announce, class_,
#: sent, complete, client, enough.
Count: TypeAlias = tuple[str, Kind, Announce | None, Class, int, bool, bytes | None, int]


class CounterError(Exception):
    """A store that cannot be used. The text is one line, fit to be shown, without credentials."""


class Counter(Protocol):
    """Exact counts. Safe from any thread. No method but `close` waits for more than the store's own
    time limit.

    The parameters are positional and plain, because `count` runs once for every request.
    """

    #: From how many counts on it pays to wait until they can be made together; 0: never.
    pays_together_from: int

    def count(
        self,
        path: str,
        kind: Kind,
        announce: Announce | None = None,
        class_: Class = "unknown",
        sent: int = 0,
        complete: bool = False,
        client: bytes | None = None,
        enough: int = 0,
        at: int = 0,
    ) -> int | None:
        """Record one answer of *kind* for *path*, and return the access's number.

        *path* is the file's own URL path, percent-encoded (ASCII). Returns None for a kind that is
        no access, and for an access whose number is not known yet. For an access, *announce* is
        called exactly once with the same value before the call returns; for one path the calls come
        in the order of the numbers within a process. *announce* must be quick and must not raise.
        Never raises: when the store fails, the answer goes out all the same, and the store reports
        the access as uncounted.

        *class_* matters for accesses only. *sent* and *complete* say what is handed over with the
        answer itself: a body that is held in memory. A body that is sent afterwards is reported by
        `sent`.

        *client* is given when clients are counted and this one belongs among them (people and
        tools): any bytes that identify it. *enough* is the number of bytes that make a download of
        it: the smaller of `--download-bytes` and the file's size.

        *at* is the moment of the access in seconds since the epoch, 0 for now. To be given when
        `sent` follows, which takes the same moment.
        """

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
        """Do as `count` for each, in order, and return what it returns.

        It costs less than as many calls, as a store is asked once for all of them.
        """

    def sent(
        self,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None = None,
        enough: int = 0,
    ) -> None:
        """Add what was handed to the network of an answer that `count` recorded earlier with
        sent=0. Never raises.

        *sent* is the number of body bytes, *complete* whether the last byte of the file was reached
        without a break: for a `full` or `partial` answer the whole file was handed over, for a
        `resumed` one the rest of it. *at* is the moment that `count` was given, so that hour and
        day are those of the access. An answer that is no longer counted, because the file was reset
        since, is ignored.
        """

    def answered(self, status: int, answers: int = 1) -> None:
        """Record *answers* by their status code. Never raises.

        For every answer but those whose kind tells it to `count`: 200 (full), 206 (partial,
        resumed, probe) and 304 (not_modified). A HEAD's status is recorded here too.
        """

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        """Return how many accesses each of *paths* has had by now, 0 for one that had none.

        What is not known at the moment, because the store is away, is left out. Never raises.
        """

    def close(self) -> None:
        """Write down what is still held and release the store. Calls after the first do nothing."""
