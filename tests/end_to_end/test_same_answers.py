"""The same requests to both servers: the same status, fields and body, and the right ones."""

import re

import pytest

from tests.end_to_end.client import Answer, Client
from tests.end_to_end.requests_table import ROWS, Row
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer

# The server's own: who it is, when it answered, whether the connection goes on, and how the body is
# framed.
SERVERS_OWN = {"server", "date", "connection", "keep-alive", "transfer-encoding"}


def answer_to(row: Row, server: LiveServer) -> Answer:
    with Client(server.port) as client:
        fields = row.fields
        if any("{etag}" in value for value in fields.values()):
            etag = client.ask("GET", row.target)["etag"]
            fields = {name: value.replace("{etag}", etag) for name, value in fields.items()}
        return client.ask(row.method, row.target, fields.items(), row.sent, row.version)


def comparable(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return what must be equal; the boundary of a multipart body is the answer's own choice."""
    fields = sorted((name, value) for name, value in answer.fields if name not in SERVERS_OWN)
    body = answer.body
    for name, value in fields:
        if name == "content-type" and (boundary := re.search("boundary=([^;]+)", value)):
            fields = [(name, value.replace(boundary[1], "BOUNDARY")) for name, value in fields]
            body = body.replace(boundary[1].encode(), b"BOUNDARY")
            break
    return answer.status, fields, body


def as_expected(row: Row, answer: Answer) -> None:
    assert answer.status == row.status
    if row.body is not None:
        assert answer.body == row.body
    if row.method == "HEAD":
        assert answer.body == b""
    names = [name for name, _ in answer.fields]
    for once in ("date", "server"):
        assert names.count(once) == 1
    for name, value in row.expected.items():
        if value == "":
            assert name not in names
        elif "{etag}" in value:
            assert re.fullmatch('"[!#-~]+"', answer[name])
        else:
            assert answer[name] == value


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{number}-{row.name}") for number, row in enumerate(ROWS)]
)
def test_same_answer(row: Row, both_servers: dict[str, LiveServer]) -> None:
    ours, theirs = (answer_to(row, both_servers[kind]) for kind in (BUILTIN, GUNICORN))
    as_expected(row, ours)
    assert comparable(ours) == comparable(theirs)


def test_the_table_is_long_enough_and_says_nothing_twice() -> None:
    assert len(ROWS) >= 120
    asked = [(row.method, row.target, str(row.fields), row.sent, row.version) for row in ROWS]
    assert len(set(asked)) == len(asked)
