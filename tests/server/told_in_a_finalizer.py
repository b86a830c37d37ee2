"""An application for `--app` that is told to stop while a finalizer runs, as it is being loaded."""

import os
import signal

from tests.server.small_apps import client as app  # noqa: F401 - what --app names


class Last:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


Last()
