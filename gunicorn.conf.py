"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master before it binds, and again at each HUP. Everything else is gunicorn's own:
`--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.
"""

import sys

from app.settings import Settings, SettingsError
from wsgi import start_problem


def _refuse(line: str) -> None:
    print(f"gunicorn.conf.py: {line}", file=sys.stderr)
    raise SystemExit(2)


try:
    _settings = Settings.from_environment()
except SettingsError as error:
    _refuse(str(error))
if _settings.threads == 0:
    _refuse("TALLY_THREADS: '0', a thread for each connection, is for run_builtin.py; gunicorn needs 1 or more")
if _problem := start_problem(_settings):
    _refuse(_problem)

worker_class = "gthread"
threads = _settings.threads
