"""Two hosts with one tree behind nginx: do their tags agree?

    python -m tests.end_to_end.two_hosts [--server builtin|gunicorn] [--files 300] [--rounds 3]

Needs root: each host is a network namespace (`tests/namespaces.py`). `rsync -a` copies a tree to two
hosts; nginx before them gives the requests to one after the other, and on another port all of them to
the first. Clients ask again for what they have, and go on with downloads that were cut off, by both
ports. Then the tree is deployed anew: by `rsync -a` to a new directory, and with a link that is
switched, on one host and then on the other; and once more as a build leaves it, with new times.

A row of the table is a question and its share of the right answers: 304 to what the client has, and
of downloads those that were gone on with and came out right. Behind both hosts it must be what it is
behind one; and small files must be 304 in each deployment, from the first request on that finds them
two seconds old.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Literal

from app.files.version import YOUNG
from tests.end_to_end.servers import BUILTIN, GUNICORN, command_of
from tests.namespaces import Host, Network, find, missing, run_inside
from tests.waiting import wait_until

HTTP, BOTH, ONE = 8000, 8080, 8081
LARGE = 3
LARGE_SIZE = 3 << 20
AGE = 86_400
CODINGS = ("", "gzip", "br")
NGINX = """
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; user root;
events {{ worker_connections 64; }}
http {{
    access_log off; proxy_http_version 1.1; proxy_set_header Connection "";
    add_header Answered-By $upstream_addr always;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    upstream both {{ server {first}; server {second}; keepalive 4; }}
    upstream one {{ server {first}; keepalive 4; }}
    server {{ listen {both_port}; location / {{ proxy_pass http://both; }} }}
    server {{ listen {one_port}; location / {{ proxy_pass http://one; }} }}
}}
"""
PROGRAMS = ("nginx", "rsync", "curl", "wget")
#: Share of right answers by question: (right, asked).
Shares = dict[str, tuple[int, int]]


def make_tree(root: Path, files: int, age: int) -> None:
    """Make text files of up to 40 KB, and some large ones; all are *age* seconds old."""
    dice = random.Random(1)
    words = [b"%d" % dice.randrange(10**6) for _ in range(1000)]
    root.mkdir(exist_ok=True)
    for number in range(files):
        text = b" ".join(dice.choices(words, k=dice.randrange(20, 6000)))
        (root / f"{number}.html").write_bytes(text)
    for number in range(LARGE):
        (root / f"{number}.bin").write_bytes(dice.randbytes(LARGE_SIZE + number))
    begin = os.stat(root).st_mtime - age
    for path in root.iterdir():
        os.utime(path, (begin, begin))


class Site:
    """A host that serves the directory to which its link `current` points."""

    def __init__(self, host: Host, kind: str, home: Path) -> None:
        self.host = host
        self.home = home / host.name
        self.home.mkdir()
        self._kind = kind

    def deploy(self, tree: Path, name: str) -> None:
        """Copy *tree* to a new directory, and switch the link to it."""
        subprocess.run(["rsync", "-a", f"{tree}/", f"{self.home / name}/"], check=True)
        beside = self.home / "next"
        beside.symlink_to(name)
        beside.replace(self.home / "current")

    def settle(self) -> None:
        """Wait until what was deployed may be held."""
        newest = max(path.stat().st_ctime for path in (self.home / "current").iterdir())
        wait_until(lambda: time.time() - newest > YOUNG, message="files two seconds old")

    def start(self) -> None:
        bind = f"{self.host.address}:{HTTP}"
        environ = {
            "TALLY_ROOT": str(self.home / "current"),
            "TALLY_COUNT_LOG": "off",
            "TALLY_STATS": "off",
        }
        self._process = self.host.start(
            *command_of(self._kind, "-w", "2", "-b", bind),
            log=self.home / "log",
            environ=environ,
        )

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)


@dataclass(frozen=True)
class Kept:
    """What a client has of a file: in which coding it asked, its validators, and who gave it."""

    coding: str
    tag: str
    modified: str
    given_by: str


class Client:
    """Asks nginx on one of its ports."""

    def __init__(self, address: str, port: int, tree: Path) -> None:
        self._connection = HTTPConnection(address, port, timeout=30)
        self._url = f"http://{address}:{port}"
        self._tree = tree
        self.names = sorted(path.name for path in tree.iterdir())
        #: Answers that another host gave than the one that had given the tag.
        self.elsewhere = 0

    def ask(self, name: str, coding: str, **fields: str) -> tuple[int, dict[str, str], bytes]:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if coding:
            headers["Accept-Encoding"] = coding
        self._connection.request("GET", f"/{name}", headers=headers)
        response = self._connection.getresponse()
        found = {field.lower(): value for field, value in response.getheaders()}
        return response.status, found, response.read()

    def fetch(self) -> dict[str, Kept]:
        """Fetch every file, text in each coding; return what the client has then."""
        found = {}
        for name in self.names:
            for coding in CODINGS if name.endswith(".html") else CODINGS[:1]:
                fields = wait_until(
                    lambda name=name, coding=coding: self._whole(name, coding),  # type: ignore[misc]
                    message=f"{name} in {coding}",
                )
                found[f"{name} {coding}"] = Kept(
                    coding, fields["etag"], fields["last-modified"], fields["answered-by"]
                )
        return found

    def _whole(self, name: str, coding: str) -> dict[str, str] | Literal[False]:
        """Return the fields of the answer, if it came in *coding*."""
        status, fields, _ = self.ask(name, coding)
        assert status == 200, (name, status)
        return fields if fields.get("content-encoding", "") == coding else False

    def again(self, had: dict[str, Kept], rounds: int) -> Shares:
        """Ask again for what the client had."""
        right: dict[str, int] = defaultdict(int)
        asked: dict[str, int] = defaultdict(int)
        names = [*had] * rounds
        random.Random(2).shuffle(names)
        for key in names:
            name, kept = key.partition(" ")[0], had[key]
            size = "small" if name.endswith(".html") else "large"
            for by, field, value in (
                ("tag", "If_None_Match", kept.tag),
                ("time", "If_Modified_Since", kept.modified),
            ):
                status, fields, _ = self.ask(name, kept.coding, **{field: value})
                right[f"304 by {by}, {size} files"] += status == 304
                asked[f"304 by {by}, {size} files"] += 1
                self.elsewhere += fields["answered-by"] != kept.given_by
        return {question: (right[question], asked[question]) for question in sorted(asked)}

    def resume(self, had: dict[str, Kept], rounds: int, scratch: Path) -> Shares:
        """Go on with downloads of large files that were cut off."""
        dice = random.Random(3)
        right = {"206 by If-Range": 0, "curl -C -": 0, "wget -c": 0}
        large = [name for name in self.names if name.endswith(".bin")]
        for name in large * rounds:
            content = (self._tree / name).read_bytes()
            cut = dice.randrange(1, len(content))
            for _ in range(2):  # by both hosts
                status, _, body = self.ask(
                    name, "", Range=f"bytes={cut}-", If_Range=had[f"{name} "].tag
                )
                right["206 by If-Range"] += (status, body) == (206, content[cut:])
            part = scratch / name
            for program, command in (
                ("curl -C -", ["curl", "-sS", "-f", "-C", "-", "-o", str(part)]),
                ("wget -c", ["wget", "-q", "-c", "-O", str(part)]),
            ):
                part.write_bytes(content[:cut])
                done = subprocess.run([*command, f"{self._url}/{name}"], check=False)
                right[program] += done.returncode == 0 and part.read_bytes() == content
        asked = len(large) * rounds
        return {
            question: (number, asked * (2 if question.startswith("206") else 1))
            for question, number in right.items()
        }


def measure(address: str, port: int, home: Path, rounds: int, *, anew: bool) -> None:
    """Ask as clients do, on their host. Without *anew*, they have what was fetched before.

    Prints JSON: the shares, and how many answers came from another host than the tag.
    """
    client, known = Client(address, port, home / "tree"), home / f"had-{port}"
    if anew:
        known.write_text(json.dumps({name: vars(kept) for name, kept in client.fetch().items()}))
    had = _read(known)
    shares = client.again(had, rounds)
    if anew:
        shares |= client.resume(had, rounds, home)
    print(json.dumps({"shares": shares, "elsewhere": client.elsewhere}), flush=True)


def _read(known: Path) -> dict[str, Kept]:
    return {name: Kept(**kept) for name, kept in json.loads(known.read_text()).items()}


class Trial:
    """The hosts, the balancer and the clients, and what was found."""

    def __init__(self, home: Path, kind: str, files: int, rounds: int) -> None:
        network = Network()
        self._home, self._rounds, self._files = home, rounds, files
        self._kind = kind
        make_tree(home / "tree", files, AGE)
        self.sites = [Site(network.host(name), kind, home) for name in ("one", "two")]
        self._balancer, self._clients = network.host("balancer"), network.host("clients")
        self.well = True

    def start(self) -> None:
        for site in self.sites:
            site.deploy(self._home / "tree", "first")
            site.start()
        config = self._home / "nginx.conf"
        first, second = (f"{site.host.address}:{HTTP}" for site in self.sites)
        config.write_text(
            NGINX.format(home=self._home, first=first, second=second, both_port=BOTH, one_port=ONE)
        )
        self._nginx = self._balancer.start(
            find("nginx") or "nginx", "-p", str(self._home), "-c", str(config), "-e", "stderr",
            log=self._home / "nginx.log",
        )  # fmt: skip
        for site in self.sites:
            url = f"http://{site.host.address}:{HTTP}/0.bin"
            wait_until(
                lambda url=url: (
                    not self._clients.run("curl", "-sf", "-o", "/dev/null", url).returncode
                ),  # type: ignore[misc]
                message="a server",
            )
        wait_until((self._home / "pid").exists, message="nginx")

    def ask(self, title: str, *, anew: bool, may_change: tuple[str, ...] = ()) -> None:
        """Let clients ask behind one host and behind both, and print what they found."""
        found = [self._measure(port, anew) for port in (ONE, BOTH)]
        (one, _), (both, elsewhere) = found
        print(f"{title} ({elsewhere} answers by the host that had not given the tag)")
        for question in both:
            shares = [right / asked for right, asked in (one[question], both[question])]
            is_well = shares == [1, 1] or question in may_change
            self.well = self.well and is_well
            verdict = "" if shares == [1, 1] else "  as it must be" if is_well else "  WRONG"
            print(f"  {question:28}{shares[0]:12.1%}{shares[1]:12.1%}{verdict}", flush=True)
        self.well = self.well and elsewhere > 0

    def _measure(self, port: int, anew: bool) -> tuple[Shares, int]:
        words = ["--measure", f"{self._balancer.address}:{port}", "--home", str(self._home)]
        words += ["--rounds", str(self._rounds), *(["--anew"] if anew else [])]
        done = self._clients.run(sys.executable, "-m", __spec__.name, *words, timeout=300)
        if done.returncode:
            raise AssertionError(f"{done.stderr}\n{self._told()}")
        found = json.loads(done.stdout)
        return found["shares"], found["elsewhere"]

    def _told(self) -> str:
        return "".join((site.home / "log").read_text()[-2000:] for site in self.sites)

    def run(self) -> bool:
        self.start()
        print(f"{self._kind}, {self._files} small files:{'one host':>21}{'both':>12}")
        self.ask("copied by rsync -a", anew=True)
        self.sites[1].deploy(self._home / "tree", "second")
        self.sites[1].settle()
        self.ask("deployed anew on the second", anew=False)
        self.sites[0].deploy(self._home / "tree", "second")
        self.sites[0].settle()
        self.ask("deployed anew on both", anew=False)
        built = self._home / "built"
        shutil.copytree(self._home / "tree", built, copy_function=shutil.copyfile)
        times = ("304 by time, small files", "304 by time, large files")
        for site in self.sites:
            site.deploy(built, "third")
            site.settle()
        self.ask(
            "deployed anew with new times",
            anew=False,
            may_change=(*times, "304 by tag, large files"),
        )
        return self.well

    def close(self) -> None:
        for site in self.sites:
            site.stop()
        self._nginx.terminate()
        self._nginx.wait(20)


def run(kind: str, files: int, rounds: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="tally-hosts-") as name:
        trial = Trial(Path(name), kind, files, rounds)
        well = trial.run()
        trial.close()
        return well


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.two_hosts")
    parser.add_argument("--server", choices=(BUILTIN, GUNICORN))
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    for hidden in ("--inside", "--anew"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    for hidden in ("--measure", "--home"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        address, _, port = chosen.measure.partition(":")
        measure(address, int(port), Path(chosen.home), chosen.rounds, anew=chosen.anew)
        return 0
    if chosen.inside:
        return 0 if run(chosen.server, chosen.files, chosen.rounds) else 1
    if reason := missing(*PROGRAMS):
        print(f"not run: {reason}")
        return 0
    numbers = ["--files", str(chosen.files), "--rounds", str(chosen.rounds)]
    results = [
        run_inside("tests.end_to_end.two_hosts", ["--server", kind, *numbers]).returncode
        for kind in ([chosen.server] if chosen.server else [BUILTIN, GUNICORN])
    ]
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
