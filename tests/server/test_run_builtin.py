"""The command: where it listens, what it says, when it ends."""

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.client import Client, fetch, request
from tests.end_to_end.servers import LiveServer, started
from tests.ports import free_port
from tests.programs import program
from tests.waiting import wait_until

CLIENT = ("--app", "tests.server.small_apps:client")
RUN = (sys.executable, "run_builtin.py")


@contextmanager
def running(
    *options: str, bind: Sequence[str] = ("127.0.0.1:0",), **environ: str
) -> Iterator[LiveServer]:
    binds = [part for one in bind for part in ("--bind", one)]
    with started([*RUN, *binds, *options], **environ) as server:
        wait_until(lambda: said(server, "Serving "), message="the banner")
        server.port = server.port_named() if any(not one.startswith("unix:") for one in bind) else 0
        yield server


def said(server: LiveServer, text: str) -> bool:
    assert server.process.poll() is None, server.printed()
    return any(text in line for line in server.out)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("hello")
    return root


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self._path)


def fetch_by_unix(path: Path | str, target: str = "/", **fields: str) -> bytes:
    connection = UnixConnection(str(path))
    connection.request("GET", target, headers=fields)
    body = connection.getresponse().read()
    connection.close()
    return body


# Where


def test_several_addresses_are_served_and_named(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(str(root), "-w", "2", bind=["127.0.0.1:0", "[::1]:0", f"unix:{path}"]) as server:
        [line] = server.out
        [v4, v6] = re.findall(r"http://\S+/(?=[ ;])", line.partition("; statistics")[0])
        assert v4.startswith("http://127.0.0.1:")
        assert v6.startswith("http://[::1]:")
        assert said(server, f"unix:{path}")
        assert fetch(server.port, "/a.txt").body == b"hello"
        with socket.create_connection(("::1", int(v6.rpartition(":")[2].rstrip("/"))), 5) as client:
            client.sendall(request("GET", "/a.txt", [("Connection", "close")]))
            assert b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"hello")
        assert fetch_by_unix(path, "/a.txt") == b"hello"
        assert server.counted(3)
        assert server.stop() == 0
    assert not path.exists()


def test_a_worker_that_ends_leaves_the_unix_socket_in_place(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(str(root), "-w", "2", bind=[f"unix:{path}"]) as server:
        server.send(signal.SIGHUP)
        for _ in range(20):
            assert fetch_by_unix(path, "/a.txt") == b"hello"
        assert server.stop() == 0
    assert not path.exists()


def test_a_socket_left_by_a_killed_server_is_taken_over(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(str(root), bind=[f"unix:{path}"]) as server:
        server.send(signal.SIGKILL)
        server.wait()
    assert path.is_socket()
    with running(str(root), "--unix-mode", "600", bind=[f"unix:{path}"]) as server:
        assert path.stat().st_mode & 0o777 == 0o600
        assert fetch_by_unix(path, "/a.txt") == b"hello"
        assert server.stop() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemd_hands_over_sockets_and_is_told_what_goes_on(
    workers: str, root: Path, tmp_path: Path
) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(30)
    # LISTEN_PID names the process itself, so a shell sets it and becomes the server.
    script = 'LISTEN_PID=$$ LISTEN_FDS=2 exec "$@" 3<&"$FIRST" 4<&"$SECOND"'
    with (
        manager,
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        # Numbers well above 3 and 4, where the shell puts them
        descriptors = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 100) for one in (first, second)]
        environ = {
            **os.environ,
            "FIRST": str(descriptors[0]),
            "SECOND": str(descriptors[1]),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        server = subprocess.Popen(
            ["bash", "-c", script, "bash", *RUN, str(root), "-w", workers, "-q"],
            cwd=Path(__file__).parent.parent.parent, env=environ, pass_fds=descriptors, start_new_session=True,
        )  # fmt: skip
        try:
            assert manager.recv(1000) == b"READY=1"
            for one in (first, second):
                assert fetch(one.getsockname()[1], "/a.txt").body == b"hello"
            server.send_signal(signal.SIGHUP)
            assert manager.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert manager.recv(1000) == b"READY=1"
            server.send_signal(signal.SIGTERM)
            assert manager.recv(1000) == b"STOPPING=1"
            assert server.wait(10) == 0
        finally:
            server.kill()
            server.wait()
            for descriptor in descriptors:
                os.close(descriptor)


def test_a_port_that_is_given_is_had_again_at_once(root: Path) -> None:
    port = free_port()
    with (
        running(str(root), bind=[f"127.0.0.1:{port}"]) as server,
        Client(port) as client,
    ):
        assert client.ask("GET", "/a.txt").status == 200
        assert server.stop() == 0
    with running(str(root), bind=[f"127.0.0.1:{port}"]) as server:
        assert fetch(port, "/a.txt").status == 200


# What it says

REFUSED = [
    (["--bind", "127.0.0.1:99999"], 2, "99999"),
    (["--bind", "nonsense:x"], 2, "nonsense:x"),
    (["--bind", "fd://99"], 1, "fd://99"),
    (["--bind", "unix:/does/not/exist/socket"], 1, "/does/not/exist/socket"),
    (["--forwarded-allow-ips", "proxy.example"], 2, "proxy.example"),
    (["--access-logfile", "/does/not/exist/log"], 2, "/does/not/exist/log"),
]


@pytest.mark.parametrize(("options", "status", "named"), REFUSED)
def test_what_cannot_be_is_one_line(
    options: list[str], status: int, named: str, root: Path
) -> None:
    with started([*RUN, str(root), *options]) as server:
        assert server.wait() == status
    assert server.out == []
    [line] = server.err
    assert named in line


def test_a_missing_root_is_told_before_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with started(
            [*RUN, "/does/not/exist", "-b", f"127.0.0.1:{taken.getsockname()[1]}"]
        ) as server:
            assert server.wait() == 2
        assert "/does/not/exist" in server.err[0]


def test_quiet_is_quiet(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = LiveServer(
            [*RUN, str(root), "-q", "-b", f"fd://{listener.fileno()}"], {}, [listener.fileno()]
        )
        try:
            assert fetch(port, "/a.txt").body == b"hello"
            assert server.stop() == 0
            assert server.printed() == ""
        finally:
            server.kill()


def test_output_that_nobody_reads_ends_nothing(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reading, writing = os.pipe()
        os.close(reading)
        command = [*RUN, str(root), "-b", f"fd://{listener.fileno()}", "--access-logfile", "-"]
        server = subprocess.Popen(
            command, stdout=writing, stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()]
        )
        os.close(writing)
        try:
            for _ in range(5):
                assert fetch(port, "/a.txt").body == b"hello"
        finally:
            server.terminate()
            server.wait(10)


# The access log


def test_the_access_log_tells_what_was_sent(root: Path, tmp_path: Path) -> None:
    (root / "large.bin").write_bytes(bytes(30 << 20))
    log = tmp_path / "log"
    with running(str(root), "--access-logfile", str(log), "--access-logformat", "json") as server:
        assert (
            fetch(server.port, "/a.txt", [("User-Agent", 'a "b"'), ("Referer", "/x")]).status == 200
        )
        assert len(fetch(server.port, "/large.bin").body) == 30 << 20
        assert fetch(server.port, "/a.txt", method="HEAD").status == 200
        assert fetch(server.port, "/none").status == 404
        with Client(server.port) as client:
            client.send(request("GET", "/large.bin"))
            assert client.socket.recv(1)
        with Client(server.port) as client:
            client.send(b"NONSENSE\r\n\r\n")
            assert client.read().status == 400
        # The aborted one may be noticed last.
        wait_until(lambda: log.read_text().count("\n") == 6, message="six lines")
        read = [*map(json.loads, log.read_text().splitlines())]
        assert server.stop() == 0
    by_status = {
        (line["status"], line["method"], line["target"], line["aborted"]): line for line in read
    }
    first = by_status[200, "GET", "/a.txt", False]
    assert (first["bytes"], first["user_agent"], first["referer"]) == (5, 'a "b"', "/x")
    assert by_status[200, "GET", "/large.bin", False]["bytes"] == 30 << 20
    assert by_status[200, "HEAD", "/a.txt", False]["bytes"] == 0
    assert by_status[404, "GET", "/none", False]["bytes"] > 0
    assert 0 < by_status[200, "GET", "/large.bin", True]["bytes"] < 30 << 20
    assert [line["remote_addr"] for line in read] == ["127.0.0.1"] * 6
    assert sum(line["status"] == 400 for line in read) == 1


# Proxies

NGINX = """
daemon off; error_log stderr; pid "{home}/pid"; worker_processes 1;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{home}/body"; proxy_temp_path "{home}/proxy"; fastcgi_temp_path "{home}/fastcgi";
    uwsgi_temp_path "{home}/uwsgi"; scgi_temp_path "{home}/scgi";
    upstream tally {{ server "unix:{home}/tally"; keepalive 4; }}
    server {{
        listen "unix:{home}/front";
        set_real_ip_from unix:; real_ip_header X-Test-Client;
        location / {{
            proxy_pass http://tally; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Path]:
    """A real nginx before `tmp_path/tally`; returns its own socket.

    Its client is what X-Test-Client says.
    """
    (tmp_path / "nginx.conf").write_text(NGINX.format(home=tmp_path))
    command = [
        program("nginx", "/usr/sbin/nginx"),
        "-p",
        str(tmp_path),
        "-c",
        str(tmp_path / "nginx.conf"),
    ]
    # Started by root, its workers would be somebody who may not look into the test's directory.
    command += ["-e", "stderr", *(["-g", "user root;"] if os.geteuid() == 0 else [])]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_until(
            lambda: (tmp_path / "front").is_socket() and (tmp_path / "pid").exists(),
            message="nginx",
        )
        yield tmp_path / "front"
    finally:
        server.terminate()
        server.wait(10)


def test_behind_nginx_on_a_unix_socket_the_count_line_names_the_real_client(
    root: Path, tmp_path: Path, nginx: Path
) -> None:
    log = tmp_path / "log"
    options = ("--forwarded-allow-ips", "unix", "--access-logfile", str(log))
    with running(str(root), *options, bind=[f"unix:{tmp_path / 'tally'}"]) as server:
        clients = ("203.0.113.9", "203.0.113.9", "2001:db8::7")
        for asked, client in enumerate(clients, 1):
            # What a client claims itself comes first in the list, and is not believed.
            fields = {"X-Test-Client": client, "X-Forwarded-For": "198.51.100.1"}
            assert fetch_by_unix(nginx, "/a.txt", **fields) == b"hello"
            # A line is written after its answer, perhaps after the next one's.
            wait_until(lambda: log.read_text().count("\n") == asked, message="its line")  # noqa: B023
        assert server.counted(3) == [
            ("/a.txt", "203.0.113.9", "0", "1"),
            ("/a.txt", "203.0.113.9", "0", "2"),
            ("/a.txt", "2001:db8::7", "0", "3"),
        ]
        assert server.stop() == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == [
        "203.0.113.9",
        "203.0.113.9",
        "2001:db8::7",
    ]


def test_only_listed_proxies_are_believed() -> None:
    fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
    with running(*CLIENT, "--forwarded-allow-ips", "127.0.0.1") as server:
        assert fetch(server.port, "/", fields).body.startswith(b"203.0.113.9|None|https|")
        assert server.stop() == 0
    with running(*CLIENT, "--forwarded-allow-ips", "10.0.0.0/8, unix") as server:
        assert re.match(rb"127\.0\.0\.1\|\d+\|http\|", fetch(server.port, "/", fields).body)
        assert server.stop() == 0


# The end that the root brings


@pytest.mark.parametrize("grace", ["0", "0.4"])
def test_several_workers_end_when_the_root_stays_away(grace: str, root: Path) -> None:
    with running(str(root), "-w", "2", "--root-grace", grace) as server:
        assert fetch(server.port, "/a.txt").status == 200
        root.rename(root.parent / "away")
        assert server.wait() == 2
        assert len([line for line in server.err if "shutting down" in line]) == 1


def test_a_root_that_comes_back_in_time_ends_nothing(root: Path) -> None:
    away = root.parent / "away"
    with running(str(root), "--root-grace", "30") as server:
        root.rename(away)
        wait_until(
            lambda: fetch(server.port, "/a.txt").status == 503, message="the loss to be noticed"
        )
        away.rename(root)
        wait_until(
            lambda: fetch(server.port, "/a.txt").status == 200, message="the files to be back"
        )
        assert server.stop() == 0
