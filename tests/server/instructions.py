"""How many instructions each kind of answer takes: `python -m tests.server.instructions`.

Time depends on the machine and on what else runs there; the number of instructions hardly does.
callgrind (Debian's package valgrind) runs a fixed script and counts those of this process, without
the kernel's. Each figure is for one request, averaged over many.

    python -m tests.server.instructions            print the table, beside the baseline
    python -m tests.server.instructions --save     make it the baseline (instructions.json)
    python -m tests.server.instructions --check    fail when a figure is 5 % above the baseline

A baseline holds for the interpreter that it was made with: another one's figures differ.
"""

import argparse
import itertools
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from app.comparison.workloads import CHROME

BASELINE = Path(__file__).with_suffix(".json")
#: By how much a figure may exceed the baseline.
TOLERANCE = 0.05
#: Calls before what counts, calls that count, and how often: the best counts, as threads that wake
#: now and then only ever add to it.
_WARM, COUNTED, _TIMES = 60, 100, 8
#: Clients that ask at the same time; COUNTED is a multiple.
_CROWD = 25
_PAGES = 20
#: Files that are asked for in turn, many more than are held: each time is as the first.
_SCATTERED, _LITTLE_ROOM = 4000, 1 << 20
# Each request has a cookie of its own, and says by itself which codings it takes.
_CHROME = [line for line in CHROME if not line.startswith(("Accept-Encoding:", "Cookie:"))]


def _request(path: str, *fields: str, method: str = "GET") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1:8080", *fields, "", "")
    return "\r\n".join(lines).encode()


def browser_request(number: int, *fields: str, path: str = "", method: str = "GET") -> bytes:
    cookie = f"Cookie: theme=dark; session={number * 2654435761:016x}"
    path = path or f"/pages/{number % _PAGES}.html"
    return _request(path, *_CHROME, *fields, cookie, method=method)


class _Site:
    """The built-in server's connection and the application, on one socket pair, in one thread."""

    def __init__(
        self, directory: str, counts: str, held: int | None = None, log_format: str = ""
    ) -> None:
        # Imported here: the program that only starts callgrind needs none of it.
        from app.files.held import HeldStore
        from app.server.access_log import AccessLog
        from app.server.connection import Connection
        from app.server.gateway import Gateway
        from app.server.stream import Stream
        from app.settings import Settings
        from app.wsgi import make_app

        log_file = f"{directory}/{log_format}.log" if log_format else ""
        settings = Settings.from_environment(
            {
                "TALLY_ROOT": f"{directory}/www",
                "TALLY_COUNTS": counts,
                "TALLY_COUNT_LOG": "off",  # its thread writes when it likes
                **(
                    {"TALLY_ACCESS_LOGFILE": log_file, "TALLY_ACCESS_LOGFORMAT": log_format}
                    if log_file
                    else {}
                ),
            }
        )
        self._application = make_app(settings)
        if held is not None:
            self._application.open()._catalog._held = HeldStore(held)
        gateway = Gateway(self._application, multithread=True, multiprocess=False)
        self._client, server = socket.socketpair()
        server.setblocking(False)
        base = gateway.base_environ("127.0.0.1", "8080", tls=False)
        log = AccessLog(log_file, log_format) if log_file else None
        if log is not None:
            log._thread = threading.Thread()  # never started, as it would write when it likes
        runner: Any = _Runner(gateway, log)
        self._connection = Connection(runner, Stream(server), "127.0.0.1", "50000", base)

    def exchange(self, request: bytes) -> bytes:
        self._client.sendall(request)
        self._connection.ready(1)  # EPOLLIN
        return self._client.recv(1 << 20)

    def close(self) -> None:
        self._connection.close()
        self._client.close()
        self._application.close()


def _a_loop(directory: str, counts: str) -> tuple[Any, socket.socket]:
    """Return a loop that this thread leads, and its listener."""
    from app.server.crew import Term
    from app.server.gateway import Gateway
    from app.server.listeners import Listener
    from app.server.loop import Loop
    from app.server.options import ServerOptions
    from app.settings import Settings
    from app.wsgi import make_app

    settings = {
        "TALLY_ROOT": f"{directory}/www",
        "TALLY_COUNTS": counts,
        "TALLY_COUNT_LOG": "off",
    }
    application = make_app(Settings.from_environment(settings))
    application.open()
    gateway = Gateway(application, multithread=True, multiprocess=False)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    loop = Loop([Listener(listening)], gateway, ServerOptions(), None, 100)
    loop._crew.term = Term()
    return loop, listening


class _Door:
    """A loop with a listener, in one thread: each request has a connection of its own."""

    def __init__(self, directory: str) -> None:
        self._loop, listening = _a_loop(directory, "memory:")
        self._address = listening.getsockname()
        self._listener = listening.fileno()

    def exchange(self, request: bytes) -> bytes:
        client = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM)
        client.connect(self._address)
        client.send(request)
        self._loop._accept(self._listener)
        for descriptor, events in self._loop._epoll.poll():
            self._loop._connections[descriptor].ready(events)
        answer = client.recv(1 << 16)
        client.close()
        return answer


class _Crowd:
    """A loop with many clients that ask at the same time, counted in *counts*."""

    def __init__(self, directory: str, counts: str) -> None:
        from app.server import crew

        # Under callgrind all takes fifty times as long, but an answer is held no longer.
        crew._GATHER_SECONDS = 60.0
        self._loop, listening = _a_loop(directory, counts)
        self._clients = [socket.create_connection(listening.getsockname()) for _ in range(_CROWD)]
        self._loop._accept(listening.fileno())
        self._waiting: list[socket.socket] = []

    def exchange(self, request: bytes) -> None:
        """Send *request*. All are answered when the last client has asked."""
        client = self._clients[len(self._waiting)]
        client.sendall(request)
        self._waiting.append(client)
        if len(self._waiting) < _CROWD:
            return
        self._loop._wait()
        assert self._loop.gathers, "more clients are wanted than ask here"
        while True:
            self._loop._handle_events(self._loop._crew.term, [])
            self._waiting = [client for client in self._waiting if not _read(client)]
            if not self._waiting:
                return
            self._loop._wait()


def _read(client: socket.socket) -> bool:
    try:
        return bool(client.recv(1 << 16, socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


class _Runner:
    """What a connection asks of the loop, without a loop."""

    def __init__(self, gateway: Any, access_log: Any) -> None:
        from app import host_figures
        from app.server.options import ServerOptions

        self.options = ServerOptions()
        self.gateway = gateway
        self.access_log = access_log
        self.place = host_figures.present()
        self.lane = self.place.lane
        self.now = 0.0
        self.stopping = self.crowded = self.gathers = False

    def run_call(self, connection: Any) -> bool:
        connection.busy = True
        connection.perform(self.lane)
        connection.busy = False
        return True

    def may_upload(self) -> bool:
        return True

    def uploading(self, change: int) -> None: ...

    def again(self, connection: Any) -> None: ...

    def forget(self, connection: Any) -> None: ...

    def aside(self, call: Any) -> AbstractContextManager[None]:
        return nullcontext()


def stages(directory: str) -> list[tuple[str, Callable[[int], object]]]:
    """Return what is measured, in order: a name, and what one request does."""
    from app.clock import date_header
    from app.counters import open_counter
    from app.http11 import Receiver
    from app.http11.response import Framing, ResponseHead, encode_head
    from app.server.access_line import formatter

    memory = open_counter("memory:")
    lmdb = open_counter(f"lmdb:{directory}/counts")
    fields = [("Content-Type", "text/html"), ("ETag", '"0123456789abcdef"'), ("Date", "now")]

    def parser() -> Callable[[bytes], object]:
        receiver = Receiver()  # of its own, as a client has its own connection
        return receiver.receive

    def encode(number: int) -> bytes:
        head = ResponseHead("200 OK", [*fields, ("Content-Length", str(1000 + number % _PAGES))])
        return encode_head(head, Framing.LENGTH, None, date_header(), "HTTP/1.1", True, "Tally")

    ask, ask_barely = (_Site(directory, "memory:").exchange for _ in range(2))
    tags = [_tag(ask(browser_request(number))) for number in range(_PAGES)]
    coded = "Accept-Encoding: gzip, deflate, br, zstd"
    for number in range(_PAGES):  # compressed beside the requests, after the second one
        while b"Content-Encoding" not in ask(browser_request(number, coded)):
            time.sleep(0.01)

    def each(act: Callable[[bytes], object], *fields: str, **more: str) -> Callable[[int], object]:
        """Return what does *act* with a request of its own each time, made beforehand."""
        requests = [
            browser_request(
                n, *(field.format(tag=tags[n % _PAGES], n=n) for field in fields), **more
            )
            for n in range(COUNTED)
        ]
        return lambda n: act(requests[n])

    small, parse_bare = _request("/small.html"), parser()
    closing, door = _request("/small.html", "Connection: close"), _Door(directory)
    part = "Range: bytes={n}-{n}99"
    little = _Site(directory, "memory:", held=_LITTLE_ROOM)
    scattered = itertools.cycle(
        browser_request(n, coded, path=f"/scattered/{n % 40}/{n}.html") for n in range(_SCATTERED)
    )
    logged, logged_as_json = (
        _Site(directory, "memory:", log_format=log_format) for log_format in ("combined", "json")
    )
    combined, as_json = formatter("combined"), formatter("json")
    exchanges = [an_exchange(number) for number in range(COUNTED)]
    crowd = _Crowd(directory, "memory:")
    crowd_in_lmdb = _Crowd(directory, f"lmdb:{directory}/crowd")
    missing = [browser_request(n, path=f"/missing/{n}.html") for n in range(COUNTED)]
    return [
        ("parse, bare", lambda _: parse_bare(small)),
        ("parse, browser", each(parser())),
        ("encode", encode),
        ("count, memory:", lambda n: memory.count(f"/{n % _PAGES}", "full", None, "people")),
        ("count, lmdb:", lambda n: lmdb.count(f"/{n % _PAGES}", "full", None, "people")),
        ("200, small", lambda _: ask_barely(small)),
        ("200, browser", each(ask)),
        ("200, of a crowd", each(crowd.exchange)),
        ("200, of a crowd, lmdb:", each(crowd_in_lmdb.exchange)),
        ("200, in a coding", each(ask, coded)),
        ("200, logged", each(logged.exchange)),
        ("200, logged as JSON", each(logged_as_json.exchange)),
        ("log line", lambda n: combined(exchanges[n])),
        ("log line, JSON", lambda n: as_json(exchanges[n])),
        ("304", each(ask, "If-None-Match: {tag}")),
        ("HEAD", each(ask, method="HEAD")),
        ("206, held", each(ask, part)),
        ("206, large", each(ask, part, path="/l.bin")),
        ("404", lambda n: ask(missing[n])),
        ("200, close", lambda _: door.exchange(closing)),
        ("200, not held", lambda _: little.exchange(next(scattered))),
    ]


def an_exchange(number: int) -> Any:
    """Return what the access log says of a browser's request."""
    from app.request_note import RequestNote
    from app.server.access_line import Exchange

    fields = dict(line.split(": ", 1) for line in CHROME)
    path = f"/pages/{number % _PAGES}.html"
    exchange = Exchange(
        "127.0.0.1", "", 1.8e9 + number / 1000, f"GET {path} HTTP/1.1", 200, 1000 + number, 1e-4,
        fields["Referer"], fields["User-Agent"], False, "127.0.0.1:8080",
        RequestNote(path, "full", "people", number, completed=True), "",
    )  # fmt: skip
    return tuple(exchange)  # as a call hands it over


def _tag(answer: bytes) -> str:
    found = re.search(rb"ETag: (\S+)", answer)
    assert found is not None, answer
    return found[1].decode()


def _measured(directory: str) -> None:
    """Run each stage, with a call of getsid() before and after each time."""
    # Far from the time of the files, so that they are held; it stands still, so that no second ends.
    time.time = itertools.repeat(time.time() + 1000.0).__next__
    for name, stage in stages(directory):
        print(name, flush=True)
        for number in range(_WARM):
            stage(number)
        for _ in range(_TIMES):
            os.getsid(0)
            for number in range(COUNTED):
                stage(number)
        os.getsid(0)


def write_site(directory: str) -> None:
    for number in range(_PAGES):
        path = Path(directory, "www", "pages", f"{number}.html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<p>{number}</p>" + "word " * (400 + 100 * number))
    for number in range(_SCATTERED):
        path = Path(directory, "www", "scattered", str(number % 40), f"{number}.html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number:04} word " * 200)
    Path(directory, "www", "small.html").write_text("x" * 1024)
    Path(directory, "www", "l.bin").write_bytes(bytes(1 << 20))


def measure() -> dict[str, int]:
    """Return the instructions of each stage by its name."""
    with tempfile.TemporaryDirectory() as directory:
        write_site(directory)
        command = [
            "valgrind", "--tool=callgrind", "--dump-before=getsid", "-q",
            f"--callgrind-out-file={directory}/out",
            sys.executable, "-m", "tests.server.instructions", "--run", directory,
        ]  # fmt: skip
        variables = {**os.environ, "PYTHONHASHSEED": "0"}
        run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(run.stderr)
        # A part ends at each call of getsid(): what was before a stage, then each time of it.
        figures = {}
        for at, name in enumerate(run.stdout.splitlines()):
            first = at * (_TIMES + 1) + 2
            totals = [_total(f"{directory}/out.{first + time}") for time in range(_TIMES)]
            figures[name] = min(totals) // COUNTED
        return figures


def _total(path: str) -> int:
    found = re.search(r"^(?:totals|summary): (\d+)", Path(path).read_text(), re.MULTILINE)
    assert found is not None, path
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the instructions of each kind of answer.")
    parser.add_argument("--save", action="store_true", help="make the figures the baseline")
    parser.add_argument("--check", action="store_true", help="fail when one is above the baseline")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        _measured(chosen.run)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed")
    baselines = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    baseline = baselines.get(interpreter, {})
    figures = measure()
    print(f"instructions for each request, {interpreter}; in brackets: the baseline")
    for name, count in figures.items():
        print(f"{name:<20}{count:>9,}  ({baseline.get(name, 0):,})")
    if chosen.save:
        BASELINE.write_text(json.dumps({**baselines, interpreter: figures}, indent=1) + "\n")
    elif chosen.check and (problem := too_many(figures, baseline)):
        raise SystemExit(problem)


def too_many(figures: dict[str, int], baseline: dict[str, int]) -> str:
    """Return which figures are above the *baseline*, or missing in it; "" when none is."""
    if not baseline:
        return f"there is no baseline for this interpreter in {BASELINE.name}: make it with --save"
    return "\n".join(
        f"{name}: {count:,} instructions, {count / baseline[name] - 1:.1%} above the baseline"
        if name in baseline
        else f"{name}: not in the baseline, make it anew with --save"
        for name, count in figures.items()
        if count > baseline.get(name, 0) * (1 + TOLERANCE)
    )


if __name__ == "__main__":
    main()
