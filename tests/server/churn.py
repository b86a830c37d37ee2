"""Workers that come and go: `python -m tests.server.churn KILL|HUP [--seconds 20]`.

16 kept-alive clients ask two workers all the time, while every second a worker is killed by
SIGKILL, or the server is told by SIGHUP to replace its workers. At HUP no request may fail; at KILL
only those whose connection the killed worker held, and none may be refused.
"""

import argparse
import os
import random
import signal
import sys
from threading import Event
from time import monotonic

from tests.server.test_workers import Load, children, pids_that_serve, running

CLIENTS = 16


def main() -> int:
    parser = argparse.ArgumentParser(description="Workers that come and go.")
    parser.add_argument("signal", choices=("KILL", "HUP"))
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    pause, times = Event(), 0
    with running("-w", "2") as server:
        pids_that_serve(server, 2)
        load = Load(server.port, CLIENTS)
        end = monotonic() + given.seconds
        while monotonic() < end:
            pause.wait(1)
            times += 1
            if given.signal == "HUP":
                server.send(signal.SIGHUP)
            elif workers := children(server.process.pid):
                os.kill(random.choice(sorted(workers)), signal.SIGKILL)
        load.stop()
        status = server.stop()
    refused = [why for _, why in load.failed if "refused" in why.lower()]
    allowed = 0 if given.signal == "HUP" else times * CLIENTS
    sys.stdout.write(
        f"{given.signal} {times} times: {sum(load.answered.values())} answered by"
        f" {len(load.answered)} workers, "
        f"{len(load.failed)} failed, {len(refused)} refused, exit status {status}\n"
    )
    return 0 if len(load.failed) <= allowed and not refused and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
