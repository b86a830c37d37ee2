"""A standard error that nobody reads: `python -m tests.server.full_stderr [--home CHECKOUT]`.

The server's standard error, and in some cases its standard output too, is a pipe that is full from
the start and never read. Applications say much and fail, clients fetch a file that is rewritten
meanwhile; every other request is one that has to be answered. Then SIGTERM has to end the server.
Ends with status 1 when a request was not answered or the server did not end within 10 s.
With --home another checkout is tried, to compare.
"""

import argparse
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.server.certificates import make_certificate

HOME = Path(__file__).resolve().parents[2]
#: Seconds for an answer, and for the end after SIGTERM.
PATIENCE = 10.0
ROUNDS = 60

NOISY = """
import logging, os, sys, warnings

def app(environ, start_response):
    if environ["PATH_INFO"] != "/ok":
        print("something for standard output" * 10, flush=True)
        environ["wsgi.errors"].write("something for wsgi.errors\\n" * 10)
        environ["wsgi.errors"].flush()
        logging.getLogger("noisy").error("something for the log")
        warnings.warn("something to be warned of")
        raise ValueError("an application that fails")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
"""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    options: tuple[str, ...] = ()
    is_noisy: bool = False  # an application that fails; else files, one of which changes
    stdout_is_full: bool = False
    tls: bool = False
    gunicorn: bool = False


CASES = (
    Case("an application that fails", ("--app", "noisy:app"), is_noisy=True),
    Case(
        "an application that fails, a thread each",
        ("--app", "noisy:app", "--threads", "0"),
        is_noisy=True,
    ),
    Case(
        "an application that fails, two workers", ("--app", "noisy:app", "-w", "2"), is_noisy=True
    ),
    Case("an application that fails, standard output full too", ("--app", "noisy:app"), True, True),
    Case("a file that changes", ()),
    Case("a file that changes, two workers", ("-w", "2")),
    Case("a file that changes, TLS", (), tls=True),
    Case("a file that changes, TLS, two workers", ("-w", "2"), tls=True),
    Case("a file that changes, standard output full too", (), stdout_is_full=True),
    Case("a file that changes, gunicorn", (), gunicorn=True),
)


@dataclass(slots=True)
class Outcome:
    asked: int = 0
    answered: int = 0
    seconds: float = 0.0  # until the end, after SIGTERM
    status: int | None = None  # None: it did not end

    @property
    def is_good(self) -> bool:
        return self.answered == self.asked and self.status == 0


def try_case(case: Case, home: Path = HOME, rounds: int = ROUNDS) -> Outcome:
    outcome = Outcome()
    scratch = Path(tempfile.mkdtemp(prefix="tally-full-stderr-"))
    try:
        with _server(case, home, scratch) as (server, port):
            for number in range(rounds):
                if not case.is_noisy:
                    _fetch_while_it_changes(
                        port, case.tls, scratch / "root" / "changing.bin", number
                    )
                elif number % 2:
                    _answers(port, case.tls, "/fail", b"HTTP/1.1 500 ")
                    continue
                outcome.asked += 1
                outcome.answered += _answers(port, case.tls, "/ok", b"HTTP/1.1 200 ")
                if outcome.asked - outcome.answered >= 2:
                    break  # it is lost, and each further wait says the same
            began = monotonic()
            server.send_signal(signal.SIGTERM)
            try:
                outcome.status = server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                outcome.status = None
            outcome.seconds = monotonic() - began
    finally:
        shutil.rmtree(scratch)
    return outcome


@contextmanager
def _server(case: Case, home: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    root = scratch / "root"
    root.mkdir()
    (root / "ok").write_text("ok")
    (root / "changing.bin").write_bytes(b"x" * (8 << 20))
    (scratch / "noisy.py").write_text(NOISY)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    environ |= {
        "PYTHONPATH": str(scratch),
        "TALLY_ROOT": str(root),
        "TALLY_QUIET": "" if case.stdout_is_full else "1",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener, _full_pipe() as full:
        number = listener.fileno()
        if case.gunicorn:
            program = [
                str(Path(sys.executable).with_name("gunicorn")),
                "--no-control-socket",
                "wsgi:app",
            ]
            program += ["--log-level", "critical"]  # what gunicorn itself says is not ours
        else:
            program = [sys.executable, "run_builtin.py"]
        if case.tls:
            program += ["--certfile", str(make_certificate(scratch / "tls").both)]
        server = subprocess.Popen(
            [*program, "--bind", f"fd://{number}", *case.options],
            cwd=home,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=full if case.stdout_is_full else subprocess.DEVNULL,
            stderr=full,
            pass_fds=[number],
            start_new_session=True,
        )
        try:
            port = listener.getsockname()[1]
            _answers(
                port, case.tls, "/ok", b"HTTP/1.1 200 ", patience=20
            )  # which takes as long as the start
            yield server, port
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@contextmanager
def _full_pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        try:
            while True:
                os.write(writer, b"." * 4096)
        except BlockingIOError:
            os.set_blocking(writer, True)
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


def _connected(
    port: int, tls: bool, patience: float = PATIENCE, receive_buffer: int = 0
) -> socket.socket:
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(patience)
    try:
        client.connect(("127.0.0.1", port))
    except OSError:
        client.close()
        raise
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client = context.wrap_socket(client)
    return client


def _answers(
    port: int, tls: bool, target: str, beginning: bytes, patience: float = PATIENCE
) -> bool:
    try:
        with _connected(port, tls, patience) as client:
            client.sendall(
                f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b""
            while data := client.recv(65536):
                answer += data
            return answer.startswith(beginning)
    except OSError:
        return False


def _fetch_while_it_changes(port: int, tls: bool, path: Path, number: int) -> None:
    """Begin to fetch the file, rewrite it in place, and read what still comes."""
    try:
        with _connected(port, tls, receive_buffer=4096) as client:
            client.sendall(b"GET /changing.bin HTTP/1.1\r\nHost: test\r\n\r\n")
            client.recv(1024)
            with path.open("r+b") as file:
                file.write(b"%d" % number * 10000)
            while client.recv(1 << 20):
                pass
    except OSError:  # the answer is cut short
        pass


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tests.server.full_stderr", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--home", type=Path, default=HOME, help="the checkout to try (default: this one)"
    )
    home: Path = parser.parse_args(arguments).home
    status = 0
    for case in CASES:
        outcome = try_case(case, home.resolve())
        end = f"ended with status {outcome.status} after {outcome.seconds:.1f} s"
        if outcome.status is None:
            end = f"still running {outcome.seconds:.0f} s after SIGTERM"
        verdict = "good" if outcome.is_good else "BAD "
        print(
            f"{verdict}  {case.name}: {outcome.answered} of {outcome.asked} requests answered;"
            f" {end}",
            flush=True,
        )
        status |= not outcome.is_good
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
