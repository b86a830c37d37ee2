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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from .templating import TEMPLATES

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: `app` in a checkout, `tally_server` when installed.
PACKAGE = __name__.partition(".")[0]
_IS_CHECKOUT = PACKAGE == "app"
_OWN = "wsgi:app" if _IS_CHECKOUT else f"{PACKAGE}.wsgi:app"
_WHITENOISE = f"{PACKAGE}.comparison.whitenoise_site:app"
_BUILTIN = "python {project}/run_builtin.py" if _IS_CHECKOUT else f"python -m {PACKAGE}"
#: Where Debian keeps the programs that are not in an ordinary user's PATH.
_PROGRAM_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin:/sbin"
_MEDIA_TYPES = {
    "html": "text/html",
    "txt": "text/plain",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "json": "application/json",
    "bin": "application/octet-stream",
}


@dataclass(frozen=True)
class Site:
    """What a server is asked to serve: the directory *root* on 127.0.0.1:*port*.

    *scratch* is its own directory. *codings*: offer NAME.gz beside NAME, where the server can.
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

    *command* is its command line, in words between blanks: `{root}` and the other facts of the
    site are filled in. *needs* are modules or, where there is no *application*, programs.
    *application* is Tally's, or ours for WhiteNoise; without one it serves files by itself.
    *version_of* is a distribution, or a program and its argument.
    """

    name: str
    title: str
    command: str
    needs: tuple[str, ...] = ()
    application: str = ""
    version_of: str = "python"
    configuration: str = ""  # the name of a template

    def missing(self) -> str:
        """Return what is not installed, or an empty text."""
        is_there = importlib.util.find_spec if self.application else find_program
        return ", ".join(name for name in self.needs if not is_there(name))

    def command_for(self, site: Site) -> list[str]:
        """Return the command line, having written the configuration file."""
        module, _, name = self.application.partition(":")
        values = {
            **asdict(site),
            "address": site.address,
            "project": PROJECT,
            "application": self.application,
            "configuration": os.path.join(site.scratch, self.configuration),
            "bjoern": f"import bjoern, {module} as site;"
            f" bjoern.run(site.{name}, '127.0.0.1', {site.port})",
        }
        if self.configuration:
            template = TEMPLATES.get_template(self.configuration)
            is_root = os.getuid() == 0
            text = template.render(values, media_types=_MEDIA_TYPES, root_user=is_root)
            with open(str(values["configuration"]), "w", encoding="utf-8") as file:
                file.write(text + "\n")
        program, *words = (word.format_map(values) for word in self.command.split())
        return [sys.executable if program == "python" else find_program(program), *words]

    def variables(self, site: Site) -> dict[str, str]:
        """Return the environment variables that the server gets beside the inherited ones."""
        if self.name == "caddy":  # it keeps files of its own where these point
            return {"XDG_CONFIG_HOME": site.scratch, "XDG_DATA_HOME": site.scratch}
        if not self.application:
            return {}
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
        try:
            if not argument:
                return importlib.metadata.version(program)
            answer = subprocess.run(  # noqa: S603
                [find_program(program), argument],
                capture_output=True, text=True, timeout=10, check=False,
            )  # fmt: skip
        except (importlib.metadata.PackageNotFoundError, OSError, subprocess.TimeoutExpired):
            return ""
        words = (answer.stdout + answer.stderr).replace("/", " ").split()
        return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "")


def find_program(name: str) -> str:
    """Return the path of program *name*, looked for beside the interpreter too, or an empty text."""
    return shutil.which(name, path=os.path.dirname(sys.executable) + ":" + _PROGRAM_PATH) or ""


def command_line(command: list[str], variables: Mapping[str, str], cores: frozenset[int]) -> str:
    """Return the whole as a line for a shell in the repository's own directory."""
    pinned = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores else []
    line = " ".join(
        [f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
        + [shlex.join(pinned + command)]
    )
    # Where things lie on this machine is of no use on another.
    line = re.sub(re.escape(tempfile.gettempdir()) + r"/comparison-\w+", "$TMPDIR", line)
    return line.replace(os.path.dirname(sys.executable) + "/", "").replace(PROJECT, "$PWD")


_GUNICORN = "python -m gunicorn --bind {address} --workers 1"
#: name, title, modules, command; version_of is the first of the modules
_WSGI_SERVERS = (
    ("builtin", "Built-in", (), f"{_BUILTIN} --bind {{address}}"),
    ("builtin-threads-0", "Built-in --threads 0", (), f"{_BUILTIN} --bind {{address}} --threads 0"),
    ("gunicorn-gthread", "gunicorn gthread", ("gunicorn",), _GUNICORN + " -k gthread --threads 8 {application}"),
    ("gunicorn-sync", "gunicorn sync", ("gunicorn",), _GUNICORN + " -k sync --threads 1 {application}"),
    ("waitress", "waitress", ("waitress",), "python -m waitress --listen={address} --threads=8 {application}"),
    ("cheroot", "cheroot", ("cheroot",), "python -m cheroot --bind {address} --threads 8 {application}"),
    ("granian", "granian", ("granian",),
     "python -m granian --interface wsgi --host 127.0.0.1 --port {port} {application}"),
    ("bjoern", "bjoern", ("bjoern",), "python -c {bjoern}"),
    ("uvicorn", "uvicorn + a2wsgi", ("uvicorn", "a2wsgi"),
     f"python -m uvicorn --host 127.0.0.1 --port {{port}} --no-access-log {PACKAGE}.comparison.asgi_bridge:app"),
)  # fmt: skip


def _wsgi_servers() -> list[Server]:
    own = [
        Server(name, title, command, modules, _OWN, modules[0] if modules else "python")
        for name, title, modules, command in _WSGI_SERVERS
    ]
    whitenoise = [
        replace(
            server,
            name=f"{server.name}+whitenoise",
            title=f"{server.title} + WhiteNoise",
            command=server.command + " --app {application}" * (not server.needs),
            needs=(*server.needs, "whitenoise"),
            application=_WHITENOISE,
        )
        for server in own
    ]
    return own + whitenoise


# By default eggserve serves 64 connections and 32 files at a time: fewer than it is asked for here.
_EGGSERVE_LIMITS = "--max-connections 4096 --max-file-streams 1024 --max-in-flight-requests 1024"
_OTHERS = (
    Server("nginx", "nginx", "nginx -p {scratch} -e stderr -c {configuration}", ("nginx",),
           version_of="nginx -v", configuration="nginx.conf"),
    Server("caddy", "Caddy", "caddy run --config {configuration} --adapter caddyfile", ("caddy",),
           version_of="caddy version", configuration="Caddyfile"),
    Server("lighttpd", "lighttpd", "lighttpd -D -f {configuration}", ("lighttpd",),
           version_of="lighttpd -v", configuration="lighttpd.conf"),
    Server("http.server", "http.server",
           "python -m http.server {port} --bind 127.0.0.1 --directory {root} --protocol HTTP/1.1"),
    Server("eggserve", "eggserve", f"eggserve --quiet --addr {{address}} --directory {{root}} {_EGGSERVE_LIMITS}",
           ("eggserve",), version_of="eggserve"),
)  # fmt: skip
SERVERS = {server.name: server for server in (*_wsgi_servers(), *_OTHERS)}
DEFAULT_SERVERS = ("builtin", "builtin-threads-0", "gunicorn-gthread", "gunicorn-sync")
