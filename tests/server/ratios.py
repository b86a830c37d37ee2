"""What a choice costs in real service: `python -m tests.server.ratios [KIND ...] [--rounds N]`.

For each kind two servers are started that differ in one thing: where they count, how many workers,
files or connections there are, whether they log, whether there is TLS, a coding. wrk asks them in
turns, with the fields that Chrome sends and a cookie that changes. Printed is each one's CPU time
for a request, over all its processes, and the ratio: the median of the rounds', beside the bound
that is aimed at. Needs wrk, nginx and openssl. Other work on the machine makes single rounds
worthless; the medians hold.

A second worker takes the core on which wrk runs, and a share of the caches: so all that runs gets
dearer, whatever it does. What of it the machine does is told by two servers of one worker each, of
which neither knows the other, asked at once (`workers-machine`), and by nginx (`workers-nginx`);
what two workers lose by what they share, by comparing them with those two (`workers-apart`).
What it costs the machine that files are asked for at random is told by nginx, too (`random-nginx`).
"""

import argparse
import os
import re
import resource
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psutil

from app.comparison.workloads import CHROME
from tests.end_to_end.servers import BUILTIN, command_of, started
from tests.programs import program
from tests.server.certificates import make_certificate
from tests.waiting import wait_until

PAGES, SIZE = 20, 8192
MANY = 200_000
CONNECTIONS = 64
#: Through the first pages again and again, or at random.
SCRIPT = """
local number = {seed}
local random, many = {random}, {many}
math.randomseed({seed})
request = function()
  number = number + 1
  wrk.headers["Cookie"] = string.format("theme=dark; session=%032x", number)
  local page = random and math.random(0, many - 1) or number % many
  return wrk.format("GET", string.format("/%d/%d.html", page % 100, page))
end
"""
NGINX = """
daemon off; pid {scratch}/{port}.pid; worker_processes {workers}; error_log stderr;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; types {{ text/html html; }}
  client_body_temp_path {scratch}; proxy_temp_path {scratch}; fastcgi_temp_path {scratch};
  uwsgi_temp_path {scratch}; scgi_temp_path {scratch};
  server {{
    listen 127.0.0.1:{port}{ssl}; root {root};
    ssl_certificate {certificate.certfile}; ssl_certificate_key {certificate.keyfile};
  }}
}}
"""


class Side(NamedTuple):
    """One of the two servers, and what it is asked."""

    name: str
    options: Sequence[str] = ()  # of the built-in server
    files: int = PAGES  # of the site
    asked: int = PAGES  # of them
    at_random: bool = False  # not round by round
    connections: int = CONNECTIONS
    coding: str = ""  # of the answers; "": as the file is
    scheme: str = "http"
    is_nginx: bool = False
    workers: int = 1
    apart: Sequence[Sequence[str]] = ()  # options of several servers, asked at once
    loads: int = 1  # how many wrk ask at once, and share the connections


class Kind(NamedTuple):
    bound: float | None  # of the ratio; None: there is none
    before: Side
    after: Side


def kinds(scratch: Path) -> dict[str, Kind]:
    counts = (f"lmdb:{scratch}/{number}" for number in range(100))

    def kept(*options: str) -> list[str]:
        return ["--counts", next(counts), *options]

    certificate = make_certificate(scratch / "tls")
    tls = ["--certfile", str(certificate.certfile), "--keyfile", str(certificate.keyfile)]
    log = ["--access-logfile", f"{scratch}/access.log"]
    return {
        "lmdb": Kind(1.10, Side("memory:"), Side("lmdb:", kept())),
        "clients": Kind(None, Side("lmdb:", kept()), Side("and --clients", kept("--clients"))),
        "workers": Kind(1.10, Side("1 worker", kept()),
                        Side("2 workers", kept("-w", "2"), workers=2)),
        "workers-apart": Kind(1.10, Side("2 servers", apart=[kept(), kept()], loads=2),
                              Side("2 workers", kept("-w", "2"), workers=2, loads=2)),
        "workers-machine": Kind(None, Side("1 worker", kept()),
                                Side("2 servers", apart=[kept(), kept()], loads=2)),
        "workers-nginx": Kind(None, Side("nginx, 1", is_nginx=True),
                              Side("nginx, 2", is_nginx=True, workers=2)),
        "files": Kind(1.15, Side("20 files"), Side("200,000 files", files=MANY)),
        "files-at-random": Kind(1.15, Side("20 files"), Side("200,000 files", files=MANY,
                                                             asked=MANY, at_random=True)),
        "random-nginx": Kind(None, Side("nginx, 20", is_nginx=True),
                             Side("nginx, 200,000", files=MANY, asked=MANY, at_random=True,
                                  is_nginx=True)),
        "connections": Kind(1.25, Side("64 clients"), Side("2,000 clients", connections=2000)),
        "access-log": Kind(1.12, Side("no access log"), Side("access log", log)),
        "tls": Kind(1.20, Side("nginx", scheme="https", is_nginx=True),
                    Side("built-in", tls, scheme="https")),
        "coding": Kind(1.00, Side("identity"), Side("br", coding="br")),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.server.ratios", allow_abbrev=False)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as directory:
        known = kinds(Path(directory))
        for name in given.kinds or known:
            compare(name, known[name], given.rounds, Path(directory))


def compare(name: str, kind: Kind, rounds: int, scratch: Path) -> None:
    with ExitStack() as stack:
        asks = [begin(stack, side, scratch) for side in (kind.before, kind.after)]
        costs: list[list[float]] = [[], []]
        for turn in range(rounds):
            for place in (0, 1) if turn % 2 else (1, 0):
                costs[place].append(asks[place]())
    for side, its in zip((kind.before, kind.after), costs, strict=True):
        print(f"{name:16} {side.name:16}{statistics.median(its):7.2f} us of CPU a request")
    ratio = statistics.median(after / before for before, after in zip(*costs, strict=True))
    aim = f", to be at most {kind.bound:.2f}" if kind.bound else ""
    print(f"{name:16} {'ratio':16}{ratio:7.3f}{aim}", flush=True)


def begin(stack: ExitStack, side: Side, scratch: Path) -> Callable[[], float]:
    """Start a server, or several; return what loads them for a second and returns the cost of a
    request.
    """
    root = site(scratch, side.files)
    servers = [
        serve(stack, side, options, root, scratch) for options in side.apart or [side.options]
    ]
    run = Run([pid for pid, _ in servers], [port for _, port in servers], scratch, side)
    run.cost()  # the pages are read, compressed, and at hand
    run.cost()
    return run.cost


def serve(
    stack: ExitStack, side: Side, options: Sequence[str], root: Path, scratch: Path
) -> tuple[int, int]:
    """Start a server; return its process and its port."""
    if side.is_nginx:
        command, port = nginx(side, root, scratch)
    else:
        command = command_of(BUILTIN, "--root", str(root), "--bind", "127.0.0.1:0",
                             "--count-log", "/dev/null", *options)  # fmt: skip
        port = 0
    # Several workers get all cores, and share them with wrk.
    pinned = [] if side.workers > 1 or side.apart else ["taskset", "-c", "0"]
    server = stack.enter_context(started([*pinned, *command]))
    if port:
        wait_until(lambda: _listens(port), message="nginx")
    else:
        wait_until(server.port_named, message="the port")
    return server.process.pid, port or server.port_named()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Run:
    """Loads one server again and again, from a different start in its order each time."""

    def __init__(
        self, pids: Sequence[int], ports: Sequence[int], scratch: Path, side: Side
    ) -> None:
        self._pids = pids
        self._ports = ports
        self._script = scratch / f"{len(list(scratch.iterdir()))}.lua"
        self._side = side
        self._turn = 0

    def cost(self) -> float:
        """Return the microseconds of CPU of a request, over a second."""
        side, before = self._side, sum(map(nanoseconds, self._pids))
        self._turn += 1
        self._script.write_text(
            SCRIPT.format(
                seed=self._turn * 7919, many=side.asked, random=str(side.at_random).lower()
            )
        )
        loads = [
            subprocess.Popen(
                self._load(self._ports[number % len(self._ports)]),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for number in range(side.loads)
        ]  # fmt: skip
        asked = sum(map(_requests, loads))
        used = sum(map(nanoseconds, self._pids)) - before
        return used / 1000 / max(1, asked)

    def _load(self, port: int) -> list[str]:
        side = self._side
        fields = [
            field
            for field in CHROME
            if not field.startswith(("Cookie:", "Accept-Encoding:", "Connection:"))
        ]
        fields.append(f"Accept-Encoding: {side.coding or 'identity'}")
        return ["taskset", "-c", str(max(os.sched_getaffinity(0))), program("wrk"), "-t1",
                f"-c{side.connections // side.loads}", "-d1s", "-s", str(self._script),
                *(word for field in fields for word in ("-H", field)),
                f"{side.scheme}://127.0.0.1:{port}/"]  # fmt: skip


def _requests(load: subprocess.Popen[str]) -> int:
    """Return how many requests a wrk has asked, at its end."""
    out, err = load.communicate(timeout=60)
    found = re.search(r"(\d+) requests in", out)
    assert load.returncode == 0, err
    assert found is not None, out
    assert "Non-2xx" not in out, out
    return int(found[1])


def site(scratch: Path, files: int) -> Path:
    """Return a directory with so many pages, of words that compress as text does."""
    root = scratch / f"www-{files}"
    if not root.exists():
        words = [os.urandom(3).hex() for _ in range(400)]
        page = " ".join(words[number * number % 400] for number in range(SIZE)).encode()[:SIZE]
        for number in range(files):
            path = root / str(number % 100) / f"{number}.html"
            if number < 100:
                path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(page)
    return root


def nginx(side: Side, root: Path, scratch: Path) -> tuple[list[str], int]:
    """Return a command that serves *root*, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    configuration = scratch / f"nginx-{port}.conf"
    configuration.write_text(
        NGINX.format(
            scratch=scratch,
            root=root,
            port=port,
            ssl=" ssl" if side.scheme == "https" else "",
            certificate=make_certificate(scratch / "tls"),
            workers=side.workers,
            user="user root;" if os.getuid() == 0 else "",
        )
    )
    return [program("nginx"), "-e", "stderr", "-c", str(configuration)], port


def nanoseconds(pid: int) -> int:
    """Return the time of CPU that the threads of a server's processes have had."""
    server = psutil.Process(pid)
    threads = [
        thread
        for process in (server, *server.children(recursive=True))
        for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    ]
    return sum(int(thread.read_text().split()[0]) for thread in threads)


if __name__ == "__main__":
    main()
