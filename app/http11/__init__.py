"""HTTP/1.1 messages without I/O: what a connection's bytes mean (RFC 9112)."""

from app.http11.body import END_OF_MESSAGE, EndOfMessage
from app.http11.errors import ProtocolError
from app.http11.limits import Limits
from app.http11.receiver import Receiver
from app.http11.request import Request

__all__ = ["END_OF_MESSAGE", "EndOfMessage", "Limits", "ProtocolError", "Receiver", "Request"]
