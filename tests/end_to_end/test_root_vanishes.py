"""The root goes away while a server runs: 503 until it is back; too long, and the built-in server
ends.
"""

from pathlib import Path

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.waiting import wait_until


def test_files_are_served_again_when_the_root_is_back(
    live_server: LiveServer, tmp_path: Path
) -> None:
    root, away = tmp_path / "root", tmp_path / "away"
    (root / "a.txt").write_text("a")
    assert fetch(live_server.port, "/a.txt").status == 200
    root.rename(away)
    for target in ("/a.txt", "/", "/missing", "/a.txt"):
        answer = fetch(live_server.port, target)
        assert answer.status == 503
        assert int(answer["retry-after"]) > 0
    away.rename(root)
    assert fetch(live_server.port, "/a.txt").body == b"a"
    wait_until(lambda: told(live_server, root), message="the loss to be told")
    live_server.stop()
    assert len(told(live_server, root)) <= 2, live_server.printed()  # gone; and perhaps: back


def told(server: LiveServer, root: Path) -> list[str]:
    return [line for line in server.err if ascii(str(root)) in line]


def test_too_long_away(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with running(BUILTIN, "--root-grace", "0.3", root=root) as server:
        root.rename(tmp_path / "away")
        assert server.wait() == 2
        assert told(server, root)
        assert "Traceback" not in server.printed()


def test_never_too_long(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with running(BUILTIN, "--root-grace", "never", root=root) as server:
        root.rename(tmp_path / "away")
        wait_until(lambda: fetch(server.port, "/").status == 503, message="a 503")
        (tmp_path / "away").rename(root)
        wait_until(
            lambda: fetch(server.port, "/").status == 404, message="the root to be seen again"
        )
        assert server.stop() == 0
