"""A client that sends exactly the bytes it is given, and reads answers with the standard library's
parser.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPResponse
from types import TracebackType

Fields = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer as it came; field names in lower case, repeated fields repeated."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """Return the one value of the field *name*; KeyError when there is none or more than one."""
        values = [value for field, value in self.fields if field == name]
        if len(values) != 1:
            raise KeyError(f"{name}: {values}")
        return values[0]


class Client:
    """One connection; `ask` opens another when the server has said that this one ends."""

    def __init__(self, port: int, *, timeout: float = 30.0) -> None:
        self._address = ("127.0.0.1", port)
        self._timeout = timeout
        self._ended = False
        self.socket = socket.create_connection(self._address, timeout)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def read(self, method: str = "GET") -> Answer:
        """Read one final answer to a request of *method*."""
        response = HTTPResponse(self.socket, method=method)
        try:
            response.begin()
            self._ended = response.will_close
            fields = [(name.lower(), value) for name, value in response.getheaders()]
            return Answer(response.status, fields, response.read())
        finally:
            response.close()

    def ask(
        self,
        method: str,
        target: str,
        fields: Fields = (),
        body: bytes = b"",
        version: str = "HTTP/1.1",
    ) -> Answer:
        if self._ended:
            self.socket.close()
            self.socket = socket.create_connection(self._address, self._timeout)
        self.send(request(method, target, fields, body, version))
        return self.read(method)


def request(
    method: str, target: str, fields: Fields = (), body: bytes = b"", version: str = "HTTP/1.1"
) -> bytes:
    """Build a request; Host is added where *fields* has none."""
    lines = [f"{method} {target} {version}"]
    given = list(fields)
    if "host" not in {name.lower() for name, _ in given}:
        lines.append("Host: tally.test")
    lines.extend(f"{name}: {value}" for name, value in given)
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def fetch(port: int, target: str = "/", fields: Fields = (), method: str = "GET") -> Answer:
    """Ask once, on a connection of its own."""
    with Client(port) as client:
        return client.ask(method, target, fields)


def accesses(port: int, token: str) -> int:
    """Return the number of accesses so far, as the server's statistics have it: unlike the count
    lines, which come a moment after the answers, it knows of every answer that has come.
    """
    answer = fetch(port, "/-/tally/api/v1/totals", [("Authorization", f"Bearer {token}")])
    assert answer.status == 200, answer.body
    return int(json.loads(answer.body)["accesses"])
