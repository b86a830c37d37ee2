"""Whole trees and resumed downloads arrive byte for byte, through both servers."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from threading import Thread

import pytest

from tests.end_to_end.client import Client
from tests.end_to_end.servers import LiveServer, running
from tests.end_to_end.tree import generate, write_links
from tests.programs import program


def fetch_all(port: int, targets: Sequence[tuple[str, Path]], different: list[str]) -> None:
    """Fetch *targets* over one connection; append the names of those that differ from the file."""
    pending = dict(targets)
    try:
        with Client(port) as client:
            for target, path in targets:
                answer = client.ask("GET", target)
                if answer.status == 200 and answer.body == path.read_bytes():
                    del pending[target]
    finally:
        different.extend(pending)


@pytest.mark.slow
def test_a_tree_fetched_by_eight_clients_is_the_same_tree(kind: str, tmp_path: Path) -> None:
    tree = generate(tmp_path, files=120, largest=8 << 20)
    targets = list(tree.items())
    different: list[str] = []
    with running(kind, root=tmp_path, TALLY_COUNT_LOG="off") as server:
        clients = [
            Thread(target=fetch_all, args=(server.port, targets[n:] + targets[:n], different))
            for n in range(8)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        assert different == []
        assert server.stop() == 0


def test_wget_mirrors_the_tree(live_server: LiveServer, tmp_path: Path) -> None:
    wget = program("wget")
    root, copy = tmp_path / "root", tmp_path / "copy"
    write_links(root, generate(root, files=60, largest=1 << 20))
    command = [
        wget,
        "--mirror",
        "--no-verbose",
        "--no-host-directories",
        "--restrict-file-names=nocontrol",
    ]
    subprocess.run(
        [*command, f"--directory-prefix={copy}", f"http://127.0.0.1:{live_server.port}/"],
        check=True,
        capture_output=True,
        timeout=50,
    )
    compared = subprocess.run(["diff", "-r", root, copy], capture_output=True, check=False)
    assert compared.stdout == b""
    assert compared.returncode == 0


def test_curl_resumes_a_download_that_was_cut(live_server: LiveServer, tmp_path: Path) -> None:
    curl = program("curl")
    [(target, path)] = generate(tmp_path / "root", files=1, largest=(3 << 20) + 17).items()
    copy = tmp_path / "copy"
    with Client(live_server.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: tally.test\r\n\r\n".encode())
        head, _, body = read_at_least(client, 1 << 20).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    copy.write_bytes(body)
    assert 0 < copy.stat().st_size < path.stat().st_size
    url = f"http://127.0.0.1:{live_server.port}{target}"
    subprocess.run(
        [curl, "-fsS", "-C", "-", "-o", copy, url], check=True, capture_output=True, timeout=30
    )
    assert copy.read_bytes() == path.read_bytes()


def read_at_least(client: Client, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = client.socket.recv(1 << 16)
        assert piece, "the server closed early"
        received += piece
    return received
