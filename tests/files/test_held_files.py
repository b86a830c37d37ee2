"""What is held in memory: bounded, only what exists, and never a mixture of two versions."""

import gzip
import itertools
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from app.files import FileApplication, compression
from app.files.policy import Policy
from app.files.static_file import StaticFile
from tests.alone import alone
from tests.programs import is_thorough
from tests.waiting import wait_until

from .conftest import RecordingCounter, Site, site_in


def ask(app: FileApplication, path: str) -> bytes:
    body = app({"REQUEST_METHOD": "GET", "PATH_INFO": path}, lambda *_: None)  # type: ignore[arg-type]
    return b"".join(body)


@pytest.mark.parametrize("size", [50_000, 0])
def test_the_memory_of_held_files_is_bounded(site: Site, size: int) -> None:
    total = 700_000
    app = site.application(held_total=total)
    for number in range(300):
        site.put(f"{number}.bin", b"x" * size)
    site.settle()
    for number in range(300):
        for _ in range(3):
            assert len(ask(app, f"/{number}.bin")) == size
    held = app._catalog._held
    assert total - 70_000 < held.bytes_held <= total
    assert site.holds("/299.bin", app)
    assert len(held) < 299


def bytes_of_held_files(root: str, length: int) -> list[int]:
    """Return how many files are held, what they take, and what is counted for them."""
    with pytest.MonkeyPatch.context() as patch:
        site = site_in(Path(root), patch)
        directory = "d" * length
        names = [f"/{directory}/{number}.html" for number in range(200)]
        for name in names:
            site.put(name[1:], b"")
        site.settle()
        app = FileApplication(str(site.root), counter=RecordingCounter(), coded=True)
        ask(app, names[0])
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for name in names:
            app._catalog.find(name)
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return [len(app._catalog._held), used, app._catalog._held.bytes_held]


@pytest.mark.parametrize("length", [1, 250])
def test_a_held_file_takes_no_more_than_what_is_counted_for_it(tmp_path: Path, length: int) -> None:
    held, used, counted = alone(bytes_of_held_files, str(tmp_path), length)
    assert held == 200
    assert used < counted


def bytes_of_missing_names(root: str) -> list[int]:
    """Return how many files are held after names were asked for that do not exist, and what the
    later ones of these took.
    """
    with pytest.MonkeyPatch.context() as patch:
        site = site_in(Path(root), patch)
        app = site.application()

        def ask_for_many(first: int) -> None:
            for number in range(first, first + 600):
                ask(app, f"/missing-{number}")
                ask(app, f"/missing-{number}/")
            site.counter.statuses.clear()

        ask_for_many(0)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        ask_for_many(600)
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return [len(app._catalog._held), used]


def test_names_that_do_not_exist_cost_no_memory(tmp_path: Path) -> None:
    held, used = alone(bytes_of_missing_names, str(tmp_path))
    assert used < 20_000
    assert held == 0


def test_threads_never_see_fields_of_one_version_and_bytes_of_another(site: Site) -> None:
    """Files are replaced, small by large and back, while eight threads fetch them."""
    versions = [
        letter * size
        for letter, size in zip((b"a", b"b", b"c", b"d"), (10, 2000, 70_000, 0), strict=True)
    ]

    def replace(turn: int) -> None:
        new = site.outside / "new"
        new.write_bytes(versions[turn % 4])
        new.replace(site.root / "a.txt")

    replace(0)
    stop = threading.Event()
    failures: list[str] = []
    tags: dict[str, bytes] = {}
    asked = [0] * 8

    def fetch(number: int) -> None:
        while not stop.is_set():
            head: list[tuple[str, str]] = []
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a.txt"}
            body = site.app(
                environ,
                lambda status, fields, head=head: head.extend([("status", status), *fields]),
            )
            content = b"".join(body)
            if hasattr(body, "close"):
                body.close()
            fields = dict(head)
            asked[number] += 1
            if fields["status"] != "200 OK" or content not in versions:
                failures.append(f"{fields} {content[:20]!r}")
            elif (
                int(fields["Content-Length"]) != len(content)
                or tags.setdefault(fields["ETag"], content) != content
            ):
                failures.append(f"{fields} with {len(content)} bytes")

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    turn = 0
    while turn < (60 if is_thorough() else 30) or min(asked) <= 5:
        replace(turn)
        stop.wait(0.002 if turn % 10 else 0.03)
        turn += 1
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(os.listdir("/proc/self/fd")) < 200


def test_a_file_that_is_written_to_at_each_attempt(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = site.put("a.txt", b"x")
    real_read = os.pread

    def read_while_it_grows(descriptor: int, size: int, offset: int) -> bytes:
        data = real_read(descriptor, size, offset)
        with path.open("ab") as file:
            file.write(b"x")
        return data

    monkeypatch.setattr(os, "pread", read_while_it_grows)
    assert [site.get("/a.txt").status for _ in range(3)] == [503, 503, 503]
    monkeypatch.undo()
    assert site.get("/a.txt").status == 200
    assert {record.getMessage() for record in caplog.records} == {
        "a file cannot be opened: it is being written to"
    }


def test_a_file_that_changes_once_while_it_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site.put("a.txt", b"one")
    real_read = os.pread
    changes = [b"three", b""]

    def read_then_change(descriptor: int, size: int, offset: int) -> bytes:
        data = real_read(descriptor, size, offset)
        if changes:
            path.write_bytes(changes.pop())
        return data

    monkeypatch.setattr(os, "pread", read_then_change)
    reply = site.get("/a.txt")
    assert (reply.body, reply.fields["Content-Length"]) == (b"three", "5")


def test_reads_that_return_less_than_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("a.txt", b"0123456789")
    real_read = os.pread
    monkeypatch.setattr(
        os, "pread", lambda descriptor, size, offset: real_read(descriptor, min(size, 3), offset)
    )
    assert site.get("/a.txt").body == b"0123456789"


def test_a_file_that_is_asked_for_once_in_a_while_is_compressed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = (f"moment {number}" for number in itertools.count())
    now = [next(moments)]
    for module in ("application", "catalog"):
        monkeypatch.setattr(f"app.files.{module}.date_header", lambda: now[0])
    site.put("page.html", b"text " * 200)
    site.settle()

    def is_coded() -> bool:
        now[0] = next(moments)
        reply = site.get("/page.html", HTTP_ACCEPT_ENCODING="gzip")
        return "Content-Encoding" in reply.fields

    assert not is_coded()
    wait_until(is_coded)


def test_a_file_that_is_replaced_while_it_is_compressed_is_looked_up_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("page.html", b"old text " * 10_000)
    read = site.app._catalog.read

    def replace_first(file: StaticFile) -> bytes:
        monkeypatch.undo()
        site.put("page.html", b"new text " * 10_000)
        return read(file)

    monkeypatch.setattr(site.app._catalog, "read", replace_first)
    reply = site.get("/page.html", HTTP_ACCEPT_ENCODING="gzip, identity;q=0")
    assert (reply.status, gzip.decompress(reply.body)) == (200, b"new text " * 10_000)


def test_a_shared_cache_does_not_keep_what_will_soon_be_sent_in_a_coding(site: Site) -> None:
    site.put("page.html", b"text " * 200)
    site.put("noise.txt", os.urandom(1000))
    site.put("short.txt", b"text")
    site.put("picture.png", b"text " * 200)
    app = site.application(policy=Policy(max_age=60))
    site.settle()

    def cache_control(name: str, accepted: str) -> str:
        reply = site.get(f"/{name}", app=app, HTTP_ACCEPT_ENCODING=accepted)
        not_modified = site.get(
            f"/{name}",
            app=app,
            HTTP_ACCEPT_ENCODING=accepted,
            HTTP_IF_NONE_MATCH=reply.fields["ETag"],
        )
        assert not_modified.fields["Cache-Control"] == reply.fields["Cache-Control"] or (
            not_modified.status == 200
        )
        return reply.fields["Cache-Control"]

    interim, final = "public, max-age=60, s-maxage=10", "public, max-age=60"
    assert cache_control("page.html", "identity") == final
    assert site.get("/page.html", app=app).fields["Cache-Control"] == final
    assert cache_control("page.html", "gzip") in (interim, final)
    for name in ("short.txt", "picture.png"):
        assert cache_control(name, "gzip") == final
    for name in ("page.html", "noise.txt"):
        wait_until(lambda name=name: cache_control(name, "gzip") == final)  # type: ignore[misc]
    fresh = site.application(policy=Policy(max_age=60))
    first = site.get("/page.html", app=fresh, HTTP_ACCEPT_ENCODING="gzip")
    assert first.fields["Cache-Control"] == interim
    assert site.get("/page.html", HTTP_ACCEPT_ENCODING="gzip").fields["Cache-Control"] == "no-cache"


TAGS_AFTER_A_RESTART = [
    # accepted, tag's coding, settled, changed, status, coding
    ("gzip", "gzip", True, False, 304, "gzip"),
    ("br", "br", True, False, 304, "br"),
    ("zstd", "zstd", True, False, 304, "zstd"),
    ("gzip, deflate, br, zstd", "gzip", True, False, 304, "gzip"),
    ("gzip, deflate, br, zstd", "br", True, False, 304, "br"),
    ("*", "zstd", True, False, 304, "zstd"),
    ("br, gzip;q=0.5", "gzip", True, False, 200, ""),  # it wants another
    ("br", "gzip", True, False, 200, ""),
    ("br;q=0, *", "br", True, False, 200, ""),
    ("identity", "gzip", True, False, 200, ""),
    ("gzip", "gzip", True, True, 200, "gzip"),
    ("gzip", "gzip", False, False, 200, ""),  # it would be made for each request
]


@pytest.mark.parametrize(
    ("accepted", "had", "is_settled", "is_changed", "status", "coding"), TAGS_AFTER_A_RESTART
)
def test_a_client_that_kept_a_coded_form_need_not_fetch_it_again_after_a_restart(
    site: Site,
    accepted: str,
    had: str,
    is_settled: bool,
    is_changed: bool,
    status: int,
    coding: str,
) -> None:
    site.put("page.html", b"some text " * 200)
    only = f"{had}, identity;q=0"
    kept = site.get("/page.html", HTTP_ACCEPT_ENCODING=only).fields["ETag"]
    if is_changed:
        site.put("page.html", b"other text " * 200)
    if is_settled:
        site.settle()
    tags = ('"some"', kept, 'W/"other-gzip"')
    for tag in (kept, f"W/{kept}", ", ".join(tags)):
        app = site.application()
        reply = site.get(
            "/page.html", app=app, HTTP_ACCEPT_ENCODING=accepted, HTTP_IF_NONE_MATCH=tag
        )
        assert reply.status == status
        if status == 304:
            assert reply.fields["ETag"] == kept
        else:
            assert reply.fields.get("Content-Encoding", "") == coding
        assert reply.fields["Vary"] == "Accept-Encoding"


def test_all_forms_are_made_soon_after_one_was_kept(site: Site) -> None:
    site.put("page.html", b"some text " * 200)
    kept = site.get("/page.html", HTTP_ACCEPT_ENCODING="gzip, identity;q=0").fields["ETag"]
    site.settle()
    app = site.application()

    def coding() -> str:
        reply = site.get(
            "/page.html", app=app, HTTP_ACCEPT_ENCODING="br, gzip", HTTP_IF_NONE_MATCH=kept
        )
        return reply.fields.get("Content-Encoding", "")

    assert coding() == ""  # 304
    wait_until(lambda: coding() == "br")


def test_a_file_that_does_not_shrink_is_compressed_for_no_tag_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("noise.txt", os.urandom(1000))
    site.settle()
    made: list[bytes] = []
    forms = compression.forms

    def noted(content: bytes, levels: dict[str, int]) -> dict[str, bytes]:
        made.append(content)
        return forms(content, levels)

    monkeypatch.setattr(compression, "forms", noted)

    def is_left_alone() -> bool:
        before = len(made)
        reply = site.get("/noise.txt", HTTP_ACCEPT_ENCODING="br", HTTP_IF_NONE_MATCH='"any-br"')
        assert (reply.status, len(reply.body)) == (200, 1000)
        return len(made) == before

    wait_until(is_left_alone)
    assert is_left_alone()
