"""Stands between a client and a Unix socket's server, and cuts connections after a request went
through.
"""

import os
import socket
from threading import Lock, Thread

from app.counters.redis import scripts

#: What a request for a batch has in it: the script's digest, or its text while Redis does not know
#: it; and with what one ends that has nothing to count.
_BATCH = scripts.APPLY.digest.encode(), scripts.APPLY.text
_CHECK = b"$5\r\ncheck\r\n$1\r\n1\r\n"


class CuttingProxy:
    """Passes everything on; as often as `cut_replies` says, it drops a batch's reply and the
    connection with it.

    What else is asked, as couriers do in the background, is answered.
    """

    def __init__(self, target: str, path: str) -> None:
        self._target = target
        self.path = path
        self.cut_replies = 0
        #: How many replies were dropped so far.
        self.cut = 0
        self._lock = Lock()
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
        asked = bytearray()
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self._target)
                Thread(
                    target=self._pass_requests, args=(client, server, asked), daemon=True
                ).start()
                while reply := server.recv(1 << 20):
                    if self._is_cut(bytes(asked), reply):
                        break
                    asked.clear()  # the next is asked when this is answered
                    client.sendall(reply)
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def _is_cut(self, asked: bytes, reply: bytes) -> bool:
        # A reply that is an array is the numbers of a batch, any other a refusal.
        is_batch = any(map(asked.__contains__, _BATCH)) and not asked.endswith(_CHECK)
        if not is_batch or not reply.startswith(b"*"):
            return False
        with self._lock:
            if not self.cut_replies:
                return False
            self.cut_replies -= 1
            self.cut += 1
            return True

    def _pass_requests(
        self, client: socket.socket, server: socket.socket, asked: bytearray
    ) -> None:
        try:
            while request := client.recv(1 << 20):
                asked += request
                server.sendall(request)
            server.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
