"""Every option once: flag, environment variable, default and help, read into one frozen `Settings`.

A flag beats its variable, a variable beats the default. `run_builtin.py` reads flags and variables, `wsgi.py` (under
gunicorn or any other server) the variables alone, through the same parser, so that both refuse the same values.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

DEFAULT_ROOT = str(Path(__file__).resolve().parent.parent / "www")


class SettingsError(ValueError):
    """A value that cannot be used; the text is one line, fit to be shown."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one run. Times are in seconds, sizes in bytes; 0 or None is said where it means something."""

    # What is served
    root: str
    index: str
    max_age: int
    precompressed: bool
    root_grace: float | None  # None: never give up
    # Counting
    counts: str  # "": memory for one process, a private LMDB directory for several
    counts_journal: str  # "": below the user's state directory
    count_log: str  # "-" standard output, "off", or a file
    count_header: bool
    quiet: bool
    # The built-in server
    app: str  # "": wsgi:app
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
        cls, arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
    ) -> "Settings":
        """Read flags and variables; a value that cannot be used ends the program with one line and status 2."""
        given = sys.argv[1:] if arguments is None else arguments
        return _read(given, os.environ if environ is None else environ, _Parser)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class _RaisingParser(_Parser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def _whole_number(low: int, high: int = 2**63 - 1) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            least_and_most = f"from {low} to {high}" if high < 2**63 - 1 else f"of {low} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number {least_and_most}")
        return int(text)

    return whole_number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e8:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def _seconds_or_zero(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else _seconds(text)


def _grace(text: str) -> float | None:
    return None if text == "never" else _seconds_or_zero(text)


def _worker_count(text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _whole_number(1, 1024)(text)


def _file_mode(text: str) -> int:
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise argparse.ArgumentTypeError(f"{text!r} is not an octal file mode such as 660")
    return mode


def _file_name(text: str) -> str:
    if not text or "/" in text or "\0" in text or text in (".", ".."):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file in a directory")
    return text


def _present(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError("it must not be empty")
    return text


def _addresses(text: str) -> tuple[str, ...]:
    addresses = tuple(part.strip() for part in text.split(",") if part.strip())
    if not addresses:
        raise argparse.ArgumentTypeError(f"{text!r} names no address")
    return addresses


def _switch(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 1 nor 0")
    return text == "1"


_GROUPS: tuple[tuple[str, tuple[tuple[tuple[str, ...], dict[str, Any]], ...]], ...] = (
    ("what is served", (
        (("--root",), dict(default=DEFAULT_ROOT, metavar="DIR", type=_present,
            help="the directory to serve; the same as the positional DIR")),
        (("--index",), dict(default="index.html", metavar="NAME", type=_file_name,
            help="the file served for a directory")),
        (("--max-age",), dict(default="0", metavar="SECONDS", type=_whole_number(0, 2**31),
            help="how long clients may use a file without asking again; 0: they ask each time, so that every use counts")),
        (("--precompressed",), dict(action="store_true",
            help="answer with NAME.zst, NAME.br or NAME.gz beside NAME to clients that accept it")),
        (("--root-grace",), dict(default="10", metavar="SECONDS|never", type=_grace,
            help="how long the directory may be gone before the built-in server shuts down with status 2; 0: at once")),
    )),
    ("counting", (
        (("--counts",), dict(default="", metavar="URL",
            help="where counts are kept: memory:, lmdb:DIR, redis://HOST/DB, rediss://..., unix://PATH "
                 "(default: memory: for one process, a private lmdb: for several)")),
        (("--counts-journal",), dict(default="", metavar="DIR",
            help="where accesses wait while Redis is away (default: below the user's state directory)")),
        (("--count-log",), dict(default="-", metavar="FILE|-|off", type=_present,
            help="where each access's line path|client address|client port|number goes; -: standard output")),
        (("--count-header",), dict(action="store_true", help="add the access's number to the answer as Tally-Count")),
        (("-q", "--quiet"), dict(action="store_true", help="no banner and no count lines")),
    )),
    ("the built-in server", (
        (("--app",), dict(default="", metavar="MODULE:CALLABLE",
            help="run this WSGI application instead of the files (default: wsgi:app)")),
        (("-b", "--bind"), dict(action="append", metavar="ADDRESS",
            help="HOST:PORT, :PORT (IPv4 and IPv6), [::1]:PORT, unix:PATH or fd://N; repeatable, in the variable "
                 "separated by commas; port 0: the system picks one (default: :0)")),
        (("--unix-mode",), dict(default="666", metavar="OCTAL", type=_file_mode,
            help="the file mode of a Unix socket")),
        (("--backlog",), dict(default="2048", metavar="N", type=_whole_number(1, 2**31 - 1),
            help="how many connections may wait to be accepted")),
        (("--threads",), dict(default="8", metavar="N", type=_whole_number(0, 4096),
            help="how many application calls run at the same time in a process; 0: a new thread for each connection")),
        (("-w", "--workers"), dict(default="1", metavar="N|auto", type=_worker_count,
            help="how many processes serve; auto: one for each core")),
        (("--certfile",), dict(default="", metavar="FILE", help="serve TLS with this certificate chain (PEM)")),
        (("--keyfile",), dict(default="", metavar="FILE", help="its private key (PEM; default: in the certificate's file)")),
        (("--forwarded-allow-ips",), dict(default=(), metavar="IP,...", type=_addresses,
            help="proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses, networks, unix, or *")),
    )),
    ("limits", (
        (("--header-timeout",), dict(default="10", metavar="SECONDS", type=_seconds,
            help="for a whole request head")),
        (("--body-timeout",), dict(default="30", metavar="SECONDS", type=_seconds,
            help="for a request body to make progress")),
        (("--write-timeout",), dict(default="60", metavar="SECONDS", type=_seconds,
            help="for a client to take more of its answer")),
        (("--keep-alive",), dict(default="75", metavar="SECONDS", type=_seconds_or_zero,
            help="for the next request on a connection; 0: close after each answer")),
        (("--graceful-timeout",), dict(default="30", metavar="SECONDS", type=_seconds_or_zero,
            help="for answers under way when the server is told to stop")),
        (("--max-connections",), dict(default="0", metavar="N", type=_whole_number(0, 2**31 - 1),
            help="per process; idle ones are closed first (0: as many as the limit on open files allows)")),
        (("--limit-request-line",), dict(default="8190", metavar="BYTES", type=_whole_number(64, 2**20),
            help="of a request line")),
        (("--limit-request-fields",), dict(default="100", metavar="N", type=_whole_number(1, 10_000),
            help="header fields in a request")),
        (("--limit-request-field-size",), dict(default="8190", metavar="BYTES", type=_whole_number(64, 2**20),
            help="of one header field line")),
        (("--limit-request-head",), dict(default="65536", metavar="BYTES", type=_whole_number(128, 2**24),
            help="of a whole request head")),
        (("--limit-request-body",), dict(default="1073741824", metavar="BYTES", type=_whole_number(0),
            help="of a request body; 0: no limit")),
    )),
    ("the server's access log", (
        (("--access-logfile",), dict(default="", metavar="FILE|-", help="log every request there; -: standard output")),
        (("--access-logformat",), dict(default="combined", choices=("combined", "json"), help="its format")),
    )),
)  # fmt: skip


def variable_of(flag: str) -> str:
    """Return the environment variable that goes with a long *flag*: `--max-age` is `TALLY_MAX_AGE`."""
    return "TALLY_" + flag.removeprefix("--").replace("-", "_").upper()


def _build_parser(parser_class: type[_Parser], environ: Mapping[str, str]) -> _Parser:
    parser = parser_class(
        prog="run_builtin.py",
        usage="%(prog)s [DIR] [options]",
        description="Serve the files under a directory and count every access exactly.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Each option is also an environment variable, shown in brackets: 1 or 0 for a switch.",
        allow_abbrev=False,
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", type=_present,
                        help="the directory to serve (default: the www beside wsgi.py)")  # fmt: skip
    for title, options in _GROUPS:
        group = parser.add_argument_group(title)
        for flags, description in options:
            variable = variable_of(flags[-1])
            keywords = dict(description, help=_help_of(description, variable))
            if variable in environ:
                keywords["default"] = _from_variable(parser, variable, environ[variable], description)
            group.add_argument(*flags, **keywords)
    return parser


def _help_of(description: Mapping[str, Any], variable: str) -> str:
    text = str(description["help"])
    default = description.get("default")
    shown = f"; default: {default}" if default and isinstance(default, str) and default != DEFAULT_ROOT else ""
    return f"{text} [{variable}{shown}]".replace("%", "%%")


def _from_variable(parser: _Parser, variable: str, text: str, description: Mapping[str, Any]) -> object:
    try:
        if description.get("action") == "store_true":
            return _switch(variable, text)
        if description.get("action") == "append":
            return [part.strip() for part in text.split(",") if part.strip()]
        choices = description.get("choices")
        if choices and text not in choices:
            raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
        convert = description.get("type")
        return convert(text) if convert else text
    except (argparse.ArgumentTypeError, ValueError) as error:
        parser.error(f"{variable}: {error}")


def _read(arguments: Sequence[str], environ: Mapping[str, str], parser_class: type[_Parser]) -> Settings:
    parser = _build_parser(parser_class, environ)
    chosen = vars(parser.parse_args(arguments))
    positional = chosen.pop("directory")
    if positional is not None:
        chosen["root"] = positional
    default_bind = environ.get("TALLY_BIND", "").split(",") if environ.get("TALLY_BIND", "").strip() else [":0"]
    given_bind = chosen["bind"] or default_bind
    chosen["bind"] = tuple(part.strip() for part in given_bind if part.strip())
    if chosen["keyfile"] and not chosen["certfile"]:
        parser.error("--keyfile needs --certfile")
    return Settings(**chosen)
