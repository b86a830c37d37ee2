"""PEP 3333's request side: what every request of a server has in common, and its environ."""

import sys
from collections.abc import Callable, Iterable
from types import MethodType, TracebackType
from typing import Any

from ..before_answer import answers_together_from
from .error_page import SERVER
from .request_body import NO_BODY
from .sendfile import FileWrapper

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class Gateway:
    """What every call of a server shares."""

    def __init__(self, application: Application, *, multithread: bool, multiprocess: bool) -> None:
        # An object is called by way of its type, which takes longer than its bound method does.
        bound: Any = application.__call__  # type: ignore[operator]
        is_object = isinstance(bound, MethodType) and not isinstance(application, type)
        self.answers_together_from = answers_together_from(application)
        self.application: Application = bound if is_object else application
        self._base: Environ = {
            "SCRIPT_NAME": "",
            "SERVER_SOFTWARE": SERVER,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "wsgi.input": NO_BODY,
        }

    def base_environ(self, server_name: str, server_port: str, *, tls: bool) -> Environ:
        """Return what is the same for every request that comes in through one listener."""
        base = {**self._base, "SERVER_NAME": server_name, "SERVER_PORT": server_port}
        if tls:
            base["wsgi.url_scheme"] = "https"
            base["HTTPS"] = "on"
        return base


def client_environ(base: Environ, address: str, port: str) -> Environ:
    """Return what is the same for every request of one client, on the listener that has *base*.

    *port* is "" where the client has none.
    """
    environ = {**base, "REMOTE_ADDR": address}
    if port:
        environ["REMOTE_PORT"] = port
    return environ
