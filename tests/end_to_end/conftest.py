"""Servers and document roots shared by the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.requests_table import make_root
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running


@pytest.fixture(scope="session")
def document_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document root of the request table. Shared: do not change it."""
    root = tmp_path_factory.mktemp("site") / "root"
    root.mkdir()
    make_root(root)
    return root


@pytest.fixture(scope="session")
def both_servers(document_root: Path) -> Iterator[dict[str, LiveServer]]:
    """Both servers over the document root of the request table."""
    with (
        running(BUILTIN, root=document_root) as builtin,
        running(GUNICORN, root=document_root) as gunicorn,
    ):
        yield {BUILTIN: builtin, GUNICORN: gunicorn}


@pytest.fixture(params=[BUILTIN, GUNICORN])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def live_server(kind: str, tmp_path: Path) -> Iterator[LiveServer]:
    """Either server, over the directory `root` in `tmp_path`; stopping it is clean, or the test
    fails.
    """
    root = tmp_path / "root"
    root.mkdir()
    with running(kind, root=root) as server:
        yield server
        assert server.stop() == 0, server.printed()
