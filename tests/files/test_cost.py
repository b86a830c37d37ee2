"""What meets a client's bytes takes time in proportion to their number."""

from collections.abc import Callable
from time import thread_time

import pytest

from app.files.codings import choose
from app.files.conditional import evaluate, if_range, list_entity_tags, parse_http_date
from app.files.names import file_name
from app.files.ranges import UnsatisfiableRangeError, select_ranges

CODINGS = ("br", "zstd", "gzip", "identity")


def ranges(text: str) -> None:
    try:
        select_ranges(text, 1000)
    except UnsatisfiableRangeError:
        return


def name(text: str) -> None:
    try:
        file_name("/" + text)
    except FileNotFoundError:
        return


# What reads them, what comes first, and what is repeated
TABLE: dict[str, tuple[Callable[[str], object], str, list[str]]] = {
    "entity tags": (
        list_entity_tags,
        "",
        [
            ",",
            ", ",
            " ",
            "\t,",
            '"',
            '""',
            '"a",',
            '"a" ',
            '"a"x,',
            '"a, ',
            "W/",
            'W/"',
            "a",
            "a,",
            '",',
            ' "',
            '" ,"',
        ],
    ),
    "If-Match": (
        lambda text: evaluate({"HTTP_IF_MATCH": text}, '"a"', 0, 0),
        "",
        [",", '"', " ", 'W/"b", '],
    ),
    "If-None-Match": (
        lambda text: evaluate({"HTTP_IF_NONE_MATCH": text}, '"a"', 0, 0),
        "",
        [",", '"', " ", '"b",'],
    ),
    "If-Range": (lambda text: if_range(text, '"a"', 0, 0), "", ['"', " ", "W/", "S"]),
    "dates": (lambda text: parse_http_date(text, 0), "", [" ", "Sun, ", "Sunday, 06-", "0", "\t"]),
    "years": (lambda text: parse_http_date(text, 0), "Sun Nov  6 08:49:37 ", ["1", " "]),
    "ranges": (
        ranges,
        "bytes=",
        [",", "0-0,", "0-,", "-", "9", " ", "1-1 ,", "0", "0-" + "9" * 50 + ","],
    ),
    "units": (ranges, "", ["=", "bytes", "bytes=", " "]),
    "codings": (
        lambda text: choose(text, CODINGS),
        "",
        [",", ", ", "gzip,", "gzip;q=0.5 ,", "a", ";q=", "gzip;", "gzip \t", "*;q=0,", ";", "q=0."],
    ),
    "paths": (name, "", ["/", "./", "a/", ".", "../", "%", "\xff/", ".well-known/"]),
}
CASES = [(read, start + unit, unit) for read, start, units in TABLE.values() for unit in units]
IDS = [f"{kind} {unit!r}" for kind, (_, _, units) in TABLE.items() for unit in units]


@pytest.mark.parametrize(("read", "start", "unit"), CASES, ids=IDS)
def test_time_is_linear(read: Callable[[str], object], start: str, unit: str) -> None:
    def cost(size: int) -> float:
        text = start + (unit * size)[:size]
        times = []
        for _ in range(3):
            begin = thread_time()
            read(text)
            times.append(thread_time() - begin)
        return min(times)

    # Quadratic time would be 64 times as long: 1.5 s at 8 KB is what was once there.
    assert cost(65536) < 32 * cost(8192) + 0.01
