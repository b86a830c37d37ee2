"""GoAccess reads our access log: `python -m tests.end_to_end.goaccess [REQUESTS]`, 100,000 by default.

What it finds, hits and bytes of each target and in all, has to be what clients fetched.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tests.end_to_end.client import Client, Fields
from tests.end_to_end.servers import BUILTIN, running
from tests.programs import program
from tests.waiting import wait_until

#: As in the guide.
OWN_FORMAT = '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %T %^'
OURS = [f"--log-format={OWN_FORMAT}", "--date-format=%d/%b/%Y", "--time-format=%T"]
PRESET = ["--log-format=COMBINED"]

_SIZES = {"a.txt": 100, "b c.html": 1, "é.css": 5000, "large.bin": 200_000, "none.txt": 0}
_BROWSER = ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
_ODD = ("User-Agent", 'a "quoted" \\ agent')
_REFERER = ("Referer", "http://example.org/a?b=1")
#: method, target, fields
REQUESTS: list[tuple[str, str, Fields]] = [
    ("GET", "/a.txt", [_BROWSER]),
    ("GET", "/a.txt?x=1", [_BROWSER, _REFERER]),
    ("GET", "/b%20c.html", [_ODD]),
    ("GET", "/%C3%A9.css", [("User-Agent", "curl/8.5.0")]),
    ("GET", "/%C3%A9.css", []),
    ("HEAD", "/large.bin", [_BROWSER]),
    ("GET", "/large.bin", [_BROWSER]),
    ("GET", "/large.bin", [_BROWSER, ("Range", "bytes=100-299")]),
    ("GET", "/none.txt", [_BROWSER]),
    ("GET", "/missing.png", [_BROWSER]),
    ("GET", "/%22quoted%22", [_ODD]),
    ("POST", "/a.txt", [_BROWSER]),
    ("GET", "/a.txt", [_BROWSER, ("If-None-Match", "*")]),
    ("GET", "/a.txt", [_BROWSER, ("Range", "bytes=1000-")]),
]

Found = dict[tuple[str, str], tuple[int, int]]


def make_root(root: Path) -> None:
    root.mkdir()
    for name, size in _SIZES.items():
        (root / name).write_bytes(b"x" * size)


def fetched(port: int, number: int) -> Found:
    """Send *number* requests; return how often each target came, and the bytes of all its bodies."""
    hits: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    with Client(port) as client:
        for method, target, fields in islice(cycle(REQUESTS), number):
            answer = client.ask(method, target, fields)
            hits[method, target] += 1
            sizes[method, target] += len(answer.body)
    return {key: (hits[key], sizes[key]) for key in hits}


def read_by_goaccess(log: Path, options: list[str]) -> tuple[dict[str, Any], Found]:
    """Return GoAccess's sums, and its hits and bytes of each target."""
    report = log.with_suffix(".json")
    subprocess.run(
        [program("goaccess"), log, *options, "-o", report, "--no-global-config", "--no-progress"],
        check=True,
        timeout=300,
        capture_output=True,
    )
    document = json.loads(report.read_text())
    found: Found = {}
    for panel in ("requests", "static_requests", "not_found"):
        for row in document.get(panel, {}).get("data", []):
            key = (row["method"], row["data"])
            hits, size = found.get(key, (0, 0))
            found[key] = hits + row["hits"]["count"], size + row["bytes"]["count"]
    return document["general"], found


def run(directory: Path, number: int, log_format: str) -> None:
    """Serve *number* requests, and compare. Raises AssertionError."""
    program("goaccess")
    log, root = directory / "access.log", directory / "root"
    make_root(root)
    options = ["-w", "2", "--access-logfile", str(log), "--access-logformat", log_format]
    with running(BUILTIN, *options, root=root) as server:
        wanted = fetched(server.port, number)
        wait_until(
            lambda: log.exists() and log.read_bytes().count(b"\n") >= number, message="all lines"
        )
        assert server.stop() == 0
    for asked in (OURS, PRESET):
        general, found = read_by_goaccess(log, asked)
        assert general["total_requests"] == general["valid_requests"] == number
        assert general["failed_requests"] == 0
        assert general["bandwidth"] == sum(size for _, size in wanted.values())
        assert readable(found) == readable(wanted)


def readable(found: Found) -> Found:
    """Return it with targets as GoAccess shows them: decoded, and quotes as the log has them."""
    from urllib.parse import unquote

    return {(method, unquote(target)): numbers for (method, target), numbers in found.items()}


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for log_format in ("combined", "combined+"):
        with tempfile.TemporaryDirectory() as directory:
            run(Path(directory), number, log_format)
        sys.stdout.write(f"{log_format}: {number:,} lines, hits and bytes as fetched\n")


if __name__ == "__main__":
    main()
