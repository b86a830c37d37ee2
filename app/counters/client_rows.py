"""Distinct clients of a file on a UTC day (`--clients`): one small row for each, and what an answer
changes.

A client is an address (of IPv6 its /64) and a User-Agent. A store keeps none of the two, only a
hash of 8 bytes with a key, the salt of the UTC day (`salts.py`). At the end of the day the rows and
the salt are deleted; the four numbers that they led to are in the file's tally by then, because
each answer adds to them in its own transaction:

 - clients: those that were sent something of the file, or a 304
 - downloads: clients to whom at least `enough` bytes were handed over (IAB)
 - total_requests: accesses, less those within 30 seconds of the client's last (COUNTER: double
   clicks)
 - unique_requests: accesses, one for each client and clock hour (COUNTER: a session without a
   login)

HEAD and probes do not matter. Robots are not among the clients, nor are the operator's own
addresses: for them the caller passes no client. Bytes are added up whichever they are, so a client
that fetches half a file twice has fetched enough.

Rows are counted up to 100,000 for each file and day. Those who come later have no row, and the
numbers say "more than": `clients` is 100,001 then.

Two hashes of 64 bits are equal by accident, among 100,000 clients, once in 3.7 billion files and
days.
"""

import struct
from hashlib import blake2b
from typing import Final

from .contract import ACCESSES, Kind
from .periods import SECONDS_PER_HOUR
from .tally import lanes_of

#: Distinct clients are counted up to this number for each file and day. One more stands for "more
#: than".
MOST_CLIENTS: Final = 100_000
HASH_SIZE: Final = 8
DOUBLE_CLICK_SECONDS: Final = 30

#: Last access, in seconds since the epoch; hours of the day with an access, a bit each, and one for
#: a download; bytes handed over until there was a download.
ROW: Final = struct.Struct("<IIQ")
_DOWNLOADED: Final = 1 << 24
_MOST_SECONDS: Final = 2**32 - 1

_CLIENT, _DOWNLOAD = lanes_of(clients=1), lanes_of(downloads=1)
_TOTAL, _UNIQUE = lanes_of(total_requests=1), lanes_of(unique_requests=1)


def client_hash(client: bytes, salt: bytes) -> bytes:
    """Return what a client is known by on the salt's day. *salt* is 16 to 64 random bytes."""
    return blake2b(client, digest_size=HASH_SIZE, key=salt).digest()


def counted(
    row: bytes | None, kind: Kind, at: int, sent: int, enough: int, clients: int
) -> tuple[bytes | None, int]:
    """Return the client's row after an answer of *kind* at the time *at*, and what the file's tally
    grows by.

    *row* is the client's so far, *clients* the number that the file has on that day. The row is
    None when there is none and none is to be made.
    """
    grown = 0
    if row is not None:
        last, seen, total = ROW.unpack(row)
    elif kind in ("head", "probe"):
        return None, 0
    elif clients >= MOST_CLIENTS:
        return None, _CLIENT if clients == MOST_CLIENTS else 0
    else:
        last = seen = total = 0
        grown = _CLIENT
    if kind in ACCESSES:
        hour = 1 << at // SECONDS_PER_HOUR % 24
        if not seen & hour:
            seen |= hour
            grown += _UNIQUE
        if at - last > DOUBLE_CLICK_SECONDS:
            grown += _TOTAL
        if last < at <= _MOST_SECONDS:
            last = at
    elif kind != "resumed":
        return row, 0
    # Once there is a download, the bytes do not matter any more.
    if not seen & _DOWNLOADED and kind != "not_modified":
        total += sent
        if total >= enough:
            seen |= _DOWNLOADED
            grown += _DOWNLOAD
    return ROW.pack(last, seen, total), grown


def sent_more(row: bytes | None, sent: int, enough: int) -> tuple[bytes | None, int]:
    """Return the client's row after *sent* bytes more of an answer that was counted, and what the
    tally grows by.
    """
    if row is None:
        return None, 0
    last, seen, total = ROW.unpack(row)
    if seen & _DOWNLOADED:
        return row, 0
    if total + sent >= enough:
        return ROW.pack(last, seen | _DOWNLOADED, total + sent), _DOWNLOAD
    return ROW.pack(last, seen, total + sent), 0
