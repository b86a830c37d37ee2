"""Exact across hosts and outages? `python -m tests.end_to_end.outage [--requests 60000]`.

Two servers, each with a journal of its own as on two hosts, count into one real redis-server under
load. Redis is killed, and started again with its data after five seconds; in the meantime one of
the servers is killed and started again. Every answer must be a 200, no number may come twice, and
afterwards the totals must be those of the answers: only accesses that were in flight at the kill
may be counted without an answer.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from threading import Event, Thread

from tests.counters.redis_server import RedisServer
from tests.end_to_end.exactness import FILES, Load, stored_totals
from tests.end_to_end.servers import LiveServer
from tests.waiting import wait_until


class Server:
    """One of the hosts: a server on a port that it keeps when it is started again, with its own
    journal.
    """

    def __init__(self, name: str, root: Path, redis: RedisServer, directory: Path) -> None:
        self._environ = {
            "TALLY_ROOT": str(root),
            "TALLY_COUNTS": redis.url,
            "TALLY_COUNTS_JOURNAL": str(directory / f"journal-{name}"),
            "TALLY_COUNT_HEADER": "1",
            "TALLY_COUNT_LOG": str(directory / f"log-{name}"),
        }
        self._bind = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        self.live = LiveServer(
            [sys.executable, "run_builtin.py", "-w", "2", "-b", self._bind], self._environ
        )
        self.port = wait_until(self.live.port_named)
        self._bind = f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        os.killpg(self.live.process.pid, signal.SIGKILL)
        self.live.wait()


def run(requests: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        root = directory / "www"
        root.mkdir()
        for file in range(FILES):
            (root / f"{file}.txt").write_text(f"file {file}\n" * 20)
        redis = RedisServer(name).start()
        servers = [Server(name, root, redis, directory) for name in ("a", "b")]
        try:
            loads = [Load(server.port, requests // 2) for server in servers]
            threads = [Thread(target=load.run) for load in loads]
            for load, thread in zip(loads, threads, strict=True):
                load.may_lack_numbers = True
                thread.start()
            disturb(redis, servers[1])
            for thread in threads:
                thread.join()
            return check(loads, redis)
        finally:
            for server in servers:
                server.live.stop()
            redis.stop()


def disturb(redis: RedisServer, victim: Server) -> None:
    pause = Event()
    pause.wait(1.5)
    redis.stop()
    sys.stdout.write("redis stopped\n")
    pause.wait(2.0)
    victim.kill()
    victim.start()
    sys.stdout.write("one server killed and started again\n")
    pause.wait(3.0)
    redis.start()
    sys.stdout.write("redis started again\n")


def check(loads: list[Load], redis: RedisServer) -> bool:
    numbers: dict[int, list[int]] = defaultdict(list)
    answered: dict[int, int] = defaultdict(int)
    for load in loads:
        for file, received in load.numbers.items():
            numbers[file] += received
            answered[file] += len(received)
        for file, count in load.unnumbered.items():
            answered[file] += count
    unanswered = sum(load.unanswered for load in loads)
    wrong = [head for load in loads for head in load.wrong]

    def delivered() -> dict[str, int] | None:
        totals = stored_totals(redis.url)
        return totals if sum(totals.values()) >= sum(answered.values()) else None

    totals = wait_until(
        lambda: delivered() or False, timeout=60, message="the journals to be delivered"
    )
    doubled = sum(len(received) - len(set(received)) for received in numbers.values())
    short = sum(totals.get(f"/{file}.txt", 0) < count for file, count in answered.items())
    ahead = sum(totals.values()) - sum(answered.values())
    exact = not doubled and not short and not wrong and 0 <= ahead <= unanswered
    sys.stdout.write(
        f"{sum(answered.values())} answered, of these {sum(map(len, numbers.values()))} with a"
        " number; "
        f"{unanswered} unanswered, {len(wrong)} wrong, {doubled} doubled, {short} files short, "
        f"store ahead by {ahead}: {'exact' if exact else 'NOT EXACT'}\n"
    )
    return exact


def main() -> int:
    parser = argparse.ArgumentParser(description="Exact across hosts and outages?")
    parser.add_argument("--requests", type=int, default=60_000)
    return 0 if run(parser.parse_args().requests) else 1


if __name__ == "__main__":
    sys.exit(main())
