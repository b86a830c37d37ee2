"""Stands between a client and a Unix socket's server, and cuts connections after a request went
through.
"""

import os
import socket
from threading import Thread


class CuttingProxy:
    """Passes everything on; as often as `cut_replies` says, it drops a batch's reply and the
    connection with it.
    """

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        self.path = path
        self.cut_replies = 0
        #: How many replies were dropped so far.
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
            try:
                server.connect(self._target)
                requests = Thread(target=self._pass_requests, args=(client, server), daemon=True)
                requests.start()
                while reply := server.recv(1 << 20):
                    # A reply that is an array is the numbers of a batch.
                    if self.cut_replies > 0 and reply.startswith(b"*"):
                        self.cut_replies -= 1
                        self.cut += 1
                        break
                    client.sendall(reply)
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while request := client.recv(1 << 20):
                server.sendall(request)
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
