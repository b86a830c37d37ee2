"""Every option once: flag, environment variable, default, what its text means, and help.

The parser (`settings.py`) and the tables in the guide (`tests/options_table.py`) are made from the
entries here.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from . import option_values as values

_PACKAGE = os.path.dirname(os.path.realpath(__file__))
#: The guide: in the package when that was installed, beside it in a checkout.
DEFAULT_ROOT = os.path.join(_PACKAGE, "www")
if not os.path.isdir(DEFAULT_ROOT):
    DEFAULT_ROOT = os.path.join(os.path.dirname(_PACKAGE), "www")


class Option(NamedTuple):
    """One option: all that is said of it, in the form in which it is given."""

    flags: tuple[str, ...]  # the long one last
    help: str
    metavar: str  # "" for a switch
    convert: Callable[[str], Any]  # raises argparse.ArgumentTypeError
    default: str  # as text; "" where `unset` says in words what holds without it
    unset: str
    absent: Any  # the value in that case
    bare: str  # the text that stands for the flag without a value; "": it needs one
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
    bare: str = "",
    repeatable: bool = False,
) -> Option:
    names = tuple(flags.split())
    return Option(names, help, metavar, convert, default, unset, absent, bare, repeatable)


GROUPS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "what is served",
        (
            _option(
                "--root",
                metavar="DIR",
                convert=values.present,
                default=DEFAULT_ROOT,
                help="the directory to serve; the same as the positional DIR",
            ),
            _option(
                "--index",
                metavar="NAME,...",
                convert=values.file_names,
                default="index.html",
                help="the file served for a directory: the first of these that exists",
            ),
            _option(
                "--spa",
                metavar="FILE",
                convert=values.page_name,
                absent=None,
                help="the file below the root that a browser gets, with 200, for an address that"
                " names no file",
            ),
            _option(
                "--listing",
                convert=values.switch,
                help="list directories that have no index: as a page, as JSON, or as a feed",
            ),
            _option(
                "--dotfiles",
                convert=values.switch,
                help="also serve files whose names begin with a dot",
            ),
            _option(
                "--follow-symlinks",
                convert=values.switch,
                help="also follow symbolic links that lead out of the root",
            ),
            _option(
                "--max-age",
                metavar="SECONDS",
                convert=values.whole_number(0, 2**31),
                default="0",
                help="how long clients may use a file without asking again; 0: they ask each time,"
                " and every use is counted",
            ),
            _option(
                "--immutable",
                metavar="PATTERN|auto|off",
                convert=values.patterns,
                default="auto",
                repeatable=True,
                help="files that never change under their names, and may be used for a year;"
                " auto: names into which a build tool has put a hash; repeatable, or separated by"
                " commas",
            ),
            _option(
                "--header",
                metavar="'PATTERN NAME: VALUE'",
                convert=values.header_rules,
                absent=(),
                unset="none",
                repeatable=True,
                help="set this field in answers for names that match the pattern; without a value,"
                " remove it; repeatable, in the variable one a line",
            ),
            _option(
                "--cors",
                metavar="ORIGIN",
                convert=values.origin,
                absent=None,
                bare="*",
                help="let pages of other sites (of this origin alone) read the files",
            ),
            _option(
                "--download",
                metavar="PATTERN",
                convert=values.patterns,
                absent=(),
                unset="none",
                repeatable=True,
                help="files that a browser saves rather than shows; repeatable, or separated by"
                " commas",
            ),
            _option(
                "--mime",
                metavar=".EXT=TYPE",
                convert=values.media_types,
                absent=(),
                unset="none",
                repeatable=True,
                help="the media type of files with this extension; repeatable, or separated by"
                " commas",
            ),
            _option(
                "--charset",
                metavar="NAME|none",
                convert=values.charset,
                default="utf-8",
                help="the encoding that text is declared to have",
            ),
            _option(
                "--no-compression",
                convert=values.switch,
                help="send text as it is, also to clients that accept it compressed",
            ),
            _option(
                "--root-grace",
                metavar="SECONDS|never",
                convert=values.grace,
                default="10",
                help="how long the directory may be gone before the built-in server shuts down"
                " with status 2; 0: at once",
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
                help="where counts are kept: memory:, lmdb:DIR, redis://HOST/DB, rediss://...,"
                " unix://PATH, redis+sentinel://..., redis+cluster://... (default: memory: for one"
                " process, a private lmdb: for several)",
            ),
            _option(
                "--counts-journal",
                metavar="DIR",
                unset="automatic",
                help="where accesses wait while Redis is away (default: below the user's state"
                " directory)",
            ),
            _option(
                "--count-log",
                metavar="FILE|-|off",
                convert=values.present,
                default="-",
                help="where the count lines go, one for each access: path|client address|client"
                " port|number; -: standard output",
            ),
            _option(
                "--count-header",
                convert=values.switch,
                help="add the access's number to the answer as Tally-Count",
            ),
            _option(
                "--own",
                metavar="NETWORK,...",
                convert=values.networks,
                absent=(),
                unset="none",
                repeatable=True,
                help="your own addresses, whose accesses get the class own: 192.0.2.0/24,"
                " 2001:db8::/32, 192.0.2.1; repeatable, or separated by commas",
            ),
            _option(
                "--robots",
                metavar="FILE",
                convert=values.robots,
                absent=(),
                unset="none",
                help="more robots, beside the known ones: in each line a regular expression that"
                " is searched for in the User-Agent",
            ),
            _option(
                "--clients",
                convert=values.switch,
                help="count the distinct clients of each file and day, too; no address is kept",
            ),
            _option(
                "--download-bytes",
                metavar="N",
                convert=values.whole_number(1),
                default="1000000",
                help="with --clients: a client that got this many bytes of a file, or all of it,"
                " has downloaded it",
            ),
            _option(
                "--keep-days",
                metavar="N",
                convert=values.whole_number(0, 36525),
                default="0",
                help="how long the numbers of a day are kept; sums stay (0: for ever)",
            ),
            _option(
                "--log-clients",
                metavar="full|network|off",
                convert=values.shown,
                default="full",
                help="how much of a client's address the count lines and the access log show",
            ),
            _option("-q --quiet", convert=values.switch, help="no banner and no count lines"),
        ),
    ),
    (
        "statistics",
        (
            _option(
                "--stats",
                metavar="PATH|off",
                convert=values.stats_prefix,
                default="/-/tally",
                help="where the statistics are, only for holders of a token: a page, an interface"
                " for programs, metrics",
            ),
            _option(
                "--stats-token-file",
                metavar="FILE",
                unset="none",
                help="a file with tokens that open the statistics, one on each line; a line metrics"
                " TOKEN has one that opens only the metrics. TALLY_STATS_TOKEN holds the same."
                " Without either, the built-in server makes a token at each start and prints it",
            ),
            _option(
                "--stats-public",
                convert=values.switch,
                help="open the statistics to everybody",
            ),
            _option(
                "--badge",
                metavar="PATTERN",
                convert=values.patterns,
                absent=(),
                unset="none",
                repeatable=True,
                help="files whose numbers everybody may see as a badge: /releases/*; repeatable,"
                " or separated by commas",
            ),
            _option(
                "--metrics-files",
                metavar="N",
                convert=values.whole_number(0, 100_000),
                default="1000",
                help="how many files have metrics of their own: those that were accessed first; all"
                " others are added up",
            ),
            _option(
                "--metrics-match",
                metavar="GLOB",
                convert=values.pattern,
                unset="all files",
                help="only files that match have metrics of their own: *.iso",
            ),
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
                convert=values.addresses,
                default=":0",
                repeatable=True,
                help="HOST:PORT, :PORT (IPv4 and IPv6), [::1]:PORT, unix:PATH or fd://N;"
                " repeatable, in the variable separated by commas; port 0: the system picks one",
            ),
            _option(
                "--unix-mode",
                metavar="OCTAL",
                convert=values.file_mode,
                default="666",
                help="the file mode of a Unix socket",
            ),
            _option(
                "--backlog",
                metavar="N",
                convert=values.whole_number(1, 2**31 - 1),
                default="2048",
                help="how many connections may wait to be accepted",
            ),
            _option(
                "--threads",
                metavar="N",
                convert=values.whole_number(0, 4096),
                default="8",
                help="how many application calls may run at the same time in a process; 0: no such"
                " bound, and a thread for each connection",
            ),
            _option(
                "-w --workers",
                metavar="N|auto",
                convert=values.worker_count,
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
                convert=values.addresses,
                unset="none",
                absent=(),
                help="proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses,"
                " networks, unix, or *",
            ),
        ),
    ),
    (
        "limits",
        (
            _option(
                "--header-timeout",
                metavar="SECONDS",
                convert=values.seconds,
                default="10",
                help="for a whole request head",
            ),
            _option(
                "--body-timeout",
                metavar="SECONDS",
                convert=values.seconds,
                default="30",
                help="for a request body to make progress",
            ),
            _option(
                "--write-timeout",
                metavar="SECONDS",
                convert=values.seconds,
                default="60",
                help="for a client to take more of its answer",
            ),
            _option(
                "--keep-alive",
                metavar="SECONDS",
                convert=values.seconds_or_zero,
                default="75",
                help="for the next request on a connection; 0: close after each answer",
            ),
            _option(
                "--graceful-timeout",
                metavar="SECONDS",
                convert=values.seconds_or_zero,
                default="30",
                help="for answers that are under way when the server gets a signal to stop",
            ),
            _option(
                "--max-connections",
                metavar="N",
                convert=values.whole_number(0, 2**31 - 1),
                default="0",
                help="per process; idle ones are closed first (0: as many as the limit on open"
                " files allows)",
            ),
            _option(
                "--limit-request-line",
                metavar="BYTES",
                convert=values.whole_number(64, 2**20),
                default="8190",
                help="the longest request line",
            ),
            _option(
                "--limit-request-fields",
                metavar="N",
                convert=values.whole_number(1, 10000),
                default="100",
                help="the most header fields in a request",
            ),
            _option(
                "--limit-request-field-size",
                metavar="BYTES",
                convert=values.whole_number(64, 2**20),
                default="8190",
                help="the longest header field line",
            ),
            _option(
                "--limit-request-head",
                metavar="BYTES",
                convert=values.whole_number(128, 2**24),
                default="65536",
                help="the largest request head",
            ),
            _option(
                "--limit-request-body",
                metavar="BYTES",
                convert=values.whole_number(0),
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
                metavar="|".join(values.LOG_FORMATS),
                convert=values.log_format,
                default=values.LOG_FORMATS[0],
                help="its format; combined+ ends with the number of the access",
            ),
        ),
    ),
)
