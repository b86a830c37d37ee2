"""The options of one run, read from flags and variables into one frozen `Settings`.

A flag beats its variable, a variable beats the default. `main.py` reads flags and variables.
`wsgi.py`, under gunicorn or any other server, reads the variables alone, through the same parser:
both refuse the same values.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from . import __version__
from .client_address import Shown
from .files.policy import HeaderRule
from .option_values import present
from .options import DEFAULT_ROOT, GROUPS, Option


class SettingsError(ValueError):
    """A value that cannot be used; the text is one line, fit to be shown."""


class Settings:
    """The options of one run, which do not change. Times are in seconds, sizes in bytes."""

    # What is served
    root: str  # absolute
    index: tuple[str, ...]
    spa: str | None
    listing: bool
    dotfiles: bool
    follow_symlinks: bool
    max_age: int
    immutable: tuple[str, ...]
    header: tuple[HeaderRule, ...]
    cors: str | None
    download: tuple[str, ...]
    mime: tuple[tuple[str, str], ...]
    charset: str  # "": none is declared
    no_compression: bool
    root_grace: float | None  # None: never give up
    # Counting
    counts: str  # "": memory for one process, a private LMDB directory for several
    counts_journal: str  # "": below the user's state directory
    count_log: str  # "-" standard output, "off", or a file
    count_header: bool
    own: tuple[str, ...]
    robots: tuple[re.Pattern[str], ...]
    clients: bool
    download_bytes: int
    keep_days: int  # 0: for ever
    log_clients: Shown
    quiet: bool
    # Statistics
    stats: str  # with a slash at both ends; "": off
    stats_token_file: str
    stats_public: bool
    badge: tuple[str, ...]
    metrics_files: int
    metrics_match: str
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

    def __init__(self, **values: Any) -> None:
        """Take a value for each name above, converted and checked."""
        assert values.keys() == self.__annotations__.keys()
        vars(self).update(values)

    def but(self, **changed: Any) -> "Settings":
        """Return a copy with other values for some names."""
        return Settings(**(vars(self) | changed))

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
        """Read flags and variables.

        A value that cannot be used ends the program with one line and status 2. The line and
        `--help` call it *program*.
        """
        return _read(arguments, os.environ if environ is None else environ, _Parser, program)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_one_line(message)}\n")


class _RaisingParser(_Parser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(_one_line(message))


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter of help that is as wide as the terminal.

    The parser makes several at each start. Left to itself, one imports `shutil` for that.
    """
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (ValueError, OSError):  # no number; no terminal
        width = 80
    return argparse.HelpFormatter(prog, width=width - 2)


def _one_line(message: str) -> str:
    return " ".join(message.removeprefix("argument ").split())


class _Gather(argparse.Action):
    """Collects a flag that may be repeated. `append` would keep the default, too."""

    def __call__(
        self, _parser: object, namespace: argparse.Namespace, values: Any, _flag: object = None
    ) -> None:
        gathered = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if gathered is self.default else gathered + values)


def _build_parser(parser_class: type[_Parser], environ: Mapping[str, str], program: str) -> _Parser:
    subcommand = (
        "\n       %(prog)s counts COMMAND ...   show and move counts"
        "\n       %(prog)s compress DIR         write coded forms of text files beside them"
        if program == "tally"
        else ""
    )
    parser = parser_class(
        prog=program,
        usage=f"%(prog)s [DIR] [options]{subcommand}",
        description="Serve the files under a directory and count every access exactly.",
        epilog="Each option is also the environment variable in brackets: 1 or 0 for a switch,"
        " empty for not set. A process takes at most 96 MiB more than at its start, and with"
        " --counts memory: another 660 bytes for each file that was counted, and some 80 for each"
        " further day of it.",
        allow_abbrev=False,
        formatter_class=_formatter,
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", type=present,
                        help="the directory to serve (default: Tally's guide)")  # fmt: skip
    parser.add_argument("--version", action="version", version=f"Tally {__version__}")
    for title, options in GROUPS:
        group = parser.add_argument_group(title)
        for option in options:
            action = group.add_argument(*option.flags, help=_help_of(option), **_arguments(option))
            if text := environ.get(option.variable):
                try:
                    value = option.convert(text)
                    # Text stays text: the parser converts a default that is text, and would do so
                    # a second time with the result.
                    action.default = value if option.is_switch else text
                except argparse.ArgumentTypeError as error:
                    parser.error(f"{option.variable}: {error}")
    return parser


def _arguments(option: Option) -> dict[str, Any]:
    """Return the arguments of `add_argument` for *option*."""
    if option.is_switch:
        return {"action": "store_true"}
    arguments: dict[str, Any] = {"metavar": option.metavar, "type": option.convert}
    arguments["default"] = option.default or option.absent
    if option.bare:
        arguments |= {"nargs": "?", "const": option.convert(option.bare)}
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
    # A root that is there already keeps the parser from filling in the default: so it is seen
    # whether --root was given.
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
