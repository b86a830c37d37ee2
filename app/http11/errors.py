"""What a receiver raises when the peer breaks the protocol."""


class ProtocolError(Exception):
    """The bytes received are not a message that may be served: answer with *status*, then close the
    connection.

    *reason* is one short sentence fit to show to the client; nothing of the request is echoed in
    it. *location* is for a redirect.
    """

    def __init__(self, status: int, reason: str, location: str = "") -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.location = location
