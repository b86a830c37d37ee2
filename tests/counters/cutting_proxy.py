"""Stands between a client and a Unix socket's server, and cuts connections after a request went through."""

import os
import socket
from threading import Thread


class CuttingProxy:
    """Passes everything on, but drops the replies that are due when `cut_replies` is above 0, with the connection."""

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        self.path = path
        self.cut_replies = 0
        #: What went on to the server and got its reply, which was then dropped.
        self.cut = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._target)
            try:
                # The client sends a command and waits for its reply: neither side is ever behind.
                while request := client.recv(1 << 20):
                    server.sendall(request)
                    reply = server.recv(1 << 20)
                    if self.cut_replies and b"EVALSHA" in request:
                        self.cut_replies -= 1
                        self.cut += 1
                        return
                    client.sendall(reply)
            except OSError:
                return
