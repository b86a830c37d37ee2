"""The command `tally`: serves the counted files, or another WSGI application.

    tally [DIR] [options]
    tally --app MODULE:CALLABLE [options]
    tally counts COMMAND ...
    tally compress DIR

From a checkout, `python run_builtin.py` takes the place of `tally`.

When something cannot work, one line says so before anything listens, and the status is 2; for an
address that cannot be listened on it is 1.
"""

import atexit
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import allocator, failure_log
from .line_log import replace_standard_streams, tell
from .server.access_log import AccessLog
from .server.addresses import Address, AddressError, Descriptor, parse_bind
from .server.first_process import stand_in_front
from .server.listeners import BindError, Listener, open_listeners
from .server.options import ServerOptions
from .server.serving import Service, StartError, end_process, serve
from .server.systemd import take_listen_fds
from .settings import Settings

if TYPE_CHECKING:
    import ssl

    from _typeshed.wsgi import WSGIApplication

#: What `--bind` is when it is not given; systemd's sockets are then used where there are some.
_DEFAULT_BIND = (":0",)

#: What `--app` is when it names the counted files.
_FILES = ("", "tally_server.wsgi:app")

_PACKAGE = os.path.dirname(os.path.realpath(__file__))


class Site(NamedTuple):
    """The application, as the server needs to know it."""

    name: str
    #: The link to the statistics, after the slash of an address; "": there is none to print.
    statistics: str
    #: Where the counts are kept, in words; "": nothing of ours is counted.
    counts: str
    load: "Callable[[], WSGIApplication]"
    reopen_logs: Callable[[], object]
    end_status: Callable[[], int | None] | None
    #: Says at the end, in a line, what was counted; "": nothing to say.
    farewell: Callable[[], str] = str


def main() -> int:
    """Run the command line of `tally`; return the exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["counts"]:
        from .counters.__main__ import main as counts

        return counts(arguments[1:], program="tally counts")
    if arguments[:1] == ["compress"]:
        from .files.precompress import main as compress

        return compress(arguments[1:])
    return run("tally", arguments)


def run(program: str, arguments: Sequence[str]) -> NoReturn:
    """Serve as *arguments* say, and end the process. Messages begin with the name *program*."""
    end_process(_serve(program, arguments))


def _serve(program: str, arguments: Sequence[str]) -> int:
    _open_standard_streams()
    settings = Settings.from_command_line(arguments, program=program)
    replace_standard_streams()
    failure_log.install()
    try:
        return _run(program, settings)
    except (AddressError, StartError) as error:
        return _refuse(program, 2, error)
    except BindError as error:
        return _refuse(program, 1, error)
    except SystemExit as end:  # a signal, or the application itself, ends it while it is loaded
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        return _refuse(program, 1, end)


def _run(program: str, settings: Settings) -> int:
    addresses = _addresses(settings)
    site = _with_proxies(_site(program, settings), settings)
    context = _tls_context(settings)
    access_log = _access_log(settings)
    listeners = open_listeners(
        addresses, backlog=settings.backlog, unix_mode=settings.unix_mode, tls=context
    )
    service = Service(
        listeners=listeners,
        load_application=site.load,
        options=ServerOptions.of(settings, multiprocess=settings.workers > 1),
        access_log=access_log,
        reload=lambda: _reload(program, settings, site, listeners, access_log),
        reopen_logs=lambda: _reopen_logs(site, access_log),
        end_status=site.end_status,
    )

    def ready() -> None:
        if not settings.quiet:
            _print_banner(site, listeners)

    try:
        status = _serve_all(service, settings.workers, ready)
        if not settings.quiet and (line := site.farewell()):
            print(line)
        return status
    finally:
        for listener in listeners:
            listener.close()


def _serve_all(service: Service, workers: int, ready: Callable[[], object]) -> int:
    if workers == 1:
        stand_in_front()
        return serve(service, ready)
    from .server.workers import Supervisor

    return Supervisor(service, workers, ready).run()


def _open_standard_streams() -> None:
    """Open the null device where a standard stream is closed.

    Another file would get its number, and its lines.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(
                os.open(os.devnull, os.O_RDWR), True
            )  # it gets the lowest number that is free
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _refuse(program: str, status: int, error: BaseException) -> int:
    tell(f"{program}: {error}")
    return status


def _print_banner(site: Site, listeners: Sequence[Listener]) -> None:
    urls = [url for listener in listeners for url in listener.urls]
    address = next((url for url in urls if url.startswith("http")), "")
    link = f"{address}{site.statistics}" if site.statistics and address else ""
    if not sys.stdout.isatty():  # a log, where what belongs together is in one line
        parts = [f"Serving {site.name} at {' '.join(urls)}", site.counts]
        print("; ".join([*filter(None, parts), *([f"statistics: {link}"] if link else [])]))
        return
    lines = [f"Serving {site.name} at", *(f"    {url}" for url in urls)]
    if site.counts:
        lines.append(f"{site.counts[0].upper()}{site.counts[1:]}.")
    if link:
        lines.append(f"Its statistics:\n    {link}")
    print("\n".join([*lines, "Ctrl-C ends it."]))


# What is served


def _site(program: str, settings: Settings) -> Site:
    is_own = settings.app in _FILES or (settings.app == "wsgi:app" and _is_in_checkout())
    return _files(program, settings) if is_own else _other_site(settings.app)


def _is_in_checkout() -> bool:
    """Return whether the current directory is this checkout, where `wsgi:app` is the files."""
    return os.path.isfile("wsgi.py") and os.getcwd() == os.path.dirname(_PACKAGE)


def _files(program: str, settings: Settings) -> Site:
    """Return the files under the root, counted. Raises StartError."""
    from . import wsgi

    allocator.give_back()
    if problem := wsgi.start_problem(settings):
        raise StartError(problem)
    if settings.workers > 1 and not settings.counts:
        settings = settings.but(counts=_shared_counts())
    # Made before the workers are, so that all of them know it.
    token = "" if settings.quiet or not settings.stats else wsgi.new_token_for(settings)
    application = wsgi.make_app(settings, token)

    def load() -> "WSGIApplication":
        application.open()
        return application

    watch = None
    if settings.root_grace is not None:
        watch = RootWatch(program, lambda: wsgi.root_problem(settings), settings.root_grace)
    statistics = f"{settings.stats[1:]}enter?token={token}" if token else ""
    return Site(
        settings.root,
        statistics,
        wsgi.place_of_counts(settings),
        load,
        application.reopen,
        watch,
        application.farewell,
    )


def _shared_counts() -> str:
    """Make the directory where the workers count together; it goes at this process's end.

    Raises StartError.
    """
    from .wsgi import CounterError, private_counts

    try:
        directory = private_counts()
    except CounterError as error:
        raise StartError(str(error)) from None
    atexit.register(directory.close)
    return directory.url


class RootWatch:
    """Returns 2, the exit status, once the root has been unusable for *grace* seconds."""

    def __init__(self, program: str, root_problem: Callable[[], str | None], grace: float) -> None:
        self._program = program
        self._root_problem = root_problem
        self._grace = grace
        self._lost_at: float | None = None

    def __call__(self) -> int | None:
        problem = self._root_problem()
        if problem is None:
            self._lost_at = None
            return None
        now = monotonic()
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at < self._grace:
            return None
        tell(f"{self._program}: {problem} for {self._grace:g} s: shutting down")
        return 2


def _other_site(name: str) -> Site:
    return Site(name, "", "", lambda: _load(name), lambda: None, None)


def _load(name: str) -> "WSGIApplication":
    """Import MODULE:CALLABLE, from the current directory too.

    Raises StartError, and whatever the module raises.
    """
    module_name, colon, attributes = name.partition(":")
    if not (module_name and colon and attributes):
        raise StartError(f"--app: {name!r} is not MODULE:CALLABLE")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = (module := importlib.import_module(module_name))
    except ModuleNotFoundError as error:
        # A module that is missing inside the application deserves its traceback.
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise StartError(f"--app: there is no module {error.name!r}") from None
        raise
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise StartError(f"--app: {module_name!r} has no {attributes!r}") from None
    if not callable(found):
        raise StartError(f"--app: {name!r} is not callable")
    if _is_own(module, found):
        raise StartError(
            f"--app: {name!r} is not in this directory; what Tally itself serves needs no --app"
        )
    application: WSGIApplication = found
    return application


def _is_own(module: ModuleType, found: object) -> bool:
    """Return whether a name for the user's own application led to ours, from elsewhere."""
    source = os.path.realpath(getattr(module, "__file__", None) or "")
    is_door = (
        module.__name__ == "wsgi" and getattr(found, "__module__", "") == f"{__package__}.wsgi"
    )
    return (is_door and os.path.dirname(source) != os.getcwd()) or source == os.path.join(
        _PACKAGE, "wsgi.py"
    )


def _with_proxies(site: Site, settings: Settings) -> Site:
    if not settings.forwarded_allow_ips:
        return site
    # Not imported otherwise: werkzeug would double the time to the first answer.
    from .server.proxies import ForwardedClients, trusted_peers

    try:
        is_trusted = trusted_peers(settings.forwarded_allow_ips)
    except ValueError as error:
        raise StartError(f"--forwarded-allow-ips: {error}") from None
    return site._replace(load=lambda: ForwardedClients(site.load(), is_trusted))


# Where and how


def _addresses(settings: Settings) -> list[Address]:
    if settings.bind == _DEFAULT_BIND and (descriptors := take_listen_fds()):
        return [Descriptor(number) for number in descriptors]
    return [parse_bind(text) for text in settings.bind]


def _tls_context(settings: Settings) -> "ssl.SSLContext | None":
    if not settings.certfile:
        return None
    from .server.tls import TlsError, load_context

    try:
        return load_context(settings.certfile, settings.keyfile)
    except TlsError as error:
        raise StartError(str(error)) from None


def _access_log(settings: Settings) -> AccessLog | None:
    if not settings.access_logfile:
        return None
    try:
        return AccessLog(
            settings.access_logfile, settings.access_logformat, clients=settings.log_clients
        )
    except OSError as error:
        raise StartError(f"{settings.access_logfile}: {error.strerror}") from None


def _reopen_logs(site: Site, access_log: AccessLog | None) -> None:
    site.reopen_logs()
    if access_log:
        access_log.reopen()


def _reload(
    program: str,
    settings: Settings,
    site: Site,
    listeners: Sequence[Listener],
    access_log: AccessLog | None,
) -> None:
    _reopen_logs(site, access_log)
    if settings.certfile:
        from .server import tls

        try:
            tls.reload(listeners, settings.certfile, settings.keyfile)
        except tls.TlsError as error:
            tell(f"{program}: {error}; the certificate used so far stays")
