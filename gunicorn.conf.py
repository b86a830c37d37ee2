"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master, and again at each HUP. Everything else is gunicorn's
own: `--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.

Workers come and go (`--workers`, TTIN, HUP, max-requests, crashes), so where TALLY_COUNTS says
nothing they always count in a private directory of the master's, named to them by TALLY_COUNTS in
its environment. At USR2 it passes to the new master, by TALLY_PRIVATE_COUNTS; with the last master
it goes.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pwd import getpwuid
from typing import Any

from run_builtin import load


def on_starting(server: Any) -> None:
    """Share the counts, and refuse with status 2 what cannot work, before anything listens."""
    with _imported_for_now():
        wsgi = load("wsgi")
        try:
            _share_counts(wsgi.PrivateDirectory, server.cfg)
            settings = wsgi.Settings.from_environment()
            _import_for_workers(settings.counts, server.cfg)
            with _rights_of_workers(server.cfg):
                problem = wsgi.start_problem(settings)
        except wsgi.CounterError as error:
            problem = str(error)
    if problem:
        server.log.critical("%s", problem)
        if server.pidfile is not None:
            server.pidfile.unlink()
        raise SystemExit(2)


def post_worker_init(worker: Any) -> None:
    # Not at the first request: what a killed server left in the journal is to be delivered now.
    wsgi = sys.modules.get("tally_server.wsgi")
    if wsgi is not None and isinstance(worker.wsgi, wsgi.Application):
        worker.wsgi.open()


def pre_exec(server: Any) -> None:
    # The new master would get the environment as it was before gunicorn read this file.
    if private := os.environ.get("TALLY_PRIVATE_COUNTS"):
        server.cfg.env_orig["TALLY_PRIVATE_COUNTS"] = private


def _share_counts(directories: Any, config: Any) -> None:
    """Have the workers count in one private directory, unless TALLY_COUNTS names a place."""
    inherited = os.environ.get("TALLY_PRIVATE_COUNTS")
    if os.environ.get("TALLY_COUNTS") and not inherited:
        return
    if inherited:
        directory = directories.join(inherited)
    else:
        is_for_others = os.geteuid() == 0 and config.uid
        directory = directories.make((config.uid, config.gid) if is_for_others else None)
    atexit.register(directory.close)
    os.environ["TALLY_COUNTS"] = directory.url
    os.environ["TALLY_PRIVATE_COUNTS"] = directory.path


def _import_for_workers(url: str, config: Any) -> None:
    """Import what counting needs while root may read it: the workers' user may not."""
    if config.uid != os.geteuid():
        load("clients.agents").load()
    if url.startswith(("redis", "unix:")):
        with suppress(Exception):  # the start check says what is wrong
            # The client imports more when it connects.
            load("counters.redis.store").RedisStore(url).check(quick=True)


@contextmanager
def _rights_of_workers(config: Any) -> Iterator[None]:
    """Act as the user and group that root hands its workers to (`--user`, `--group`).

    So what they could not use is known at the start, and what is created is theirs.
    """
    user, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    if user != 0:
        yield
        return
    try:
        if config.initgroups:
            with suppress(KeyError):  # no such account: gunicorn leaves the groups, too
                os.initgroups(getpwuid(config.uid).pw_name, config.gid)
        os.setegid(config.gid)
        os.seteuid(config.uid)
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


@contextmanager
def _imported_for_now() -> Iterator[None]:
    """Forget our modules again: each worker imports them anew, so that HUP brings in new code."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "tally_server":
            del sys.modules[name]


def _threads() -> int:
    module = load("settings")
    try:
        number: int = module.Settings.from_environment().threads
        if number == 0:
            raise module.SettingsError(
                "TALLY_THREADS: '0', a thread for each connection, is for run_builtin.py; gunicorn"
                " needs 1 or more"
            )
    except module.SettingsError as error:
        print(f"gunicorn.conf.py: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    return number


worker_class = "gthread"
with _imported_for_now():
    threads = _threads()
