"""A file that changes 1,000 times under eight readers with ranges, codings and preconditions.

    python -m tests.end_to_end.rewritten [--changes 1000] [--seed 1]

By turns the file is replaced by renaming (a small and a large one) and written in place (a small
one); every hundredth time it rests for three seconds, so that it is held and its coded forms are
made. Its lines say which version they are of, and the readers know which versions there were between
their question and the answer. Then:

- every answer decodes; what was replaced by renaming is of one version, never of two;
- no answer has a line of a version that was over before the question, or came after the answer;
- a tag stands for the same bytes always, and 304 is given only for bytes that are there then;
- ranges, resumed or not, are parts of the bytes that their tag stands for.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.end_to_end.client import Answer, Client
from tests.end_to_end.servers import BUILTIN, GUNICORN, running
from tests.end_to_end.test_codings import DECODERS

READERS = 8
REST = 3.0
#: 64 bytes, so that no line lies in two pages of memory.
LINE = "{0:06} {1:06} a line that says the same in every version {0:06}\n"
_VERSIONS = re.compile(
    rb"^(\d{6}) \d{6} a line that says the same in every version \1$", re.MULTILINE
)
CODINGS = [
    "",
    "identity",
    "gzip",
    "br",
    "zstd",
    "gzip, br, zstd",
    "gzip, identity;q=0",
    "br, *;q=0",
]


class Case(NamedTuple):
    name: str
    lines: int
    in_place: bool


CASES = [
    Case("small, replaced", 900, False),
    Case("large, replaced", 5000, False),
    Case("small, in place", 900, True),
]


def content_of(version: int, lines: int) -> bytes:
    return "".join(LINE.format(version, number) for number in range(lines)).encode()


def decoded(tag: str, body: bytes) -> bytes:
    """Return the content whose form with *tag* is *body*."""
    content: bytes = DECODERS[tag.strip('"').partition("-")[2] or "identity"](body)
    return content


class Writer:
    """Makes version after version. *started* and *done* are the last ones begun and finished."""

    def __init__(self, path: Path, case: Case, source: random.Random) -> None:
        self.started = self.done = 0
        self._path, self._case, self._source = path, case, source
        path.write_bytes(content_of(0, case.lines))

    def run(self, changes: int) -> None:
        beside = self._path.with_name(".beside")
        for version in range(1, changes + 1):
            content = content_of(version, self._case.lines)
            if not self._case.in_place:
                beside.write_bytes(content)
            self.started = version
            if self._case.in_place:
                with self._path.open("r+b", buffering=0) as file:
                    file.write(content)
            else:
                beside.replace(self._path)
            self.done = version
            # tests/waiting.py does not serve here: the pauses are what is tested.
            time.sleep(REST if version % 100 == 0 else self._source.uniform(0, 0.01))


class Reader:
    """One client. Its faults are in `faults`; `tags` is shared by all readers of a case."""

    def __init__(
        self, port: int, case: Case, writer: Writer, tags: dict[str, bytes], seed: str
    ) -> None:
        self.faults: list[str] = []
        self.answers: Counter[str] = Counter()
        self._port, self._case, self._writer, self._tags = port, case, writer, tags
        self._source = random.Random(seed)
        self._held: list[str] = []  # tags of answers that this reader has

    def run(self, stop: threading.Event) -> None:
        with Client(self._port) as client:
            while not stop.is_set():
                try:
                    self.ask(client)
                except Exception as error:  # noqa: BLE001 - it is what is looked for
                    self.faults.append(f"{type(error).__name__}: {error}")
                    return

    def ask(self, client: Client) -> None:
        accepted = self._source.choice(CODINGS)
        fields = [("Accept-Encoding", accepted)] if accepted else []
        tag = self._source.choice(self._held) if self._held else '"none"'
        match self._source.choice(
            ["whole", "whole", "if none match", "if match", "part", "resume"]
        ):
            case "if none match":
                fields.append(("If-None-Match", tag))
            case "if match":
                fields.append(("If-Match", tag))
            case "part":
                fields.append(("Range", f"bytes={self._source.randrange(300)}-"))
            case "resume":
                fields += [("Range", f"bytes={self._source.randrange(300)}-"), ("If-Range", tag)]
        done_before = self._writer.done
        answer = client.ask("GET", "/file.txt", fields)
        window = range(done_before, self._writer.started + 1)
        coding = dict(answer.fields).get("content-encoding", "identity")
        self.answers[f"{answer.status} {coding if answer.status < 300 else ''}".strip()] += 1
        match answer.status:
            case 200:
                self.check_whole(answer, coding, window)
            case 206:
                self.check_part(answer, fields, window)
            case 304:
                self.check_versions(decoded(tag, self._tags[tag]), window, f"304 for {tag}")
            case 412:
                pass
            case status:
                self.faults.append(f"status {status} for {fields}")

    def check_whole(self, answer: Answer, coding: str, window: range) -> None:
        tag = answer["etag"]
        content = DECODERS[coding](answer.body)
        self.check_versions(content, window, f"200 in {coding}")
        known = self._tags.setdefault(tag, answer.body)
        if known != answer.body:
            self.faults.append(f"{tag} stands for two contents")
        if tag.endswith(f'-{coding}"') is (coding == "identity"):
            self.faults.append(f"{tag} comes with {coding}")
        self._held = [*self._held[-9:], tag]

    def check_part(self, answer: Answer, fields: list[tuple[str, str]], window: range) -> None:
        tag = answer["etag"]
        first = int(re.sub(r"bytes (\d+)-.*", r"\1", answer["content-range"]))
        if "If-Range" in dict(fields) and dict(fields)["If-Range"] != tag:
            self.faults.append(f"resumed {dict(fields)['If-Range']} with a part of {tag}")
        if self._tags.get(tag, bytes(first) + answer.body)[first:] != answer.body:
            self.faults.append(f"a part of {tag} is not of its bytes")
        if "content-encoding" not in dict(answer.fields):
            self.check_versions(answer.body.partition(b"\n")[2], window, "206")

    def check_versions(self, content: bytes, window: range, what: str) -> None:
        """Look whether all lines of *content* are of versions in *window*."""
        found = [int(version) for version in _VERSIONS.findall(content)]
        lines = content.count(b"\n")
        torn = lines - len(found)
        if torn and not self._case.in_place:
            self.faults.append(f"{what}: {torn} of {lines} lines are torn")
        # Of one that is written to at the moment a line may be half of each version.
        elif torn > len(window):
            self.faults.append(f"{what}: {torn} of {lines} lines are torn in {len(window)} writes")
        if not self._case.in_place and len(set(found)) != 1:
            self.faults.append(f"{what} is of the versions {sorted(set(found))}")
        if any(version not in window for version in found):
            self.faults.append(f"{what} is of {sorted(set(found))}, when there were {window}")


def run(kind: str, case: Case, changes: int, seed: int) -> list[str]:
    """Print what was answered; return the faults."""
    with tempfile.TemporaryDirectory(prefix="tally-rewritten-") as home:
        path = Path(home) / "file.txt"
        writer = Writer(path, case, random.Random(seed))
        with running(kind, root=home, TALLY_COUNT_LOG="off") as server:
            tags: dict[str, bytes] = {}
            readers = [
                Reader(server.port, case, writer, tags, f"{seed} {number}")
                for number in range(READERS)
            ]
            stop = threading.Event()
            threads = [threading.Thread(target=reader.run, args=(stop,)) for reader in readers]
            for thread in threads:
                thread.start()
            writer.run(changes)
            stop.set()
            for thread in threads:
                thread.join()
            faults = [fault for reader in readers for fault in reader.faults]
            with Client(server.port) as client:
                if client.ask("GET", "/file.txt").body != path.read_bytes():
                    faults.append("in the end the answer is not the file")
            if server.stop() != 0:
                faults.append(server.printed())
    answers = sum((reader.answers for reader in readers), Counter())
    print(
        f"{kind}, {case.name}: {changes} changes, {answers.total()} answers"
        f" ({', '.join(f'{number} {what}' for what, number in sorted(answers.items()))}),"
        f" {len(faults)} faults",
        *sorted(set(faults))[:20],
        sep="\n  ",
        flush=True,
    )
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.rewritten")
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    chosen = parser.parse_args()
    print(f"--seed {chosen.seed}")
    faults = [
        fault
        for kind in (BUILTIN, GUNICORN)
        for case in CASES
        for fault in run(kind, case, chosen.changes, chosen.seed)
    ]
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
