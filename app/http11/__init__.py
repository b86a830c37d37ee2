"""HTTP/1.1 messages without I/O: what a connection's bytes mean (RFC 9112)."""

from .body import END_OF_MESSAGE, EndOfMessage
from .errors import ProtocolError
from .limits import Limits
from .receiver import Receiver
from .request import Request

__all__ = ["END_OF_MESSAGE", "EndOfMessage", "Limits", "ProtocolError", "Receiver", "Request"]
