"""The ways to read the counts of a running server, each as the same kind of answer."""

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote

from prometheus_client.parser import text_string_to_metric_families

from tests.end_to_end.client import Answer, fetch
from tests.end_to_end.servers import HOME, LiveServer

TOKEN = "a-token-of-the-tests-own"
PREFIX = "/-/tally/"
#: In the place of a path.
SITE = "the site"
NUMBERS = ("accesses", "completed", "sent_bytes")
_HEADLINE = re.compile(r'data-live="(accesses|completed)"[^>]*>([0-9,]+)<')
_ROW = re.compile(
    r'<a href="file\?path=([^"&]*)[^"]*">.*?<td class="n accesses">([0-9,]+)</td>'
    r'.*?title="([0-9,]+) of .*?title="([0-9,]+) bytes"',
    re.DOTALL,
)

#: What was read: by path (or SITE) and the number's name.
Numbers = dict[tuple[str, str], int]


class UnreadableError(Exception):
    """The store is away, and the answer says so."""


class Sources:
    """Reads a server's counts. Each method is one way; it raises UnreadableError."""

    def __init__(self, server: LiveServer, counts: str, paths: Iterable[str]) -> None:
        self._server = server
        self._counts = counts
        self._paths = list(paths)

    @property
    def all(self) -> dict[str, Callable[[], Numbers]]:
        return {
            "page": self.page, "a file's page": self.file_page, "totals": self.totals,
            "live": self.live, "files": self.files, "file": self.file, "CSV": self.table,
            "metrics": self.metrics, "badges": self.badges, "command line": self.command,
        }  # fmt: skip

    def ask(self, address: str) -> Answer:
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        return fetch(self._server.port, PREFIX + address, bearer)

    def page(self) -> Numbers:
        text = self._text("?period=all")
        if "does not answer" in text:
            raise UnreadableError(text)
        found = {(SITE, name): _digits(number) for name, number in _HEADLINE.findall(text)}
        for path, *numbers in _ROW.findall(text):
            own = zip(NUMBERS, map(_digits, numbers), strict=True)
            found |= {(_unquoted(path), name): number for name, number in own}
        return found

    def file_page(self) -> Numbers:
        found: Numbers = {}
        for path in self._paths:
            text = self._text(f"file?path={quote(path)}")
            if "does not answer" in text:
                raise UnreadableError(text)
            found |= {(path, name): _digits(number) for name, number in _HEADLINE.findall(text)}
        return found

    def totals(self) -> Numbers:
        return _numbers(SITE, json.loads(self._text("api/v1/totals")))

    def live(self) -> Numbers:
        found = _numbers(SITE, json.loads(self._text("api/v1/live")))
        for path in self._paths:
            found |= _numbers(path, json.loads(self._text(f"api/v1/live?path={quote(path)}")))
        return found

    def files(self) -> Numbers:
        found: Numbers = {}
        for file in json.loads(self._text("api/v1/files"))["files"]:
            found |= _numbers(file["path"], file)
        return found

    def file(self) -> Numbers:
        found: Numbers = {}
        for path in self._paths:
            found |= _numbers(path, json.loads(self._text(f"api/v1/file?path={quote(path)}")))
        return found

    def table(self) -> Numbers:
        found: Numbers = {}
        # Not today's alone: midnight may come.
        text = self._text("api/v1/files?format=csv&period=7d")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            found |= _numbers(row["path"], row)
        return found

    def metrics(self) -> Numbers:
        found: Counter[tuple[str, str]] = Counter()
        names = {"tally_file_accesses": "accesses", "tally_file_completed": "completed",
                 "tally_file_sent_bytes": "sent_bytes"}  # fmt: skip
        for family in text_string_to_metric_families(self._text("metrics/files")):
            for sample in family.samples if family.name in names else ():
                number = int(sample.value)
                found[SITE, names[family.name]] += number
                found[sample.labels["path"], names[family.name]] += number
        return {key: number for key, number in found.items() if key[0] != "(others)"}

    def badges(self) -> Numbers:
        found: Numbers = {}
        for path in self._paths:
            for name in ("accesses", "completed"):
                text = self._text(f"badge.json?path={quote(path)}&number={name}")
                badge = json.loads(text)
                if badge.get("isError"):
                    raise UnreadableError(text)
                found[path, name] = _digits(badge["message"])
        return found

    def command(self) -> Numbers:
        found = _numbers(SITE, self._run("totals"))
        for file in self._run("top")["files"]:
            found |= _numbers(file["path"], file)
        return found

    def _run(self, name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "app.counters", name, "--json", "--counts", self._counts]
        done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnreadableError(done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _text(self, address: str) -> str:
        answer = self.ask(address)
        text = answer.body.decode()
        if answer.status == 503:
            raise UnreadableError(text)
        assert answer.status == 200, (address, answer.status, text)
        return text


def _numbers(path: str, document: dict[str, Any]) -> Numbers:
    return {(path, name): int(document[name]) for name in NUMBERS}


def _digits(text: str) -> int:
    return int(text.replace(",", ""))


def _unquoted(href: str) -> str:
    """Return the path in a link's query, as the counters have it."""
    return parse_qs(f"path={unescape(href)}")["path"][0]
