"""A document root with files of every sort, and an application that serves it, called as a WSGI
server would.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.validate import validator

import pytest

from app.counters.contract import ACCESSES, Announce, Class, Count, Kind
from app.files import FileApplication
from tests.waiting import wait_until

#: A moment long enough ago that a file of that age can be held, and its date is a strong validator.
EARLIER = 1_700_000_000


class RecordingCounter:
    """Counts in a dict, and remembers every call in order."""

    pays_together_from = 2

    def __init__(self) -> None:
        self.counted: list[tuple[str, Kind]] = []
        self.statuses: list[int] = []
        self.numbers: dict[str, int] = {}
        #: Of each answer: class, bytes with it, whether these complete the file, client, enough.
        self.details: list[tuple[Class, int, bool, bytes | None, int]] = []
        #: Of each body that was sent afterwards: file, kind, bytes, whether they complete it.
        self.ends: list[tuple[str, Kind, int, bool]] = []

    def count(
        self,
        path: str,
        kind: Kind,
        announce: Announce | None = None,
        class_: Class = "unknown",
        sent: int = 0,
        complete: bool = False,
        client: bytes | None = None,
        enough: int = 0,
        at: int = 0,
    ) -> int | None:
        self.counted.append((path, kind))
        self.details.append((class_, sent, complete, client, enough))
        if kind not in ACCESSES:
            return None
        number = self.numbers[path] = self.numbers.get(path, 0) + 1
        if announce is not None:
            announce(number)
        return number

    def count_together(self, counts: Sequence[Count]) -> list[int | None]:
        return [self.count(*each) for each in counts]

    def sent(
        self,
        path: str,
        kind: Kind,
        sent: int,
        complete: bool,
        at: int,
        client: bytes | None = None,
        enough: int = 0,
    ) -> None:
        self.ends.append((path, kind, sent, complete))

    def answered(self, status: int, answers: int = 1) -> None:
        self.statuses += [status] * answers

    def accesses(self, paths: Sequence[str]) -> dict[str, int]:
        return {path: self.numbers.get(path, 0) for path in paths}

    def close(self) -> None:
        pass


class Reply(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes


class Site:
    """A document root, and applications over it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "www"
        self.outside = directory / "outside"
        self.root.mkdir()
        self.outside.mkdir()
        self.counter = RecordingCounter()
        self.lines: list[tuple[str, str, str, int | None]] = []
        self.ahead = 0.0
        self.app = self.application()

    def application(self, **options: Any) -> FileApplication:
        return FileApplication(
            str(self.root),
            counter=self.counter,
            count_line=lambda *line: self.lines.append(line),
            **options,
        )

    def put(
        self, name: str, content: bytes | str = b"content", *, age: float | None = None
    ) -> Path:
        """Write a file below the root whose mtime is EARLIER, or *age* seconds ago."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = EARLIER if age is None else time.time() - age
        os.utime(path, (moment, moment))
        return path

    def settle(self) -> None:
        """Let a minute pass, to the catalog: what was written up to now may be held."""
        self.ahead += 60

    def holds(self, path: str, app: FileApplication | None = None) -> bool:
        return (app or self.app)._catalog._held.get(path) is not None

    def get(
        self,
        path: str,
        method: str = "GET",
        *,
        app: Any = None,
        strict: bool = True,
        **variables: Any,
    ) -> Reply:
        """Call the application with PATH_INFO *path*; text stands for its UTF-8 bytes."""
        raw = path.encode("utf-8", "surrogateescape").decode("latin-1")
        return call(app or self.app, raw, method, strict=strict, **variables)


def call(
    app: Any, path_info: str, method: str = "GET", *, strict: bool = True, **variables: Any
) -> Reply:
    """Call *app* as PEP 3333 wants it; *path_info* is latin-1.

    If *strict*, wsgiref's validator stands in between; it refuses some environs that servers do
    make.
    """
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path_info,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4711",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": _Input(),
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update(variables)
    head: list[Any] = []

    def start_response(
        status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        head[:] = [status, fields]
        return lambda data: None

    body = (validator(app) if strict else app)(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    names = [name for name, _ in head[1]]
    assert len(names) == len(set(names)), f"a field twice: {names}"
    assert "Date" in names
    return Reply(int(head[0][:3]), dict(head[1]), content)


class _Input:
    def read(self, size: int = -1) -> bytes:
        return b""

    readline = read

    def readlines(self, hint: int = -1) -> list[bytes]:
        return []

    def __iter__(self) -> "_Input":
        return self


class _Errors:
    def write(self, text: str) -> None:
        raise AssertionError(text)

    def writelines(self, lines: list[str]) -> None:
        raise AssertionError(lines)

    def flush(self) -> None:
        pass


def wait_for_the_next_tick(directory: Path) -> None:
    """Until the file system's clock moves, two changes of a file look the same."""
    probe = directory / "probe"
    probe.write_bytes(b"")
    first = probe.stat().st_mtime_ns

    def moved() -> bool:
        probe.write_bytes(b"")
        return probe.stat().st_mtime_ns != first

    wait_until(moved, message="the next tick")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return site_in(tmp_path, monkeypatch)


def site_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    site = Site(directory)
    for module in ("catalog", "places"):
        monkeypatch.setattr(f"app.files.{module}.time", lambda: time.time() + site.ahead)
    return site


@pytest.fixture
def seconds_pass(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the Date go on. Whatever was written before is old by then."""
    seconds = iter(range(10**6))

    def go_on() -> None:
        wait_for_the_next_tick(site.outside)
        date = f"second {next(seconds)}"
        for module in ("application", "catalog"):
            monkeypatch.setattr(f"app.files.{module}.date_header", lambda: date)

    site.ahead = 100
    go_on()
    return go_on
