"""A tally: everything that is counted of one thing (a file, the site) in one time (a day, in all).

Its numbers are 64 bits wide and stand side by side in one integer, number *i* at bit 64·i. So an
answer is counted by adding a constant, two tallies are merged by adding them, and a store keeps the
integer's bytes. No number reaches 2**64 and so runs over into its neighbour: counts are added one
by one, and what is imported is refused from 2**53 on.

Two numbers are not kept, because they follow from the others: `full` and `people`. So the kinds
that are accesses always add up to the accesses, and the classes too.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Self

from .contract import ACCESSES, CLASSES, KINDS, Class, Kind

#: The numbers in the order in which they are stored, which is part of every store's format: new
#: ones go to the end. The most used come first, because zeros at the end take no room.
NAMES: Final = (
    "accesses",
    "completed",  # accesses whose whole file was handed over without a break
    "sent_bytes",  # body bytes handed over
    "unknown",
    "not_modified",
    "tools",
    "robots",
    "partial",
    # With --clients. Of one file and UTC day; `clients` must not be shown as a sum over days.
    "clients",  # distinct clients
    "downloads",  # clients to whom enough bytes were handed over
    "total_requests",  # accesses less repeats within 30 seconds (COUNTER)
    "unique_requests",  # accesses less repeats within a clock hour (COUNTER)
    "head",
    "resumed",
    "resumed_completed",  # resumed answers that reached the last byte
    "probe",
    "own",
    # Of the site alone.
    "uncounted",  # accesses that a failing store did not count
    "uncounted_sent",  # calls of `sent` that it did not count
)
PLACE: Final[Mapping[str, int]] = {name: place for place, name in enumerate(NAMES)}
WIDTH: Final = 64
MASK: Final = (1 << WIDTH) - 1
#: From here on a number is refused: it is not exact in JSON and in Lua.
LIMIT: Final = 2**53

_DERIVED_KIND: Final[Kind] = "full"
_DERIVED_CLASS: Final[Class] = "people"


def lanes_of(**numbers: int) -> int:
    """Return the integer in which *numbers* stand at their places."""
    return sum(number << WIDTH * PLACE[name] for name, number in numbers.items())


def _delta(kind: Kind, class_: Class, complete: bool) -> int:
    numbers: dict[str, int] = {}
    if kind != _DERIVED_KIND:
        numbers[kind] = 1
    if kind in ACCESSES:
        numbers["accesses"] = 1
        if class_ != _DERIVED_CLASS:
            numbers[class_] = 1
    if complete and kind in ("full", "partial"):
        numbers["completed"] = 1
    if complete and kind == "resumed":
        numbers["resumed_completed"] = 1
    return lanes_of(**numbers)


#: What one answer adds: DELTAS[kind][class][complete]. The bytes come on top of it: sent *
#: SENT_BYTE.
DELTAS: Final[Mapping[Kind, Mapping[Class, tuple[int, int]]]] = {
    kind: {class_: (_delta(kind, class_, False), _delta(kind, class_, True)) for class_ in CLASSES}
    for kind in KINDS
}
#: What `Counter.sent` adds when the answer was completed.
COMPLETED: Final[Mapping[Kind, int]] = {
    kind: DELTAS[kind]["people"][True] - DELTAS[kind]["people"][False] for kind in KINDS
}
SENT_BYTE: Final = lanes_of(sent_bytes=1)


def number(lanes: int, name: str) -> int:
    """Return the number called *name* (one of NAMES) of a tally's integer."""
    return (lanes >> WIDTH * PLACE[name]) & MASK


class Tally:
    """The numbers of one thing in one time. A value: it does not change when counting goes on."""

    __slots__ = ("lanes",)

    def __init__(self, lanes: int = 0) -> None:
        self.lanes: Final = lanes

    @classmethod
    def of(cls, **numbers: int) -> Self:
        """Return the tally with these numbers of NAMES, all others 0."""
        return cls(lanes_of(**numbers))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.lanes + other.lanes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.lanes == other.lanes

    def __hash__(self) -> int:
        return hash(self.lanes)

    def __bool__(self) -> bool:
        return bool(self.lanes)

    def __getitem__(self, name: str) -> int:
        return (self.lanes >> WIDTH * PLACE[name]) & MASK

    def __iter__(self) -> Iterator[int]:
        """Yield every number, in the order of NAMES."""
        return (self[name] for name in NAMES)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self[name]}" for name in NAMES if self[name])
        return f"Tally.of({shown})"

    def at_least(self, other: "Tally") -> "Tally":
        """Return the larger of each two numbers: of two states of one thing, whatever the later one
        has.
        """
        return Tally.of(**{name: max(self[name], other[name]) for name in NAMES})

    @property
    def accesses(self) -> int:
        return self["accesses"]

    @property
    def completed(self) -> int:
        return self["completed"]

    @property
    def sent_bytes(self) -> int:
        return self["sent_bytes"]

    @property
    def kinds(self) -> dict[str, int]:
        kept: dict[str, int] = {kind: self[kind] for kind in KINDS if kind != _DERIVED_KIND}
        others = sum(kept[kind] for kind in ACCESSES if kind != _DERIVED_KIND)
        return {kind: kept.get(kind, self.accesses - others) for kind in KINDS}

    @property
    def classes(self) -> dict[str, int]:
        kept: dict[str, int] = {
            class_: self[class_] for class_ in CLASSES if class_ != _DERIVED_CLASS
        }
        people = self.accesses - sum(kept.values())
        return {class_: kept.get(class_, people) for class_ in CLASSES}

    def accesses_of(self, classes: "frozenset[Class] | None") -> int:
        """Return the accesses of these classes, of all for None."""
        if classes is None:
            return self.accesses
        return sum(count for class_, count in self.classes.items() if class_ in classes)
