"""`python -m app.comparison`: starts, loads and questions servers, and reports.

Ends with status 0 when there is a report, 1 when no server could be measured, a load generator
failed or a report could not be written, 2 for a senseless command line, 130 after Ctrl-C and 143
after SIGTERM; in each case nothing that it started goes on running.
"""

import datetime
import os
import shlex
import signal
import sys
from collections.abc import Callable

from . import machine
from .bench import Bench
from .documents import write_documents
from .load_order import LoadError
from .measure import measure
from .options import Options, read_options
from .processes import Guard
from .report_html import write_html
from .report_json import write_json
from .report_terminal import print_report, progress
from .results import Comparison
from .servers import PACKAGE, PROJECT


def main(arguments: list[str]) -> int:
    options = read_options(arguments)
    machine.raise_descriptor_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    comparison = _empty(options, arguments)
    try:
        _measure(options, comparison)
        return _report(options, comparison)
    except KeyboardInterrupt:
        print("stopped: every server has ended", file=sys.stderr)
        return 130
    except (LoadError, OSError) as error:
        _tell(error)
        return 1


def _report(options: Options, comparison: Comparison) -> int:
    """Print the report and write the files, each whether or not the others could be.

    Returns the exit status.
    """
    try:
        print_report(comparison)
    finally:
        are_written = [
            _written(comparison, path, write)
            for path, write in ((options.json_path, write_json), (options.html_path, write_html))
            if path
        ]
    return 0 if comparison.measured and all(are_written) else 1


def _written(comparison: Comparison, path: str, write: Callable[[Comparison, str], None]) -> bool:
    try:
        write(comparison, path)
    except OSError as error:
        _tell(f"{path!r} was not written: {error.strerror}")
        return False
    print(f"written: {_shown(path)}")
    return True


def _shown(text: str) -> str:
    """Return *text* of the command line, with bytes that are not UTF-8 escaped."""
    return os.fsencode(text).decode(errors="backslashreplace")


def _tell(what: object) -> None:
    print(f"python -m app.comparison: {what}", file=sys.stderr)


def _measure(options: Options, comparison: Comparison) -> None:
    with (
        Guard() as guard,
        guard.temporary_directory() as scratch,
        progress(options.plan.steps()) as step,
    ):
        documents = write_documents(os.path.join(scratch, "site"))
        bench = Bench(guard, scratch, documents, options.wrk, *machine.cores_apart())
        measure(options.plan, comparison, bench, step)


def _empty(options: Options, arguments: list[str]) -> Comparison:
    plan = options.plan
    return Comparison(
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command="python -m app.comparison " + _shown(shlex.join(arguments)),
        machine=machine.describe(),
        baseline=options.baseline,
        rounds=plan.rounds,
        seconds=plan.seconds,
        connections=plan.connections,
        generator="wrk" if options.wrk else "bundled",
        workloads=[(workload.name, workload.title) for workload in plan.workloads],
        commit=machine.commit(PROJECT) if PACKAGE == "app" else "",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
