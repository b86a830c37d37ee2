"""User-Agents: which are of tools and which of robots.

The lists are those of COUNTER and Make Data Count, in the package `counter-robots`: its machines
are our tools. What they miss of the clients that a file server meets is in a short list of our own,
and in the operator's.
"""

import re
from collections.abc import Iterable
from typing import Final

from ..counters.contract import Class

# Both patterns are compiled when the first agent is looked up; `re` remembers them.

#: Programs that somebody runs. Their agents begin with these names, in any case.
_TOOL_NAMES: Final = (
    *(
        "pip",
        "uv",
        "poetry",
        "pdm",
        "hatch",
        "conda",
        "mamba",
        "bandersnatch",
        "devpi-server",
        "Artifactory",
        "Nexus",
    ),
    *(
        "git",
        "git-lfs",
        "dnf",
        "libdnf",
        "yum",
        "urlgrabber",
        "ZYpp",
        "pacman",
        "apk-tools",
        "opkg",
        "Homebrew",
    ),
    *(
        "npm",
        "yarn",
        "pnpm",
        "cargo",
        "rustup",
        "Composer",
        "bundler",
        "RubyGems",
        "NuGet",
        "Gradle",
        "Apache-Maven",
    ),
    *("docker", "containerd", "Buildah", "podman", "skopeo", "GoModuleMirror", "Nix"),
    *(
        "HTTPie",
        "xh",
        "Axel",
        "lftp",
        "rclone",
        "restic",
        "Microsoft BITS",
        "PostmanRuntime",
        "k6",
        "ApacheBench",
    ),
    *(
        "Java",
        "Dart",
        "node",
        "node-fetch",
        "undici",
        "got",
        "Deno",
        "Bun",
        "reqwest",
        "ureq",
        "hyper",
        "Faraday",
    ),
    *("GuzzleHttp", "cpp-httplib"),
)
_TOOLS: Final = (
    rf"^(?:{'|'.join(map(re.escape, _TOOL_NAMES))})(?:[ /(]|$)"
    r"|^Debian APT-|http-?client|aiohttp|PowerShell/"
)

#: Monitors, crawlers, scanners, assistants and previews of links, wherever an agent names them.
_ROBOTS: Final = (
    r"(?i:kube-probe|Prometheus|Blackbox[ -]?Exporter|GoogleHC|HealthChecker|Health[ -]Check"
    r"|check_http|StatusCake|Uptime|Datadog"
    r"|GoogleOther|Google-(?:InspectionTool|Extended|CloudVertex|NotebookLM)"
    r"|(?:Claude|Perplexity|MistralAI|ChatGPT)-User|CensysInspect|zgrab|masscan|Nmap|Nikto|HTTrack"
    r"|Mastodon/|Pleroma|Misskey)"
    # The package has `bot`, in small letters; all in capitals it is a brand of phones.
    r"|(?<![A-Z])Bot\b"
)


def load() -> None:
    """Read the lists, at the first use: it takes 20 ms, which a start does not have."""
    import counter_robots

    counter_robots.is_robot("")


def class_of(agent: str, more_robots: Iterable[re.Pattern[str]] = ()) -> Class:
    """Return the class of a User-Agent; *more_robots* are asked first. Takes about 0.1 ms."""
    import counter_robots  # see `load`

    if any(pattern.search(agent) for pattern in more_robots):
        return "robots"
    if counter_robots.is_machine(agent):
        return "tools"
    if counter_robots.is_robot(agent) or re.search(_ROBOTS, agent):
        return "robots"
    return "tools" if re.search(_TOOLS, agent, re.IGNORECASE) else "people"


def list_version() -> str:
    """Return which lists are used, as in "counter-robots 2025.11"."""
    import counter_robots

    return f"counter-robots {counter_robots.__version__}"


def read_patterns(lines: Iterable[str]) -> list[re.Pattern[str]]:
    """Return the patterns of an operator's list: a regular expression in each line; empty lines and
    # are left out.

    They are searched for anywhere in an agent, in any case. Raises ValueError, with the line's
    number.
    """
    patterns = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                patterns.append(re.compile(text, re.IGNORECASE))
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"line {number}: {error}") from None
    return patterns
