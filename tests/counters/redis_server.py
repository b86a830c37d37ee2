"""A real redis-server in a directory of the test's own, which can be stopped and started again with
its data.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from app.counters.redis.store import RedisStore
from tests.programs import program
from tests.waiting import wait_until


class RedisServer:
    """Listens on a Unix socket in *directory*, and keeps its data there."""

    def __init__(self, directory: str, *options: str) -> None:
        self._program = program("redis-server", "valkey-server")
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.path = os.path.join(directory, "socket")
        self._names = 0

    @property
    def url(self) -> str:
        return f"unix://{self.path}?db=0"

    def start(self) -> "RedisServer":
        self._process = subprocess.Popen(
            [self._program, "--port", "0", "--unixsocket", self.path, "--dir", self._directory, "--save", "",
             "--appendonly", "yes", *self._options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, message="redis-server")
        return self

    def stop(self) -> None:
        """End it at once, as a crash would; what it answered is in its file."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.unlink(self.path)

    def pause(self) -> None:
        """Have it stand still. A moment after the signal it still answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self._process.pid}/stat")
        wait_until(
            lambda: status.read_text().rpartition(")")[2].split()[0] == "T",
            message="redis-server to stand still",
        )

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def by_another_name(self) -> Iterator["RedisServer"]:
        """Let it be reached by a name that ends with the block, as all connections do.

        A counter that a test left open, as one that failed does, would pack days and deliver in
        what the next test keeps.
        """
        self._names += 1
        named = copy(self)
        named.path = os.path.join(self._directory, str(self._names))
        os.symlink(self.path, named.path)
        try:
            yield named
        finally:
            os.unlink(named.path)
            # Whoever was faster is before this one in the line of those to be accepted.
            self.ask("CLIENT", "KILL", "TYPE", "normal")

    def saved(self) -> int:
        """Return the bytes of the last snapshot."""
        return os.path.getsize(os.path.join(self._directory, "dump.rdb"))

    def ask(self, *words: str) -> bytes:
        """Return the reply to one command, as it came."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(30)
            client.connect(self.path)
            client.sendall(" ".join(words).encode() + b"\r\n")
            return client.recv(65536)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def redis_running(*options: str) -> Iterator[RedisServer]:
    """Run a server whose directory goes with it."""
    # A Unix socket's path is limited to 107 bytes, which pytest's own directories may exceed.
    directory = tempfile.mkdtemp(prefix="tally-redis-")
    server = RedisServer(directory, *options)
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(directory)


def accesses(url: str) -> dict[str, int]:
    """Return the accesses of each file that has any, as the store at *url* has them."""
    store = RedisStore(url)
    try:
        counted = {path: record.total.accesses for path, record in store.contents()[1]}
    finally:
        store.close()
    return {path: number for path, number in counted.items() if number}
