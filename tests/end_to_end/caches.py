"""Caching proxies of the field between clients and a server: nginx, and Varnish."""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.programs import program
from tests.waiting import wait_until

NGINX = """
daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    proxy_cache_path {home}/cache keys_zone=all:1m;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1; proxy_set_header Connection "";
        location / {{
            proxy_pass http://origin;
            {more}
            proxy_cache all;
            add_header Cache-Status $upstream_cache_status always;
        }}
    }}
}}
"""
FILES = """
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    types {{ text/html html; text/css css; text/javascript js; }}
    server {{ listen 127.0.0.1:{plain}; root {root}; }}
    server {{
        listen 127.0.0.1:{packed}; root {root};
        gzip on; gzip_comp_level 6; gzip_min_length 256; gzip_types text/css text/javascript;
    }}
}}
"""
#: nginx fetches and keeps large files in pieces. Pieces of two codings do not fit together, so none is
#: asked for (as nginx's own documentation of `slice` has it for any coding).
SLICES = """
            slice 64k; proxy_cache_key $uri$is_args$args$slice_range;
            proxy_set_header Range $slice_range; proxy_set_header Accept-Encoding "";
            proxy_cache_valid 200 206 1h;
"""
VCL = """
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_deliver {{
    set resp.http.Cache-Status = "MISS";
    if (obj.hits > 0) {{ set resp.http.Cache-Status = "HIT"; }}
}}
"""

#: Starts a proxy before the server at a port, with files in a directory; it has a port itself.
Proxy = Callable[[int, Path], AbstractContextManager[int]]


@contextmanager
def nginx(origin: int, home: Path, more: str = "") -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        text = NGINX.format(home=home, origin=origin, port=port, more=more)
        with _nginx(text, home, [listener]):
            yield port


@contextmanager
def nginx_of_files(root: Path, home: Path) -> Iterator[tuple[int, int, int]]:
    """Serve *root* by nginx alone: its ports without coding and with `gzip on`, and its process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        socket.create_server(("127.0.0.1", 0)) as packed,
    ):
        ports = plain.getsockname()[1], packed.getsockname()[1]
        text = FILES.format(home=home, root=root, plain=ports[0], packed=ports[1])
        with _nginx(text, home, [plain, packed]) as pid:
            yield *ports, pid


@contextmanager
def _nginx(configuration: str, home: Path, listeners: list[socket.socket]) -> Iterator[int]:
    (home / "nginx.conf").write_text(configuration)
    command = [program("nginx", "/usr/sbin/nginx"), "-p", str(home), "-c", str(home / "nginx.conf")]
    command += ["-e", "stderr", *(["-g", "user root;"] if os.geteuid() == 0 else [])]
    # It takes over sockets that listen already, as at an upgrade of its own binary.
    numbers = [listener.fileno() for listener in listeners]
    inherited = "".join(f"{number};" for number in numbers)
    server = subprocess.Popen(command, env={**os.environ, "NGINX": inherited}, pass_fds=numbers)
    try:
        wait_until((home / "pid").exists, message="nginx")
        yield server.pid
    finally:
        server.terminate()
        server.wait(20)


def nginx_in_slices(origin: int, home: Path) -> AbstractContextManager[int]:
    return nginx(origin, home, SLICES)


@contextmanager
def varnish(origin: int, home: Path) -> Iterator[int]:
    (home / "default.vcl").write_text(VCL.format(origin=origin))
    # Its workers may be other users, who look into the directory that it works in.
    work = ["-n", str(home / "varnish")]
    command = [program("varnishd", "/usr/sbin/varnishd"), "-F", *work, "-a", "127.0.0.1:0"]
    command += ["-f", str(home / "default.vcl"), "-s", "malloc,64m", "-j", "none"]
    command += ["-p", "thread_pool_min=5", "-p", "thread_pools=1"]
    with (home / "varnish.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield wait_until(lambda: _varnish_port(work, server), timeout=30, message="varnishd")
    finally:
        server.terminate()
        server.wait(20)


def _varnish_port(work: list[str], server: "subprocess.Popen[bytes]") -> int:
    assert server.poll() is None, "varnishd has ended"
    done = subprocess.run(
        ["varnishadm", *work, "-t", "1", "debug.listen_address"],
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout.split()
    return int(words[2]) if done.returncode == 0 and len(words) > 2 else 0


PROXIES: dict[str, Proxy] = {"nginx": nginx, "nginx in slices": nginx_in_slices, "varnish": varnish}
