"""Bodies under servers that read them and servers that let the kernel send them, and files that
change meanwhile.
"""

import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.files.file_slice import FileChangedError, FileSlice, OwnSlice
from app.files.open_files import OpenFile
from app.files.ranges import ByteRange, multipart
from app.files.version import Version, sample, version_of

from .conftest import Site

CONTENT = bytes(range(256)) * 1024


class _Described(NamedTuple):
    size: int
    version: Version
    sampled: bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def open_slice(path: Path) -> Iterator[Callable[[int, int], FileSlice]]:
    opened = []

    def open_slice(first: int, last: int) -> FileSlice:
        descriptor = os.open(path, os.O_RDONLY)
        status = os.fstat(descriptor)
        opened.append(
            OwnSlice(
                OpenFile(descriptor),
                first,
                last,
                _Described(status.st_size, version_of(status), sample(descriptor, status.st_size)),
            )
        )
        return opened[-1]

    yield open_slice
    for piece in opened:
        try:
            piece.close()
        except FileChangedError:
            continue


Open = Callable[[int, int], FileSlice]


def test_read_ends_where_the_slice_ends(open_slice: Open) -> None:
    piece = open_slice(1000, 1999)
    assert piece.tell() == 1000
    assert piece.read(10) == CONTENT[1000:1010]
    assert piece.read(99_999) == CONTENT[1010:2000]
    assert piece.read(10) == b""
    assert piece.read() == b""


def test_read_all(open_slice: Open) -> None:
    assert open_slice(1000, 1999).read() == CONTENT[1000:2000]
    assert open_slice(1000, 1999).read(None) == CONTENT[1000:2000]


def test_iteration(open_slice: Open) -> None:
    pieces = list(open_slice(5, len(CONTENT) - 1))
    assert b"".join(pieces) == CONTENT[5:]
    assert max(map(len, pieces)) <= 65536


def test_the_descriptor_stands_at_the_first_byte(open_slice: Open) -> None:
    piece = open_slice(1000, 1999)
    assert os.lseek(piece.fileno(), 0, os.SEEK_CUR) == 1000


def test_a_server_that_moves_the_descriptor_itself(open_slice: Open) -> None:
    piece = open_slice(1000, 1999)
    os.read(piece.fileno(), 990)
    assert piece.read() == CONTENT[1990:2000]


def test_waitress_measures_with_seek_and_tell(open_slice: Open) -> None:
    piece = open_slice(1000, 1999)
    start = piece.tell()
    piece.seek(0, os.SEEK_END)
    assert piece.tell() - start == 1000
    piece.seek(start)
    assert piece.read(1) == CONTENT[1000:1001]


@pytest.mark.timeout(10)
def test_socket_sendfile_as_gunicorn_calls_it(open_slice: Open) -> None:
    piece = open_slice(1000, 200_999)
    sender, receiver = socket.socketpair()
    received = bytearray()

    def receive() -> None:
        while data := receiver.recv(65536):
            received.extend(data)

    with receiver:
        thread = threading.Thread(target=receive)
        thread.start()
        with sender:
            assert sender.sendfile(piece, offset=1000, count=200_000) == 200_000
        thread.join()
    assert received == CONTENT[1000:201_000]


def test_close_twice(open_slice: Open) -> None:
    piece = open_slice(0, 9)
    descriptor = piece.fileno()
    piece.close()
    piece.close()
    with pytest.raises(ValueError, match="closed"):
        piece.fileno()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


CHANGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 100),
    "emptied": lambda path: path.write_bytes(b""),
    "overwritten": lambda path: path.write_bytes(CONTENT[::-1]),
    "longer, and another": lambda path: path.write_bytes(CONTENT[::-1] + b"x"),
    "longer, and another at its end": lambda path: path.write_bytes(CONTENT[:-1] + b"xx"),
    "longer, and another at its start": lambda path: path.write_bytes(b"x" + CONTENT),
    "dated": lambda path: os.utime(path, (1, 1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_changed_while_it_is_read(
    open_slice: Open, path: Path, change: Callable[[Path], object]
) -> None:
    piece = open_slice(0, len(CONTENT) - 1)
    assert piece.read(50) == CONTENT[:50]
    assert piece.unchanged()
    change(path)
    assert not piece.unchanged()
    for _ in range(2):
        with pytest.raises(FileChangedError):
            piece.read(1000)
    piece.close()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_close_tells_of_a_change_that_the_server_missed(
    open_slice: Open, path: Path, change: Callable[[Path], object]
) -> None:
    piece = open_slice(0, len(CONTENT) - 1)
    descriptor = piece.fileno()
    change(path)
    with pytest.raises(FileChangedError):
        piece.close()
    piece.close()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_what_is_appended_meanwhile_changes_nothing(open_slice: Open, path: Path) -> None:
    piece = open_slice(0, len(CONTENT) - 1)
    received = b""
    for _ in range(3):
        received += piece.read(1000)
        with path.open("ab") as file:
            file.write(b"a line\n")
        assert piece.unchanged()
    assert received + piece.read() == CONTENT
    piece.close()


@pytest.mark.parametrize("how", ["replaced", "deleted", "renamed"])
def test_the_opened_file_is_sent_to_its_end(open_slice: Open, path: Path, how: str) -> None:
    piece = open_slice(0, len(CONTENT) - 1)
    other = path.with_name("other")
    if how == "replaced":
        other.write_bytes(b"new" * 1000)
        other.replace(path)
    elif how == "deleted":
        path.unlink()
    else:
        path.rename(other)
    assert b"".join(piece) == CONTENT
    piece.close()


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("field", [None, "bytes=1000-", "bytes=0-99999,200000-"])
def test_a_body_of_a_file_that_changes_is_short(
    site: Site, wrapped: bool, field: str | None
) -> None:
    path = site.put("big.bin", CONTENT)
    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/big.bin"}
    if wrapped:
        environ["wsgi.file_wrapper"] = lambda file, size: iter(lambda: file.read(size), b"")
    if field:
        environ["HTTP_RANGE"] = field
    head: list[Any] = []
    body = iter(site.app(environ, lambda status, fields: head.extend(fields)))  # type: ignore[arg-type]
    received = next(body)
    path.write_bytes(b"\xff" * len(CONTENT))
    with pytest.raises(FileChangedError):  # noqa: PT012 - how often next() works is the server's affair
        while True:
            received += next(body)
    assert len(received) < int(dict(head)["Content-Length"])
    assert b"\xff" * 300 not in received


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_short_part_is_of_one_version_with_its_fields(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    """The file changes after it was looked up, before the part is read."""
    path = site.put("big.bin", CONTENT)
    site.settle()
    before = site.get("/big.bin", "HEAD").fields["ETag"]
    changes = iter([change])
    really_read = os.pread

    def changed_first(descriptor: int, size: int, offset: int) -> bytes:
        if size == 1000 and (now := next(changes, None)):
            now(path)
        return really_read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", changed_first)
    reply = site.get("/big.bin", HTTP_RANGE="bytes=1000-1999")
    content = path.read_bytes()
    assert reply.fields.get("ETag") != before
    if len(content) > 2000:
        assert (reply.status, reply.body) == (206, content[1000:2000])
        assert reply.fields["Content-Range"] == f"bytes 1000-1999/{len(content)}"
    else:
        assert reply.status == (416 if content else 200)
    assert len(site.counter.counted) == 1 + (reply.status != 416)
    assert site.counter.ends == []


def test_a_short_part_of_a_file_that_grows(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    path = site.put("big.bin", CONTENT)
    site.settle()
    before = site.get("/big.bin", "HEAD").fields["ETag"]
    really_read = os.pread

    def grown_first(descriptor: int, size: int, offset: int) -> bytes:
        if size == 1000:
            with path.open("ab") as file:
                file.write(b"a line\n")
        return really_read(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", grown_first)
    reply = site.get("/big.bin", HTTP_RANGE="bytes=1000-1999")
    assert (reply.status, reply.body) == (206, CONTENT[1000:2000])
    assert reply.fields["ETag"] == before
    assert reply.fields["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"


def test_multipart_bodies_are_read_in_pieces(site: Site) -> None:
    size = 20_000_000
    path = site.put("big.bin", b"")
    os.truncate(path, size)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/big.bin",
        "HTTP_RANGE": "bytes=0-9999999,10000001-19999999",
    }
    head: list[Any] = []
    body = site.app(environ, lambda status, fields: head.extend(fields))  # type: ignore[arg-type]
    lengths = [len(piece) for piece in body]
    body.close()  # type: ignore[attr-defined]
    assert max(lengths) <= 65536
    assert sum(lengths) == int(dict(head)["Content-Length"])


def test_a_multipart_body_closed_before_its_first_piece(open_slice: Open) -> None:
    from app.files.file_slice import MultipartBody

    layout = multipart([ByteRange(0, 1), ByteRange(9000, 9001)], len(CONTENT), "text/plain", "B")
    assert layout is not None
    piece = open_slice(0, len(CONTENT) - 1)
    MultipartBody(layout, piece).close()
    with pytest.raises(ValueError, match="closed"):
        piece.fileno()


def test_a_slice_is_no_text_file(open_slice: Open) -> None:
    # socket.sendfile refuses a file whose mode has no "b" in it.
    assert "b" in getattr(open_slice(0, 1), "mode", "b")
    assert not isinstance(open_slice(0, 1), io.TextIOBase)
