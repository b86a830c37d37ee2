"""The arrows of `app/__init__.py`, read from the syntax trees of all our modules, function-level
imports included.
"""

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent

# What the stores of counts have in common: the contract, and the rules of numbers, times and lists.
_SHARED_BY_STORES = {
    f"app.counters.{module}"
    for module in (
        "contract",
        "reading",
        "tally",
        "periods",
        "ranking",
        "path_search",
        "client_rows",
        "missed",
        "salts",
        "format_1",
        "month_block",
        "month_sums",
        "history",
    )
}

# Who may import what of ours. A room may always import itself; the longest matching name decides.
ARROWS: dict[str, set[str]] = {
    "wsgi": {"run_builtin"},
    "run_builtin": set(),  # it loads modules of the package by name
    "gunicorn.conf": {"run_builtin"},
    "app": set(),
    "app.__main__": {"app.main"},
    "app.main": {
        "app.settings",
        "app.server",
        "app.wsgi",
        "app.counters.__main__",
        "app.files.precompress",
        "app.line_log",
        "app.failure_log",
        "app.allocator",
    },
    "app.wsgi": {
        "app.settings",
        "app.files",
        "app.counters",
        "app.clients",
        "app.client_address",
        "app.stats",
        "app.stats_tokens",
        "app.line_log",
        "app.failure_log",
        "app.host_figures",
        "app.request_note",
    },
    "app.option_values": {"app.files.policy", "app.clients", "app.client_address"},
    "app.options": {"app.option_values"},
    # The package has the version.
    "app.settings": {
        "app",
        "app.options",
        "app.option_values",
        "app.files.policy",
        "app.client_address",
    },
    "app.files.policy": {"app.files.media_types"},
    "app.files.media_types": set(),
    "app.allocator": set(),
    "app.clock": set(),
    "app.client_address": set(),
    "app.clients": {"app.counters.contract", "app.client_address"},
    "app.after_fork": set(),
    "app.host_figures": {"app.after_fork"},
    "app.request_note": set(),
    "app.before_answer": set(),
    "app.line_log": {"app.after_fork"},
    "app.failure_log": {"app.line_log"},
    "app.files": {
        "app.counters.contract",
        "app.clients",
        "app.clock",
        "app.failure_log",
        "app.after_fork",
        "app.request_note",
        "app.before_answer",
    },
    "app.counters": {"app.line_log", "app.after_fork", "app.host_figures"},
    "app.counters.contract": set(),
    "app.counters.outage": {
        "app.counters.contract",
        "app.line_log",
        "app.after_fork",
        "app.host_figures",
    },
    # Two wings that know nothing of each other
    "app.counters.lmdb": {*_SHARED_BY_STORES, "app.counters.outage", "app.after_fork"},
    "app.counters.redis": {*_SHARED_BY_STORES, "app.counters.outage", "app.after_fork"},
    "app.counters.memory": {
        *_SHARED_BY_STORES,
        "app.counters.memory_tallies",
        "app.counters.memory_reader",
        "app.after_fork",
    },
    "app.counters.memory_reader": {*_SHARED_BY_STORES, "app.counters.memory_tallies"},
    # Of the counters it knows what can be read, and no store.
    "app.stats": {
        "app",  # the version
        "app.counters.contract",
        "app.counters.reading",
        "app.counters.periods",
        "app.counters.tally",
        "app.counters.documents",
        "app.counters.tables",
        "app.files.names",
        "app.stats_tokens",
        "app.client_address",
        "app.host_figures",
        "app.request_note",
    },
    "app.stats_tokens": set(),
    "app.http11": set(),
    "app.server": {
        "app.http11",
        "app.client_address",
        "app.clock",
        "app.line_log",
        "app.failure_log",
        "app.after_fork",
        "app.host_figures",
        "app.request_note",
        "app.before_answer",
    },
    "app.comparison": set(),
}

# Third-party packages, and the only modules that may import them.
PACKAGES: dict[str, set[str]] = {
    "lmdb": {
        "app.counters.lmdb.environment",
        "app.counters.lmdb.opening",
        "app.counters.lmdb.file_check",
    },
    "counter_robots": {"app.clients.agents"},
    "redis": {
        "app.counters.redis.address",
        "app.counters.redis.cluster",
        "app.counters.redis.sentinels",
        "app.counters.redis.server",
    },
    "brotli": {"app.files.compression"},
    "zstandard": {"app.files.compression"},
    "compression": {"app.files.compression"},  # the standard library's, from Python 3.14 on
    "gunicorn": {"gunicorn.conf"},
    "werkzeug": {"app.server.proxies"},
    "rich": {"app.comparison"},
    "jinja2": {"app.comparison.templating", "app.stats.templating"},
    "prometheus_client": {
        "app.stats.metrics",
        "app.stats.metric_lines",
        "app.stats.host_metrics",
        "app.stats.processes",
    },
    "psutil": {"app.comparison.processes"},
    # Other servers' sides of a comparison, run only where they are installed.
    "a2wsgi": {"app.comparison.asgi_bridge"},
    "whitenoise": {"app.comparison.whitenoise_site"},
    # Types alone, known to the type checker.
    "_typeshed": {"app"},
}

# Who may import a module by a name that is not in the source: to run any application, or our own
# under another name.
BY_NAME = {"run_builtin", "app.main", "app.comparison.asgi_bridge"}

# The wire does no I/O: bytes in, events out.
FORBIDDEN: dict[str, set[str]] = {
    "app.http11": {
        "socket",
        "os",
        "io",
        "threading",
        "time",
        "selectors",
        "select",
        "asyncio",
        "pathlib",
        "ssl",
    }
}


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def owner(module: str, rooms: dict[str, set[str]]) -> str | None:
    """Return the longest name in *rooms* that *module* is or lies in."""
    return max((room for room in rooms if within(module, room)), key=len, default=None)


parsed = functools.cache(ast.parse)


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Yield the dotted name of everything that *source* imports anywhere, `from a import b` as a.b.

    `import_module` and `__import__` with a constant argument count; with any other they yield "?".
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            called = (
                node.func.attr
                if isinstance(node.func, ast.Attribute)
                else getattr(node.func, "id", "")
            )
            if called in ("import_module", "__import__"):
                first = node.args[0] if node.args else None
                yield str(first.value) if isinstance(first, ast.Constant) else "?"


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Return one line for each import of *module* that the house does not allow."""
    found = []
    for name in imports(source, module, is_package=is_package):
        top = name.partition(".")[0]
        if name == "?":
            allowed = module in BY_NAME
        elif top in ("app", "wsgi", "run_builtin"):
            room = owner(module, ARROWS)
            allowed = room is not None and any(
                within(name, arrow) if arrow != "app" else name == "app.__version__"
                for arrow in ARROWS[room]
            )
            allowed = allowed or (room != "app" and room is not None and within(name, room))
        elif top in sys.stdlib_module_names:
            room = owner(module, FORBIDDEN)
            allowed = room is None or top not in FORBIDDEN[room]
        else:
            allowed = any(within(module, room) for room in PACKAGES.get(top, ()))
        if not allowed:
            found.append(f"{module} imports {name}")
    return found


def modules() -> Iterator[tuple[Path, str]]:
    paths = [*HOME.glob("*.py"), *HOME.glob("app/**/*.py")]
    for path in sorted(paths):
        parts = path.relative_to(HOME).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_module_keeps_to_the_arrows() -> None:
    seen = dict(modules())
    assert len(seen) > 5
    assert [
        violation
        for path, module in seen.items()
        for violation in violations(
            path.read_text("utf-8"), module, is_package=path.name == "__init__.py"
        )
    ] == []


def test_the_product_has_lines_of_at_most_100_columns() -> None:
    too_long = [
        f"{module}: {number}"
        for path, module in modules()
        if not within(module, "app.comparison")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if len(re.sub(r"  # (noqa|type: ignore|fmt: skip).*", "", line)) > 100
    ]
    assert too_long == []


def test_the_package_does_not_know_its_own_name() -> None:
    """It has two: `tally_server` when installed and when it serves, `app` to the tests."""
    absolute = [
        f"{module} imports {name}"
        for path, module in modules()
        if within(module, "app")
        for node in ast.walk(parsed(path.read_text("utf-8")))
        for name in named_absolutely(node)
        if name.partition(".")[0] in ("app", "tally_server")
    ]
    assert absolute == []


def named_absolutely(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_every_module_has_a_room() -> None:
    assert [
        module
        for _, module in modules()
        if owner(module, ARROWS) in (None, "app") and module != "app"
    ] == []


# module, source, whether the import is allowed
EXAMPLES = [
    ("app.files.catalog", "from app.counters.contract import Kind", True),
    ("app.files.catalog", "from app.counters import memory", False),
    ("app.files.catalog", "from app.clock import date_header", True),
    ("app.files.catalog", "import app.http11", False),
    ("app.files.catalog", "from app import server", False),
    ("app.files.catalog", "from ..server import server", False),
    ("app.files.catalog", "from .ranges import select_range", True),
    ("app.files.catalog", "def f():\n    from app.server.server import Server", False),
    ("app.files.catalog", "import importlib\nimportlib.import_module('app.server')", False),
    ("app.files.catalog", "__import__(name)", False),
    ("app.server.gateway", "from app.http11.request import Request", True),
    ("app.server.gateway", "from app.files import FileApplication", False),
    ("app.server.gateway", "from app.settings import Settings", False),
    ("app.server.gateway", "import wsgi", False),
    ("app.server.proxies", "from werkzeug.middleware.proxy_fix import ProxyFix", True),
    ("app.server.gateway", "import werkzeug", False),
    ("app.counters.lmdb.environment", "import lmdb", True),
    ("app.counters.lmdb.counter", "import lmdb", False),
    ("app.counters.memory", "import lmdb", False),
    ("app.counters.redis.server", "import redis", True),
    ("app.counters.lmdb.counter", "import redis", False),
    ("app.counters.lmdb.counter", "from app.clock import date_header", False),
    ("app.comparison.report", "from rich.table import Table", True),
    ("app.comparison.report", "from app.settings import Settings", False),
    ("app.http11.receiver", "import re", True),
    ("app.http11.receiver", "if True:\n    import socket as s", False),
    ("app.http11.receiver", "from os import path", False),
    ("app.http11.receiver", "from app.clock import date_header", False),
    ("app.settings", "from app import __version__", True),
    ("app.settings", "from app import files", False),
    ("run_builtin", "from app.main import run", False),
    ("run_builtin", "importlib.import_module(name)", True),
    ("wsgi", "from run_builtin import load", True),
    ("wsgi", "from app.wsgi import app", False),
    ("app.main", "from .wsgi import make_app", True),
    ("app.main", "from .counters import open_counter", False),
    ("app.main", "importlib.import_module(name)", True),
    ("app.wsgi", "from .files import FileApplication", True),
    ("app.wsgi", "from .server import Server", False),
    ("app.wsgi", "from run_builtin import load", False),
    ("app.stats.api", "from ..counters import tables", True),
    ("app.stats.api", "from ..counters.memory import MemoryCounter", False),
    ("app.stats.api", "from ..files import FileApplication", False),
    ("app.files.application", "from ..stats.access import Access", False),
    ("app.utils", "from app.files import FileApplication", False),
    ("app.files.catalog", "import requests", False),
]


@pytest.mark.parametrize(("module", "source", "allowed"), EXAMPLES)
def test_the_check_itself(module: str, source: str, allowed: bool) -> None:
    assert (violations(source, module) == []) is allowed
