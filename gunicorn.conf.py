"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master, and again at each HUP. Everything else is gunicorn's
own: `--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.

Workers come and go (`--workers`, TTIN, HUP, max-requests, crashes), so where TALLY_COUNTS says
nothing they always count in a private directory of the master's, named to them by TALLY_COUNTS in
its environment. At USR2 it passes to the new master, by TALLY_PRIVATE_COUNTS; with the last master
it goes.

The figures of this host (`tally_server.host_figures`) are in a map that workers share; it is the
master's, and outlives a HUP. Its access log shows no token, and no health checks.
"""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pwd import getpwuid
from time import monotonic
from typing import Any

from gunicorn.glogging import Logger

from run_builtin import load


def on_starting(server: Any) -> None:
    """Share the counts, and refuse with status 2 what cannot work, before anything listens."""
    with _imported_for_now():
        wsgi = load("wsgi")
        try:
            _share_counts(wsgi.private_counts, server.cfg)
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


def pre_fork(server: Any, worker: Any) -> None:
    board = _board(server)
    worker.tally_board, worker.tally_slot = server.tally_figures, board.take()


def child_exit(server: Any, worker: Any) -> None:
    if worker.tally_board is server.tally_figures:
        _board(server).release(worker.tally_slot)


def post_worker_init(worker: Any) -> None:
    wsgi = sys.modules.get("tally_server.wsgi")
    if wsgi is None or not isinstance(worker.wsgi, wsgi.Application):
        return
    load("allocator").give_back()
    # Not the module that the master has: what is imported here may be newer.
    figures = load("host_figures")
    with suppress(ValueError):  # then it is newer indeed
        figures.serve_on(figures.Board(worker.tally_board), worker.tally_slot)
    worker.tally_place = figures.present()
    # Not at the first request: what a killed server left in the journal is to be delivered now.
    worker.wsgi.open(notes=True)


def pre_request(worker: Any, req: Any) -> None:
    if place := getattr(worker, "tally_place", None):
        req.tally_began = monotonic()
        place.lane.begun += 1
        place.lane.publish()


def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> None:
    place = getattr(worker, "tally_place", None)
    if place is None:
        return
    note = environ.get(_NOTE)
    if note is not None and not note.is_told:
        place.lane.end_unmeasured()
        return
    # What the kernel sends of a file by itself is known to the file alone.
    sent = getattr(resp, "sent", 0) or getattr(note, "sent", 0)
    place.lane.end(req.method, monotonic() - req.tally_began, sent)
    place.lane.publish()


def pre_exec(server: Any) -> None:
    # The new master would get the environment as it was before gunicorn read this file.
    if private := os.environ.get("TALLY_PRIVATE_COUNTS"):
        server.cfg.env_orig["TALLY_PRIVATE_COUNTS"] = private


class QuietLogger(Logger):  # type: ignore[misc]
    """Gunicorn's own, whose access log has no health checks, and no token of the statistics."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        note = environ.get(_NOTE)
        if note is not None and not note.is_told:
            return
        if note is not None and note.target:
            environ = {**environ, "RAW_URI": note.target, "QUERY_STRING": "token=-"}
        super().access(resp, req, environ, request_time)


def _board(server: Any) -> Any:
    """Return the map of the figures, which is the master's: another after a change of its form."""
    global _figures
    if _figures is None:
        with _imported_for_now():
            _figures = load("host_figures")
    with suppress(AttributeError, ValueError):
        return _figures.Board(server.tally_figures)
    # As many as may come and go: TTIN adds workers.
    board = _figures.Board.make(
        4 * server.num_workers + 16, _figures.Known.REQUESTS, threads=server.cfg.threads
    )
    server.tally_figures = board.memory
    return board


def _share_counts(private_counts: Any, config: Any) -> None:
    """Have the workers count in one private directory, unless TALLY_COUNTS names a place."""
    inherited = os.environ.get("TALLY_PRIVATE_COUNTS")
    if os.environ.get("TALLY_COUNTS") and not inherited:
        return
    is_for_others = os.geteuid() == 0 and config.uid
    directory = private_counts(
        (config.uid, config.gid) if is_for_others else None, joined=inherited or ""
    )
    atexit.register(directory.close)
    os.environ["TALLY_COUNTS"] = directory.url
    os.environ["TALLY_PRIVATE_COUNTS"] = directory.path


def _import_for_workers(url: str, config: Any) -> None:
    """Import what counting needs while root may read it: the workers' user may not."""
    if config.uid != os.geteuid():
        load("clients.agents").load()
        if url.startswith("lmdb"):
            load("counters.lmdb.counter")
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


#: Where the application's note on a request is in the environ (`tally_server.request_note`).
_NOTE = "tally.note"
_figures: Any = None

worker_class = "gthread"
logger_class = QuietLogger
with _imported_for_now():
    threads = _threads()
