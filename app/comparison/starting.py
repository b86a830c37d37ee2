"""Starts a server and waits for its first 200."""

import os
import re
import socket
import time
from dataclasses import dataclass

from .bench import Bench
from .exchange import exchange
from .processes import ProcessTree
from .servers import PACKAGE, PROJECT, Server, Site, command_line
from .workloads import head

#: Seconds that a server may take to its first 200.
START_PATIENCE = 15.0


class DidNotStartError(Exception):
    """A server ended, or gave no 200 in time. *lines* are the last it printed."""

    def __init__(self, reason: str, lines: list[str]) -> None:
        super().__init__(reason)
        self.lines = lines


@dataclass(frozen=True)
class RunningServer:
    """A server that answers on *port*; stop its *tree* in the end.

    *milliseconds* passed before its first 200. *command* is a line for a shell.
    """

    tree: ProcessTree
    port: int
    milliseconds: float
    command: str


def start(server: Server, bench: Bench, purpose: str, codings: bool = False) -> RunningServer:
    """Start *server* on a free port of the loopback, with a directory of its own for *purpose*.

    Raises DidNotStartError, having ended what was started.
    """
    scratch = os.path.join(bench.scratch, re.sub(r"[^\w.]+", "-", f"{purpose}-{server.name}"))
    os.makedirs(scratch, exist_ok=True)
    for attempt in (1, 2):
        site = Site(bench.documents.root, _free_port(), scratch, codings)
        try:
            return _start_once(server, site, bench)
        except DidNotStartError as error:
            # Between our look and its start another program may have taken the port.
            if attempt == 2 or not any("in use" in line for line in error.lines):
                raise
    raise AssertionError("unreachable")


def _start_once(server: Server, site: Site, bench: Bench) -> RunningServer:
    variables = server.variables(site)
    # gunicorn would read the project's own configuration in its directory: right for our
    # application alone.
    is_foreign = server.application.startswith(f"{PACKAGE}.comparison.")
    directory = site.scratch if is_foreign else PROJECT
    output = os.path.join(site.scratch, "output")
    cores = bench.server_cores
    begun = time.perf_counter()
    try:
        command = server.command_for(site)
        tree = ProcessTree(command, bench.guard, output, variables, directory, cores)
    except OSError as error:
        raise DidNotStartError(f"cannot be run: {error}", []) from error
    try:
        _await_first_200(tree, site.port, begun)
    except BaseException:
        tree.stop()
        raise
    milliseconds = (time.perf_counter() - begun) * 1000
    return RunningServer(tree, site.port, milliseconds, command_line(command, variables, cores))


def _await_first_200(tree: ProcessTree, port: int, begun: float) -> None:
    request = head("/small.html", "Connection: close")
    last = ""
    while time.perf_counter() - begun < START_PATIENCE:
        status = tree.wait()
        if status is not None:
            raise DidNotStartError(f"ended with status {status}", tree.last_lines())
        seen = exchange(port, [request], patience=2.0)
        if seen.answers and seen.answers[0].status == 200:
            return
        last = str(seen.answers[0].status) if seen.answers else seen.failure
        time.sleep(0.002)
    raise DidNotStartError(f"no 200 within {START_PATIENCE:g} s: {last}", tree.last_lines())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
