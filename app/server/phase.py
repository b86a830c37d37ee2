"""What a connection is waiting for."""

from enum import Enum


class Phase(Enum):
    """What a connection is waiting for, and so what its deadline means."""

    HANDSHAKE = "handshake"
    FIRST = "first request"
    IDLE = "next request"
    HEAD = "rest of a head"
    BODY = "rest of a body"
    DRAIN = "rest of an unread body"
    ANSWER = "application or client"
    LINGER = "client's close"
    CLOSED = "nothing"


#: No request has come, or the answer to the last one has left: nothing is lost when such a
#: connection is closed.
RESTING = (Phase.FIRST, Phase.IDLE)
#: Nothing has come that could be answered.
UNASKED = (*RESTING, Phase.HANDSHAKE, Phase.HEAD)
