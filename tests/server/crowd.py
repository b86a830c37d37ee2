"""A crowd on one process: `python -m tests.server.crowd [--seconds 20] [--nginx]`.

64 readers that take 1 KiB a second of a large file, 500 clients that dribble a header, 5,000 idle
kept-alive connections; beside them small GETs on kept-alive connections, whose times are told. With
--nginx the same is done to nginx at the same time, so that both meet the same moments of the
machine. Needs a limit of 13,000 open files.
"""

import argparse
import os
import re
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter

from tests.waiting import wait_until

READERS, DRIBBLERS, IDLE = 64, 500, 5000
REPOSITORY = Path(__file__).resolve().parents[2]
GET = b"GET /small.html HTTP/1.1\r\nHost: crowd\r\n\r\n"


class Subject:
    """A server under the crowd."""

    def __init__(self, name: str, process: subprocess.Popen[str], port: int) -> None:
        self.name = name
        self.process = process
        self.port = port
        self.readers: list[socket.socket] = []
        self.dribblers: list[socket.socket] = []
        self.idle: list[socket.socket] = []
        self.times: list[float] = []
        self.failures = 0

    def connect(self, *, receive_buffer: int = 0) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def small_get(self, client: socket.socket) -> bool:
        """Time one small GET; False when it failed."""
        begin = perf_counter()
        try:
            client.sendall(GET)
            answer = client.recv(65536)
            while answer and len(answer.partition(b"\r\n\r\n")[2]) < 1024:
                answer += client.recv(65536)
        except OSError:
            answer = b""
        if not answer.startswith(b"HTTP/1.1 200 "):
            self.failures += 1
            return False
        self.times.append(perf_counter() - begin)
        return True

    def memory(self) -> int:
        """Return the proportional share of memory, in bytes, of the process and its children."""
        total = 0
        children = (
            Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        )
        for pid in [str(self.process.pid), *children]:
            total += int(
                re.findall(
                    r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
                )[0]
            )
        return total * 1024

    def gather(self) -> None:
        before = self.memory()
        for _ in range(IDLE):
            client = self.connect()
            if not self.small_get(client):
                sys.exit(f"{self.name}: a connection that was to be idle got no answer")
            self.idle.append(client)
        self.times.clear()
        each = (self.memory() - before) / IDLE / 1024
        sys.stdout.write(f"{self.name}: {each:.2f} KiB for each of {IDLE} idle connections\n")
        for _ in range(READERS):
            reader = self.connect(receive_buffer=4096)
            reader.sendall(b"GET /large.bin HTTP/1.1\r\nHost: crowd\r\n\r\n")
            reader.setblocking(False)
            self.readers.append(reader)
        for _ in range(DRIBBLERS):
            dribbler = self.connect()
            dribbler.sendall(b"GET / HTTP/1.1\r\nHost: crowd\r\nX: ")
            dribbler.setblocking(False)
            self.dribblers.append(dribbler)

    def trickle(self) -> None:
        """Once a second: each reader takes 1 KiB, each dribbler sends a byte."""
        for reader in self.readers:
            try:
                if not reader.recv(1024):
                    self.failures += 1
            except BlockingIOError:
                pass
        for dribbler in self.dribblers:
            with suppress(OSError):  # it was sent away in the meantime, as it should be
                dribbler.send(b"x")

    def dribblers_left(self) -> int:
        """Return how many dribblers have not been closed by the server."""
        left = 0
        for dribbler in self.dribblers:
            try:
                while dribbler.recv(65536):
                    pass
            except BlockingIOError:
                left += 1
            except OSError:
                pass
        return left

    def report(self) -> None:
        times = sorted(self.times)
        p50, p99 = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
        sys.stdout.write(
            f"{self.name}: {len(times)} small GETs, {self.failures} failures, p50 {p50:.2f} ms,"
            f" p99 {p99:.2f} ms\n"
        )


def start_tally(root: Path, options: list[str]) -> Subject:
    command = [
        sys.executable,
        "run_builtin.py",
        str(root),
        "-b",
        "127.0.0.1:0",
        "--count-log",
        "off",
        *options,
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://[^/]*:(\d+)/", line):
            return Subject("tally", process, int(found[1]))
    sys.exit("the server did not start")


def start_nginx(root: Path, directory: Path) -> Subject:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;"
        "events { worker_connections 10000; }"
        f"http {{ access_log off; sendfile on; keepalive_requests 1000000; client_header_timeout 10s;"
        f"server {{ listen 127.0.0.1:{port} backlog=2048; root {root}; }} }}"
    )
    process = subprocess.Popen(["nginx", "-c", str(configuration)], text=True)
    subject = Subject("nginx", process, port)

    def listens() -> bool:
        try:
            subject.connect().close()
        except OSError:
            return False
        return True

    wait_until(listens)
    return subject


def run(subjects: list[Subject], seconds: float) -> None:
    for subject in subjects:
        subject.gather()
    quick = [(subject, subject.connect()) for subject in subjects for _ in range(4)]
    pause = selectors.DefaultSelector()
    end, next_second = monotonic() + seconds, monotonic()
    while monotonic() < end:
        if monotonic() >= next_second:
            next_second += 1
            for subject in subjects:
                subject.trickle()
        for subject, client in quick:
            subject.small_get(client)
        pause.select(0.002)
    for subject in subjects:
        subject.report()
        sys.stdout.write(
            f"{subject.name}: {subject.dribblers_left()} of {DRIBBLERS} dribblers left\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Small GETs beside a crowd of slow clients.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--nginx", action="store_true")
    parser.add_argument("options", nargs="*", help="options of run_builtin.py, after --")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subjects: list[Subject] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "www")
        root.mkdir(mode=0o755)
        Path(name).chmod(0o755)
        (root / "small.html").write_bytes(b"s" * 1024)
        with (root / "large.bin").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 100 << 20)
        try:
            subjects.append(start_tally(root, arguments.options))
            if arguments.nginx and shutil.which("nginx"):
                subjects.append(start_nginx(root, Path(name)))
            run(subjects, arguments.seconds)
        finally:
            for subject in subjects:
                subject.process.terminate()
                subject.process.wait(60)


if __name__ == "__main__":
    main()
