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
    servers = _numbered(given.only or _with_defaults(given.servers))
    names = [server.name for server in servers]
    baseline = given.baseline or names[0]
    if baseline not in names:
        parser.error(
            f"argument --baseline: {baseline!r} is not among the compared servers"
            f" ({', '.join(names)})"
        )
    wrk = find_program("wrk") if given.generator != "bundled" else ""
    if given.generator == "wrk" and not wrk:
        parser.error("argument --generator: wrk is not installed")
    if not given.workloads and not given.behaviour:
        parser.error("nothing to do: neither workloads nor behaviour")
    _check_reports(parser, given.json, given.html)
    return Options(_plan(given, tuple(servers)), baseline, wrk, given.json, given.html)


def _check_reports(parser: _Parser, json: str, html: str) -> None:
    """A run takes minutes: what would keep its report from being written is told before it, where
    it can be known.
    """
    for flag, path in (("--json", json), ("--html", html)):
        if path and (problem := problem_with(path)):
            parser.error(f"argument {flag}: {path!r}: {problem}")
    if json and html and are_one_file(json, html):
        parser.error(f"--json and --html are the same file: {html!r}")


def _plan(given: argparse.Namespace, servers: tuple[Server, ...]) -> Plan:
    quick = given.quick
    return Plan(
        servers=servers,
        workloads=tuple(chosen(given.workloads)),
        rounds=given.rounds or (2 if quick else 10),
        seconds=given.seconds or (0.3 if quick else 1.0),
        connections=given.connections,
        patience=1.0 if quick else 2.0,
        starts=1 if quick else 3,
        behaviour=given.behaviour,
        crowd_sizes=_SMALL_CROWDS if quick else _CROWDS,
    )


def _with_defaults(more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*DEFAULT_SERVERS, *more]))


def _numbered(names: Sequence[str]) -> list[Server]:
    """Return the servers; one that is named twice becomes two, so that it can be compared with
    itself.
    """
    servers: list[Server] = []
    for name in names:
        count = sum(server.name.partition(" ")[0] == name for server in servers) + 1
        server = SERVERS[name]
        servers.append(
            replace(server, name=f"{name} ({count})", title=f"{server.title} ({count})")
            if count > 1
            else server
        )
    return servers


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m app.comparison",
        description="Compare servers in speed and in behaviour: each runs as a process of its own"
        " on the loopback.",
        epilog=_wrapped(f"Servers: {', '.join(SERVERS)}.")
        + "\n"
        + _wrapped(f"Workloads: {', '.join(CHOICES)}."),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="short rounds and small crowds: under a minute, for a first look",
    )
    add("--servers", type=_names(tuple(SERVERS)), default=[], metavar="NAME,...|all",
        help=f"compare these too, beside {', '.join(DEFAULT_SERVERS)}; what is not installed is"
             " named")  # fmt: skip
    add("--only", type=_names(tuple(SERVERS)), default=[], metavar="NAME,...|all",
        help="compare just these; a name given twice is compared with itself")  # fmt: skip
    add(
        "--baseline",
        default="",
        metavar="NAME",
        help="the server that ratios refer to (default: the first)",
    )
    add(
        "--workloads",
        type=_workloads,
        default=CHOICES,
        metavar="NAME,...|none",
        help="which loads (default: all)",
    )
    add(
        "--behaviour",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="send the list of behaviour requests",
    )
    add(
        "--rounds",
        type=_number(int, 1, 100),
        metavar="N",
        help="how often each server is loaded (10; quick: 2)",
    )
    add(
        "--seconds",
        type=_number(float, 0.2, 60),
        metavar="S",
        help="how long each time (1; quick: 0.3)",
    )
    add(
        "--connections",
        type=_number(int, 1, 1000),
        default=64,
        metavar="N",
        help="at the same time (64)",
    )
    add("--generator", choices=("auto", "wrk", "bundled"), default="auto",
        help="what loads: wrk where it is installed (auto), or the bundled one")  # fmt: skip
    add("--json", default="", metavar="FILE", help="write everything that was measured there")
    add("--html", default="", metavar="FILE", help="write the report there, as one page")
    return parser


def _wrapped(text: str) -> str:
    # argparse would break the names at their hyphens.
    return textwrap.fill(text, 78, break_on_hyphens=False)


def _names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def convert(text: str) -> list[str]:
        if text == "all":
            return list(known)
        names = [part.strip() for part in text.split(",") if part.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}, all")
        if not names:
            raise argparse.ArgumentTypeError("no name is given")
        return names

    return convert


def _workloads(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(_names(CHOICES)(text))


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
