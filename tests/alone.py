"""Runs a function in a process of its own, where memory is measured: `tracemalloc` counts what all
threads of a process allocate, and in one that runs tests others may be at work.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_HOME = Path(__file__).resolve().parent.parent
_CODE = """
import importlib, json, sys
module, name, arguments = json.load(sys.stdin)
print(json.dumps(getattr(importlib.import_module(module), name)(*arguments)))
"""


def alone(work: Callable[..., T], *arguments: str | int) -> T:
    """Return what *work*, a function at the top of a module, returns: numbers, or a list of them."""
    process = subprocess.run(
        [sys.executable, "-c", _CODE],
        input=json.dumps([work.__module__, work.__name__, arguments]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=_HOME,
    )
    returned: T = json.loads(process.stdout)
    return returned
