"""How often: exact counts of the accesses to each file.

`counter` is the protocol that the application counts with; `memory`, `lmdb` and `redis` keep it
within a process, a host and many hosts. `open_counter` finds the one that a URL names, `count_log`
writes a line for each access, and `python -m app.counters` reads and moves counts. Nothing of HTTP,
files or sockets is known here.
"""

from .contract import CounterError
from .count_log import CountLog
from .open_counter import open_counter

__all__ = ["CountLog", "CounterError", "open_counter"]
