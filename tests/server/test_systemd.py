"""The two protocols of systemd: sockets handed over, states told."""

import os
import re
import socket
from pathlib import Path

import pytest

from app.server import systemd


def test_sockets_for_this_process_are_taken_once() -> None:
    environ = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "web:web",
        "HOME": "/",
    }
    assert systemd.take_listen_fds(environ) == [3, 4]
    assert environ == {"HOME": "/"}
    assert systemd.take_listen_fds(environ) == []


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},  # another's, inherited by mistake
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "-1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": ""},
    ],
)
def test_sockets_for_others_are_not_taken(environ: dict[str, str]) -> None:
    assert systemd.take_listen_fds(environ) == []
    assert "LISTEN_FDS" not in environ


@pytest.mark.parametrize("abstract", [False, True])
def test_states_are_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@tally-{os.getpid()}-notify" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind("\0" + name[1:] if abstract else name)
        assert systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"
        assert systemd.notify_reloading()
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(100))


@pytest.mark.parametrize("address", ["", "/does/not/exist", "vsock:2:1234", "relative"])
def test_without_a_manager_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not systemd.notify("READY=1")
