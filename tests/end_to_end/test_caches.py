"""Clients of all sorts behind caching proxies: the right bytes, and never one coding for another."""

import gzip
import hashlib
import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx
import pytest
import requests

from tests.end_to_end.browser import window
from tests.end_to_end.caches import PROXIES
from tests.end_to_end.client import Answer, fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running
from tests.end_to_end.test_codings import DECODERS, OLD, PAGE, SCRIPT
from tests.programs import program
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

PICTURE = (Path(__file__).parents[2] / "www" / "pictures" / "architecture.svg").read_bytes()
FILES = {
    "page.html": PAGE,
    "script.js": SCRIPT,
    "picture.png": Random(1).randbytes(5000),
    "large.bin": Random(2).randbytes(300_000),
    "picture.svgz": PICTURE,
}
ACCEPTED = [
    None,
    "gzip",
    "br",
    "zstd",
    "gzip, br",
    "gzip, deflate, br, zstd",
    "identity",
    "br;q=0.1",
]


CODINGS = {
    "nginx": {"identity", "gzip", "br", "zstd"},
    "nginx in slices": {"identity"},
    "varnish": {"identity", "gzip"},  # it asks for gzip alone, and unpacks it for others
}


class Place(NamedTuple):
    """A proxy of a kind before a server."""

    proxy: str
    port: int

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cached") / "root"
    root.mkdir()
    for name, content in FILES.items():
        (root / name).write_bytes(gzip.compress(content) if name.endswith("svgz") else content)
        os.utime(root / name, (OLD, OLD))
    return root


@pytest.fixture(
    scope="module",
    params=[(proxy, kind) for proxy in PROXIES for kind in (BUILTIN, GUNICORN)],
    ids=" before ".join,
)
def place(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    proxy, kind = request.param
    home = tmp_path_factory.mktemp("proxy")
    with (
        running(kind, "--max-age", "3600", root=root)
        if kind == BUILTIN
        else running(kind, root=root, TALLY_MAX_AGE="3600") as server,
        PROXIES[proxy](server.port, home) as port,
    ):
        for name in ("page.html", "script.js"):
            for coding in ("gzip", "br", "zstd"):
                wait_until(
                    lambda name=name, coding=coding: is_made(server, name, coding),  # type: ignore[misc]
                    message=f"{name} in {coding}",
                )
        yield Place(proxy, port)


def is_made(server: LiveServer, name: str, coding: str) -> bool:
    """Return whether the server has made this form; from then on a proxy may keep it."""
    answer = fetch(server.port, f"/{name}", [("Accept-Encoding", coding)])
    return ("content-encoding", coding) in answer.fields


def curl(url: str) -> bytes:
    command = [program("curl"), "-sS", "--fail", "--compressed", url]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout


def by_urllib(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        content: bytes = answer.read()
        return content


CLIENTS: dict[str, Callable[[str], bytes]] = {
    "curl --compressed": curl,
    "urllib": by_urllib,
    "requests": lambda url: requests.get(url, timeout=20).content,
    "httpx": lambda url: httpx.get(url, timeout=20).content,
}


def test_every_client_gets_the_right_bytes(place: Place) -> None:
    order = Random(1)
    for _ in range(4):
        asked = [(name, client) for name in FILES for client in CLIENTS]
        order.shuffle(asked)
        for name, client in asked:
            assert CLIENTS[client](place.url(name)) == FILES[name], (name, client)


def test_no_coding_is_taken_for_another(place: Place) -> None:
    order = Random(2)
    hits = 0
    codings = set()
    for _ in range(4):
        asked = [(name, accepted) for name in FILES for accepted in ACCEPTED]
        order.shuffle(asked)
        for name, accepted in asked:
            fields = [] if accepted is None else [("Accept-Encoding", accepted)]
            answer = fetch(place.port, f"/{name}", fields)
            coding = dict(answer.fields).get("content-encoding", "identity")
            assert answer.status == 200
            assert DECODERS[coding](answer.body) == FILES[name], (name, accepted, coding)
            assert coding == "identity" or coding in (accepted or "")
            hits += answer["cache-status"] == "HIT"
            codings.add(coding)
    assert hits > len(FILES) * len(ACCEPTED)
    assert codings == CODINGS[place.proxy]


def test_what_was_sent_before_its_forms_were_made_is_not_kept(root: Path, tmp_path: Path) -> None:
    with (
        running(BUILTIN, root=root, TALLY_MAX_AGE="3600") as server,
        PROXIES["nginx"](server.port, tmp_path) as port,
    ):

        def asked() -> Answer:
            return fetch(port, "/page.html", [("Accept-Encoding", "br")])

        answer = asked()
        assert (answer.body, answer["cache-status"]) == (PAGE, "MISS")
        # nginx keeps an answer a moment after the client has it.
        wait_until(lambda: asked()["cache-status"] == "HIT", message="an answer from the cache")

        def coding() -> str:
            return dict(asked().fields).get("content-encoding", "")

        wait_until(lambda: coding() == "br", timeout=40, message="the form in br")


@pytest.mark.parametrize("accepted", [None, "gzip, br"])
def test_parts_fit_together(place: Place, accepted: str | None) -> None:
    fields = [] if accepted is None else [("Accept-Encoding", accepted)]
    for name, content in FILES.items():
        first = fetch(place.port, f"/{name}", [*fields, ("Range", "bytes=0-999")])
        if first.status == 200:
            assert (
                DECODERS[dict(first.fields).get("content-encoding", "identity")](first.body)
                == content
            )
            continue
        rest = fetch(
            place.port,
            f"/{name}",
            [*fields, ("Range", "bytes=1000-"), ("If-Range", first["etag"])],
        )
        coding = dict(first.fields).get("content-encoding", "identity")
        if rest.status == 200:  # Varnish makes the tag weak when it unpacks
            assert first["etag"].startswith("W/")
            together = rest.body
        else:
            together = first.body + rest.body
        assert DECODERS[coding](together) == content


def test_a_browser_gets_the_right_bytes(place: Place) -> None:
    with window() as page:
        page.goto(place.url("page.html"))
        for _ in range(2):
            for name, content in FILES.items():
                digest = page.evaluate(
                    f"""fetch("/{name}", {{cache: "no-store"}})
                    .then(answer => answer.arrayBuffer())
                    .then(content => crypto.subtle.digest("SHA-256", content))
                    .then(digest => Array.from(new Uint8Array(digest),
                        byte => byte.toString(16).padStart(2, "0")).join(""))"""
                )
                assert digest == hashlib.sha256(content).hexdigest(), name
