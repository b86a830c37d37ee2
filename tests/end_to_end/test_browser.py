"""A real browser: the site's first page with all it needs, and seeking in a long recording."""

import re
import subprocess
import wave
from pathlib import Path

import pytest

from app.settings import DEFAULT_ROOT
from tests.end_to_end.servers import BUILTIN, LiveServer, running
from tests.programs import program

PLAYER = """<!doctype html><title>waiting</title><link rel="icon" href="data:,">
<video id="player" src="recording.wav" preload="metadata" muted></video>
<script>
player.onloadedmetadata = () => { player.currentTime = player.duration * 0.9; };
player.onseeked = () => { document.title = "at " + Math.round(player.currentTime); };
player.onerror = () => { document.title = "error " + player.error.code; };
</script>"""


def page_as_rendered(url: str, profile: Path) -> str:
    """Load *url* in headless Chromium; return the document as it stands when nothing more happens."""
    chromium = program("chromium", "chromium-browser", "google-chrome")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"]
    options += [f"--user-data-dir={profile}", "--no-first-run", "--disable-background-networking"]
    rendered = subprocess.run(
        [chromium, *options, "--virtual-time-budget=20000", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return rendered.stdout


def logged(server: LiveServer) -> list[tuple[str, int, int]]:
    """Return (path, status, bytes of body) of each line of the server's access log."""
    lines = (re.search(r'"GET (\S+) HTTP/1\.1" (\d+) (\d+|-)', line) for line in server.out)
    return [(match[1], int(match[2]), int(match[3].replace("-", "0"))) for match in lines if match]


def test_the_first_page_and_all_it_needs(tmp_path: Path) -> None:
    with running(BUILTIN, "--access-logfile", "-", root=DEFAULT_ROOT) as server:
        document = page_as_rendered(f"http://127.0.0.1:{server.port}/", tmp_path)
        assert server.stop() == 0
    assert re.search(r"<title>[^<]*Tally", document)
    answers = logged(server)
    assert ("/", 200) in [(path, status) for path, status, _ in answers]
    assert len(answers) > 1
    assert [answer for answer in answers if answer[1] >= 400] == []


@pytest.mark.parametrize("seconds", [120])
def test_seeking_asks_for_ranges(seconds: int, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "player.html").write_text(PLAYER)
    with wave.open(str(root / "recording.wav"), "wb") as recording:
        recording.setparams((2, 2, 48_000, 0, "NONE", "not compressed"))
        recording.writeframes(bytes(4 * 48_000 * seconds))
    with running(BUILTIN, "--access-logfile", "-", root=root) as server:
        document = page_as_rendered(f"http://127.0.0.1:{server.port}/player.html", tmp_path / "profile")
        assert server.stop() == 0
    assert f"<title>at {round(seconds * 0.9)}</title>" in document, (document, server.printed())
    ranges = [size for path, status, size in logged(server) if path == "/recording.wav" and status == 206]
    assert len(ranges) >= 2, server.printed()
    assert all(size < (root / "recording.wav").stat().st_size for size in ranges[1:])
