"""From a URL to the store that keeps its counts."""

import os
from typing import TYPE_CHECKING

from .contract import CounterError
from .memory import MemoryCounter

if TYPE_CHECKING:
    from .reading import CountingStore, Store
    from .redis.store import RedisStore

_REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")


def open_counter(url: str, *, journal: str = "", keep_days: int | None = None) -> "CountingStore":
    """Return the counter that *url* names: `memory:`, `lmdb:DIR`, `redis://HOST/DB`, `rediss://...`
    `unix://PATH`, `redis+sentinel://...` or `redis+cluster://...`.

    An empty *url* is `memory:`. *journal* is the directory where accesses wait while Redis is away
    ("": below the user's state directory). *keep_days* is how long days are kept (None: for ever).
    Raises CounterError, with one line fit to be shown.
    """
    scheme, _, rest = url.partition(":")
    if url in ("", "memory:"):
        return MemoryCounter(keep_days=keep_days)
    # The packages that these need are loaded only when they are used.
    if scheme == "lmdb":
        from .lmdb.counter import LmdbCounter

        return LmdbCounter(rest, keep_days=keep_days)
    if scheme in _REDIS_SCHEMES:
        store = _redis_store(url, keep_days)
        from .redis.counter import JournaledCounter

        return JournaledCounter(store, journal or _default_journal())
    raise _unknown(url)


def open_store(url: str, *, create: bool) -> "Store":
    """Return the store that *url* names, to read and move its counts.

    Raises CounterError, without *create* also when there is none yet.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "lmdb":
        from .lmdb.counter import LmdbCounter

        return LmdbCounter(rest, create=create, guest=True)
    if scheme in _REDIS_SCHEMES:
        store = _redis_store(url)
        try:
            store.check_format()
        except CounterError:
            store.close()
            raise
        return store
    if scheme in ("", "memory"):
        raise CounterError("counts: memory: is the server's own, and cannot be read from here")
    raise _unknown(url)


def _redis_store(url: str, keep_days: int | None = None) -> "RedisStore":
    try:
        from .redis.store import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise CounterError(
            "counts: Redis needs a package: pip install 'tally-server[redis]'"
        ) from None
    return RedisStore(url, keep_days=keep_days)


def _unknown(url: str) -> CounterError:
    scheme, colon, rest = url.partition(":")
    # Nothing is shown that may be a name or a password in front of a host.
    is_scheme = (
        colon
        and scheme.isascii()
        and scheme.isalpha()
        and (rest.startswith("//") or "@" not in rest)
    )
    shown = repr(scheme[:20]) if is_scheme else "this"
    return CounterError(
        f"counts: {shown} is none of memory:, lmdb:DIR, redis://HOST/DB, rediss://, unix://,"
        " redis+sentinel:// and redis+cluster://"
    )


def _default_journal() -> str:
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # the specification wants others ignored
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise CounterError(
                "counts: this user has no home directory; --counts-journal DIR says where accesses"
                " wait"
            )
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "tally")
