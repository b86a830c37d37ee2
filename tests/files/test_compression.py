"""Coded forms: they decode to the file, are the same each time, and are made beside the requests."""

import gzip
import json
import os
import warnings
from collections.abc import Callable
from random import Random
from threading import Event

import brotli
import pytest
import zstandard

from app.files.compression import (
    LEAST_SAVED,
    QUICK,
    Compressor,
    compress,
    forms,
    is_compressible,
)

DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompress(data),
}
TEXT = json.dumps([{"number": n, "name": f"item {n * 7919 % 1000}"} for n in range(400)]).encode()


@pytest.mark.parametrize("coding", DECODE)
@pytest.mark.parametrize("content", [b"", b"a", TEXT, TEXT * 50], ids=["empty", "1", "16K", "1M"])
def test_every_form_decodes_to_the_file(coding: str, content: bytes) -> None:
    form = compress(content, coding, QUICK[coding])
    assert DECODE[coding](form) == content
    assert compress(content, coding, QUICK[coding]) == form


def test_gzip_tells_neither_time_nor_name() -> None:
    form = compress(TEXT, "gzip", 6)
    assert form[3] == 0  # no name, no comment (RFC 1952 section 2.3.1)
    assert form[4:8] == bytes(4)  # no time


def test_only_what_shrinks_is_kept() -> None:
    assert set(forms(TEXT)) == set(DECODE)
    assert forms(Random(1).randbytes(5000)) == {}
    assert all(len(form) <= len(TEXT) - LEAST_SAVED for form in forms(TEXT).values())


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        ("text/html; charset=utf-8", True),
        ("text/css", True),
        ("TEXT/Plain", True),
        ("text/javascript", True),
        ("text/calendar", True),
        ("application/json", True),
        ("application/ld+json", True),
        ("application/manifest+json", True),
        ("application/atom+xml; charset=utf-8", True),
        ("application/xhtml+xml", True),
        ("image/svg+xml", True),
        ("application/wasm", True),
        ("font/ttf", True),
        ("image/bmp", True),
        ("image/vnd.microsoft.icon", True),
        ("font/woff2", False),
        ("image/png", False),
        ("image/jpeg", False),
        ("video/mp4", False),
        ("audio/mpeg", False),
        ("application/zip", False),
        ("application/gzip", False),
        ("application/epub+zip", False),
        ("application/pdf", False),
        ("application/octet-stream", False),
        ("multipart/byteranges", False),
        ("", False),
    ],
)
def test_which_types_are_compressed(media_type: str, expected: bool) -> None:
    assert is_compressible(media_type) is expected


def test_jobs_run_in_order_and_a_failing_one_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compressor, done, order = Compressor(), Event(), list[int]()

    def fail() -> None:
        raise MemoryError

    assert compressor.submit(lambda: order.append(1))
    assert compressor.submit(fail)
    assert compressor.submit(lambda: order.append(2))
    assert compressor.submit(done.set)
    assert done.wait(30)
    assert order == [1, 2]
    assert "could not be compressed" in caplog.text


def test_a_full_queue_refuses() -> None:
    compressor, begun, go_on, done = Compressor(most_waiting=2), Event(), Event(), Event()

    def wait() -> None:
        begun.set()
        go_on.wait(30)

    assert compressor.submit(wait)
    assert begun.wait(30)
    assert [compressor.submit(lambda: None) for _ in range(3)] == [True, True, False]
    go_on.set()
    while not compressor.submit(done.set):
        done.wait(0.001)
    assert done.wait(30)


def test_a_forked_child_compresses_for_itself() -> None:
    compressor, done = Compressor(), Event()
    assert compressor.submit(done.set)
    assert done.wait(30)
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since 3.12, for having threads
        child = os.fork()
    if child == 0:
        try:
            in_child = Event()
            compressor.submit(in_child.set)
            os.write(writing, b"+" if in_child.wait(30) else b"-")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"+"
    os.waitpid(child, 0)
