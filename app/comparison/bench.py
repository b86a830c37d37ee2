"""What servers are measured with: load generators and crowds, processes pinned away from them."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .documents import Documents
from .load_order import LoadError, LoadOrder, LoadReport
from .processes import Guard, ProcessTree
from .servers import PACKAGE, PROJECT
from .wrk import run_wrk


@dataclass(frozen=True)
class Bench:
    """Everything around the servers.

    *scratch* is a directory for anything. *wrk* is the program's path, or empty: then everything
    is loaded by the bundled generator.
    """

    guard: Guard
    scratch: str
    documents: Documents
    wrk: str = ""
    server_cores: frozenset[int] = frozenset()
    generator_cores: frozenset[int] = frozenset()

    def generator_for(self, bundled_only: bool) -> str:
        return "wrk" if self.wrk and not bundled_only else "bundled"

    def load(self, order: LoadOrder, bundled_only: bool) -> LoadReport:
        """Load a server as *order* says. Raises LoadError."""
        if self.generator_for(bundled_only) == "wrk":
            return run_wrk(self.wrk, order, self.scratch, self.guard, self.generator_cores)
        path = os.path.join(self.scratch, "order.json")
        with open(path, "w", encoding="latin-1") as file:
            json.dump(asdict(order), file)
        tree = self._run("load", path)
        try:
            if tree.wait(order.seconds + order.patience + 20) != 0:
                raise LoadError("the load generator failed: " + " / ".join(tree.last_lines(3)))
            return LoadReport(**json.loads(tree.output().splitlines()[-1]))
        finally:
            tree.stop()

    @contextlib.contextmanager
    def crowd(self, kind: str, size: int, port: int) -> Iterator[int]:
        """Let a crowd stand beside what is done in the context; its value is how many do."""
        tree = self._run("crowd", kind, str(size), str(port))
        try:
            deadline = time.monotonic() + 20
            while tree.wait() is None and not tree.output() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not (held := tree.output().strip()).isdigit():
                raise LoadError("no crowd: " + " / ".join(tree.last_lines(3)))
            yield int(held)
        finally:
            tree.stop()

    def _run(self, module: str, *arguments: str) -> ProcessTree:
        return ProcessTree(
            [sys.executable, "-m", f"{PACKAGE}.comparison.{module}", *arguments],
            self.guard,
            os.path.join(self.scratch, f"{module}.out"),
            {"PYTHONPATH": PROJECT},
            cores=self.generator_cores,
        )
