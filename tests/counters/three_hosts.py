"""Exact over a failover? Three hosts, and three Redis with a Sentinel each, under load.

    python -m tests.counters.three_hosts [--numbered 3000] [--round kill|cut|apart] [--replicas 0|1]

Needs root: each host is a network namespace (`tests/namespaces.py`). Two hosts run the built-in
server, one gunicorn, with two processes each and a journal of its own; clients on a fourth fetch from
all of them. Under this load the Redis master is killed, or its cable is taken out, or it is cut off from
the other two alone, so that the servers still reach it. Then another becomes the master, the servers
count in that one by themselves, and the old one comes back.

Every answer must be a 200, and what clients have answers to must be in the store afterwards, once. What
the old master confirmed and did not pass on, Redis forgets, and its numbers are given again: so much is
looked up in the old master and in the replicas, and no more may be missing. With `wait_replicas=1` in
the URL (`--replicas 1`) an answer has a number only when a replica has the access too; then no number
may come twice, and nothing may be missing.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import monotonic

from app.counters.redis.scripts import TOP
from app.counters.redis.waiting import WaitingAccesses
from tests.end_to_end.exactness import FILES, Load
from tests.namespaces import Host, Network, missing, run_inside
from tests.waiting import wait_until

#: What happens to the master, and how many replicas are waited for. A master that the servers still
#: reach, and nobody else, goes on counting for itself if none is waited for.
ROUNDS = (("kill", 0), ("cut", 0), ("kill", 1), ("cut", 1), ("apart", 1))
HTTP, REDIS, SENTINEL, REVIVED = 8000, 6379, 26379, 6390
CONNECTIONS = 2
#: An end, should the load never be told to stop.
MOST_REQUESTS = 400_000


class RedisNode:
    """A Redis and a Sentinel on a host of their own."""

    def __init__(self, host: Host, directory: Path, options: list[str]) -> None:
        self.host = host
        self._directory = directory / host.name
        self._directory.mkdir()
        self._options = options
        self._server: subprocess.Popen[bytes] | None = None

    def start(self, master: str = "") -> None:
        """Start the server, as a replica of *master* if that is given."""
        replica = ["--replicaof", master, str(REDIS)] if master else []
        self._server = self.host.start(
            "redis-server", "--bind", self.host.address, "--port", str(REDIS), "--protected-mode", "no",
            "--dir", str(self._directory), "--save", "", "--appendonly", "yes",
            "--repl-diskless-sync-delay", "0", "--repl-timeout", "5", *self._options, *replica,
            log=self._directory / "log",
        )  # fmt: skip
        wait_until(lambda: self.ask("PING") == "PONG", message=f"Redis on {self.host.name}")

    def start_sentinel(self, master: str) -> None:
        config = self._directory / "sentinel.conf"
        config.write_text(
            f"port {SENTINEL}\nbind {self.host.address}\nprotected-mode no\n"
            f"dir {self._directory}\nsentinel monitor counts {master} {REDIS} 2\n"
            "sentinel down-after-milliseconds counts 2000\n"
            "sentinel failover-timeout counts 6000\n"
        )
        self.host.start(
            "redis-server", str(config), "--sentinel", log=self._directory / "sentinel.log"
        )

    def kill(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def totals(self, port: int = REDIS) -> dict[str, int]:
        """Return the accesses of each file, as this Redis has them."""
        words = self.ask("ZRANGE", TOP, "0", "-1", "WITHSCORES", port=port).split("\n")
        return {path: -int(score) for path, score in zip(words[::2], words[1::2], strict=False)}

    def totals_at_death(self) -> dict[str, int]:
        """Return what it had when it was killed, from its file."""
        copy = self._directory / "copy"
        shutil.copytree(self._directory / "appendonlydir", copy / "appendonlydir")
        revived = self.host.start(
            "redis-server", "--bind", self.host.address, "--port", str(REVIVED), "--save", "",
            "--protected-mode", "no", "--dir", str(copy), "--appendonly", "yes",
            log=self._directory / "log",
        )  # fmt: skip
        wait_until(lambda: self.ask("PING", port=REVIVED) == "PONG", message="what was killed")
        found = self.totals(REVIVED)
        revived.kill()
        revived.wait()
        return found

    def totals_of_replica(self) -> dict[str, int]:
        """Return what it has of a master that it hears no more from."""

        def read() -> dict[str, int]:
            before, found = self.ask("INFO", "replication"), self.totals()
            after = self.ask("INFO", "replication")
            assert "role:slave" in after, "it was read before it became the master"
            return found if _offset(before) == _offset(after) else {}

        return wait_until(read, message="a replica that has all it got")

    def ask(self, *words: str, port: int = REDIS) -> str:
        """Return what redis-cli prints on this host, without the line's end."""
        command = ("redis-cli", "-h", self.host.address, "-p", str(port), *words)
        return self.host.run(*command).stdout.rstrip("\n")

    def master(self) -> str:
        """Return whom its Sentinel takes for the master."""
        found = self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "counts", port=SENTINEL)
        return found.partition("\n")[0]

    def replicas(self) -> int:
        """Return how many replicas it has that are up to date."""
        return self.ask("INFO", "replication").count("state=online")

    def knows_all(self) -> bool:
        """Return whether its Sentinel knows the others and all replicas."""
        words = self.ask("SENTINEL", "MASTER", "counts", port=SENTINEL).split("\n")
        known = dict(zip(words[::2], words[1::2], strict=False))
        return (known.get("num-slaves"), known.get("num-other-sentinels")) == ("2", "2")


def _offset(information: str) -> list[str]:
    return [line for line in information.split("\n") if line.startswith("slave_repl_offset")]


class Generator:
    """Clients of one server, in a process on the clients' host."""

    def __init__(self, clients: Host, server: Host) -> None:
        self.server = server
        words = [sys.executable, "-m", __spec__.name, "--load", server.address]
        self._process = subprocess.Popen(
            clients.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.numbered = 0
        self._reader = Thread(target=self._read)
        self._reader.start()
        self.result: dict[str, object] = {}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if isinstance(told, int):
                self.numbered = told
            else:
                self.result = told

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join(120)
        self._process.wait(10)


def load(address: str) -> None:
    """Fetch from the server at *address* until the input ends. Prints how many answers had a number,
    and in the end all there is to know.
    """
    work = Load(HTTP, MOST_REQUESTS, address, CONNECTIONS)
    work.may_lack_numbers = True

    def stop() -> None:
        sys.stdin.read()
        work.requests = 0

    Thread(target=stop, daemon=True).start()

    def tell() -> None:
        print(sum(map(len, work.numbers.values())), flush=True)

    work.run(tell)
    wrong = [head.decode("latin-1") for head in work.wrong]
    counted = {"numbers": work.numbers, "unnumbered": work.unnumbered}
    print(json.dumps({**counted, "unanswered": work.unanswered, "wrong": wrong}), flush=True)


@dataclass
class Answers:
    """What all clients have together."""

    numbers: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    answered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    unanswered: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, result: dict[str, dict[str, list[int]]]) -> None:
        for file, numbers in result["numbers"].items():
            self.numbers[file] += numbers
            self.answered[file] += len(numbers)
        for file, times in result["unnumbered"].items():
            self.answered[file] += times  # type: ignore[operator]
        self.unanswered += result["unanswered"]  # type: ignore[operator]
        self.wrong += result["wrong"]

    @property
    def doubled(self) -> int:
        return sum(len(numbers) - len(set(numbers)) for numbers in self.numbers.values())


class Hosts:
    """All of them, on a network of their own, with the servers running."""

    def __init__(self, directory: Path, replicas: int) -> None:
        network = Network()
        self.nodes = [RedisNode(network.host(f"redis{n}"), directory, []) for n in range(3)]
        self.servers = [network.host(f"host{n}") for n in range(3)]
        self.clients = network.host("clients")
        self.directory = directory
        self.replicas = replicas
        sentinels = ",".join(f"{node.host.address}:{SENTINEL}" for node in self.nodes)
        wait = f"?wait_replicas={replicas}" if replicas else ""
        self.counts = f"redis+sentinel://{sentinels}/counts/0{wait}"
        first = self.nodes[0].host.address
        for node in self.nodes:
            node.start("" if node is self.nodes[0] else first)
        wait_until(lambda: self.nodes[0].replicas() == 2, message="the replicas")
        for node in self.nodes:
            node.start_sentinel(first)
        wait_until(lambda: all(node.knows_all() for node in self.nodes), message="the sentinels")
        root = directory / "www"
        root.mkdir()
        for file in range(FILES):
            (root / f"{file}.txt").write_text(f"file {file}\n" * 20)
        self._running = [self._start(host, root) for host in self.servers]
        for host in self.servers:
            wait_until(lambda host=host: self._serves(host), message=f"the server on {host.name}")  # type: ignore[misc]

    def _start(self, host: Host, root: Path) -> "subprocess.Popen[bytes]":
        bind = f"{host.address}:{HTTP}"
        gunicorn = str(Path(sys.executable).with_name("gunicorn"))
        command = [sys.executable, "run_builtin.py", "-w", "2", "-b", bind]
        if host is self.servers[-1]:
            command = [gunicorn, "--no-control-socket", "-w", "2", "--threads", "4", "-b", bind]
            command.append("wsgi:app")
        environ = {
            "TALLY_ROOT": str(root),
            "TALLY_COUNTS": self.counts,
            "TALLY_COUNTS_JOURNAL": str(self.directory / f"journal-{host.name}"),
            "TALLY_COUNT_HEADER": "1",
            "TALLY_COUNT_LOG": "off",
        }
        return host.start(*command, log=self.directory / f"{host.name}.log", environ=environ)

    def _serves(self, host: Host) -> bool:
        url = f"http://{host.address}:{HTTP}/nothing"
        return self.clients.run("curl", "-s", "-m", "5", url).returncode == 0

    def master(self) -> RedisNode:
        """Return the node that two of three Sentinels take for the master."""
        told = [node.master() for node in self.nodes]
        for node in self.nodes:
            if told.count(node.host.address) >= 2:
                return node
        return self.nodes[0]

    def stored(self) -> dict[str, int]:
        shown = self.clients.run(
            sys.executable, "-m", "app.counters", "show", "--counts", self.counts, "--json"
        )
        if shown.returncode:
            return {}
        return {file["path"]: file["accesses"] for file in json.loads(shown.stdout)["files"]}

    def told(self) -> str:
        """Return what the servers printed."""
        logs = (self.directory / f"{host.name}.log" for host in self.servers)
        return "".join(f"--- {log.name}\n{log.read_text()[-2000:]}" for log in logs)

    def close(self) -> None:
        for server in self._running:
            os.killpg(server.pid, signal.SIGTERM)
        for server in self._running:
            server.wait(30)


def disturb(
    hosts: Hosts, kind: str, generators: list[Generator], numbered: int
) -> tuple[str, dict[str, int]]:
    """Take the master away under load, wait until all count in another one, and bring it back.

    Return what happened when, and how many accesses of each file the old master did not pass on.
    """
    wait_until(
        lambda: all(each.numbered >= numbered for each in generators),
        timeout=120,
        message="numbers from all servers",
    )
    old, begun = hosts.master(), monotonic()
    others = [node for node in hosts.nodes if node is not old]
    if kind == "kill":
        old.kill()
    elif kind == "cut":
        old.host.cut()
    else:
        part(old, others, "-I")
    had = {node.host.address: node.totals_of_replica() for node in others if kind != "apart"}
    wait_until(
        lambda: {node.master() for node in others} <= {node.host.address for node in others},
        timeout=60,
        message="another master",
    )
    elected = monotonic() - begun
    count_again(generators, [each.numbered for each in generators], 1)
    again = monotonic() - begun
    count_again(generators, [each.numbered for each in generators], numbered)
    forgotten = {}
    if kind != "apart":
        passed_on = had[hosts.master().host.address]
        at_end = old.totals_at_death() if kind == "kill" else old.totals()
        forgotten = {path: number - passed_on.get(path, 0) for path, number in at_end.items()}
    if kind == "kill":
        old.start(hosts.master().host.address)
    elif kind == "cut":
        old.host.join()
    else:
        part(old, others, "-D")
    wait_until(
        lambda: hosts.master().replicas() == 2, timeout=60, message="the old master's return"
    )
    count_again(generators, [each.numbered for each in generators], numbered)
    told = f"another master after {elected:.1f} s, numbers from all again after {again:.1f} s"
    return told, forgotten


def count_again(generators: list[Generator], before: list[int], numbered: int) -> None:
    wait_until(
        lambda: all(
            each.numbered >= numbers + numbered
            for each, numbers in zip(generators, before, strict=True)
        ),
        timeout=120,
        message="numbers again",
    )


def part(old: RedisNode, others: list[RedisNode], change: str) -> None:
    """Let the old master and the other Redis and Sentinels see each other no more, or again."""
    for other in others:
        verb = "add" if change == "-I" else "del"
        old.host.run("ip", "route", verb, "blackhole", f"{other.host.address}/32")


def run(kind: str, numbered: int, replicas: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="tally-hosts-") as name:
        hosts = Hosts(Path(name), replicas)
        generators = [Generator(hosts.clients, server) for server in hosts.servers]
        try:
            told, forgotten = disturb(hosts, kind, generators, numbered)
        except AssertionError:
            print(hosts.told(), flush=True)
            raise
        finally:
            for generator in generators:
                generator.stop()
        answers = Answers()
        for generator in generators:
            answers.add(generator.result)  # type: ignore[arg-type]
        well = check(
            hosts,
            f"{kind}, {'one replica' if replicas else 'none'} waited for: {told}",
            answers,
            forgotten,
        )
        hosts.close()
        return well


def check(hosts: Hosts, told: str, answers: Answers, forgotten: dict[str, int]) -> bool:
    """Print what came of it; return whether it is what may be."""
    total = sum(answers.answered.values())
    settled: list[dict[str, int]] = [{}]

    def is_settled() -> bool:
        """All journals are delivered: nothing is added any more between two looks."""
        settled.append(hosts.stored())
        return bool(settled[-1]) and settled[-1] == settled[-2] and not waiting(hosts)

    wait_until(is_settled, timeout=60, message="the journals to be delivered")
    stored = settled[-1]
    missed = {
        path: count - stored.get(path, 0)
        for path, count in ((f"/{file}.txt", count) for file, count in answers.answered.items())
    }
    lost = sum(number for number in missed.values() if number > 0)
    ahead = -sum(number for number in missed.values() if number < 0)
    beyond = sum(max(0, number - forgotten.get(path, 0)) for path, number in missed.items())
    well = not answers.wrong and not beyond and ahead <= answers.unanswered
    well = well and answers.doubled <= sum(forgotten.values())
    if hosts.replicas:
        well = well and not lost and not answers.doubled
    with_number = sum(map(len, answers.numbers.values()))
    verdict = "as Redis allows" if lost or answers.doubled else "exact"
    print(
        f"{told}\n  {total} answered, {with_number} of them with a number; {answers.unanswered}"
        f" unanswered, {len(answers.wrong)} wrong\n  {answers.doubled} numbers came twice, {lost}"
        f" accesses are missing; the old master had not passed on {sum(forgotten.values())}; the"
        f" store is ahead by {ahead}: {verdict if well else 'NOT EXACT'}",
        flush=True,
    )
    return well


def waiting(hosts: Hosts) -> int:
    """Return how many accesses wait in journals."""
    return sum(
        WaitingAccesses(str(journal)).count()
        for host in hosts.servers
        for journal in (hosts.directory / f"journal-{host.name}").glob("*")
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.counters.three_hosts")
    parser.add_argument("--numbered", type=int, default=3000, help="answers from each host, thrice")
    parser.add_argument("--round", choices=sorted({kind for kind, _ in ROUNDS}))
    parser.add_argument("--replicas", type=int, choices=(0, 1))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.load:
        load(chosen.load)
        return 0
    if chosen.inside:
        return 0 if run(chosen.round, chosen.numbered, chosen.replicas) else 1
    if reason := missing("redis-server", "redis-cli", "curl"):
        print(f"not run: {reason}")
        return 0
    results = [
        run_inside(
            "tests.counters.three_hosts",
            ["--numbered", str(chosen.numbered), "--round", kind, "--replicas", str(replicas)],
        ).returncode
        for kind, replicas in ROUNDS
        if chosen.round in (None, kind) and chosen.replicas in (None, replicas)
    ]
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
