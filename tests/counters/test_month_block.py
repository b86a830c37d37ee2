"""Month blocks: what is added is what is read, packed once or many times."""

import random

import pytest

from app.counters.history import Span, curves_of, days_of, months_of, spans, sums, terms_of
from app.counters.month_block import DAYS, FILES, MonthBlock
from app.counters.month_sums import BLOCKS, packed_sums
from app.counters.periods import day_number, first_day_of, month_of
from app.counters.tally import MASK, NAMES, PLACE, lanes_of


class Blocks(dict[tuple[int, int], bytes]):
    """The month blocks of a store, by month and number, and the sums that follow from them."""

    def __init__(self, blocks: dict[tuple[int, int], bytes], *, has_sums: bool = True) -> None:
        super().__init__(blocks)
        self.has_sums = has_sums

    def block(self, month: int, number: int) -> bytes | None:
        return self.get((month, number))

    def months(self) -> list[int]:
        return sorted({month for month, _ in self})

    def of_month(self, month: int) -> list[tuple[int, bytes]]:
        return [(number, packed) for (its, number), packed in self.items() if its == month]

    def sums_of(self, span: Span) -> list[tuple[int, bytes]] | None:
        if not (self.has_sums and span.ends_month):
            return None
        numbers = [number for number, _ in self.of_month(span.month)]
        found = [(group, self._packed(span, group)) for group in {n // BLOCKS for n in numbers}]
        return [(group, packed) for group, packed in found if packed]

    def _packed(self, span: Span, group: int) -> bytes:
        numbers = range(group * BLOCKS, (group + 1) * BLOCKS)
        blocks = [MonthBlock(self.get((span.month, number), b"")) for number in numbers]
        return packed_sums(blocks, span.first)


SPANS = [(0, 30), (0, 0), (30, 30), (3, 17), (5, 30), (0, 29)]
#: Values of so many byte planes, so that their sums over a month need more.
SIZES = [1, 255, 256, 65_535, 2**24 - 1, 2**32, 2**52]


def filled(dice: random.Random, cells: int, largest: int) -> dict[tuple[int, int], int]:
    numbers: dict[tuple[int, int], int] = {}
    for _ in range(cells):
        lanes = lanes_of(
            **{name: dice.randint(1, largest) for name in dice.sample(NAMES, dice.randint(1, 6))}
        )
        place = dice.randrange(DAYS), dice.randrange(FILES)
        numbers[place] = numbers.get(place, 0) + lanes
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("largest", SIZES)
@pytest.mark.parametrize("cells", [1, 60, 2000])
def test_what_was_added_is_read(largest: int, cells: int) -> None:
    dice = random.Random(largest + cells)
    numbers: dict[tuple[int, int], int] = {}
    packed = b""
    for _ in range(3):
        block = MonthBlock(packed)
        for (day, file), lanes in filled(dice, cells // 3 + 1, largest).items():
            block.add(day, file, lanes)
            numbers[day, file] = numbers.get((day, file), 0) + lanes
        packed = block.pack()
    read = MonthBlock(packed)
    for file in range(FILES):
        of_file = [numbers.get((day, file), 0) for day in range(DAYS)]
        assert read.file_days(file) == of_file
        assert read.file_days(file, 4, 9) == of_file[4:10]
        assert read.file_sum(file) == sum(of_file)
    for first, last in SPANS:
        chosen = [(file, lanes) for (day, file), lanes in numbers.items() if first <= day <= last]
        for place in range(len(NAMES)):
            expected = sum(((lanes >> 64 * place) & MASK) << 64 * file for file, lanes in chosen)
            assert read.sums(place, first, last) == expected
    assert MonthBlock(packed).pack() == packed


def test_nothing_is_no_bytes() -> None:
    assert MonthBlock().pack() == b""
    assert MonthBlock().file_days(5) == [0] * DAYS
    assert MonthBlock().file_sum(5) == 0
    assert MonthBlock().sums(0) == MonthBlock().sums(0, 1, 2) == 0


def test_a_file_of_one_size_takes_next_to_no_room() -> None:
    block = MonthBlock()
    dice = random.Random(1)
    sizes = [dice.randrange(2**30) for _ in range(FILES)]
    for file in range(FILES):
        for day in range(DAYS):
            times = dice.randint(0, 9)
            block.add(
                day, file, lanes_of(accesses=times, completed=times, sent_bytes=times * sizes[file])
            )
    packed = block.pack()
    assert len(packed) < 1.5 * FILES * DAYS
    assert MonthBlock(packed).file_days(3) == block_days(block, 3)


def block_days(block: MonthBlock, file: int) -> list[int]:
    return MonthBlock(block.pack()).file_days(file)


@pytest.mark.parametrize(
    ("first", "last", "parts"),
    [
        ("2026-11-03", "2026-11-25", [("2026-11", 2, 24)]),
        ("2026-11-01", "2026-11-30", [("2026-11", 0, 30)]),
        ("2026-11-30", "2026-12-01", [("2026-11", 29, 30), ("2026-12", 0, 0)]),
        ("2025-12-15", "2026-02-28", [("2025-12", 14, 30), ("2026-01", 0, 30), ("2026-02", 0, 30)]),
        ("2026-02-27", "2026-02-27", [("2026-02", 26, 26)]),
        ("2026-02-27", "2026-02-26", []),
    ],
)
def test_months_of_a_period(first: str, last: str, parts: list[tuple[str, int, int]]) -> None:
    expected = [
        Span(month_of(day_number(f"{month}-01")), begin, end) for month, begin, end in parts
    ]
    assert list(spans(day_number(first), day_number(last))) == expected


def history(files: int, days: range) -> tuple[Blocks, dict[tuple[int, int], int]]:
    dice = random.Random(files)
    blocks: dict[tuple[int, int], MonthBlock] = {}
    tallies = {}
    for file in range(files):
        for day in dice.sample(days, len(days) // 2):
            numbers = {
                name: dice.randrange(1000)
                for name in ("tools", "robots", "own", "sent_bytes", "clients")
            }
            lanes = tallies[file, day] = lanes_of(
                accesses=3000, completed=dice.randrange(9), **numbers
            )
            block = blocks.setdefault((month_of(day), file // FILES), MonthBlock())
            block.add(day - first_day_of(month_of(day)), file % FILES, lanes)
    return Blocks({place: block.pack() for place, block in blocks.items()}), tallies


@pytest.mark.parametrize("has_sums", [True, False])
def test_history_of_many_files(has_sums: bool) -> None:
    begin = day_number("2025-12-20")
    blocks, tallies = history(300, range(begin, begin + 75))
    blocks.has_sums = has_sums
    for first, last in (
        (begin, begin + 74),
        (begin + 3, begin + 5),
        (begin + 20, begin + 60),
        (begin - 90, begin - 1),
    ):
        within = {place: lanes for place, lanes in tallies.items() if first <= place[1] <= last}
        for name in ("accesses", "sent_bytes", "head"):
            numbers = [0] * 300
            for (file, _), lanes in within.items():
                numbers[file] += (lanes >> 64 * PLACE[name]) & MASK
            assert list(sums(blocks, [terms_of(name)], first, last, 300)[0]) == numbers
        people_and_own = terms_of("accesses", frozenset({"people", "own"}))
        _, of_classes = sums(blocks, [terms_of("head"), people_and_own], first, last, 300)
        for file in (0, 127, 128, 299):
            its = {day: lanes for (of, day), lanes in within.items() if of == file}
            assert days_of(blocks, [file], first, last) == {file: its}
            [curve] = curves_of(blocks, [file], first, last).values()
            assert sum(curve.values()) == sum(its.values())
            assert {day: lanes & MASK for day, lanes in curve.items() if lanes & MASK} == {
                day: lanes & MASK for day, lanes in its.items()
            }
            by_month: dict[int, int] = {}
            for day, lanes in its.items():
                by_month[month_of(day)] = by_month.get(month_of(day), 0) + lanes
            assert months_of(blocks, [file], first, last) == {file: by_month}
            others = sum(
                (lanes >> 64 * PLACE[name]) & MASK
                for lanes in its.values()
                for name in ("tools", "robots")
            )
            assert of_classes[file] == 3000 * len(its) - others


def test_files_beyond_those_asked_for_are_left_out() -> None:
    begin = day_number("2026-01-01")
    blocks, _ = history(300, range(begin, begin + 9))
    assert len(sums(blocks, [terms_of("accesses")], begin, begin + 9, 5)[0]) == 5
    assert len(sums(blocks, [terms_of("accesses")], begin, begin + 9, 1000)[0]) == 1000


def test_sums_of_several_groups() -> None:
    month, files = month_of(day_number("2026-01-01")), (5, 128 * 63 + 127, 128 * 64, 128 * 150 + 7)
    packed = {}
    for times, file in enumerate(files, 1):
        block = MonthBlock()
        block.add(30, file % FILES, lanes_of(accesses=times, sent_bytes=times * 2**40))
        packed[month, file // FILES] = block.pack()
    begin = day_number("2026-01-01")
    accesses, sent = sums(
        Blocks(packed), [terms_of("accesses"), terms_of("sent_bytes")], begin, begin + 30, 20_000
    )
    assert {file: accesses[file] for file in files} == {5: 1, 8191: 2, 8192: 3, 19207: 4}
    assert [sent[file] for file in files] == [2**40, 2**41, 3 * 2**40, 2**42]
    assert (sum(accesses), sum(sent)) == (10, 10 * 2**40)
    few = sums(Blocks(packed), [terms_of("accesses")], begin, begin + 30, 8192)[0]
    assert (len(few), sum(few)) == (8192, 3)


def test_sums_of_many_months() -> None:
    """More than the lanes have room for, in which they are added up."""
    begin = day_number("2000-01-01")
    packed = {}
    for month in range(300):
        block = MonthBlock()
        block.add(month % 28, 5, lanes_of(accesses=255, robots=254, sent_bytes=2**48 - 1))
        packed[month_of(begin) + month, 64] = block.pack()
    last = first_day_of(month_of(begin) + 300) - 1
    people = terms_of("accesses", frozenset({"people"}))
    wanted = [terms_of("accesses"), terms_of("sent_bytes"), people]
    found = sums(Blocks(packed), wanted, begin, last, 8192 + 128)
    assert [column[8192 + 5] for column in found] == [300 * 255, 300 * (2**48 - 1), 300]
    assert [sum(column) for column in found] == [300 * 255, 300 * (2**48 - 1), 300]


def test_terms_of_classes() -> None:
    places = {name: PLACE[name] for name in ("accesses", "tools", "robots", "own", "unknown")}
    assert set(terms_of("accesses", frozenset({"tools", "own"}))) == {
        (places["tools"], 1),
        (places["own"], 1),
    }
    assert set(terms_of("accesses", frozenset({"people", "tools"}))) == {
        (places["accesses"], 1),
        (places["robots"], -1),
        (places["own"], -1),
        (places["unknown"], -1),
    }
