"""Content codings under both servers: the right form for each Accept-Encoding, with its own tag and
ranges.
"""

import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path

import brotli
import pytest
import zstandard

from tests.end_to_end.client import Answer, Client, fetch
from tests.end_to_end.servers import BUILTIN, GUNICORN, LiveServer, running
from tests.files.test_codings import TABLE
from tests.waiting import wait_until

HOME = Path(__file__).parent
PAGE = (HOME.parent.parent / "www" / "guide" / "http.html").read_bytes()
# Longer than what is held as it is
SCRIPT = b"".join(
    b"const value%d = compute(%d, 'item %d');\n" % (n, n * 7919 % 1000, n * 31 % 977)
    for n in range(2500)
)
STYLE = b"body { color: black; }\n" * 200
PICTURE = os.urandom(5000)
OLD = 1_700_000_000
DECODERS = {
    "br": brotli.decompress,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    "identity": bytes,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coded") / "root"
    root.mkdir()
    for name, content in {
        "page.html": PAGE,
        "script.js": SCRIPT,
        "style.css": STYLE,
        "style.css.gz": gzip.compress(STYLE),
        "stale.css": STYLE,
        "stale.css.gz": gzip.compress(b"of an earlier version"),
        "picture.png": PICTURE,
        "short.txt": b"short",
    }.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (OLD, OLD))
    os.utime(root / "stale.css.gz", (OLD - 1, OLD - 1))
    youngest = max(path.stat().st_ctime for path in root.iterdir())
    wait_until(
        lambda: time.time() > youngest + 2.1,
        timeout=10,
        message="the files to be old enough to be held",
    )
    return root


@pytest.fixture(scope="module", params=[BUILTIN, GUNICORN])
def server(request: pytest.FixtureRequest, root: Path) -> Iterator[LiveServer]:
    with running(request.param, root=root) as server:
        for path in ("/page.html", "/script.js"):
            for coding in ("br", "gzip", "zstd"):
                wait_until(
                    lambda path=path, coding=coding: coding_of(ask(server, path, coding)) == coding,  # type: ignore[misc]
                    timeout=20,
                    message=f"{path} in {coding}",
                )
            lengths = [len(ask(server, path, coding).body) for coding in ("br", "zstd", "gzip")]
            assert lengths == sorted(lengths), "the table takes br for the shortest form"
        yield server


def ask(
    server: LiveServer, path: str, accept: str | None, *more: tuple[str, str], method: str = "GET"
) -> Answer:
    fields = [*more] if accept is None else [("Accept-Encoding", accept), *more]
    return fetch(server.port, path, fields, method)


def coding_of(answer: Answer) -> str:
    return next((value for name, value in answer.fields if name == "content-encoding"), "identity")


def test_the_first_answer_is_the_file_as_it_is(root: Path) -> None:
    with running(BUILTIN, root=root) as server:
        assert coding_of(ask(server, "/page.html", "gzip, br, zstd")) == "identity"


WIRE = [
    (accept, plain, text)
    for accept, plain, text, _ in TABLE
    if accept is None or accept == accept.strip()
]


@pytest.mark.parametrize(("accept", "plain", "text"), WIRE)
def test_negotiation(
    server: LiveServer, accept: str | None, plain: str | None, text: str | None
) -> None:
    for path, content in (("/page.html", PAGE), ("/script.js", SCRIPT)):
        answer = ask(server, path, accept)
        assert answer["vary"] == "Accept-Encoding"
        if text is None:
            assert answer.status == 406
            continue
        assert (answer.status, coding_of(answer)) == (200, text)
        assert DECODERS[text](answer.body) == content
        assert answer["etag"].endswith('"' if text == "identity" else f'-{text}"')
        head = ask(server, path, accept, method="HEAD")
        assert [field for field in head.fields if field[0] != "date"] == [
            field for field in answer.fields if field[0] != "date"
        ]
    short = ask(server, "/short.txt", accept)
    assert (short.status, short["vary"]) == (406 if plain is None else 200, "Accept-Encoding")
    picture = ask(server, "/picture.png", accept)
    assert (picture.status, picture.body, coding_of(picture)) == (200, PICTURE, "identity")
    assert "vary" not in dict(picture.fields)


@pytest.mark.parametrize("coding", DECODERS)
def test_ranges_and_preconditions_are_about_the_form(server: LiveServer, coding: str) -> None:
    for path in ("/page.html", "/script.js"):
        whole = ask(server, path, coding)
        others = [ask(server, path, other)["etag"] for other in DECODERS if other != coding]
        part = ask(server, path, coding, ("Range", "bytes=10-19"))
        assert (part.status, part.body, part["etag"]) == (206, whole.body[10:20], whole["etag"])
        assert part["content-range"] == f"bytes 10-19/{len(whole.body)}"
        assert ask(server, path, coding, ("If-None-Match", whole["etag"])).status == 304
        assert ask(server, path, coding, ("If-Match", whole["etag"])).status == 200
        resumed = ask(server, path, coding, ("Range", "bytes=9-"), ("If-Range", whole["etag"]))
        assert (resumed.status, resumed.body) == (206, whole.body[9:])
        for other in others:
            assert ask(server, path, coding, ("If-None-Match", other)).status == 200
            assert ask(server, path, coding, ("If-Match", other)).status == 412
            assert (
                ask(server, path, coding, ("Range", "bytes=9-"), ("If-Range", other)).status == 200
            )
        beyond = ask(server, path, coding, ("Range", f"bytes={len(whole.body)}-"))
        assert (beyond.status, beyond["content-range"]) == (416, f"bytes */{len(whole.body)}")
        assert beyond["vary"] == "Accept-Encoding"


def test_siblings(server: LiveServer, root: Path) -> None:
    assert ask(server, "/style.css", "gzip").body == (root / "style.css.gz").read_bytes()
    assert DECODERS["gzip"](ask(server, "/style.css.gz", "gzip").body) == STYLE
    assert coding_of(ask(server, "/style.css.gz", "gzip")) == "identity"
    stale = ask(server, "/stale.css", "gzip")
    assert DECODERS[coding_of(stale)](stale.body) == STYLE


def test_a_client_that_refuses_the_file_as_it_is_need_not_wait(root: Path) -> None:
    with running(BUILTIN, root=root) as server, Client(server.port) as client:
        for coding in ("br", "gzip", "zstd"):
            answer = client.ask(
                "GET", "/page.html", [("Accept-Encoding", f"{coding}, identity;q=0")]
            )
            assert (coding_of(answer), DECODERS[coding](answer.body)) == (coding, PAGE)
        assert (
            client.ask("GET", "/picture.png", [("Accept-Encoding", "gzip, identity;q=0")]).status
            == 200
        )
