"""A root that vanishes, comes back, or is switched."""

import logging
import os
import threading
from pathlib import Path

import pytest

from app.files import root_problem

from .conftest import Site


def test_root_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to(tmp_path)
    assert root_problem(str(tmp_path)) is None
    assert root_problem(str(tmp_path / "link")) is None
    assert (
        root_problem(str(tmp_path / "no"))
        == f"the document root {f'{tmp_path}/no'!a} does not exist"
    )
    assert root_problem(str(file / "no")) == f"the document root {f'{file}/no'!a} does not exist"
    assert root_problem(str(file)) == f"the document root {str(file)!a} is not a directory"
    assert "cannot be read" in (root_problem(str(tmp_path / "loop")) or "")
    assert "cannot be read" in (root_problem("a\0b") or "")
    assert "\n" not in (root_problem(str(tmp_path / "a\nb")) or "\n")


def test_a_root_without_the_right_to_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert (
        root_problem(str(tmp_path))
        == f"the document root {str(tmp_path)!a} cannot be read: Permission denied"
    )


@pytest.mark.parametrize("instead", ["nothing", "a file", "a dangling link"])
def test_the_root_vanishes_and_comes_back(
    site: Site, caplog: pytest.LogCaptureFixture, instead: str
) -> None:
    site.put("a.txt", "held")
    site.put("404.html", "ours")
    site.put("big.bin", b"x" * 100_000)
    site.settle()
    assert site.get("/a.txt").status == 200
    assert site.holds("/a.txt")
    away = site.root.with_name("away")
    site.root.rename(away)
    if instead == "a file":
        site.root.write_bytes(b"")
    elif instead == "a dangling link":
        site.root.symlink_to("nowhere")
    with caplog.at_level(logging.INFO, "tally.files"):
        for path in ("/a.txt", "/big.bin", "/", "/missing", "/a.txt"):
            for method in ("GET", "HEAD"):
                reply = site.get(path, method)
                assert reply.status == 503
                assert int(reply.fields["Retry-After"]) > 0
                assert reply.fields["Cache-Control"] == "no-store"
                assert str(site.root).encode() not in reply.body
        lost = [record.getMessage() for record in caplog.records]
        assert len(lost) == 1
        assert ascii(str(site.root)) in lost[0]
        if instead != "nothing":
            site.root.unlink()
        away.rename(site.root)
        assert site.get("/a.txt").body == b"held"
        assert len(caplog.records) == 2
        assert site.get("/missing").status == 404
        assert site.get("/a.txt").body == b"held"
    assert len(caplog.records) == 2
    assert "is back" in caplog.records[1].getMessage()
    assert site.counter.statuses.count(503) == 10


def test_the_return_is_told_by_a_404_too(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    away = site.root.with_name("away")
    site.root.rename(away)
    assert site.get("/missing").status == 503
    away.rename(site.root)
    assert site.get("/missing").status == 404
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_root_that_is_switched_by_a_deployment(site: Site) -> None:
    site.root.rmdir()
    releases = []
    for number in (1, 2):
        release = site.root.with_name(f"release-{number}")
        release.mkdir()
        (release / "index.html").write_text(f"release {number}")
        (release / "big.bin").write_bytes(str(number).encode() * 100_000)
        (release / f"only-{number}").write_text("")
        (release / "link.html").symlink_to(release / "index.html")
        releases.append(release)
    (releases[1] / "back.html").symlink_to("../release-1/index.html")
    site.root.symlink_to("release-1")
    assert site.get("/back.html").status == 404
    for number in (1, 2, 1):
        new = site.root.with_name("new")
        new.symlink_to(f"release-{number}")
        new.replace(site.root)
        for _ in range(2):
            assert site.get("/").body == f"release {number}".encode()
            assert site.get("/link.html").body == f"release {number}".encode()
            assert site.get("/big.bin").body == str(number).encode() * 100_000
            assert site.get(f"/only-{number}").status == 200
            assert site.get(f"/only-{3 - number}").status == 404
            assert site.get("/back.html").status == 404


def test_a_switch_in_the_middle_of_a_look_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.put("a.txt", "old")
    real_open = os.open
    switched: list[bool] = []

    def switching_open(path: object, *rest: object, **more: object) -> int:
        descriptor: int = real_open(path, *rest, **more)  # type: ignore[arg-type]
        if not switched:  # the old root is open now
            switched.append(True)
            (site.root / "a.txt").unlink()
            site.root.rename(site.root.with_name("old"))
            site.put("a.txt", "new")
        return descriptor

    monkeypatch.setattr(os, "open", switching_open)
    assert site.get("/a.txt").body == b"new"


def test_without_proc(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_proc(*_: object, **__: object) -> bytes:
        raise FileNotFoundError

    for module in ("document_root", "opening"):
        monkeypatch.setattr(f"app.files.{module}.true_path", no_proc)
    site.put("a.txt", "inside")
    (site.outside / "secret").write_text("secret")
    (site.root / "in.txt").symlink_to("a.txt")
    (site.root / "out.txt").symlink_to(site.outside / "secret")
    assert [site.get(path).status for path in ("/a.txt", "/in.txt", "/out.txt")] == [200, 200, 404]


def test_no_request_fails_while_deployments_switch_the_root(site: Site) -> None:
    site.root.rmdir()
    for number in (1, 2):
        release = site.root.with_name(f"release-{number}")
        (release / "dir").mkdir(parents=True)
        (release / "dir" / "index.html").write_bytes(str(number).encode() * 100)
        (release / "big.bin").write_bytes(str(number).encode() * 70_000)
    site.root.symlink_to("release-1")
    stop = threading.Event()
    failures: list[str] = []
    seen: set[bytes] = set()

    def fetch(path: str) -> None:
        while not stop.is_set():
            status: list[str] = []
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
            body = site.app(environ, lambda line, fields, status=status: status.append(line))
            content = b"".join(body)
            seen.add(content[:1])
            if status != ["200 OK"] or (content.strip(b"1") and content.strip(b"2")):
                failures.append(f"{path}: {status} {content[:20]!r}")

    threads = [
        threading.Thread(target=fetch, args=(path,))
        for path in ("/dir/", "/dir/", "/big.bin", "/big.bin")
    ]
    for thread in threads:
        thread.start()
    new = site.root.with_name("new")
    for turn in range(100):
        new.symlink_to(f"release-{turn % 2 + 1}")
        new.replace(site.root)
        stop.wait(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert seen == {b"1", b"2"}
