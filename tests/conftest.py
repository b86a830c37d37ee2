"""What holds for every test."""

import atexit
import gc
import os
import shutil
import signal
import tempfile

import pytest

from tests.programs import TAKES_LONG, is_thorough

# Servers and tools under test start by the hundred, and pytest rewrites the tests in each of its
# processes: without bytecode on disk they would compile the whole project each time, more than half
# of their start. It goes into __pycache__, which git ignores, or where that cannot be written, into
# a directory of this run.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
if not os.access(os.path.dirname(__file__), os.W_OK) and "PYTHONPYCACHEPREFIX" not in os.environ:
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="tally-bytecode-")
    atexit.register(shutil.rmtree, os.environ["PYTHONPYCACHEPREFIX"], ignore_errors=True)

# A session that was started in the background or by nohup ignores these, and its children would
# inherit it: servers and tools under test could then not be interrupted as their users interrupt
# them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes whole seconds of computing to CI, and to whoever asks for it."""
    if is_thorough():
        return
    skip = pytest.mark.skip(reason=TAKES_LONG)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


def pytest_collection_finish() -> None:
    """Keep the thousands of collected tests out of every later garbage collection: a tenth of the
    suite's time.
    """
    gc.collect()
    gc.freeze()
