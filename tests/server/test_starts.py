"""What a server meets at its start: few descriptors, odd names, no home, no place to count in,
plain HTTP for TLS.
"""

import os
import re
import shlex
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from app.counters import CounterError
from app.counters.lmdb.private_directory import PrivateDirectory
from app.counters.open_counter import open_counter
from app.failure_log import Repeats
from app.server.tls import load_context
from tests.end_to_end.client import fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, HOME, running
from tests.programs import is_thorough, program
from tests.server.certificates import make_certificate
from tests.server.serving import get, read_all, serving
from tests.waiting import wait_until


@pytest.mark.parametrize("most", [40, 64, 100])
def test_few_descriptors(tmp_path: Path, most: int) -> None:
    """Clients that say nothing hold some of them; another is served all the same, and at once."""
    (tmp_path / "index.html").write_text("hello")
    server = [
        sys.executable,
        "run_builtin.py",
        "-b",
        "127.0.0.1:0",
        "--counts",
        "memory:",
        str(tmp_path),
    ]
    command = f"ulimit -n {most}; exec {shlex.join(server)}"
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        line = b""
        while b"127.0.0.1" not in line:
            line = process.stdout.readline()
            assert line
        found = re.search(rb"127\.0\.0\.1:(\d+)", line)
        assert found
        port = int(found[1])
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        try:
            together = []
            for _ in range(8):
                client = socket.create_connection(("127.0.0.1", port), timeout=5)
                together.append(client)
                client.sendall(get(close=True))
                assert read_all(client).startswith(b"HTTP/1.1 200 ")
        finally:
            for client in [*silent, *together]:
                client.close()
            process.kill()


def test_a_start_imports_nothing_that_it_can_do_without() -> None:
    """Each of these takes a hundredth of the time to the first answer, or much more."""
    spared = {
        *("calendar", "dataclasses", "email", "inspect", "json", "pathlib", "secrets", "shutil"),
        *("ssl", "tempfile", "brotli", "counter_robots", "jinja2", "lmdb", "prometheus_client"),
        *("redis", "werkzeug", "zstandard", "tally_server.counters.reading"),
    }
    code = (
        "import sys; from run_builtin import load; main, wsgi = load('main'), load('wsgi');"
        " app = wsgi.make_app(main.Settings.from_command_line([])); app.open();"
        " print(*sys.modules); app.close()"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.'); {code}"]
    found = subprocess.run(command, cwd=HOME, capture_output=True, check=True, text=True)
    assert spared.intersection(found.stdout.split()) == set()


ROOTS = [b"r\xe9p", "größe".encode(), "日本".encode(), b"with space", b"new\nline", b"\x1b[31m"]
STREAMS = ["ascii:strict", "latin-1:strict", "utf-8:strict", "cp437:strict"]


@pytest.mark.parametrize(
    ("root", "streams", "kind"),
    [
        pytest.param(root, streams, kind, marks=[pytest.mark.slow] if number % 9 else [])
        for number, (root, streams, kind) in enumerate(product(ROOTS, STREAMS, [BUILTIN, GUNICORN]))
    ],
)
def test_whatever_is_printed_is_printable(
    tmp_path: Path, root: bytes, streams: str, kind: str
) -> None:
    directory = os.fsencode(tmp_path) + b"/" + root
    os.mkdir(directory)
    Path(os.fsdecode(directory + b"/index.html")).write_text("hello")
    with running(kind, root=os.fsdecode(directory), PYTHONIOENCODING=streams) as server:
        assert fetch(server.port).body == b"hello"
        assert fetch(server.port, "/missing").status == 404
        assert server.stop() == 0
        assert [line for line in server.err if "rror" in line] == []


def test_a_root_that_cannot_be_printed_and_is_not_there(tmp_path: Path) -> None:
    for streams in STREAMS if is_thorough() else STREAMS[:1]:
        ended = subprocess.run(
            [sys.executable, "run_builtin.py", os.fsencode(tmp_path) + b"/r\xe9p"],
            cwd=HOME,
            env={**os.environ, "PYTHONIOENCODING": streams},
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert ended.returncode == 2
        assert ended.stderr.count(b"\n") == 1
        assert b"does not exist" in ended.stderr


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a uid without an account
    with pytest.raises(CounterError, match=r"--counts-journal DIR"):
        open_counter("redis://127.0.0.1:1/0")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    with pytest.raises(CounterError, match=r"--counts-journal DIR"):
        open_counter("redis://127.0.0.1:1/0")
    assert not os.path.exists("~")


def test_nowhere_to_count_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr("app.counters.lmdb.private_directory.tempfile.gettempdir", nowhere)
    with pytest.raises(CounterError, match="TMPDIR"):
        PrivateDirectory.make()


def test_a_container_where_nothing_can_be_written() -> None:
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    unshare[0] = program("unshare")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    # The checkout, wherever it lies, is seen at /mnt; what could be written to is covered,
    # read-only.
    python = sys.executable.replace(str(HOME), "/mnt")
    server = [python, "-B", "/mnt/run_builtin.py", "-w", "2", "-b", "127.0.0.1:0", "/mnt/www"]
    script = (
        f"mount --bind {shlex.quote(str(HOME))} /mnt || exit 77;"
        " for place in /dev/shm /tmp /var/tmp /usr/tmp; do"
        " ! [ -d $place ] || mount -t tmpfs -o ro none $place || exit 77; done; cd /proc;"
        f" exec {shlex.join(server)}"
    )
    ended = subprocess.run(
        [*unshare, "sh", "-c", script],
        env={**os.environ, "TMPDIR": "/proc", "TMP": "/proc", "TEMP": "/proc"},
        capture_output=True,
        timeout=20,
        check=False,
    )
    if ended.returncode == 77:
        pytest.skip(f"nothing can be mounted here: {ended.stderr.decode()}")
    assert (ended.returncode, ended.stderr.count(b"\n")) == (2, 1), ended.stderr
    assert b"--counts lmdb:DIR" in ended.stderr


# Plain HTTP where TLS is spoken


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


PLAIN = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000,
]


@pytest.mark.parametrize(
    "sent",
    [*PLAIN, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000],
)
@pytest.mark.parametrize("threads", [0, 2])
def test_plain_http_for_tls_is_told(
    tmp_path: Path,
    sent: bytes,
    threads: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr("app.server.error_page._repeats", Repeats(said.append))
    certificate = make_certificate(tmp_path / "tls")
    context = load_context(str(certificate.certfile), str(certificate.keyfile))
    with serving(hello, threads=threads, tls=context) as server:
        answer = server.exchange(sent)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"HTTPS" in answer.rpartition(b"\r\n\r\n")[2]
        # By bytes, too, and silence is not an answer.
        with server.connect() as client:
            for byte in sent[:20]:
                client.sendall(bytes([byte]))
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    # Any client can do it, as often as it likes: one line, and a count.
    assert caplog.text.count("plain HTTP came to a port for TLS") == 1


@pytest.mark.parametrize("threads", [0, 2])
def test_what_is_neither_is_closed(tmp_path: Path, threads: int) -> None:
    certificate = make_certificate(tmp_path / "tls")
    context = load_context(str(certificate.certfile), str(certificate.keyfile))
    with serving(hello, threads=threads, tls=context) as server, server.connect() as client:
        client.sendall(b"\x00\x01\x02\x03" * 100)
        with suppress(OSError):  # the server may have closed it by now
            client.shutdown(socket.SHUT_WR)
        wait_until(lambda: not _more(client), message="the end")


def _more(client: socket.socket) -> bytes:
    try:
        return client.recv(1000)
    except ConnectionError:
        return b""


# Targets with raw bytes

RAW = [
    (b"/stra\xc3\x9fe.txt", "/stra%C3%9Fe.txt"),
    (b"/caf\xe9?q=\xfc", "/caf%E9?q=%FC"),
    (b"/a.txt?q=\xfc", "/a.txt?q=%FC"),
    (b"//evil.example/\xe9", "/evil.example/%E9"),
    (b"http://127.0.0.1/\xc3\xa9", "http://127.0.0.1/%C3%A9"),
]


def test_raw_bytes_in_a_target(tmp_path: Path) -> None:
    """gunicorn refuses them by itself."""
    (tmp_path / "straße.txt").write_text("Straße")
    (tmp_path / "a.txt").write_text("a")
    with running(BUILTIN, root=tmp_path) as server:
        for target, location in RAW:
            for method in (b"GET", b"HEAD"):
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                    client.sendall(
                        method
                        + b" "
                        + target
                        + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                    )
                    head, _, body = read_all(client).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 301 "), (target, head)
                assert f"\r\nLocation: {location}\r\n".encode() in head + b"\r\n"
                assert method == b"GET" or not body
        assert fetch(server.port, "/stra%C3%9Fe.txt").body == "Straße".encode()
