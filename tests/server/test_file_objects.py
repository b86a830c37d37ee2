"""What applications hand to `wsgi.file_wrapper`: the kernel sends what reads its descriptor,
anything else is read.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.server.sendfile import FileWrapper, span_of
from tests.server.serving import get, read_answer, serving

CONTENT = bytes(range(256)) * 40


class Delegating:
    """Has whatever the file below has, but reads something else."""

    def __init__(self, below: Any) -> None:
        self._below = below

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._below.read(size)
        return data.swapcase()


class Upper(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(size if size is not None else -1).upper()


class UpperBuffered(io.BufferedReader):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(size).upper()


def _temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the wrapper closes it
    file.write(path.read_bytes())
    file.seek(0)
    return file


def _spooled(path: Path) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=10)  # noqa: SIM115
    file.write(path.read_bytes())
    file.seek(0)
    return file


def _packed(
    name: str, pack: Callable[[bytes], bytes], opened: Callable[[Path], Any]
) -> Callable[[Path], Any]:
    def make(path: Path) -> Any:
        packed = path.with_name(name)
        packed.write_bytes(pack(path.read_bytes()))
        return opened(packed)

    return make


def _zip_member(path: Path) -> Any:
    with zipfile.ZipFile(path.with_name("a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "member")
    return zipfile.ZipFile(path.with_name("a.zip")).open("member")


def _from_the_middle(path: Path) -> Any:
    file = path.open("rb")
    file.read(1000)
    return file


def _unflushed(path: Path) -> Any:
    file = path.open("r+b")
    file.write(b"changed")
    file.seek(0)
    return file


def _pipe(path: Path) -> Any:
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes()[:5000])
    os.close(writer)
    return open(reader, "rb")


def _at_end(path: Path) -> Any:
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    return file


# What makes the object, and whether the kernel may send it
CASES: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "buffered": (lambda path: path.open("rb"), True),
    "raw": (lambda path: path.open("rb", buffering=0), True),
    "from the middle": (_from_the_middle, True),
    "at its end": (_at_end, False),
    "for update, not flushed": (_unflushed, False),
    "gzip": (_packed("a.gz", gzip.compress, gzip.open), False),
    "gzip, buffered": (
        _packed("a.gz", gzip.compress, lambda path: io.BufferedReader(gzip.GzipFile(path))),
        False,
    ),
    "bz2": (_packed("a.bz2", bz2.compress, bz2.open), False),
    "xz": (_packed("a.xz", lzma.compress, lzma.open), False),
    "a member of a zip": (_zip_member, False),
    "delegating": (lambda path: Delegating(path.open("rb")), False),
    "a raw file of its own": (Upper, False),
    "buffered above one": (lambda path: io.BufferedReader(Upper(path)), False),
    "a buffer of its own": (lambda path: UpperBuffered(io.FileIO(path)), False),
    "named temporary": (_temporary, False),
    "spooled": (_spooled, False),
    "in memory": (lambda path: io.BytesIO(path.read_bytes()), False),
    "a pipe": (_pipe, False),
    "without a size": (lambda _: io.FileIO("/proc/self/maps"), False),
}


@pytest.mark.parametrize(("make", "by_kernel"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("threads", [0, 1])
def test_the_client_gets_what_a_reader_gets(
    tmp_path: Path, make: Callable[[Path], Any], by_kernel: bool, threads: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](make(path))

    with serving(application, threads=threads) as server, server.connect() as client:
        client.sendall(get())
        _, _, body = read_answer(client)
    with contextlib.closing(make(path)) as file:
        assert (span_of(FileWrapper(file), None) is not None) is by_kernel
        expected = file.read()
        changes = "maps" in str(getattr(file, "name", ""))
    assert body[:100] == expected[:100] if changes else body == expected
