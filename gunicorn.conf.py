"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master before it binds, and again at each HUP. Everything else is gunicorn's own:
`--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.

Workers come and go (`--workers`, TTIN, HUP, max-requests, crashes), so where TALLY_COUNTS says nothing they always
count in a private directory of the master's, named to them by TALLY_COUNTS in its environment. At USR2 it passes to
the new master, by TALLY_PRIVATE_COUNTS; with the last master it goes.
"""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def on_starting(_server: object) -> None:
    inherited = os.environ.get("TALLY_PRIVATE_COUNTS")
    if os.environ.get("TALLY_COUNTS") and not inherited:
        return
    with _imported_for_now():
        from wsgi import CounterError, PrivateDirectory

        try:
            directory = PrivateDirectory.join(inherited) if inherited else PrivateDirectory.make()
        except CounterError as error:
            _refuse(str(error))
    atexit.register(directory.close)
    os.environ["TALLY_COUNTS"] = directory.url
    os.environ["TALLY_PRIVATE_COUNTS"] = directory.path


def pre_exec(server: Any) -> None:
    # The new master would get the environment as it was before gunicorn read this file.
    if private := os.environ.get("TALLY_PRIVATE_COUNTS"):
        server.cfg.env_orig["TALLY_PRIVATE_COUNTS"] = private


@contextmanager
def _imported_for_now() -> Iterator[None]:
    """Forget our modules again: each worker imports them for itself, so that HUP brings in new code, as it should."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("app", "wsgi"):
            del sys.modules[name]


def _refuse(line: str) -> NoReturn:
    print(f"gunicorn.conf.py: {line}", file=sys.stderr)
    raise SystemExit(2)


def _checked_threads() -> int:
    from app.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _refuse(str(error))
    if settings.threads == 0:
        _refuse("TALLY_THREADS: '0', a thread for each connection, is for run_builtin.py; gunicorn needs 1 or more")
    # A handler for HUP is the running master's. It goes on when the root is away: that is answered with 503.
    if not callable(signal.getsignal(signal.SIGHUP)):
        from wsgi import start_problem

        if problem := start_problem(settings):
            _refuse(problem)
    return settings.threads


worker_class = "gthread"
with _imported_for_now():
    threads = _checked_threads()
