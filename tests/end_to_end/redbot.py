"""REDbot on answers of every sort, from both servers: each remark is a good one, or is explained here.

    python -m tests.end_to_end.redbot [--redbot PROGRAM]

REDbot (`pip install redbot`, in a virtual environment of its own) is the field's checker of single
HTTP resources. The exit status is 1 when it says something that this file does not know.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, LiveServer, running
from tests.waiting import wait_until

GOOD = [
    r"The resource last changed .* ago",
    r"The server's clock is correct",
    r"The Content-Length header is correct",
    r"This response instructs browsers not to 'sniff' its media type",
    r"This response sets a Content Security Policy",
    r"This response allows all caches to store it",
    r"This response cannot be served from cache without validation",
    r"This response can't be stored by caches",
    r"This response is fresh for 12 months",
    r"If-(None-Match|Modified-Since) conditional requests are supported",
    r"A ranged request returned the correct partial content",
    r"Content negotiation for gzip compression is supported, saving \d+%",
    r"The resource could not be found",  # it is asked for something that is not there
]
EXPLAINED = {
    r"The Location header contains a relative URI": "so that it holds behind any proxy, also one"
    " that takes a prefix off; RFC 9110 section 10.2.2 allows it, and every client follows it",
    r"Cache-Control: public is probably not necessary": "it says to people what max-age says to"
    " programs, and is the form that build tools' guides show",
    r"In exceptional circumstances, caches can serve this response stale": "a file whose name has a"
    " hash of its bytes never changes",
    r"This response cannot be served from cache without validation, and doesn't have a"
    " validator": "a redirect to a directory: tomorrow a file may be there, and its body is four lines",
}
TARGETS = [
    "/tally.png", "/page.html", "/large.bin", "/app-3f9a8c21.js", "/empty.txt", "/map.svgz", "/d/",
    "/d/?format=json", "/d/?format=atom", "/d", "/missing", "/..%2fx", "/page.html/",
]  # fmt: skip
OLD = 1_700_000_000


def make_root(root: Path) -> None:
    page = (HOME / "www" / "guide" / "http.html").read_bytes()
    (root / "d").mkdir()
    for name, content in {
        "tally.png": (HOME / "www" / "pictures" / "tally.png").read_bytes(),
        "page.html": page,
        "large.bin": bytes(200_000),
        "app-3f9a8c21.js": page,
        "empty.txt": b"",
        "map.svgz": gzip.compress((HOME / "www" / "pictures" / "architecture.svg").read_bytes()),
        "d/a.txt": b"a",
    }.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (OLD, OLD))
    youngest = time.time()
    wait_until(lambda: time.time() > youngest + 2.1, message="files that are old enough to be held")


def warm(server: LiveServer) -> None:
    """Ask until the forms in gzip are there, from every worker that may answer."""
    for target in ("/page.html", "/app-3f9a8c21.js"):
        wait_until(
            lambda target=target: all(  # type: ignore[misc]
                ("content-encoding", "gzip")
                in fetch(server.port, target, [("Accept-Encoding", "gzip")]).fields
                for _ in range(20)
            ),
            message=f"{target} in gzip",
        )


def remarks(program: str, url: str) -> list[str]:
    """Return what REDbot says of *url*, without the answer's fields."""
    done = subprocess.run(
        [program, "-o", "text", url], capture_output=True, text=True, timeout=60, check=True
    )
    return re.findall(r"^  \* (.*?)\.?$", done.stdout, re.MULTILINE)


def run(program: str) -> list[str]:
    """Print what REDbot says; return what is not known here."""
    unknown: list[str] = []
    explained: Counter[str] = Counter()
    good = 0
    with tempfile.TemporaryDirectory(prefix="tally-redbot-") as home:
        make_root(Path(home))
        for kind in (BUILTIN, GUNICORN):
            with running(kind, root=home, TALLY_LISTING="1", TALLY_COUNT_LOG="off") as server:
                warm(server)
                for target in TARGETS:
                    said = remarks(program, f"http://127.0.0.1:{server.port}{target}")
                    assert said, f"REDbot says nothing of {target}"
                    for remark in said:
                        if any(re.fullmatch(each, remark) for each in GOOD):
                            good += 1
                        elif remark in EXPLAINED:
                            explained[remark] += 1
                        else:
                            unknown.append(f"{kind} {target}: {remark}")
    print(f"{2 * len(TARGETS)} answers, {good} good remarks")
    for remark, number in explained.items():
        print(f"{number} times: {remark}\n    {EXPLAINED[remark]}")
    for line in unknown:
        print(f"NOT EXPLAINED  {line}")
    return unknown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.redbot")
    parser.add_argument("--redbot", default=shutil.which("redbot"), metavar="PROGRAM")
    chosen = parser.parse_args()
    if chosen.redbot is None:
        parser.error("redbot is not installed")
    return 1 if run(chosen.redbot) else 0


if __name__ == "__main__":
    sys.exit(main())
