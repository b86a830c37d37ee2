"""Answers as servers give them, from a seed; and what must have been counted of them, added up naively."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.counters.contract import ACCESSES, CLASSES, KINDS, Class, Kind
from app.counters.reading import CountingStore
from app.counters.tally import Tally

DAY, HOUR = 86400, 3600
#: 2026-11-20T00:00:00Z
BEGIN = 20_777 * DAY


@dataclass(frozen=True)
class Answered:
    """One answer, and how it ended: at once, or by a transfer that is reported later."""

    at: int
    path: str
    kind: Kind
    class_: Class
    sent: int
    complete: bool
    later: bool

    def count(self, store: CountingStore) -> int | None:
        if self.later:
            return store.count(self.path, self.kind, None, self.class_, at=self.at)
        return store.count(
            self.path, self.kind, None, self.class_, self.sent, self.complete, at=self.at
        )

    def end(self, store: CountingStore) -> None:
        if self.later:
            store.sent(self.path, self.kind, self.sent, self.complete, self.at)


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now: float = BEGIN) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def answers(seed: int, times: int, *, days: int = 3, paths: int = 12) -> Iterator[Answered]:
    """Yield answers in the order of their times, over some *days* from BEGIN on."""
    dice = random.Random(seed)
    names = [f"/d{number % 3}/f{number}.bin" for number in range(paths)]
    for at in sorted(BEGIN + dice.randrange(days * DAY) for _ in range(times)):
        kind = dice.choices(KINDS, (10, 4, 3, 2, 1, 2))[0]
        has_body = kind in ("full", "partial", "resumed")
        sent = dice.randrange(1_000_000) if has_body else 2 * (kind == "probe")
        complete = has_body and dice.random() < 0.7
        path = names[min(int(dice.expovariate(0.4)), paths - 1)]
        yield Answered(
            at, path, kind, dice.choice(CLASSES), sent, complete, has_body and dice.random() < 0.4
        )


def run(store: CountingStore, all_answers: list[Answered], clock: Clock) -> None:
    """Count *all_answers*; transfers end after the next three answers."""
    under_way: list[Answered] = []
    for answer in all_answers:
        clock.now = max(clock.now, answer.at)
        answer.count(store)
        under_way.append(answer)
        if len(under_way) > 3:
            under_way.pop(0).end(store)
    for answer in under_way:
        answer.end(store)


def expected(
    all_answers: list[Answered], which: Callable[[Answered], bool] = lambda _: True
) -> Tally:
    """Return the tally of those answers that *which* chooses."""
    kinds = dict.fromkeys(map(str, KINDS), 0)
    classes = dict.fromkeys(map(str, CLASSES), 0)
    numbers = {"completed": 0, "resumed_completed": 0, "sent_bytes": 0}
    for answer in filter(which, all_answers):
        kinds[answer.kind] += 1
        if answer.kind in ACCESSES:
            classes[answer.class_] += 1
        numbers["sent_bytes"] += answer.sent
        if answer.complete:
            numbers["resumed_completed" if answer.kind == "resumed" else "completed"] += 1
    accesses = sum(kinds[kind] for kind in ACCESSES)
    assert accesses == sum(classes.values())
    del kinds["full"], classes["people"]  # which follow from the others
    return Tally.of(accesses=accesses, **kinds, **classes, **numbers)
