"""The statistics over counts in memory, called as a WSGI server would."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.validate import validator

import pytest

from app.counters.memory import MemoryCounter
from app.counters.reading import CountReader
from app.host_figures import Board, Known
from app.stats import parameters
from app.stats.application import Host, StatsApplication, StatsOptions
from app.stats_tokens import Tokens

READ = "read-token-read-token-read"
METRICS = "metrics-token-metrics-token"
#: 2026-11-26T12:34:56Z. The tests' time stands still: today does not end among their questions.
NOW = 1_795_696_496
TOKENS = Tokens((READ,), (METRICS,))
PREFIX = "/-/tally/"
#: Names that people and attackers give to files, percent-encoded as the counters have them.
ODD_PATHS = [
    "/%3Cscript%3Ealert(1)%3C/script%3E.iso",
    "/%22%20onmouseover=%22alert(1).html",
    "/'%20or%201=1--.txt",
    "/=cmd%7C'/c%20calc'!A1",
    "/+1+1",
    "/-2+3",
    "/@SUM(A1)",
    "/%1B%5B31mred%1B%5B0m",
    "/line%0Abreak%0D%0AX-Injected:%20yes",
    "/%E2%80%AEgpj.exe",
    "/%E2%81%A6isolate%E2%81%A9",
    "/%00nul",
    "/%FF%FE-not-utf-8",
    "/a,b;c%22d.csv",
    "/%7B%7B7*7%7D%7D",
    "/%7B%25%20raw%20%25%7D",
    "/%5D%5D%3E",
    "/%3C!--",
    "/javascript:alert(1)",
    "/%25s%25n",
    "/%5C%22",
    "/" + "x" * 2000,
]


@dataclass(frozen=True)
class Answer:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:
        """Return the one value of the field *name*; KeyError when there is none or more than one."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        if len(values) != 1:
            raise KeyError(f"{name}: {values}")
        return values[0]


class Site:
    """A counter, and the statistics of it."""

    def __init__(self, **options: Any) -> None:
        self.counter = MemoryCounter(clock=lambda: NOW)
        self.problem: str | None = None
        self.reader: Callable[[], CountReader] = lambda: self.counter
        given: dict[str, Any] = {"prefix": PREFIX, "tokens": TOKENS, **options}
        self.board = Board.make(1, Known.REQUESTS | Known.CONNECTIONS | Known.RESTARTS)
        self.place = self.board.place(self.board.take())
        self.host = Host(self.board.figures, self.counter.pending, lambda: self.problem)
        self.application = StatsApplication(StatsOptions(**given), lambda: self.reader(), self.host)

    def count(self, path: str, times: int = 1, **more: Any) -> None:
        for _ in range(times):
            self.counter.count(path, "full", **{"sent": 10, "complete": True, **more})

    def ask(
        self,
        address: str = "",
        query: str = "",
        *,
        method: str = "GET",
        token: str | None = READ,
        body: bytes = b"",
        **environ: Any,
    ) -> Answer:
        """Ask for what is below the prefix, with the read token unless another is given."""
        given: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": PREFIX + address,
            "QUERY_STRING": query,
            "SERVER_NAME": "tally.test",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if body:
            given["CONTENT_LENGTH"] = str(len(body))
        if token is not None:
            given["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        given.update(environ)
        return call(self.application, given)


def call(application: Any, environ: Mapping[str, Any]) -> Answer:
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], _error: Any = None) -> Any:
        heads.append((status, fields))
        return lambda _: None

    body = validator(application)(dict(environ), start_response)
    try:
        content = b"".join(body)
    finally:
        body.close()  # type: ignore[attr-defined]
    [(status, fields)] = heads
    return Answer(int(status[:3]), fields, content)


@pytest.fixture(autouse=True)
def _time_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "time", lambda: NOW)


@pytest.fixture
def site() -> Site:
    """A site with a little traffic."""
    site = Site()
    site.count("/releases/a.iso", 30, class_="tools")
    site.count("/releases/a.iso", 12, class_="people")
    site.count("/releases/b.iso", 7, class_="robots", complete=False)
    site.count("/index.html", 3, class_="people")
    return site
