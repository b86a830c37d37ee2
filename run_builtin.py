#!/usr/bin/env python3
"""The command `tally` from a checkout: `python run_builtin.py [DIR] [options]`.

The package in ./app is loaded under the name that it has when installed. Both `app` and the files
beside this one are thereby out of the way of the application that `--app` names.
"""

import sys

if __name__ == "__main__":
    try:
        import signal

        # Until the server handles it, Ctrl-C would print where in the imports it came.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        sys.exit(130)

import os
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

_HERE = os.path.dirname(os.path.realpath(__file__))


def load(module: str) -> Any:
    """Import *module* of the package in ./app, which is called `tally_server` here."""
    if "tally_server" not in sys.modules:
        directory = os.path.join(_HERE, "app")
        source = os.path.join(directory, "__init__.py")
        spec = spec_from_file_location(
            "tally_server", source, submodule_search_locations=[directory]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules["tally_server"] = package = module_from_spec(spec)
        spec.loader.exec_module(package)
    return import_module(f"tally_server.{module}")


if __name__ == "__main__":
    if os.path.realpath(sys.path[0]) == _HERE and not sys.flags.safe_path:
        del sys.path[0]  # Python put it there; `--app` looks in the current directory
    load("main").run("run_builtin.py", sys.argv[1:])
