"""Lists of more files than LMDB's rows are read at a time, and the patterns that choose from them."""

import random
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from app.counters.lmdb.counter import LmdbCounter
from app.counters.lmdb.row_columns import Keys
from app.counters.lmdb.rows import DIGESTS
from app.counters.path_search import matching
from app.counters.ranking import Query, largest
from app.counters.reading import FileRecord
from app.counters.tally import Tally


def record(accesses: int, own: int) -> FileRecord:
    return FileRecord(Tally.of(accesses=accesses, own=own), 86_400, 86_400 + accesses)


def own_of(accesses: int) -> int:
    return accesses // 3 if accesses % 4 else 0


@pytest.fixture(params=[0, 3], ids=["short paths", "some long paths"])
def counted(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[LmdbCounter, dict[str, int]]]:
    """A store, and the accesses of its files."""
    dice = random.Random(7)
    files = {f"/{number}.iso": dice.randrange(40) for number in range(1300)}
    files |= {f"/{number}/" + "x" * 600: dice.randrange(40) for number in range(request.param)}
    counter = LmdbCounter(str(tmp_path / "counts"))
    # Some rows are shorter than others, some hold a number that stands far behind.
    counter.add((path, record(accesses, own_of(accesses))) for path, accesses in files.items())
    yield counter, files
    counter.close()


@pytest.mark.parametrize("order", ["accesses", "path"])
@pytest.mark.parametrize("match", ["", "*7*", "3.ISO", "/1*", "/12?[0-5].*", "/none*"])
def test_pages_hold_every_file_once(
    counted: tuple[LmdbCounter, dict[str, int]], order: str, match: str
) -> None:
    counter, files = counted
    found: list[tuple[int, str]] = []
    after, pages = "", 0
    while after or not pages:
        page = counter.ranked(order, match=match, after=after, limit=97)  # type: ignore[arg-type]
        found += [(row.tally.accesses, row.path) for row in page.rows]
        after, pages = page.next, pages + 1
    meant = [
        path
        for path in files
        if (fnmatchcase(path, match) if "*" in match else match.lower() in path.lower())
    ]
    expected = sorted(
        ((files[path], path) for path in meant),
        key=lambda file: (-file[0] * (order == "accesses"), file[1]),
    )
    assert found == expected


@pytest.mark.parametrize("path", ["/", "/1/", "/none/"])
def test_sums_of_directories(counted: tuple[LmdbCounter, dict[str, int]], path: str) -> None:
    counter, files = counted
    below = [accesses for name, accesses in files.items() if name.startswith(path)]
    found = counter.directory(path)
    assert (found.files, found.tally.accesses) == (len(below), sum(below))
    assert found.tally["own"] == sum(own_of(accesses) for accesses in below)
    assert found.first == (86_400 if below else 0)
    assert found.last == max((86_400 + accesses for accesses in below), default=0)


def test_ranks_of_files(counted: tuple[LmdbCounter, dict[str, int]]) -> None:
    counter, files = counted
    in_order = sorted(files, key=lambda path: (-files[path], path))
    for rank in (1, 2, 500, 511, 512, 513, len(files)):
        answer = counter.file(in_order[rank - 1])
        assert answer is not None
        assert answer.rank == rank


def test_classes_of_files(counted: tuple[LmdbCounter, dict[str, int]]) -> None:
    counter, files = counted
    people = {path: n - own_of(n) for path, n in files.items()}
    in_order = sorted((path for path in people if people[path]),
                      key=lambda path: (-people[path], path))  # fmt: skip
    found = counter.ranked(classes=frozenset({"people"}), limit=1000)
    assert found.matched == len(in_order)
    assert [row.path for row in found.rows] == in_order[:1000]


def test_keys_are_found_by_their_places(counted: tuple[LmdbCounter, dict[str, int]]) -> None:
    counter, files = counted

    def read(reader: object) -> tuple[list[bytes], Keys]:
        table = reader._table  # type: ignore[attr-defined]
        keys = Keys(table)
        assert sum(map(len, keys.rows())) == len(keys)
        everything = list(table.keys(DIGESTS))
        assert list(keys) == everything
        assert [keys[place] for place in range(len(keys))] == everything
        assert keys[3:700:50] == everything[3:700:50]
        with pytest.raises(IndexError):
            keys[len(everything)]
        return everything, keys

    everything, keys = counter._read(read)
    assert len(everything) == len(keys) == len(files)


@pytest.mark.parametrize("prefix", ["/", "/1", "/1299.iso", "/5", "/9", "/999.iso", "/x"])
def test_keys_with_a_prefix(counted: tuple[LmdbCounter, dict[str, int]], prefix: str) -> None:
    counter, files = counted
    meant = sorted(path.encode() for path in files if path.startswith(prefix) and len(path) < 480)

    def read(reader: object) -> None:
        keys = Keys(reader._table, prefix.encode())  # type: ignore[attr-defined]
        assert sum(map(len, keys.rows())) == len(keys) == len(meant)
        assert list(keys) == meant
        assert [keys[place] for place in range(len(keys))] == meant

    counter._read(read)
    found = counter.ranked("path", match=prefix + "*", limit=2000)
    assert [row.path for row in found.rows] == sorted(
        path for path in files if path.startswith(prefix)
    )


def matches(query: Query, paths: list[bytes]) -> list[bool]:
    """Return of each path whether its value is left as it is."""
    found = matching(query, paths, list(range(len(paths))))
    assert all(value in (-1, place) for place, value in enumerate(found))
    return [value >= 0 for value in found]


@pytest.mark.parametrize("path", ["/a.iso", "/iso", "/a/b.iso7", "/7", "/[a", "/a*b", "/", "/axb"])
def test_patterns_mean_what_they_do_in_a_shell(path: str) -> None:
    parts = ("", "*", "**", "?", "/", "a", "iso", "7", "[ab]", "[!a]", "[", "[*]", ".")
    for text in {one + two + three for one in parts for two in parts for three in parts}:
        query = Query.of("path", None, text, "", 1, None)
        pattern = query.pattern()
        if any(mark in text for mark in "*?["):
            assert pattern is not None
            assert bool(pattern.search(path)) == fnmatchcase(path, text), text
            of_bytes = re.compile(pattern.pattern.encode())
            assert bool(of_bytes.search(path.encode())) == fnmatchcase(path, text), text
            assert matches(query, [path.encode()]) == [fnmatchcase(path, text)], text
        elif text:
            assert matches(query, [path.encode()]) == [text in path], text


@pytest.mark.parametrize(
    "match",
    [
        "",
        "7",
        "*7*",
        "/1*",
        "*.ISO",
        ".ISO",
        "*.ISO*",
        "*.iso*",
        "**",
        "*[1-3]7*",
        "%0a",
        "nowhere",
    ],
)
def test_paths_are_looked_through_many_at_a_time(match: str) -> None:
    paths = [f"/{number}.iso".encode() for number in range(1300)] + [b"/a\n7", b"/B.iso", b"/%0Ax"]
    query = Query.of("path", None, match or "*", "", 1, None)
    pattern = query.pattern()
    assert pattern is not None
    expected = [bool(pattern.search(path.decode())) for path in paths]
    assert matches(query, paths) == expected


@pytest.mark.parametrize("count", [1, 2, 20, 500])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 3000])
@pytest.mark.parametrize("most", [0, 1, 3, 10_000])
def test_the_largest_values_come_first_and_equals_in_their_order(
    count: int, size: int, most: int
) -> None:
    dice = random.Random(count + size + most)
    values = [dice.randrange(-1, most + 1) for _ in range(size)]
    assert_largest(count, values)


@pytest.mark.parametrize("count", [1, 2, 5, 20])
@pytest.mark.parametrize("seed", range(20))
def test_the_largest_of_few_that_are_large(count: int, seed: int) -> None:
    dice = random.Random(seed)
    values = [0] * 3000
    for place in dice.sample(range(3000), dice.randrange(1, 40)):
        values[place] = dice.randrange(1, 4)
    assert_largest(count, values)


def assert_largest(count: int, values: list[int]) -> None:
    in_order = sorted(range(len(values)), key=lambda place: (-values[place], place))
    assert largest(count, values) == in_order[:count]
