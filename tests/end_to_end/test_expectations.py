"""Everything that the comparison asks of a server, asked of both of ours."""

from pathlib import Path

from app.comparison.behaviour import observe
from app.comparison.documents import write_behaviour_files
from tests.end_to_end.servers import BUILTIN, GUNICORN, running

#: What gunicorn's own parser does otherwise.
KNOWN: dict[str, set[str]] = {
    BUILTIN: set(),
    GUNICORN: {
        "Connection: x, close",
        "Host with a path",
        "Host with a port that is no number",
        "Host with a space in it",
        "Host with user information",
        "a bare percent sign",
        "a fragment in the target",
        "a list as Host",
        "close on a second Connection line",
        "no Host",
    },
}


def test_the_server_answers_as_the_rfcs_require(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "site"
    write_behaviour_files(str(root))
    with running(kind, root=root) as server:
        verdicts = observe(server.port, patience=2.0)
    wrong = {
        verdict.name: f"{verdict.level} {verdict.section}: {verdict.said}"
        for verdict in verdicts
        if verdict.is_wrong and verdict.name not in KNOWN[kind]
    }
    assert wrong == {}
    assert KNOWN[kind] <= {verdict.name for verdict in verdicts if verdict.is_wrong}
    assert sum(verdict.outcome == "pass" for verdict in verdicts) > 280
