"""`python -m app.counters`: see `command.py`."""

import sys
from collections.abc import Sequence

from . import command
from .open_counter import open_store


def main(arguments: Sequence[str] | None = None, *, program: str = "python -m app.counters") -> int:
    """Run the command line; return the exit status."""
    return command.main(arguments, lambda url, create: open_store(url, create=create), program)


if __name__ == "__main__":
    sys.exit(main())
