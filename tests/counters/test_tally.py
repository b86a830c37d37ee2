"""A tally: what one answer adds, and numbers that do not get into each other's way."""

import pytest

from app.counters.contract import ACCESSES, CLASSES, KINDS
from app.counters.tally import COMPLETED, DELTAS, NAMES, SENT_BYTE, Tally, number

EVERY = Tally.of(**{name: 1000 + place for place, name in enumerate(NAMES)})


def test_every_kind_and_class_is_a_number_or_follows_from_the_others() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert set(KINDS) - set(NAMES) == {"full"}
    assert set(CLASSES) - set(NAMES) == {"people"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("complete", [False, True])
def test_what_an_answer_adds(kind: str, class_: str, complete: bool) -> None:
    tally = Tally(DELTAS[kind][class_][complete] + 9 * SENT_BYTE)  # type: ignore[index]
    is_access = kind in ACCESSES
    assert tally.kinds == {known: int(known == kind) for known in KINDS}
    assert tally.classes == {known: int(known == class_ and is_access) for known in CLASSES}
    assert (tally.accesses, tally.sent_bytes) == (int(is_access), 9)
    assert tally.completed == (complete and kind in ("full", "partial"))
    assert tally["resumed_completed"] == (complete and kind == "resumed")


def test_the_end_of_a_transfer_adds_what_a_complete_answer_has_more() -> None:
    for kind in KINDS:
        for class_ in CLASSES:
            assert DELTAS[kind][class_][False] + COMPLETED[kind] == DELTAS[kind][class_][True]


def test_numbers_keep_to_their_places() -> None:
    assert [EVERY[name] for name in NAMES] == list(EVERY) == list(range(1000, 1000 + len(NAMES)))
    assert [number(EVERY.lanes, name) for name in NAMES] == list(EVERY)
    assert list(EVERY + EVERY) == [2 * value for value in EVERY]
    largest = Tally.of(**dict.fromkeys(NAMES, 2**63 - 1))
    assert list(largest + largest) == [2**64 - 2] * len(NAMES)
    assert eval(repr(EVERY), {"Tally": Tally}) == EVERY
    assert not Tally()
    assert EVERY


def test_the_larger_of_each_two_numbers() -> None:
    one, other = Tally.of(accesses=5, own=1), Tally.of(accesses=3, own=2, head=7)
    assert one.at_least(other) == Tally.of(accesses=5, own=2, head=7)


def test_accesses_of_classes() -> None:
    tally = Tally.of(accesses=10, tools=1, robots=2, own=3)
    assert tally.accesses_of(None) == 10
    assert tally.accesses_of(frozenset({"people"})) == 4
    assert tally.accesses_of(frozenset({"people", "own"})) == 7
    assert tally.accesses_of(frozenset({"unknown"})) == 0
