"""Columns of a month say of any part of it what its blocks do."""

import random

import pytest

from app.counters.contract import CLASSES
from app.counters.history import Span, terms_of
from app.counters.month_block import DAYS, FILES, MonthBlock
from app.counters.redis import scripts
from app.counters.redis.columns import Sum, numbers_of
from app.counters.redis.month_columns import (
    add_part,
    digest_of,
    digest_part,
    month_columns,
    signs_of,
)
from app.counters.redis.store import RedisStore
from app.counters.tally import Tally
from tests.counters.redis_server import RedisServer

PARTS = [(first, last) for last in range(DAYS) for first in range(last + 1)]
WANTED = [
    *(terms_of(name) for name in ("accesses", "completed", "sent_bytes", "clients")),
    terms_of("accesses", frozenset({"people"})),
    terms_of("accesses", frozenset({"tools", "own"})),
]


class Kept:
    """In place of a server that keeps one hash."""

    reading = None

    def __init__(self, blocks: list[bytes]) -> None:
        self._fields = dict(month_columns(blocks))
        self.asked = 0

    def ask(self, _client: None, command: str, _key: str, *names: str) -> list[bytes | None]:
        assert command == "HMGET"
        self.asked += len(names)
        return [self._fields.get(name) for name in names]

    def sums(self, span: Span) -> list[int]:
        wanted = [(terms, Sum()) for terms in WANTED]
        assert add_part(self, "", wanted, span)  # type: ignore[arg-type]
        return [found.lanes() for _, found in wanted]


def some_day(dice: random.Random, size: int) -> Tally:
    classes = {name: dice.randrange(3) for name in CLASSES if name != "people"}
    accesses = sum(classes.values()) + dice.choice((0, 1, 300, 1 << 20))
    completed = dice.randrange(accesses + 1)
    return Tally.of(
        accesses=accesses,
        completed=completed,
        sent_bytes=size * completed + dice.choice((0, 0, dice.randrange(size))),
        clients=dice.randrange(accesses + 1),
        **classes,
    )


@pytest.fixture(params=["every day", "now and then"])
def blocks(request: pytest.FixtureRequest) -> list[bytes]:
    """Some blocks, of which one does not exist."""
    dice = random.Random(5)
    made = []
    for _ in range(2):
        block = MonthBlock()
        for file in range(FILES):
            size = dice.randrange(1, 1 << 27)
            for day in range(DAYS):
                if request.param == "every day" or dice.random() < 0.03:
                    block.add(day, file, some_day(dice, size).lanes)
        made.append(block.pack())
    return [made[0], b"", made[1]]


def test_any_part_of_a_month(blocks: list[bytes]) -> None:
    kept = Kept(blocks)
    files = FILES * len(blocks)
    for first, last in PARTS:
        found = kept.sums(Span(0, first, last))
        for lanes, terms in zip(found, WANTED, strict=True):
            expected: list[int] = []
            for block in map(MonthBlock, blocks):
                own = sum(sign * block.sums(place, first, last) for place, sign in terms)
                expected += numbers_of(own, FILES)
            assert list(numbers_of(lanes, files)) == expected, (first, last, terms)


def test_few_columns_are_read() -> None:
    for first, last in PARTS:
        signs = signs_of(Span(0, first, last))
        assert len(signs) <= 9
        days = [0] * 33
        for node, sign in signs.items():
            for day in range(1 + (node & node - 1), node + 1):
                days[day] += sign
        assert days[1 : DAYS + 1] == [int(first < day <= last + 1) for day in range(1, DAYS + 1)]


def test_nothing_was_counted() -> None:
    assert Kept([]).sums(Span(0, 0, 3)) == [0] * len(WANTED)


@pytest.mark.parametrize("numbers", [[], [0], [3, 5, 31], [32, 40], [1, 70]])
def test_redis_and_the_program_agree_on_digests(
    redis_server: RedisServer, numbers: list[int]
) -> None:
    store = RedisStore(redis_server.url)
    blocks = [b"block %d" % number if number in numbers else b"" for number in range(96)]
    for number in numbers:
        store._server.patient.hset(f"{scripts.PACKED}7", str(number), blocks[number])
    begins = range(0, 96, 32)
    parts = [
        store._server.run(
            store._server.patient, scripts.DIGEST, ["7", str(begin), str(begin + 31)]
        ).decode()
        for begin in begins
    ]
    assert parts == [digest_part(begin, blocks[begin : begin + 32]) for begin in begins]
    assert bool(digest_of(parts)) == bool(numbers)
    store.close()
