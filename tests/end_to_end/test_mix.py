"""A mix of real clients, and what is counted of it: whole downloads, a player's requests, a
crawler, a HEAD, a browser that fetches ahead, and a download that was given up.
"""

import subprocess
import time
from pathlib import Path

import pytest

from app.counters.open_counter import open_store
from app.counters.periods import SECONDS_PER_DAY
from app.counters.reading import FileAnswer
from tests.end_to_end.servers import BUILTIN, GUNICORN, running
from tests.programs import program
from tests.server.certificates import make_certificate
from tests.waiting import wait_until

SIZE = 60_000_000
PATH = "/podcast/012.mp3"
PLAYER = "AppleCoreMedia/1.0.0.20G75 (iPhone; U; CPU OS 16_6 like Mac OS X; en_us)"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("kind", [BUILTIN, GUNICORN])
def test_every_column(kind: str, tls: bool, tmp_path: Path) -> None:
    curl, wget = program("curl"), program("wget")
    # Who comes before midnight and after it is a client of each day.
    wait_until(lambda: time.time() % SECONDS_PER_DAY < SECONDS_PER_DAY - 25, message="the next day")
    file = tmp_path / "root" / PATH.strip("/")
    file.parent.mkdir(parents=True)
    with file.open("wb") as big:
        big.truncate(SIZE)
    options = ["-w", "2"] if kind == BUILTIN else ["-w", "2", "--threads", "4"]
    if tls:
        certificate = make_certificate(tmp_path / "tls")
        options += ["--certfile", str(certificate.certfile), "--keyfile", str(certificate.keyfile)]
    counts = f"lmdb:{tmp_path / 'counts'}"
    with running(
        kind, *options, root=tmp_path / "root", TALLY_COUNTS=counts, TALLY_CLIENTS="1"
    ) as server:
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}{PATH}"

        def fetch(*arguments: str) -> None:
            command = [curl, "-sSk", "-o", "/dev/null", *arguments, url]
            subprocess.run(command, check=True, timeout=50)

        fetch()
        command = [wget, "-q", "--no-check-certificate", "-O", "/dev/null", url]
        subprocess.run(command, check=True, timeout=50)
        for part in ("0-1", "0-999999", "1000000-1999999", "2000000-"):
            fetch("-A", PLAYER, "-r", part)
        fetch("-A", CRAWLER, "-r", "0-1023")
        fetch("-A", BROWSER, "-H", "Sec-Purpose: prefetch", "-r", "0-99999")
        fetch("-I")
        given_up(curl, url, tmp_path / "part")
        store = open_store(counts, create=False)

        def answer() -> FileAnswer | None:
            found = store.file(PATH)
            return found if found and found.file.tally.kinds["full"] == 3 else None

        wait_until(answer, message="the accesses")
        assert server.stop() == 0
    found = answer()
    store.close()
    assert found is not None
    tally = found.file.tally
    assert tally.kinds == {
        "full": 3, "partial": 3, "not_modified": 0, "resumed": 2, "probe": 1, "head": 1,
    }  # fmt: skip
    assert tally.classes == {"people": 2, "tools": 2, "robots": 2, "own": 0, "unknown": 0}
    assert tally.completed == 2
    assert tally["resumed_completed"] == 1
    known = 2 * SIZE + SIZE + 2 + 1024 + 100_000  # two whole ones, the player's, and the small ones
    assert 5_000_000 < tally.sent_bytes - known < SIZE, "the one that was given up"
    # curl, wget, the player, and the browser that gave up; neither the crawler nor the prefetch.
    assert tally["clients"] == 4
    assert tally["downloads"] == 4, "each got a megabyte or more"
    assert found.exact


def given_up(curl: str, url: str, part: Path) -> None:
    """Fetch the file as a browser does, and give up after 8 MB."""
    process = subprocess.Popen(
        [curl, "-sSk", "-A", BROWSER, "--limit-rate", "8M", "-o", str(part), url]
    )
    wait_until(lambda: part.exists() and part.stat().st_size > 8_000_000, message="8 MB")
    process.kill()
    process.wait()
    assert part.stat().st_size < SIZE
