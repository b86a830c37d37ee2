"""A server on this machine that answers as one far away does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


@contextmanager
def far_away(port: int, seconds: float) -> Iterator[int]:
    """Yield a port that leads to *port*, whose answers come *seconds* late."""
    over = Event()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=serve, args=(client,), daemon=True).start()

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server, suppress(OSError):
            Thread(target=answer, args=(server, client), daemon=True).start()
            while request := client.recv(1 << 16):
                server.sendall(request)
            server.shutdown(socket.SHUT_RDWR)

    def answer(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while reply := server.recv(1 << 16):
                over.wait(seconds)
                client.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
