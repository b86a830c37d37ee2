"""The machine that a comparison runs on, as far as another needs to know it, and its cores."""

import os
import platform
import re
import resource
import subprocess


def describe() -> dict[str, str]:
    """Return what is worth knowing, in words."""
    release = _first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)') or platform.system()
    memory = int(_first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)") or 0)
    virtual = " (virtual)" if _first_match("/proc/cpuinfo", r"^flags\s*:.*\b(hypervisor)\b") else ""
    server, generator = (min(cores, default=None) for cores in cores_apart())
    pinned = f"servers to core {server}, generator to core {generator}"
    return {
        "processor": (
            _first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)") or platform.machine()
        )
        + virtual,
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**20:.0f} GiB",
        "system": f"{release}, Linux {re.split(r'[^0-9.]', platform.release())[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load when it began": f"{os.getloadavg()[0]:.2f}",
        "pinned": "nothing" if server is None else pinned,
    }


def cores_apart() -> tuple[frozenset[int], frozenset[int]]:
    """Return a core for servers and one for the generator; nothing where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return frozenset(), frozenset()
    return frozenset(allowed[:1]), frozenset(allowed[-1:])


def raise_descriptor_limit() -> None:
    """Let this process and all that it starts open as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def commit(checkout: str) -> str:
    """Return the commit of *checkout*, with "-dirty" after it when files differ; or an empty text."""
    try:
        command = ["git", "-C", checkout, "describe", "--always", "--dirty", "--exclude", "*"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


def _first_match(path: str, pattern: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""
