"""A module without an application for `--app`, whose exit function gets every signal that a server
handles.
"""

import atexit
import os

from app.server.serving import HANDLED


class BrokenError(Exception):
    pass


def __getattr__(name: str) -> object:
    if name == "broken":
        raise BrokenError
    raise AttributeError(name)


@atexit.register
def told() -> None:
    for number in HANDLED:
        os.kill(os.getpid(), number)
