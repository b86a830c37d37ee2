"""From a URL to the store that keeps its counts."""

from app.counters.memory import MemoryCounter
from app.counters.record import CounterError
from app.counters.store import Store


def open_counter(url: str, *, journal: str = "", create: bool = True) -> Store:
    """Return the store that *url* names: `memory:`, `lmdb:DIR`, `redis://HOST/DB`, `rediss://...` or `unix://PATH`.

    An empty *url* is `memory:`. *journal* is the directory where accesses wait while Redis is away ("": below the
    user's state directory). With *create* false a store that is not there yet is an error. Raises CounterError, with
    one line fit to be shown.
    """
    scheme, _, rest = url.partition(":")
    if url in ("", "memory:"):
        return MemoryCounter()
    # The packages that these need are loaded only when they are used.
    if scheme == "lmdb":
        from app.counters.lmdb import LmdbCounter

        return LmdbCounter(rest, create=create)
    if scheme in ("redis", "rediss", "unix"):
        from app.counters.redis import RedisCounter

        return RedisCounter(url, journal)
    raise CounterError(f"counts: {scheme!r} is none of memory:, lmdb:DIR, redis://HOST/DB, rediss:// and unix://")
