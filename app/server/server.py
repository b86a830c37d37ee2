"""The server: listeners and an application in, served connections out.

`Server` decides who runs the connections (one shared loop, or a thread for each) and how many
there may be; it knows nothing of processes and signals (workers.py), nor of what the application
answers.
"""

import resource
from collections.abc import Sequence

from .access_log import AccessLog
from .gateway import Application, Gateway
from .listeners import Listener
from .loop import Loop
from .options import ServerOptions
from .thread_per_connection import ThreadPerConnection

#: Descriptors that are not connections: listeners, logs, counters, files that are being sent. Where
#: there are few, at the most half of them, but the least that a server needs.
_KEPT, _LEAST_KEPT = 64, 24


class Server:
    """Serves *listeners* with any WSGI *application*. Run once."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        application: Application,
        options: ServerOptions,
        access_log: AccessLog | None = None,
    ) -> None:
        gateway = Gateway(application, multithread=True, multiprocess=options.multiprocess)
        runner = Loop if options.threads else ThreadPerConnection
        most = options.max_connections or _room_for_connections()
        self._runner = runner(listeners, gateway, options, access_log, most)
        self._status = 0
        #: Where it can be reached: http://..., https://... or unix:PATH.
        self.urls = [url for listener in listeners for url in listener.urls]

    def run(self) -> int:
        """Serve until stopped, and return the exit status. The calling thread only waits."""
        self._runner.run()
        return self._status

    def stop(self, status: int = 0, linger: float = 0.5) -> None:
        """Stop accepting, finish what is under way, and have `run` return *status*.

        Kept-alive connections are closed after *linger* seconds, or once they have had one more
        answer; everything after the options' graceful timeout. Safe in a signal handler and from
        any thread.
        """
        self._status = status
        self._runner.stop(linger)

    def stop_now(self, status: int = 0) -> None:
        """Close everything at once and have `run` return *status*.

        Safe in a signal handler and from any thread.
        """
        self._status = status
        self._runner.stop_now()


def _room_for_connections() -> int:
    """Raise the limit on open files as far as it goes; return how many connections may take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            pass  # as it was, then
    if soft == resource.RLIM_INFINITY:
        soft = 1 << 20
    # An answer that is being sent has a file open beside its connection.
    return max(1, soft - max(min(_KEPT, soft // 2), _LEAST_KEPT, soft // 8))
