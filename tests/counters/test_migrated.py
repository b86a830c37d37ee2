"""The program that shows what a migration brings over, on a few thousand accesses."""

from collections.abc import Callable

import pytest

from app.counters.reading import FileRecord, SiteRecord
from app.counters.tally import Tally
from tests.counters.migrated import (
    TODAY,
    Counted,
    Outcome,
    compared,
    migrated_lmdb,
    migrated_redis,
)


@pytest.mark.parametrize("migrated", [migrated_lmdb, migrated_redis])
def test_nothing_is_lost_and_nothing_doubled(migrated: Callable[[int], Outcome]) -> None:
    outcome = migrated(4000)
    assert outcome.is_exact, str(outcome)
    assert (outcome.accesses, outcome.kills) == (4000, 3)


@pytest.mark.parametrize(("kept", "lost", "doubled"), [(0, 2, 0), (1, 1, 0), (2, 0, 0), (3, 0, 1)])
def test_it_sees_what_is_lost_or_doubled(kept: int, lost: int, doubled: int) -> None:
    its = Counted()
    for at in (5, 6):
        its.count("full", TODAY * 86400 + at)
    tally = Tally.of(accesses=kept, unknown=kept)
    record = FileRecord(tally, its.first, its.last, {TODAY: tally} if kept else {})
    site = SiteRecord(days={TODAY: Tally.of(accesses=2)}, statuses={404: 100})
    outcome = compared({"/f": its}, (site, iter([("/f", record)])), tally, 3)
    assert (outcome.lost, outcome.doubled) == (lost, doubled)
    assert outcome.is_exact is (kept == 2)
