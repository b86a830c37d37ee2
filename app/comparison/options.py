"""The command line: what is to be compared, how long, and where the report goes."""

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from .plan import Plan
from .report_file import are_one_file, problem_with
from .servers import DEFAULT_SERVERS, SERVERS, Server, find_program
from .workloads import CHOICES, chosen

_AGE = 45.0
_CROWDS = {"idle": 1000, "readers": 64, "headers": 500}
_SMALL_CROWDS = {"idle": 100, "readers": 16, "headers": 100}


@dataclass(frozen=True)
class Options:
    """The plan, and what is outside it.

    *wrk* is the program's path, or empty for the bundled generator.
    """

    plan: Plan
    baseline: str
    wrk: str
    json_path: str
    html_path: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, and status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def read_options(arguments: Sequence[str]) -> Options:
    """Read the command line.

    Raises SystemExit with status 2 after one line on standard error, or 0 for --help.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.only and given.servers:
        parser.error("--only and --servers exclude each other")
    servers = _numbered(given.only or list(dict.fromkeys([*DEFAULT_SERVERS, *given.servers])))
    names = [server.name for server in servers]
    baseline = given.baseline or names[0]
    if baseline not in names:
        among = f"is not among the compared servers ({', '.join(names)})"
        parser.error(f"argument --baseline: {baseline!r} {among}")
    wrk = find_program("wrk") if given.generator != "bundled" else ""
    if given.generator == "wrk" and not wrk:
        parser.error("argument --generator: wrk is not installed")
    if not given.workloads and not given.behaviour:
        parser.error("nothing to do: neither workloads nor behaviour")
    # A run takes minutes: what would keep its report from being written is told before it, where
    # it can be known.
    for flag, path in (("--json", given.json), ("--html", given.html)):
        if path and (problem := problem_with(path)):
            parser.error(f"argument {flag}: {path!r}: {problem}")
    if given.json and given.html and are_one_file(given.json, given.html):
        parser.error(f"--json and --html are the same file: {given.html!r}")
    return Options(_plan(given, servers), baseline, wrk, given.json, given.html)


def _plan(given: argparse.Namespace, servers: Sequence[Server]) -> Plan:
    quick = given.quick
    return Plan(
        servers=tuple(servers),
        workloads=tuple(chosen(given.workloads)),
        rounds=given.rounds or (2 if quick else 10),
        seconds=given.seconds or (0.3 if quick else 1.0),
        connections=given.connections,
        patience=1.0 if quick else 2.0,
        starts=1 if quick else 3,
        behaviour=given.behaviour,
        age=(0.0 if quick else _AGE) if given.age is None else given.age,
        crowd_sizes=_SMALL_CROWDS if quick else _CROWDS,
    )


def _numbered(names: Sequence[str]) -> list[Server]:
    """Return the servers; one that is named twice becomes two, and is compared with itself."""
    servers: list[Server] = []
    for index, name in enumerate(names):
        mark = f" ({count + 1})" if (count := names[:index].count(name)) else ""
        server = SERVERS[name]
        servers.append(replace(server, name=name + mark, title=server.title + mark))
    return servers


def _parser() -> _Parser:
    lists = {"Servers": ", ".join(SERVERS), "Workloads": ", ".join(CHOICES)}
    # argparse would break the names at their hyphens.
    lines = [
        textwrap.fill(f"{title}: {names}.", 78, break_on_hyphens=False)
        for title, names in lists.items()
    ]
    parser = _Parser(
        prog="python -m app.comparison",
        description="Compare servers in speed and in behaviour: each runs as a process of its own"
        " on the loopback.",
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add, names = parser.add_argument, _names(tuple(SERVERS))
    # fmt: off
    add("--quick", action="store_true", help="short rounds and small crowds: under a minute, for a first look")
    add("--servers", type=names, default=[], metavar="NAME,...|all",
        help=f"compare these too, beside {', '.join(DEFAULT_SERVERS)}; what is not installed is named")
    add("--only", type=names, default=[], metavar="NAME,...|all",
        help="compare just these; a name given twice is compared with itself")
    add("--baseline", default="", metavar="NAME", help="the server that ratios refer to (default: the first)")
    add("--workloads", type=lambda text: [] if text == "none" else _names(CHOICES)(text), default=CHOICES,
        metavar="NAME,...|none", help="which loads (default: all)")
    add("--behaviour", action=argparse.BooleanOptionalAction, default=True, help="send the list of behaviour requests")
    add("--rounds", type=_number(int, 1, 100), metavar="N", help="how often each server is loaded (10; quick: 2)")
    add("--seconds", type=_number(float, 0.2, 60), metavar="S", help="how long each time (1; quick: 0.3)")
    add("--age", type=_number(float, 0, 600), metavar="S",
        help="how old the files are, in seconds, when the first load begins: a server may read again, and again,"
        f" what has just been written, and the files of a site are older ({_AGE:g}; quick: 0)")
    add("--connections", type=_number(int, 1, 1000), default=64, metavar="N", help="at the same time (64)")
    add("--generator", choices=("auto", "wrk", "bundled"), default="auto",
        help="what loads: wrk where it is installed (auto), or the bundled one")
    add("--json", default="", metavar="FILE", help="write everything that was measured there")
    add("--html", default="", metavar="FILE", help="write the report there, as one page")
    # fmt: on
    return parser


def _names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def convert(text: str) -> list[str]:
        names = [part.strip() for part in text.split(",") if part.strip()]
        for name in names:
            if name not in (*known, "all"):
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}, all")
        if not names:
            raise argparse.ArgumentTypeError("no name is given")
        return list(known) if "all" in names else names

    return convert


def _number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least:g} and {most:g}")
        return number

    return convert
