"""Runs one load: chooses wrk or the bundled generator, in a process of its own, pinned away from
the server.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from .load_order import LoadOrder, LoadReport
from .processes import Guard, ProcessTree
from .servers import PACKAGE, PROJECT
from .wrk import run_wrk


class GeneratorError(Exception):
    """The load generator itself failed; the message has its last lines."""


class Generators:
    """*wrk* is the program's path, or empty: then everything is loaded by the bundled generator."""

    def __init__(self, wrk: str, guard: Guard, scratch: str, cores: frozenset[int]) -> None:
        self._wrk = wrk
        self._guard = guard
        self._scratch = scratch
        self._cores = cores

    def name_for(self, bundled_only: bool) -> str:
        return "wrk" if self._wrk and not bundled_only else "bundled"

    def run(
        self,
        order: LoadOrder,
        bundled_only: bool,
        gathered: Callable[[int], None] = lambda _held: None,
    ) -> LoadReport:
        """Load a server as *order* says.

        *gathered* is called when the order's crowd is in place, with its number.

        Raises GeneratorError, WrkError.
        """
        if self.name_for(bundled_only) == "wrk":
            return run_wrk(self._wrk, order, self._scratch, self._guard, self._cores)
        return self._run_bundled(order, gathered)

    def _run_bundled(self, order: LoadOrder, gathered: Callable[[int], None]) -> LoadReport:
        path = os.path.join(self._scratch, "order.json")
        with open(path, "w", encoding="latin-1") as file:
            json.dump(asdict(order), file)
        tree = ProcessTree(
            [sys.executable, "-m", f"{PACKAGE}.comparison.load", path],
            self._guard,
            os.path.join(self._scratch, "load.out"),
            {"PYTHONPATH": PROJECT},
            cores=self._cores,
        )
        try:
            if order.crowd:
                self._await_crowd(tree, gathered)
            status = tree.wait(order.seconds + order.patience + 20)
            if status != 0:
                raise GeneratorError("the load generator failed: " + " / ".join(tree.last_lines(3)))
            lines = tree.output().splitlines()
        finally:
            tree.stop()
        return LoadReport(**json.loads(lines[-1]))

    def _await_crowd(self, tree: ProcessTree, gathered: Callable[[int], None]) -> None:
        deadline = time.monotonic() + 20
        while tree.wait() is None and time.monotonic() < deadline:
            first, newline, _ = tree.output().partition("\n")
            if newline:
                with contextlib.suppress(ValueError):
                    gathered(int(json.loads(first)["held"]))
                return
            time.sleep(0.01)
