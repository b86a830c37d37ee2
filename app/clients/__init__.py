"""Who asks: the class of a client, by its address and by what it says of itself, and what tells
clients apart.

Nothing is known here of files, counters' stores or sockets. What a client says may be untrue: a
robot that names itself a browser is counted among people, so nobody is called a human or a visitor.
"""

from .addresses import Networks
from .agents import list_version, read_patterns
from .classifier import Classifier

__all__ = ["Classifier", "Networks", "list_version", "read_patterns"]
