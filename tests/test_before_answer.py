"""Work that several requests leave to be done together."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.before_answer import BEFORE_ANSWER, answers_together_from, do_together
from app.files import FileApplication
from app.server.proxies import ForwardedClients
from app.settings import Settings
from app.wsgi import make_app
from tests.files.conftest import RecordingCounter


def test_each_function_is_called_once_with_all_that_was_left_for_it_in_order() -> None:
    calls: list[tuple[str, list[int]]] = []

    def noting(name: str) -> Callable[[list[int]], None]:
        return lambda items: calls.append((name, items))

    first, second = noting("first"), noting("second")
    do_together([(first, 1), (second, 2), (first, 3), (first, 3), (second, 0)])
    assert calls == [("first", [1, 3, 3]), ("second", [2, 0])]


def test_nothing_to_be_done() -> None:
    do_together([])


@pytest.mark.parametrize("counts", ["memory:", "lmdb:{}"])
def test_answers_about_files_go_out_together_from_so_many_on(tmp_path: Path, counts: str) -> None:
    settings = Settings.from_environment(
        {
            "TALLY_ROOT": str(tmp_path),
            "TALLY_COUNTS": counts.format(tmp_path / "counts"),
            "TALLY_COUNT_LOG": "off",
        }
    )
    application = make_app(settings)
    assert answers_together_from(application) == 0, "nothing is known before it is open"
    application.open()
    assert answers_together_from(application) == 24
    assert answers_together_from(ForwardedClients(application, lambda _: True)) == 24
    application.close()


@pytest.mark.parametrize(
    ("pays_from", "count_header", "answers_from", "is_left"),
    [(2, False, 2, True), (0, False, 24, False), (2, True, 24, False)],
)
def test_counts_are_left_where_that_pays_and_nobody_is_told_the_number(
    tmp_path: Path, pays_from: int, count_header: bool, answers_from: int, is_left: bool
) -> None:
    counter = RecordingCounter()
    counter.pays_together_from = pays_from
    application = FileApplication(str(tmp_path), counter=counter, count_header=count_header)
    assert application.answers_together_from == answers_from
    (tmp_path / "a.txt").write_bytes(b"text")
    left: list[object] = []
    for path in ("/a.txt", "/nothing"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, BEFORE_ANSWER: left}
        application(environ, lambda *_: print)
    assert len(left) == (2 if is_left else 0)
    assert len(counter.counted) == len(counter.statuses) == (0 if is_left else 1)


def test_applications_that_take_no_offer() -> None:
    class Strange:
        answers_together_from = "many"

    assert [answers_together_from(each) for each in (lambda: None, Strange())] == [0, 0]
