"""What `gunicorn wsgi:app` needs: threads, and one place for the counts of all its workers.

Gunicorn evaluates this file in the master before it binds, and again at each HUP. Everything else
is gunicorn's own: `--bind`, `--workers`, `--timeout` and the rest mean what they mean everywhere.

Workers come and go (`--workers`, TTIN, HUP, max-requests, crashes), so where TALLY_COUNTS says
nothing they always count in a private directory of the master's, named to them by TALLY_COUNTS in
its environment. At USR2 it passes to the new master, by TALLY_PRIVATE_COUNTS; with the last master
it goes.

Where root hands its workers to another user (`--user`), what the start check creates is that
user's, as is the private directory.
"""

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.config import Config
from gunicorn.util import set_owner_process

from run_builtin import load

if TYPE_CHECKING:
    from app.settings import Settings


def on_starting(server: Any) -> None:
    inherited = os.environ.get("TALLY_PRIVATE_COUNTS")
    if os.environ.get("TALLY_COUNTS") and not inherited:
        return
    with _imported_for_now():
        wsgi = load("wsgi")
        directories = wsgi.PrivateDirectory
        try:
            directory = (
                directories.join(inherited) if inherited else directories.make(_owner(server.cfg))
            )
        except wsgi.CounterError as error:
            _refuse(str(error))
    atexit.register(directory.close)
    os.environ["TALLY_COUNTS"] = directory.url
    os.environ["TALLY_PRIVATE_COUNTS"] = directory.path


def post_worker_init(worker: Any) -> None:
    # Not at the first request: what a killed server left in the journal is to be delivered now.
    wsgi = sys.modules.get("tally_server.wsgi")
    if wsgi is not None and isinstance(worker.wsgi, wsgi.Application):
        worker.wsgi.open()


def pre_exec(server: Any) -> None:
    # The new master would get the environment as it was before gunicorn read this file.
    if private := os.environ.get("TALLY_PRIVATE_COUNTS"):
        server.cfg.env_orig["TALLY_PRIVATE_COUNTS"] = private


@contextmanager
def _imported_for_now() -> Iterator[None]:
    """Forget our modules again: each worker imports them for itself, so that HUP brings in new
    code, as it should.
    """
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "tally_server":
            del sys.modules[name]


def _refuse(line: str) -> NoReturn:
    print(f"gunicorn.conf.py: {line}", file=sys.stderr)
    raise SystemExit(2)


def _checked_threads() -> int:
    module = load("settings")
    try:
        settings = module.Settings.from_environment()
    except module.SettingsError as error:
        _refuse(str(error))
    if settings.threads == 0:
        _refuse(
            "TALLY_THREADS: '0', a thread for each connection, is for run_builtin.py; gunicorn"
            " needs 1 or more"
        )
    # A handler for HUP is the running master's. It goes on when the root is away: that is answered
    # with 503.
    if not callable(signal.getsignal(signal.SIGHUP)):
        _check_start(settings)
    threads: int = settings.threads
    return threads


def _check_start(settings: "Settings") -> None:
    """Check as the user that the workers will be: what cannot be used is known, and what is created
    is theirs.
    """
    wsgi = load("wsgi")

    def check() -> None:
        if problem := wsgi.start_problem(settings):
            _refuse(problem)

    config = _given_config()
    owner = _owner(config)
    if owner is None:
        check()
        return
    _make_for(owner, settings)
    wsgi.import_store(settings)  # as root, who may read the packages wherever they are
    child = os.fork()
    if child == 0:
        status = 1
        try:
            set_owner_process(config.uid, config.gid, initgroups=config.initgroups)
            check()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - never back into gunicorn
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit(status if status > 0 else 1)


def _make_for(owner: tuple[int, int], settings: "Settings") -> None:
    """Make what the workers' user may not be allowed to make in its place. What fails is told by
    the check.
    """
    scheme, _, rest = settings.counts.partition(":")
    directory = rest if scheme == "lmdb" else settings.counts_journal
    with suppress(OSError):
        os.makedirs(directory)  # one that is there already stays whose it is
        _give(owner, directory, os.O_DIRECTORY)
    if not settings.quiet and settings.count_log not in ("-", "off"):
        with suppress(OSError):
            _give(owner, settings.count_log, os.O_CREAT | os.O_EXCL)


def _give(owner: tuple[int, int], path: str, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o644)
    try:
        os.fchown(descriptor, *owner)
    finally:
        os.close(descriptor)


def _given_config() -> Config:
    """Return what was given besides this file, which gunicorn reads only after it."""
    config = Config()
    parser = config.parser()
    for arguments in (config.get_cmd_args_from_env(), sys.argv[1:]):
        given, _ = parser.parse_known_args(arguments)
        for name in ("user", "group", "initgroups"):
            if (value := getattr(given, name)) is not None:
                config.set(name, value)
    return config


def _owner(config: Config) -> tuple[int, int] | None:
    """Return user and group of the workers when root hands them to another user."""
    return (config.uid, config.gid) if os.geteuid() == 0 and config.uid else None


worker_class = "gthread"
with _imported_for_now():
    threads = _checked_threads()
