"""How each server is started: one row a server, with what it needs and the command line it gets.

One rule for all: one process that serves, eight threads where their number is chosen by the user,
no access log, and everything else as the server's authors chose it. A server is known by its
command line only.
"""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .server_files import caddy_file, lighttpd_file, nginx_file

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: `app` in a checkout, `tally_server` when installed.
PACKAGE = __name__.partition(".")[0]
_IS_CHECKOUT = PACKAGE == "app"
_OWN = "wsgi:app" if _IS_CHECKOUT else f"{PACKAGE}.wsgi:app"
_BUILTIN = [os.path.join(PROJECT, "run_builtin.py")] if _IS_CHECKOUT else ["-m", PACKAGE]
THREADS = "8"
#: Where Debian keeps the programs that are not in an ordinary user's PATH.
_PROGRAM_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin:/sbin"


@dataclass(frozen=True)
class Site:
    """What a server is asked to serve: the directory *root* on 127.0.0.1:*port*; *scratch* is its
    own directory.

    *codings*: offer NAME.gz beside NAME, where the server can.
    """

    root: str
    port: int
    scratch: str
    codings: bool = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Server:
    """A server that can be compared.

    *command* makes its command line, and writes its configuration if it has one.
    """

    name: str
    title: str
    command: Callable[[Site], list[str]]
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()  # of the project
    application: str = ""  # Tally's, or ours for WhiteNoise; empty: serves files by itself
    version_of: str = ""  # a distribution, or a program and its argument

    def missing(self) -> str:
        """Return what is not installed, or an empty text."""
        modules = [name for name in self.modules if importlib.util.find_spec(name) is None]
        programs = [name for name in self.programs if not find_program(name)]
        files = [name for name in self.files if not os.path.exists(os.path.join(PROJECT, name))]
        return ", ".join(modules + programs + files)

    def variables(self, site: Site) -> dict[str, str]:
        """Return the environment variables that the server gets beside the inherited ones."""
        if not self.application:
            # Caddy keeps files of its own where these point.
            return (
                {"XDG_CONFIG_HOME": site.scratch, "XDG_DATA_HOME": site.scratch}
                if self.name == "caddy"
                else {}
            )
        return {
            "PYTHONPATH": PROJECT,
            "COMPARISON_ROOT": site.root,
            "COMPARISON_APPLICATION": self.application,
            # Counted and logged as in production: lines go to a file.
            "TALLY_ROOT": site.root,
            "TALLY_COUNT_LOG": os.path.join(site.scratch, "counts.log"),
            "TALLY_NO_COMPRESSION": "0" if site.codings else "1",
        }

    def version(self) -> str:
        """Return the version as the package or the program tells it, or an empty text."""
        if self.version_of == "python":
            return f"Python {sys.version.split()[0]}"
        program, _, argument = self.version_of.partition(" ")
        if argument:
            return _ask_version(find_program(program), argument)
        try:
            return importlib.metadata.version(program) if program else ""
        except importlib.metadata.PackageNotFoundError:
            return ""


def find_program(name: str) -> str:
    """Return the path of program *name*, looked for beside the interpreter too, or an empty text."""
    return shutil.which(name, path=os.path.dirname(sys.executable) + ":" + _PROGRAM_PATH) or ""


def command_line(command: list[str], variables: Mapping[str, str], cores: frozenset[int]) -> str:
    """Return the whole as a line for a shell, as it would be given in the repository's own
    directory.
    """
    pinned = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores else []
    line = " ".join(
        [f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
        + [shlex.join(pinned + command)]
    )
    # Where things lie on this machine is of no use on another.
    line = re.sub(re.escape(tempfile.gettempdir()) + r"/comparison-\w+", "$TMPDIR", line)
    return line.replace(os.path.dirname(sys.executable) + "/", "").replace(PROJECT, "$PWD")


def _ask_version(program: str, argument: str) -> str:
    if not program:
        return ""
    try:
        answer = subprocess.run(  # noqa: S603
            [program, argument], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = (answer.stdout + answer.stderr).replace("/", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _builtin(*options: str) -> Callable[[Site, str], list[str]]:
    def command(site: Site, application: str) -> list[str]:
        chosen = [] if application == _OWN else ["--app", application]
        return _python(*_BUILTIN, "--bind", site.address, *options, *chosen)

    return command


def _gunicorn(*options: str) -> Callable[[Site, str], list[str]]:
    def command(site: Site, application: str) -> list[str]:
        # In the project's directory gunicorn reads gunicorn.conf.py by itself, as `gunicorn
        # wsgi:app` there would.
        return _python(
            "-m", "gunicorn", "--bind", site.address, "--workers", "1", *options, application
        )

    return command


def _waitress(site: Site, application: str) -> list[str]:
    return _python(
        "-m", "waitress", f"--listen={site.address}", f"--threads={THREADS}", application
    )


def _cheroot(site: Site, application: str) -> list[str]:
    return _python("-m", "cheroot", "--bind", site.address, "--threads", THREADS, application)


def _granian(site: Site, application: str) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(site.port)]
    return _python("-m", "granian", "--interface", "wsgi", *where, application)


def _bjoern(site: Site, application: str) -> list[str]:
    module, _, name = application.partition(":")
    return _python(
        "-c", f"import bjoern, {module} as site; bjoern.run(site.{name}, '127.0.0.1', {site.port})"
    )


def _uvicorn(site: Site, application: str) -> list[str]:  # noqa: ARG001 - the bridge reads it from the environment
    where = ["--host", "127.0.0.1", "--port", str(site.port)]
    return _python(
        "-m", "uvicorn", *where, "--no-access-log", f"{PACKAGE}.comparison.asgi_bridge:app"
    )


def _nginx(site: Site) -> list[str]:
    path = nginx_file(site.root, site.port, site.scratch, site.codings)
    return [find_program("nginx"), "-p", site.scratch, "-e", "stderr", "-c", path]


def _caddy(site: Site) -> list[str]:
    path = caddy_file(site.root, site.port, site.scratch, site.codings)
    return [find_program("caddy"), "run", "--config", path, "--adapter", "caddyfile"]


def _lighttpd(site: Site) -> list[str]:
    return [find_program("lighttpd"), "-D", "-f", lighttpd_file(site.root, site.port, site.scratch)]


def _http_server(site: Site) -> list[str]:
    where = ["--bind", "127.0.0.1", "--directory", site.root, "--protocol", "HTTP/1.1"]
    return _python("-m", "http.server", str(site.port), *where)


def _eggserve(site: Site) -> list[str]:
    # By default it serves 64 connections and 32 files at a time: fewer than it is asked for here.
    limits = [
        "--max-connections",
        "4096",
        "--max-file-streams",
        "1024",
        "--max-in-flight-requests",
        "1024",
    ]
    return [
        find_program("eggserve"),
        "--quiet",
        "--addr",
        site.address,
        "--directory",
        site.root,
        *limits,
    ]


_BUILTIN_FILES = ("run_builtin.py", "wsgi.py")
#: name, title, module that must be there, command, distribution that has the version
_WSGI_SERVERS: tuple[tuple[str, str, str, Callable[[Site, str], list[str]], str], ...] = (
    ("builtin", "Built-in", "", _builtin(), "python"),
    ("builtin-threads-0", "Built-in --threads 0", "", _builtin("--threads", "0"), "python"),
    (
        "gunicorn-gthread",
        "gunicorn gthread",
        "gunicorn",
        _gunicorn("-k", "gthread", "--threads", THREADS),
        "gunicorn",
    ),
    (
        "gunicorn-sync",
        "gunicorn sync",
        "gunicorn",
        _gunicorn("-k", "sync", "--threads", "1"),
        "gunicorn",
    ),
    ("waitress", "waitress", "waitress", _waitress, "waitress"),
    ("cheroot", "cheroot", "cheroot", _cheroot, "cheroot"),
    ("granian", "granian", "granian", _granian, "granian"),
    ("bjoern", "bjoern", "bjoern", _bjoern, "bjoern"),
    ("uvicorn", "uvicorn + a2wsgi", "uvicorn", _uvicorn, "uvicorn"),
)
_WHITENOISE = f"{PACKAGE}.comparison.whitenoise_site:app"


def _wsgi_rows() -> list[Server]:
    rows = []
    for application, suffix, title_suffix, own_module in (
        (_OWN, "", "", ""),
        (_WHITENOISE, "+whitenoise", " + WhiteNoise", "whitenoise"),
    ):
        for name, title, module, command, version_of in _WSGI_SERVERS:
            needed = [module, "a2wsgi" if name == "uvicorn" else "", own_module]
            rows.append(
                Server(
                    name=name + suffix,
                    title=title + title_suffix,
                    command=_with_application(command, application),
                    modules=tuple(filter(None, needed)),
                    files=(("wsgi.py",) * (not suffix) + ("run_builtin.py",) * (not module))
                    * _IS_CHECKOUT,
                    application=application,
                    version_of=version_of,
                )
            )
    return rows


def _with_application(
    command: Callable[[Site, str], list[str]], application: str
) -> Callable[[Site], list[str]]:
    return lambda site: command(site, application)


SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        *_wsgi_rows(),
        Server("nginx", "nginx", _nginx, programs=("nginx",), version_of="nginx -v"),
        Server("caddy", "Caddy", _caddy, programs=("caddy",), version_of="caddy version"),
        Server("lighttpd", "lighttpd", _lighttpd, programs=("lighttpd",), version_of="lighttpd -v"),
        Server("http.server", "http.server", _http_server, version_of="python"),
        Server("eggserve", "eggserve", _eggserve, programs=("eggserve",), version_of="eggserve"),
    )
}
DEFAULT_SERVERS = ("builtin", "builtin-threads-0", "gunicorn-gthread", "gunicorn-sync")
