"""Every option once: flag, environment variable, default and help, read into one frozen `Settings`.

A flag beats its variable, a variable beats the default. `main.py` reads flags and variables, `wsgi.py` (under
gunicorn or any other server) the variables alone, through the same parser, so that both refuse the same values.
"""

import argparse
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import __version__

_PACKAGE = Path(__file__).resolve().parent
#: The guide: in the package when that was installed, beside it in a checkout.
DEFAULT_ROOT = str((_PACKAGE if (_PACKAGE / "www").is_dir() else _PACKAGE.parent) / "www")


class SettingsError(ValueError):
    """A value that cannot be used; the text is one line, fit to be shown."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one run. Times are in seconds, sizes in bytes; 0 or None is said where it means something."""

    # What is served
    root: str  # absolute
    index: str
    max_age: int
    no_compression: bool
    root_grace: float | None  # None: never give up
    # Counting
    counts: str  # "": memory for one process, a private LMDB directory for several
    counts_journal: str  # "": below the user's state directory
    count_log: str  # "-" standard output, "off", or a file
    count_header: bool
    quiet: bool
    # The built-in server
    app: str  # "": the counted files
    bind: tuple[str, ...]
    unix_mode: int
    backlog: int
    threads: int
    workers: int
    certfile: str
    keyfile: str
    forwarded_allow_ips: tuple[str, ...]
    # Limits
    header_timeout: float
    body_timeout: float
    write_timeout: float
    keep_alive: float
    graceful_timeout: float
    max_connections: int  # 0: as many as RLIMIT_NOFILE leaves room for
    limit_request_line: int
    limit_request_fields: int
    limit_request_field_size: int
    limit_request_head: int
    limit_request_body: int
    # The server's own access log
    access_logfile: str  # "": off, "-" standard output
    access_logformat: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the variables alone. Raises SettingsError."""
        return _read([], os.environ if environ is None else environ, _RaisingParser)

    @classmethod
    def from_command_line(
        cls,
        arguments: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        program: str = "tally",
    ) -> "Settings":
        """Read flags and variables; a value that cannot be used ends the program with one line and status 2.

        The line and `--help` call it *program*.
        """
        return _read(arguments, os.environ if environ is None else environ, _Parser, program)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_one_line(message)}\n")


class _RaisingParser(_Parser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(_one_line(message))


def _one_line(message: str) -> str:
    return " ".join(message.removeprefix("argument ").split())


class _Gather(argparse.Action):
    """Collects a flag that may be repeated; what is given replaces the default, which `append` would add to."""

    def __call__(
        self, _parser: object, namespace: argparse.Namespace, values: Any, _flag: object = None
    ) -> None:
        gathered = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if gathered is self.default else gathered + values)


def _whole_number(low: int, high: int = 2**63 - 1) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not (re.fullmatch("[0-9]{1,19}", text) and low <= int(text) <= high):
            least_and_most = f"from {low} to {high}" if high < 2**63 - 1 else f"of {low} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {least_and_most}")
        return int(text)

    return whole_number


def _seconds_or_zero(text: str) -> float:
    if not (re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text) and float(text) <= 1e8):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return float(text)


def _seconds(text: str) -> float:
    seconds = _seconds_or_zero(text)
    if seconds == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _grace(text: str) -> float | None:
    return None if text == "never" else _seconds_or_zero(text)


def _worker_count(text: str) -> int:
    if text == "auto":
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    return _whole_number(1, 1024)(text)


def _file_mode(text: str) -> int:
    if not re.fullmatch("(0o)?0?[0-7]{3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an octal file mode such as 660")
    return int(text, 8)


def _file_name(text: str) -> str:
    if not text or "/" in text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file in a directory")
    if text.startswith("."):
        raise argparse.ArgumentTypeError(
            f"{text!r} begins with a dot, and such files are not served"
        )
    return text


def _present(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def _list(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of addresses")
    return parts


def _log_format(text: str) -> str:
    if text not in ("combined", "json"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither combined nor json")
    return text


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")
    return text == "1"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: all that is said of it, in the form in which it is given."""

    flags: tuple[str, ...]  # the long one last
    help: str
    metavar: str  # "" for a switch
    convert: Callable[[str], Any]  # raises argparse.ArgumentTypeError
    default: str  # as text; "" where `unset` says in words what holds without it
    unset: str
    absent: Any  # the value in that case
    is_repeatable: bool

    @property
    def variable(self) -> str:
        """The environment variable: `--max-age` is `TALLY_MAX_AGE`."""
        return variable_of(self.flags[-1])

    @property
    def is_switch(self) -> bool:
        return not self.metavar


def variable_of(flag: str) -> str:
    """Return the environment variable that goes with a long *flag*."""
    return "TALLY_" + flag.removeprefix("--").replace("-", "_").upper()


def _option(
    flags: str,
    *,
    help: str,
    metavar: str = "",
    convert: Callable[[str], Any] = str,
    default: str = "",
    unset: str = "off",
    absent: Any = "",
    repeatable: bool = False,
) -> Option:
    return Option(tuple(flags.split()), help, metavar, convert, default, unset, absent, repeatable)


GROUPS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "what is served",
        (
            _option(
                "--root",
                metavar="DIR",
                convert=_present,
                default=DEFAULT_ROOT,
                help="the directory to serve; the same as the positional DIR",
            ),
            _option(
                "--index",
                metavar="NAME",
                convert=_file_name,
                default="index.html",
                help="the file served for a directory",
            ),
            _option(
                "--max-age",
                metavar="SECONDS",
                convert=_whole_number(0, 2**31),
                default="0",
                help="how long clients may use a file without asking again; 0: not at all, so that every use counts",
            ),
            _option(
                "--no-compression",
                convert=_switch,
                help="send text as it is, also to clients that accept it compressed",
            ),
            _option(
                "--root-grace",
                metavar="SECONDS|never",
                convert=_grace,
                default="10",
                help="how long the directory may be gone before the built-in server shuts down with status 2; 0: at once",
            ),
        ),
    ),
    (
        "counting",
        (
            _option(
                "--counts",
                metavar="URL",
                unset="automatic",
                help="where counts are kept: memory:, lmdb:DIR, redis://HOST/DB, rediss://..., unix://PATH (default: memory: for one process, a private lmdb: for several)",
            ),
            _option(
                "--counts-journal",
                metavar="DIR",
                unset="automatic",
                help="where accesses wait while Redis is away (default: below the user's state directory)",
            ),
            _option(
                "--count-log",
                metavar="FILE|-|off",
                convert=_present,
                default="-",
                help="where each access's line path|client address|client port|number goes; -: standard output",
            ),
            _option(
                "--count-header",
                convert=_switch,
                help="add the access's number to the answer as Tally-Count",
            ),
            _option("-q --quiet", convert=_switch, help="no banner and no count lines"),
        ),
    ),
    (
        "the built-in server",
        (
            _option(
                "--app",
                metavar="MODULE:CALLABLE",
                unset="the files",
                help="run this WSGI application instead of the files",
            ),
            _option(
                "-b --bind",
                metavar="ADDRESS",
                convert=_list,
                default=":0",
                repeatable=True,
                help="HOST:PORT, :PORT (IPv4 and IPv6), [::1]:PORT, unix:PATH or fd://N; repeatable, in the variable separated by commas; port 0: the system picks one",
            ),
            _option(
                "--unix-mode",
                metavar="OCTAL",
                convert=_file_mode,
                default="666",
                help="the file mode of a Unix socket",
            ),
            _option(
                "--backlog",
                metavar="N",
                convert=_whole_number(1, 2**31 - 1),
                default="2048",
                help="how many connections may wait to be accepted",
            ),
            _option(
                "--threads",
                metavar="N",
                convert=_whole_number(0, 4096),
                default="8",
                help="how many application calls run at the same time in a process; 0: a new thread for each connection",
            ),
            _option(
                "-w --workers",
                metavar="N|auto",
                convert=_worker_count,
                default="1",
                help="how many processes serve; auto: one for each core",
            ),
            _option(
                "--certfile",
                metavar="FILE",
                unset="none",
                help="serve TLS with this certificate chain (PEM)",
            ),
            _option(
                "--keyfile",
                metavar="FILE",
                unset="in the certificate",
                help="its private key (default: in the certificate's file)",
            ),
            _option(
                "--forwarded-allow-ips",
                metavar="IP,...",
                convert=_list,
                unset="none",
                absent=(),
                help="proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks, unix, or *",
            ),
        ),
    ),
    (
        "limits",
        (
            _option(
                "--header-timeout",
                metavar="SECONDS",
                convert=_seconds,
                default="10",
                help="for a whole request head",
            ),
            _option(
                "--body-timeout",
                metavar="SECONDS",
                convert=_seconds,
                default="30",
                help="for a request body to make progress",
            ),
            _option(
                "--write-timeout",
                metavar="SECONDS",
                convert=_seconds,
                default="60",
                help="for a client to take more of its answer",
            ),
            _option(
                "--keep-alive",
                metavar="SECONDS",
                convert=_seconds_or_zero,
                default="75",
                help="for the next request on a connection; 0: close after each answer",
            ),
            _option(
                "--graceful-timeout",
                metavar="SECONDS",
                convert=_seconds_or_zero,
                default="30",
                help="for answers under way when the server is told to stop",
            ),
            _option(
                "--max-connections",
                metavar="N",
                convert=_whole_number(0, 2**31 - 1),
                default="0",
                help="per process; idle ones are closed first (0: as many as the limit on open files allows)",
            ),
            _option(
                "--limit-request-line",
                metavar="BYTES",
                convert=_whole_number(64, 2**20),
                default="8190",
                help="the longest request line",
            ),
            _option(
                "--limit-request-fields",
                metavar="N",
                convert=_whole_number(1, 10000),
                default="100",
                help="the most header fields in a request",
            ),
            _option(
                "--limit-request-field-size",
                metavar="BYTES",
                convert=_whole_number(64, 2**20),
                default="8190",
                help="the longest header field line",
            ),
            _option(
                "--limit-request-head",
                metavar="BYTES",
                convert=_whole_number(128, 2**24),
                default="65536",
                help="the largest request head",
            ),
            _option(
                "--limit-request-body",
                metavar="BYTES",
                convert=_whole_number(0),
                default="1073741824",
                help="the largest request body; 0: no limit",
            ),
        ),
    ),
    (
        "the server's access log",
        (
            _option(
                "--access-logfile",
                metavar="FILE|-",
                unset="none",
                help="log every request there; -: standard output",
            ),
            _option(
                "--access-logformat",
                metavar="combined|json",
                convert=_log_format,
                default="combined",
                help="its format",
            ),
        ),
    ),
)


def _build_parser(parser_class: type[_Parser], environ: Mapping[str, str], program: str) -> _Parser:
    subcommand = (
        "\n       %(prog)s counts COMMAND ...   show and move counts" if program == "tally" else ""
    )
    parser = parser_class(
        prog=program,
        usage=f"%(prog)s [DIR] [options]{subcommand}",
        description="Serve the files under a directory and count every access exactly.",
        epilog="Each option is also the environment variable in brackets: 1 or 0 for a switch,"
        " empty for not set.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", type=_present,
                        help="the directory to serve (default: Tally's guide)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"Tally {__version__}")
    for title, options in GROUPS:
        group = parser.add_argument_group(title)
        for option in options:
            action = group.add_argument(*option.flags, help=_help_of(option), **_arguments(option))
            if text := environ.get(option.variable):
                try:
                    action.default = option.convert(text)
                except argparse.ArgumentTypeError as error:
                    parser.error(f"{option.variable}: {error}")
    return parser


def _arguments(option: Option) -> dict[str, Any]:
    """Return what `add_argument` is told of *option*."""
    if option.is_switch:
        return {"action": "store_true"}
    arguments: dict[str, Any] = {"metavar": option.metavar, "type": option.convert}
    arguments["default"] = option.default or option.absent
    return arguments | ({"action": _Gather} if option.is_repeatable else {})


def _help_of(option: Option) -> str:
    default = "off" if option.is_switch else option.default
    shown = f"; default {default}" if default and default != DEFAULT_ROOT else ""
    return f"{option.help} [{option.variable}{shown}]".replace("%", "%%")


def _read(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    parser_class: type[_Parser],
    program: str = "tally",
) -> Settings:
    parser = _build_parser(parser_class, environ, program)
    # A root that is there already keeps the parser from filling in the default, so a --root that was given can be told.
    chosen = vars(parser.parse_args(arguments, argparse.Namespace(root=None)))
    positional, flag = chosen.pop("directory"), chosen["root"]
    if positional and flag and positional != flag:
        parser.error(
            f"--root: {flag!r} and the positional {positional!r} are two different directories"
        )
    chosen["root"] = os.path.abspath(positional or flag or parser.get_default("root"))
    if chosen["keyfile"] and not chosen["certfile"]:
        parser.error("--keyfile: it needs --certfile")
    return Settings(**chosen)
