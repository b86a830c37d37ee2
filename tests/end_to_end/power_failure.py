"""What does a power failure in a Redis outage take? `python -m tests.end_to_end.power_failure
[--seconds 20]`.

The journal lies on a file system of its own, in an image behind a loop device. Redis is stopped, a
server with two workers is under load, and at one moment everything is killed and the image copied
as the device has it: what the kernel still held in memory is not in the copy. From the copy a new
server delivers to Redis. Lost may be what was answered in the last three seconds. Needs root, loop
devices and mkfs.
"""

import argparse
import http.client
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from tests.counters.redis_server import RedisServer
from tests.end_to_end.exactness import stored_totals
from tests.end_to_end.servers import LiveServer
from tests.waiting import wait_until

LIMIT_SECONDS = 3.0
CONNECTIONS = 4


class Load:
    """Fetches one file over several connections until the server dies.

    The moments of the answers are kept.
    """

    def __init__(self, port: int) -> None:
        self.answered: list[float] = []
        self.slowest = 0.0
        self._port = port
        self._threads = [Thread(target=self._run) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while True:
                begun = monotonic()
                connection.request("GET", "/a.txt")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise AssertionError(answer.status)
                self.answered.append(monotonic())
                self.slowest = max(self.slowest, monotonic() - begun)
        except (OSError, http.client.HTTPException):
            connection.close()


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def start(directory: Path, redis: RedisServer, journal: Path) -> LiveServer:
    (directory / "www").mkdir(exist_ok=True)
    (directory / "www" / "a.txt").write_text("a" * 100)
    environ = {
        "TALLY_ROOT": str(directory / "www"),
        "TALLY_COUNTS": redis.url,
        "TALLY_COUNTS_JOURNAL": str(journal),
        "TALLY_COUNT_LOG": "off",
    }
    return LiveServer([sys.executable, "run_builtin.py", "-w", "2", "-b", "127.0.0.1:0"], environ)


def fail_power(
    directory: Path, redis: RedisServer, file_system: str, seconds: float
) -> tuple[Load, float]:
    """Return the load until the moment that the power failed, and that moment.

    The copy is "copy.img".
    """
    image = directory / "device.img"
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run([f"mkfs.{file_system}", "-q", image], check=True, stdout=subprocess.DEVNULL)
    with mounted(image, directory / "device") as journal:
        server = start(directory, redis, journal)
        load = Load(wait_until(server.port_named))
        Event().wait(2)
        redis.stop()
        Event().wait(seconds)
        failed = monotonic()
        server.kill()
        shutil.copyfile(image, directory / "copy.img")
        load.join()
        copied = monotonic() - failed
    sys.stdout.write(
        f"power failed after {seconds:g} s of outage; image copied in {copied:.2f} s\n"
    )
    return load, failed


def pretend_another_boot(journal: Path) -> None:
    """The machine that runs this did not start anew, which the files would show."""
    for path in journal.glob("*/*.journal"):
        data = path.read_bytes().split(b" ", 3)
        path.write_bytes(b" ".join([*data[:2], b"0" * len(data[2]), *data[3:]]))


def deliver(directory: Path, redis: RedisServer) -> int:
    """Return how many accesses Redis has in the end."""
    with mounted(directory / "copy.img", directory / "copy") as journal:
        pretend_another_boot(journal)
        redis.start()
        server = start(directory, redis, journal)
        last = [0, monotonic()]

        def is_settled() -> bool:
            total = sum(stored_totals(redis.url).values())
            if total != last[0]:
                last[:] = [total, monotonic()]
            return monotonic() - last[1] > 8

        wait_until(is_settled, timeout=120)
        server.stop()
        sys.stdout.write("".join(f"  {line}\n" for line in server.err if "tally: counts" in line))
        return int(last[0])


def run(file_system: str, seconds: float) -> bool:
    with tempfile.TemporaryDirectory(prefix="tally-power-") as name:
        directory = Path(name)
        (directory / "redis").mkdir()
        redis = RedisServer(str(directory / "redis"), "--appendfsync", "always").start()
        try:
            load, failed = fail_power(directory, redis, file_system, seconds)
            delivered = deliver(directory, redis)
        finally:
            redis.stop()
    answered = sorted(load.answered)
    # What was sent and not answered may be there too.
    lost = max(0, len(answered) - delivered)
    allowed = sum(moment > failed - LIMIT_SECONDS for moment in answered)
    since = failed - answered[-lost] if lost else 0.0
    sys.stdout.write(
        f"{file_system}: {len(answered)} answered, the slowest in {load.slowest * 1000:.0f} ms;"
        f" {delivered} counted; "
        f"{lost} lost, those of the last {since:.2f} s: "
        f"{'as promised' if lost <= allowed else 'MORE THAN PROMISED'}\n"
    )
    return lost <= allowed


def main() -> int:
    parser = argparse.ArgumentParser(
        description="What does a power failure in a Redis outage take?"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the outage")
    parser.add_argument("--file-system", default="ext4", metavar="NAME", help="made by mkfs.NAME")
    options = parser.parse_args()
    return 0 if run(options.file_system, options.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
