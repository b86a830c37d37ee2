"""A real browser: the site's first page with all it needs, and seeking in a long recording."""

import re
import wave
from pathlib import Path

import pytest

from app.options import DEFAULT_ROOT
from tests.end_to_end.browser import complaints, window
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.waiting import wait_until

# Where the player has arrived, it says by asking for a page.
PLAYER = """<!doctype html><title>A player</title><link rel="icon" href="data:,">
<video id="player" src="recording.wav" preload="metadata" muted></video>
<script>
player.onloadedmetadata = () => { player.currentTime = player.duration * 0.9; };
player.onseeked = () => fetch("player.html?at=" + Math.round(player.currentTime));
player.onerror = () => fetch("player.html?error=" + player.error.code);
</script>"""
SECONDS = 120


def logged(server: LiveServer) -> list[tuple[str, int, int]]:
    """Return (target, status, bytes of body) of each line of the server's access log."""
    lines = (re.search(r'"GET (\S+) HTTP/1\.1" (\d+) (\d+|-)', line) for line in server.out)
    return [(match[1], int(match[2]), int(match[3].replace("-", "0"))) for match in lines if match]


def test_the_first_page_and_all_it_needs() -> None:
    with running(BUILTIN, "--access-logfile", "-", root=DEFAULT_ROOT) as server:
        with window() as page:
            page.goto(f"http://127.0.0.1:{server.port}/")
            assert "Tally" in page.title()
            assert complaints(page) == []
        assert server.stop() == 0
    answers = logged(server)
    assert ("/", 200) in [(target, status) for target, status, _ in answers]
    assert len(answers) > 1
    assert [answer for answer in answers if answer[1] >= 400] == []


@pytest.mark.slow
def test_seeking_asks_for_ranges(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "player.html").write_text(PLAYER)
    with wave.open(str(root / "recording.wav"), "wb") as recording:
        recording.setparams((2, 2, 48_000, 0, "NONE", "not compressed"))
        recording.writeframes(bytes(4 * 48_000 * SECONDS))
    with running(BUILTIN, "--access-logfile", "-", root=root) as server:
        with window() as page:
            page.goto(f"http://127.0.0.1:{server.port}/player.html")
            said = wait_until(
                lambda: [target for target, _, _ in logged(server) if "?" in target],
                timeout=40,
                message="the player to arrive",
            )
        assert server.stop() == 0
    assert said[0] == f"/player.html?at={round(SECONDS * 0.9)}"
    statuses = [status for target, status, _ in logged(server) if target == "/recording.wav"]
    assert statuses.count(206) >= 2
    assert set(statuses) <= {206, 304}
