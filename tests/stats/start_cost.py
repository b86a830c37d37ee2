"""How much longer a start takes with statistics: `python -m tests.stats.start_cost [STARTS]`.

Starts the built-in server in turns with and without them, each until it has said where it listens,
and compares the CPU time of all its threads. Fails from 5 ms on.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.servers import HOME

MOST_MILLISECONDS = 5.0
_OPTIONS = {"with": ["--stats", "/-/tally"], "without": ["--stats", "off"]}


def start(root: str, options: list[str]) -> float:
    """Return the milliseconds of CPU until the banner is out."""
    command = [sys.executable, "run_builtin.py", root, "--bind", "127.0.0.1:0", *options]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    with subprocess.Popen(command, cwd=HOME, env=environ, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        try:
            for line in it.stdout:
                if line.startswith("Serving "):
                    break
            else:
                raise SystemExit("it did not start")
            tasks = Path(f"/proc/{it.pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6
        finally:
            it.kill()


def main() -> int:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    taken: dict[str, list[float]] = {name: [] for name in _OPTIONS}
    with tempfile.TemporaryDirectory() as root:
        for number in range(starts + 1):
            for name in sorted(_OPTIONS, reverse=bool(number % 2)):
                milliseconds = start(root, _OPTIONS[name])
                if number:  # before that the modules are compiled and read from the disk
                    taken[name].append(milliseconds)
    for name, each in taken.items():
        print(f"{name:8} {statistics.median(each):7.1f} ms CPU until it listens")
    more = statistics.median(
        one - other for one, other in zip(taken["with"], taken["without"], strict=True)
    )
    print(f"{more:+.1f} ms with statistics")
    return 0 if more <= MOST_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
