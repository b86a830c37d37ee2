"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master before it binds, and again at each HUP. Everything else is gunicorn's own:
`--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.

Workers come and go (`--workers`, TTIN, HUP, max-requests, crashes), so where TALLY_COUNTS says nothing they always
count in a private directory of the master's, named to them by TALLY_COUNTS in its environment. It passes to the new
master at USR2, and goes with the last one. TALLY_PRIVATE_COUNTS is its path; once it is set, the master has started.
"""

import os
import secrets
import shutil
import sys
import tempfile
from typing import Any, NoReturn

from app.settings import Settings, SettingsError


def _refuse(line: str) -> NoReturn:
    print(f"gunicorn.conf.py: {line}", file=sys.stderr)
    raise SystemExit(2)


def _settings() -> Settings:
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _refuse(str(error))
    if settings.threads == 0:
        _refuse("TALLY_THREADS: '0', a thread for each connection, is for run_builtin.py; gunicorn needs 1 or more")
    return settings


def _begin(settings: Settings) -> None:
    """Do what is done once, when the server starts."""
    from wsgi import start_problem

    if problem := start_problem(settings):
        _refuse(problem)
    directory = ""
    if not settings.counts and os.path.exists("app/counters/lmdb.py"):
        directory = os.path.join(tempfile.gettempdir(), f"tally-{secrets.token_hex(8)}")
        os.environ["TALLY_COUNTS"] = f"lmdb:{directory}"
    os.environ["TALLY_PRIVATE_COUNTS"] = directory


def _forget_our_modules() -> None:
    """Let workers import the application anew, so that HUP brings in new code, as gunicorn promises."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "wsgi")]:
        del sys.modules[name]


def when_ready(_server: Any) -> None:
    if directory := os.environ["TALLY_PRIVATE_COUNTS"]:
        os.makedirs(directory, mode=0o700, exist_ok=True)


def pre_exec(server: Any) -> None:
    # The new master gets the environment as it was before this file ran.
    server.cfg.env_orig.update({name: os.environ[name] for name in ("TALLY_COUNTS", "TALLY_PRIVATE_COUNTS")})


def on_exit(server: Any) -> None:
    other_master_runs = server.reexec_pid or server.master_pid == os.getppid()
    if (directory := os.environ["TALLY_PRIVATE_COUNTS"]) and not other_master_runs:
        shutil.rmtree(directory, ignore_errors=True)


_read = _settings()
if "TALLY_PRIVATE_COUNTS" not in os.environ:
    _begin(_read)
worker_class = "gthread"
threads = _read.threads
_forget_our_modules()
