"""How much of a body was handed over: under servers that read it, seek as gunicorn's sendfile does,
or say it themselves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.server.sendfile import FileWrapper

from .conftest import RecordingCounter, Site

SIZE = 300_000
CONTENT = bytes(range(250)) * (SIZE // 250)


class Body:
    """An answer under way, in the hands of a server."""

    def __init__(self, site: Site, field: str, *, wrapped: bool) -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/big.bin",
            "REMOTE_ADDR": "192.0.2.1",
        }
        if field:
            environ["HTTP_RANGE"] = field
        if wrapped:
            environ["wsgi.file_wrapper"] = FileWrapper
        body: Any = site.app(environ, lambda *_: lambda _: None)
        self.body = body
        self.slice = body.filelike if wrapped else body

    def read(self, blocks: int) -> None:
        """Send so many blocks, and lose the connection; all for -1."""
        for sent, _ in enumerate(self.body, 1):
            if sent == blocks:
                break


@pytest.fixture
def counter(site: Site) -> Iterator[RecordingCounter]:
    site.put("big.bin", CONTENT)
    yield site.counter
    assert len(site.counter.counted) == 1


#: Range, what the server does, bytes that were handed over (None: all), whether they complete it.
def reads_all(body: Body) -> None:
    body.read(-1)


def reads_one_block(body: Body) -> None:
    body.read(1)


def reads_two_blocks(body: Body) -> None:
    body.read(2)


def reads_nothing(body: Body) -> None:
    pass


def seeks_to_the_end(body: Body) -> None:
    body.slice.seek(body.slice._end)


def seeks_on(body: Body) -> None:
    body.slice.seek(body.slice.tell() + 1000)


def says_all(body: Body) -> None:
    body.slice.note_sent(10**9)


def says_some(body: Body) -> None:
    body.slice.note_sent(77)


ENDS: list[tuple[str, Callable[[Body], None], str, int, bool]] = [
    ("", reads_all, "full", SIZE, True),
    ("", reads_one_block, "full", 0, False),  # it may have been lost on the way
    ("", reads_two_blocks, "full", 65536, False),
    ("", reads_nothing, "full", 0, False),
    ("", seeks_to_the_end, "full", SIZE, True),
    ("", seeks_on, "full", 1000, False),
    ("", says_all, "full", SIZE, True),
    ("", says_some, "full", 77, False),
    ("bytes=0-", reads_all, "partial", SIZE, True),
    ("bytes=0-99999", seeks_to_the_end, "partial", 100_000, False),
    ("bytes=100000-", reads_all, "resumed", SIZE - 100_000, True),
    ("bytes=100000-", says_some, "resumed", 77, False),
    ("bytes=100000-200000", seeks_to_the_end, "resumed", 100_001, False),
    ("bytes=-65537", says_all, "resumed", 65537, True),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["iterated", "wrapped"])
@pytest.mark.parametrize(("field", "server", "kind", "sent", "complete"), ENDS)
def test_what_was_handed_over(
    site: Site,
    counter: RecordingCounter,
    field: str,
    server: Callable[[Body], None],
    kind: str,
    sent: int,
    complete: bool,
    wrapped: bool,
) -> None:
    body = Body(site, field, wrapped=wrapped)
    assert counter.ends == []
    server(body)
    body.body.close()
    assert counter.ends == ([("/big.bin", kind, sent, complete)] if sent else [])
    assert counter.details[0][1:3] == (0, False), "nothing was handed over with the head"


def test_several_ranges(site: Site, counter: RecordingCounter) -> None:
    body = Body(site, "bytes=0-9,200000-299999", wrapped=False)
    sent = sum(map(len, body.body))
    body.body.close()
    assert counter.ends == [("/big.bin", "partial", sent, False)]
    body.body.close()
    assert len(counter.ends) == 1


#: File, Range, kind, bytes, whether they complete it.
IN_MEMORY = (
    ("/small.txt", None, "full", 10, True),
    ("/small.txt", "bytes=0-9", "partial", 10, True),
    ("/small.txt", "bytes=0-4", "partial", 5, False),
    ("/small.txt", "bytes=5-9", "resumed", 5, True),
    ("/small.txt", "bytes=5-8", "resumed", 4, False),
    ("/small.txt", "bytes=0-1", "probe", 2, False),
    ("/big.bin", "bytes=0-65535", "partial", 65536, False),
    ("/big.bin", "bytes=100000-100099", "resumed", 100, False),
    ("/big.bin", "bytes=-65536", "resumed", 65536, True),
    ("/big.bin", "bytes=0-1", "probe", 2, False),
)


def test_what_is_in_memory_is_handed_over_with_the_answer(site: Site) -> None:
    site.put("small.txt", b"0123456789")
    site.put("big.bin", CONTENT)
    for path, field, kind, sent, complete in IN_MEMORY:
        more: dict[str, Any] = {} if field is None else {"HTTP_RANGE": field}
        site.get(path, **more)
        assert site.counter.counted[-1] == (path, kind)
        assert site.counter.details[-1][1:3] == (sent, complete)
    assert site.counter.ends == []
    site.get("/small.txt", "HEAD")
    site.get("/small.txt", HTTP_IF_NONE_MATCH="*")
    assert [detail[1:3] for detail in site.counter.details[-2:]] == [(0, False), (0, False)]


def test_a_file_that_changes_is_not_completed(site: Site, counter: RecordingCounter) -> None:
    body = Body(site, "", wrapped=True)
    body.slice.note_sent(SIZE)
    site.put("big.bin", CONTENT[:-1] + b"x", age=3)
    with pytest.raises(ConnectionResetError):
        body.body.close()
    assert counter.ends == [("/big.bin", "full", SIZE, False)]
