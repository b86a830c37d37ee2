"""PEP 3333 kept by both sides: `wsgiref.validate` between each server and the application."""

from pathlib import Path

from tests.end_to_end.requests_table import ROWS
from tests.end_to_end.servers import running
from tests.end_to_end.test_same_answers import answer_to


def test_every_request_of_the_table_under_the_validator(kind: str, document_root: Path) -> None:
    with running(kind, root=document_root, application="tests.end_to_end.validated:app") as server:
        statuses = {row.name: (answer_to(row, server).status, row.status) for row in ROWS}
        assert {name: both for name, both in statuses.items() if both[0] != both[1]} == {}
        assert server.stop() == 0
        assert "AssertionError" not in server.printed()
        warned = [
            line
            for line in server.err
            if "WSGIWarning" in line and "Unknown REQUEST_METHOD" not in line
        ]
        assert warned == []
