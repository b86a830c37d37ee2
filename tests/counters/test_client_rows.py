"""Clients of a file and day: what each answer changes."""

import pytest

from app.counters.client_rows import HASH_SIZE, MOST_CLIENTS, client_hash, counted, sent_more
from app.counters.contract import Kind
from app.counters.tally import Tally

MIDNIGHT = 20_000 * 86400
NAMES = ("clients", "downloads", "total_requests", "unique_requests")

# Seconds after midnight, kind, bytes, enough; and what they add up to: clients, downloads, total and unique requests.
Visit = tuple[int, Kind, int, int]
VISITS: list[tuple[str, list[Visit], tuple[int, int, int, int]]] = [
    ("one access", [(0, "full", 500, 1000)], (1, 0, 1, 1)),
    ("one download", [(0, "full", 1000, 1000)], (1, 1, 1, 1)),
    (
        "one access at midnight and one a second later",
        [(0, "full", 0, 9), (1, "full", 0, 9)],
        (1, 0, 1, 1),
    ),
    ("a double click of 30 seconds", [(50, "full", 0, 9), (80, "full", 0, 9)], (1, 0, 1, 1)),
    ("no double click", [(50, "full", 0, 9), (81, "full", 0, 9)], (1, 0, 2, 1)),
    ("clicks on and on", [(at, "full", 0, 9) for at in range(0, 300, 20)], (1, 0, 1, 1)),
    ("two hours", [(3599, "full", 0, 9), (3600, "full", 0, 9)], (1, 0, 1, 2)),
    (
        "an hour in which it came before",
        [(0, "full", 0, 9), (4000, "full", 0, 9), (99, "full", 0, 9)],
        (1, 0, 2, 2),
    ),
    (
        "parts that come to enough",
        [(0, "partial", 600, 1000), (9, "resumed", 400, 1000)],
        (1, 1, 1, 1),
    ),
    ("parts that do not", [(0, "partial", 600, 1000), (9, "resumed", 399, 1000)], (1, 0, 1, 1)),
    (
        "a second download is none",
        [(0, "full", 1000, 1000), (99, "full", 1000, 1000)],
        (1, 1, 2, 1),
    ),
    (
        "a podcast player",
        [(0, "probe", 2, 900), (1, "partial", 500, 900), (2, "resumed", 500, 900)],
        (1, 1, 1, 1),
    ),
    ("a probe alone", [(0, "probe", 2, 2)], (0, 0, 0, 0)),
    ("HEAD alone", [(0, "head", 0, 0)], (0, 0, 0, 0)),
    ("HEAD of a known client", [(0, "full", 5, 9), (3700, "head", 0, 9)], (1, 0, 1, 1)),
    ("a resumed download alone", [(0, "resumed", 2000, 1000)], (1, 1, 0, 0)),
    ("it has a copy", [(0, "not_modified", 0, 1000)], (1, 0, 1, 1)),
    ("a copy of an empty file", [(0, "not_modified", 0, 0)], (1, 0, 1, 1)),
    ("an empty file", [(0, "full", 0, 0)], (1, 1, 1, 1)),
]


@pytest.mark.parametrize(("name", "visits", "numbers"), VISITS, ids=[name for name, _, _ in VISITS])
def test_what_the_visits_of_one_client_add_up_to(
    name: str, visits: list[Visit], numbers: tuple[int, int, int, int]
) -> None:
    row: bytes | None = None
    tally = Tally()
    for after, kind, sent, enough in visits:
        row, grown = counted(row, kind, MIDNIGHT + after, sent, enough, tally["clients"])
        tally += Tally(grown)
    assert tuple(tally[name] for name in NAMES) == numbers


def test_bytes_that_are_sent_later() -> None:
    row, _ = counted(None, "full", MIDNIGHT, 0, 1000, 0)
    row, grown = sent_more(row, 999, 1000)
    assert grown == 0
    row, grown = sent_more(row, 1, 1000)
    assert Tally(grown) == Tally.of(downloads=1)
    again, grown = sent_more(row, 10**19, 1000)
    assert (again, grown) == (row, 0)
    assert sent_more(None, 5, 1) == (None, 0)


def test_there_is_an_end_to_telling_clients_apart() -> None:
    row, grown = counted(None, "full", MIDNIGHT, 0, 1, MOST_CLIENTS - 1)
    assert row is not None
    assert Tally(grown)["clients"] == 1
    assert counted(None, "full", MIDNIGHT, 0, 1, MOST_CLIENTS) == (None, Tally.of(clients=1).lanes)
    assert counted(None, "full", MIDNIGHT, 0, 1, MOST_CLIENTS + 1) == (None, 0)
    known, grown = counted(row, "full", MIDNIGHT + 40, 0, 1, MOST_CLIENTS + 1)
    assert known is not None
    assert Tally(grown) == Tally.of(total_requests=1)


def test_the_hash_says_nothing_without_the_salt() -> None:
    hashes = {
        client_hash(client, salt) for client in (b"a", b"b") for salt in (b"1" * 32, b"2" * 32)
    }
    assert len(hashes) == 4
    assert {len(value) for value in hashes} == {HASH_SIZE}
    assert client_hash(b"a", b"1" * 32) == client_hash(b"a", b"1" * 32)
