"""The statistics' interface against its description: `python -m tests.interface.check SCHEMATHESIS`.

The program is asked to find a request whose answer is none of those that `openapi.json` describes,
a senseless one that is accepted, or one that fails; at both servers, with a token, and counts to be
read. The exit status is that of the first run that finds something.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, running

TOKEN = "a-token-of-the-tests-own"
FILES = ("index.html", "a.txt", "b c.iso", "é.css", "releases/x.iso")
EXAMPLES = "100"
#: Both servers have a limit on addresses. That hours are kept of the site alone, and for 90 days, no
#: schema can say.
CONFIGURATION = """
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "404", "405", "414", "429"]
positive_data_acceptance.expected-statuses = ["200", "304", "404", "414"]

[[operations]]
include-path = "/series"
checks.positive_data_acceptance.expected-statuses = ["200", "304", "400", "404", "414"]
"""


def check(program: str, kind: str, directory: Path) -> int:
    """Return the exit status of *program* that asks the server *kind*."""
    root = directory / "root"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 1000)
    (directory / "schemathesis.toml").write_text(CONFIGURATION)
    with running(kind, "-w", "2", root=root, TALLY_STATS_TOKEN=TOKEN) as server:
        for target in ("/", "/a.txt", "/b%20c.iso", "/%C3%A9.css", "/releases/x.iso", "/missing"):
            fetch(server.port, target)
        base = f"http://127.0.0.1:{server.port}/-/tally/api/v1"
        return subprocess.run(
            [program, "run", f"{base}/openapi.json", "--url", base,
             "--header", f"Authorization: Bearer {TOKEN}",
             "--checks", "all", "--max-examples", EXAMPLES, "--no-color"],
            cwd=directory,
            env={
                **os.environ,
                "PYTHONPATH": str(HOME),
                "SCHEMATHESIS_HOOKS": "tests.interface.described",
            },
            timeout=600,
            check=False,
        ).returncode  # fmt: skip


def main() -> int:
    [program] = sys.argv[1:]
    for kind in (BUILTIN, GUNICORN):
        with tempfile.TemporaryDirectory() as directory:
            if status := check(program, kind, Path(directory)):
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
