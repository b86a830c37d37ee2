"""A network of some hosts on this machine, which nobody else sees: network namespaces on a bridge.

A program runs itself once more `inside`, as the first process of a process-id namespace, in a network
of its own. So all that it started ends with it, and the network goes, however it ends. Needs root.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
#: Ends with whoever started it.
UNSHARE = [
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
]
_NETWORK = "10.83.0"


def missing(*programs: str) -> str:
    """Return why hosts with *programs* cannot be made here, or ""."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    for program in ("setpriv", "unshare", "nsenter", "ip", *programs):
        if not find(program):
            return f"{program} is not installed"
    trial = "mount -t tmpfs none /run && mkdir /run/netns && ip netns add a && ip link add name tally type bridge"
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", trial], capture_output=True, check=False, env=_environ()
    )
    return "no network namespace with a bridge can be made here" if done.returncode else ""


def find(program: str) -> str | None:
    return shutil.which(program, path=_environ()["PATH"])


def _environ() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}


def run_inside(module: str, arguments: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    """Run *module* with *arguments* and `--inside`, in a network of its own; it prints as usual."""
    command = [*UNSHARE, sys.executable, "-m", module, "--inside", *arguments]
    return subprocess.run(command, cwd=HOME, check=False, env=_environ())


class Host:
    """A host with a network card on the bridge."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def command(self, *words: str) -> list[str]:
        """Return what runs *words* on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def start(
        self, *words: str, log: Path, environ: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program, in a session of its own; what it prints is added to *log*."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(*words),
                cwd=HOME,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def run(self, *words: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(*words),
            cwd=HOME,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def cut(self) -> None:
        """Take the host's cable out: nothing reaches it, nothing comes from it, and nobody is told."""
        _ip("link", "set", f"to-{self.name}", "nomaster")

    def join(self) -> None:
        _ip("link", "set", f"to-{self.name}", "master", "bridge")


class Network:
    """The bridge, made by the first process inside. Hosts get the addresses 10.83.0.1, .2, ..."""

    def __init__(self) -> None:
        if os.getpid() != 1:
            raise RuntimeError("this would change the network of the machine itself")
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
        os.mkdir("/run/netns")
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "name", "bridge", "type", "bridge")
        _ip("link", "set", "bridge", "up")
        self._hosts = 0

    def host(self, name: str) -> Host:
        self._hosts += 1
        host = Host(name, f"{_NETWORK}.{self._hosts}")
        _ip("netns", "add", name)
        _ip(
            "link",
            "add",
            "name",
            f"to-{name}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            name,
        )
        _ip("link", "set", f"to-{name}", "master", "bridge", "up")
        _ip("-n", name, "address", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return host


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
