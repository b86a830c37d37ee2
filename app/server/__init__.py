"""A threaded HTTP/1.1 server for any WSGI application, for programs that embed it.

    from tally_server.server import serve

    serve(application, bind="127.0.0.1:8080", threads=16)

`serve` takes the main thread until SIGTERM or Ctrl-C. `make_server` opens the sockets and leaves
the rest to the caller: `run` may be called in any thread, and `stop` from any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .addresses import AddressError, parse_bind
from .listeners import BindError, Listener, open_listeners
from .options import Limits, ServerOptions
from .server import Server
from .serving import Service
from .serving import serve as serve_here

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = [
    "AddressError",
    "BindError",
    "Limits",
    "Server",
    "ServerOptions",
    "make_server",
    "serve",
]


def serve(
    application: "WSGIApplication",
    *,
    bind: str | Sequence[str] = "127.0.0.1:8080",
    certfile: str = "",
    keyfile: str = "",
    **options: Any,
) -> int:
    """Serve *application* in this process until SIGTERM or Ctrl-C; return the exit status, 0.

    *bind* is one address or several, as `--bind` takes them: HOST:PORT, :PORT for all interfaces,
    [::1]:PORT, unix:PATH or fd://N. With *certfile* (PEM), and *keyfile* unless the key is in the
    same file, it serves TLS. *options* are fields of `ServerOptions`: `threads`, `keep_alive`, ...

    Call it from the main thread, which handles the signals. Raises AddressError for an address that
    makes no sense, BindError for one that cannot be had, and TlsError.
    """
    chosen = ServerOptions(**options)
    listeners = _listeners(bind, certfile, keyfile)
    try:
        service = Service(listeners, lambda: application, chosen)
        return serve_here(service, lambda: None)
    finally:
        for listener in listeners:
            listener.close()


def make_server(
    application: "WSGIApplication",
    *,
    bind: str | Sequence[str] = "127.0.0.1:8080",
    certfile: str = "",
    keyfile: str = "",
    **options: Any,
) -> Server:
    """Return a server that listens already and serves once `run` is called.

    The arguments and errors are those of `serve`. The addresses are in `urls`; port 0 lets the
    system pick one.
    """
    chosen = ServerOptions(**options)
    return Server(_listeners(bind, certfile, keyfile), application, chosen)


def _listeners(bind: str | Sequence[str], certfile: str, keyfile: str) -> list[Listener]:
    addresses = [parse_bind(text) for text in ([bind] if isinstance(bind, str) else bind)]
    context = None
    if certfile:
        from .tls import load_context

        context = load_context(certfile, keyfile)
    return open_listeners(addresses, backlog=2048, tls=context)
